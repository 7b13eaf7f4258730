"""Label Studio tasks out, and its JSON, JSON_MIN and CSV exports in.

A task is a finding: the model's label and evidence are its prediction, each reviewer's decision an annotation. A
cancelled annotation is a skip, one with an empty result says that the line is compliant.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from zhenyan.inference.errors import ConfigError, InputError
from zhenyan.inference.review.errors import Said
from zhenyan.inference.review.exchange import Look, Reviewed
from zhenyan.inference.review.intake import Run
from zhenyan.inference.review.notes import kept
from zhenyan.inference.review.outcome import MODEL

_NOBODY = "label-studio"  # who annotated where the file doesn't say
_MOST_SECONDS = 10**9  # thirty years: a task may have been open for long, but not for that long
CHOICES, _EVIDENCE, _TEXT = "labels", "evidence", "text"  # names of the controls in the labelling configuration
NOTE = "note"  # name of the control, and so of the field in JSON_MIN and CSV
_NOTES = f'  <TextArea name="{NOTE}" toName="{_TEXT}" maxSubmissions="1"/>\n'
_DECIDED = "decided"  # field of a task's data: a mark for each decision with labels that went out with it
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Annotation:
    """One annotator's word on a task, such as a finding, known by `key`; `labels` is None for a skip, empty for compliant."""

    key: str
    annotator: str
    labels: tuple[str, ...] | None
    at: datetime | None
    seconds: float | None
    place: str
    imported: int | None = None  # the `Look.number` with which it went into Label Studio
    note: str | None = None  # why
    returned: bool = False  # JSON_MIN or CSV, which lack that number: a decision that went out with its task


@dataclass
class Unclear:
    """JSON_MIN or CSV rows without labels: these formats don't tell a skip from a compliant line."""

    rows: int = 0

    @property
    def note(self) -> str:
        """What to tell whoever exported them."""
        return (
            f"{self.rows:,} rows without labels left out: JSON_MIN doesn't tell a skip from a compliant line, "
            "nor does CSV; export JSON instead"
        )


def tasks(run: Run, findings: Iterable[Reviewed]) -> Iterator[dict[str, Any]]:
    """Tasks with predictions, and with the decisions there are as annotations."""
    for one in findings:
        record = one.record
        start = record["place"].get("start")
        data = {"text": record["text"], "finding": record["id"], "run": run.digest, "stream": record["stream"],
                "label": record["label"], "before": "\n".join(record["before"]), "after": "\n".join(record["after"])}  # fmt: skip
        marks = [_mark(run, record["id"], look.labels) for look in one.looks if look.labels]
        data |= {_DECIDED: " ".join(marks)} if marks else {}
        yield {
            "data": data | ({} if start is None else {"start": start}),
            "predictions": [_prediction(run, record)] if one.found_by == MODEL else [],
            "annotations": [_annotation(look) for look in one.looks],
        }


def _mark(run: Run, finding: str, labels: Iterable[str]) -> str:
    """A decision as a task's data tells it: not in words, for Label Studio's list of tasks shows data to every reader."""
    told = "\n".join((run.digest, finding, *sorted(set(labels))))
    return hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:16]


def configuration(labels: Sequence[tuple[str, str]]) -> str:
    """The labelling configuration that the tasks fit, from label ids and names."""
    offered = "\n".join(
        f"    <Choice value={quoteattr(key)} alias={quoteattr(key)} hint={quoteattr(name)}/>" for key, name in labels
    )
    spans = "\n".join(f"    <Label value={quoteattr(key)}/>" for key, _ in labels)
    return f"""<View>
  <Text name="before" value="$before"/>
  <Labels name="{_EVIDENCE}" toName="{_TEXT}">
{spans}
  </Labels>
  <Text name="{_TEXT}" value="$text"/>
  <Text name="after" value="$after"/>
  <Choices name="{CHOICES}" toName="{_TEXT}" choice="multiple" showInline="true">
{offered}
  </Choices>
{_NOTES}</View>
"""


def beside(path: Path) -> Path:
    """Where the labelling configuration of a file of tasks stands."""
    return path.with_suffix(".config.xml")


def keep_configuration(path: Path) -> None:
    """ConfigError when a labelling configuration is there that isn't, to the letter, what is written for its labels.

    As earlier versions wrote it, without a place for notes, nobody has changed it either.
    """
    if not path.is_file():
        return
    held = path.read_bytes()
    try:
        named = ElementTree.fromstring(held).iter("Choice")
        written = configuration([(one.get("alias", ""), one.get("hint", "")) for one in named])
    except (ElementTree.ParseError, LookupError):  # LookupError: of an encoding that isn't known
        written = ""
    if held not in (written.encode(), written.replace(_NOTES, "").encode()):
        raise ConfigError(
            f"--output: {path} is there already and was changed by hand; give a name that has no such file beside it"
        )


def _prediction(run: Run, record: Mapping[str, Any]) -> dict[str, Any]:
    spans = [
        {"id": f"{record['id']}-{number}", "from_name": _EVIDENCE, "to_name": _TEXT, "type": "labels",
         "value": {"start": e["start"], "end": e["end"], "text": e["text"], "labels": [e["label"]]}}
        for number, e in enumerate(record["evidence"])
    ]  # fmt: skip
    return {"model_version": run.bundle, "score": record["score"], "result": [choices([record["label"]]), *spans]}


def _annotation(look: Look) -> dict[str, Any]:
    """Without `completed_by`, for Label Studio refuses e-mails that it doesn't know; it drops `reviewer`.

    What is imported is whoever's who imports it; `id` comes back as `import_id` and tells whose it was.
    """
    result = [choices(look.labels)] if look.labels else []
    result += [_region(NOTE, "textarea", {"text": [look.note]})] if look.note else []
    return {
        "id": look.number, "result": result, "was_cancelled": look.labels is None,
        "ground_truth": look.settles, "created_at": look.at.isoformat(), "lead_time": look.seconds,
        "reviewer": look.reviewer,
    }  # fmt: skip


def choices(labels: Sequence[str]) -> dict[str, Any]:
    """The result of a task that chooses these labels."""
    return _region(CHOICES, "choices", {"choices": list(labels)})


def _region(control: str, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"from_name": control, "to_name": _TEXT, "type": kind, "value": value}


def read_annotations(path: Path, run: Run, unclear: Unclear) -> Iterator[Annotation]:
    """Annotations of an export of this run's tasks; InputError names the task, what is wrong with it and the remedy."""
    rows: list[tuple[dict[str, Any], Annotation]] = []
    for task, data, place in read_tasks(path):
        _check_origin(data, run, place)
        for one in annotations_of(task, data["finding"], place, unclear):
            if "data" in task:
                yield one
            else:
                rows.append((task, one))
    yield from _marked(run, rows)


def _marked(run: Run, rows: Sequence[tuple[Mapping[str, Any], Annotation]]) -> Iterator[Annotation]:
    """Rows of JSON_MIN or CSV in their order, of each task as many `returned` as went out with their labels.

    The oldest are, for what comes with a task is there before anyone annotates it; exports begin with the newest.
    """
    left: dict[tuple[str, str], Counter[str]] = {}
    returned = set[int]()
    for number in sorted(range(len(rows)), key=lambda n: (_moment(rows[n][0].get("created_at")) or _LONG_AGO, -n)):
        task, one = rows[number]
        marks = left.setdefault((str(task.get("id")), one.key), Counter(str(task.get(_DECIDED, "")).split()))
        mark = _mark(run, one.key, one.labels or ())
        if marks[mark]:
            marks[mark] -= 1
            returned.add(number)
    for number, (_, one) in enumerate(rows):
        yield replace(one, returned=number in returned)


def read_tasks(path: Path) -> Iterator[tuple[dict[str, Any], Any, str]]:
    """Tasks of a JSON, JSON_MIN or CSV export, each with its data (in the latter two: itself) and its place in the file."""
    is_csv = path.suffix.lower() == ".csv"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            exported = _csv_tasks(file) if is_csv else json.load(file)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, csv.Error) as error:
        kind = "CSV" if is_csv else "JSON"
        raise InputError(f"{path}: not a {kind} file ({error}); export JSON or JSON_MIN from Label Studio") from None
    except RecursionError:
        raise InputError(f"{path}: values nested too deeply for an export; export JSON or JSON_MIN again") from None
    if not isinstance(exported, list):
        raise InputError(f"{path}: expected a list of tasks, found {type(exported).__name__}; export JSON or JSON_MIN")
    for number, task in enumerate(exported, 1):
        place = f"{path}: task {number}"
        if not isinstance(task, dict):
            raise InputError(f"{place}: expected an object, found {type(task).__name__}")
        yield task, task.get("data", task), place


def _csv_tasks(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Rows as JSON_MIN would have them: an empty cell is a missing field."""
    return [{key: _cell(key, cell) for key, cell in row.items() if key and cell} for row in csv.DictReader(lines)]


def _cell(name: str, cell: Any) -> Any:
    if name not in (CHOICES, "annotator", "lead_time"):
        return cell
    try:
        return json.loads(cell)
    except ValueError:  # one choice, or an e-mail, stands there bare
        return cell


def annotations_of(
    task: Mapping[str, Any], key: str, place: str, unclear: Unclear, control: str | None = CHOICES, notes: bool = True
) -> Iterator[Annotation]:
    """What annotators said of one task, which `key` names; InputError as `read_annotations`.

    Labels are the choices of `control`; None: of any, and in JSON_MIN the field `labels`. Without `notes` what is called
    `note` isn't looked at: outside the review it may be anything.
    """
    if "data" in task:
        return _full(task, key, place, control, notes)
    return _minimal(task, key, place, unclear, control or CHOICES, notes)


def regions(task: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The answers in a task's annotations, which `annotations_of` has read; none in JSON_MIN."""
    for one in task.get("annotations", task.get("completions", [])) if "data" in task else ():
        yield from (region for region in one.get("result", []) if isinstance(region, dict))


def newest(given: Iterable[Annotation]) -> list[Annotation]:
    """An annotator's last word on each task; where times are missing, the first in the file (exports begin with it)."""
    last: dict[tuple[str, str], Annotation] = {}
    for one in given:
        known = last.get((one.key, one.annotator))
        if known is None or (one.at and known.at and one.at > known.at):
            last[one.key, one.annotator] = one
    return list(last.values())


def _check_origin(data: Any, run: Run, place: str) -> None:
    if not isinstance(data, dict) or not isinstance(data.get("finding"), str):
        raise InputError(
            f"{place}: no field 'finding'; only tasks from `zhenyan review-export` can come back here, those of "
            "`zhenyan data sample` with `zhenyan data import`"
        )
    if not isinstance(data.get("run"), str):
        raise InputError(
            f"{place}: no field 'run'; give Label Studio's export of tasks that `zhenyan review-export --to labelstudio` wrote"
        )
    if data["run"] != run.digest:
        raise InputError(
            f"{place}: belongs to run {data['run'][:12]}, this is run {run.digest[:12]}; name the run that the tasks were "
            "written from"
        )


def _full(
    task: Mapping[str, Any], key: str, place: str, control: str | None, notes: bool
) -> Iterator[Annotation]:  # fmt: skip
    given = task.get("annotations", task.get("completions", []))
    if not isinstance(given, list):
        raise InputError(f"{place}: 'annotations' must be a list, found {type(given).__name__}")
    for number, one in enumerate(given, 1):
        where = f"{place}, annotation {number}"
        if not isinstance(one, dict) or not isinstance(one.get("result", []), list):
            raise InputError(f"{where}: expected an object with a list 'result'")
        result = one.get("result", [])
        labels = None if one.get("was_cancelled") else _chosen(result, where, control)
        note = _noted(_written(result), where) if notes else None
        yield replace(_said(one, "completed_by", key, labels, where), note=note)


def _chosen(result: Sequence[Any], where: str, control: str | None) -> tuple[str, ...]:
    chosen: list[str] = []
    for region in result:
        if isinstance(region, dict) and region.get("type") == "choices" and control in (None, region.get("from_name")):
            chosen += _labels(region.get("value"), where)
    return tuple(dict.fromkeys(chosen))


def _written(result: Sequence[Any]) -> list[Any]:
    """What stands in the text areas for notes."""
    regions = [region for region in result if isinstance(region, dict) and region.get("from_name") == NOTE]
    values = [region.get("value") for region in regions]
    return [value.get("text") for value in values if isinstance(value, dict)]


def _noted(given: Any, where: str) -> str | None:
    """A note as text or lists of texts; InputError when it is something else, or too long."""
    if isinstance(given, list):
        given = "\n".join(filter(None, (_noted(one, where) for one in given)))
    if not isinstance(given, str | None):
        raise InputError(f"{where}: 'note' must be text or a list of texts, found {type(given).__name__}")
    try:
        return kept(given or "")
    except Said as error:
        raise InputError(f"{where}: {error}") from None


def _minimal(
    task: Mapping[str, Any], key: str, place: str, unclear: Unclear, control: str, notes: bool
) -> Iterator[Annotation]:  # fmt: skip
    if control not in task:
        unclear.rows += 1
        return
    said = _said(task, "annotator", key, tuple(dict.fromkeys(_labels(task[control], place))), place)
    yield replace(said, note=_noted(task.get(NOTE), place) if notes else None)


def _labels(value: Any, where: str) -> list[str]:
    """One choice as text, several as {"choices": [...]} or a list of either."""
    given = [label for one in (value if isinstance(value, list) else [value]) for label in _choices(one)]
    for one in given:
        if not isinstance(one, str):
            raise InputError(f"{where}: 'choices' must be text or a list of texts, found {type(one).__name__}")
    return given


def _choices(value: Any) -> list[Any]:
    inside = value.get("choices") if isinstance(value, dict) else value
    return inside if isinstance(inside, list) else [inside]


def _said(
    one: Mapping[str, Any], annotator: str, key: str, labels: tuple[str, ...] | None, where: str
) -> Annotation:  # fmt: skip
    """The annotation, its annotator and times checked; `annotator` is the field in which Label Studio names them."""
    who = one.get("reviewer") or _annotator(one.get(annotator), annotator, where)
    if not isinstance(who, str):
        raise InputError(f"{where}: 'reviewer' must be a reviewer's name, found {type(who).__name__}")
    times = [at for name in ("created_at", "updated_at") if (at := _moment(one.get(name)))]  # an edited one has both
    seconds, number = _seconds(one.get("lead_time"), where), one.get("import_id")
    imported = number if isinstance(number, int) and abs(number) < 2**31 else None
    name = who.strip() or _NOBODY  # a reviewer's name has no outer spaces
    return Annotation(key, name, labels, max(times, default=None), seconds, where, imported)


def _annotator(value: Any, field: str, where: str) -> str:
    """Label Studio names annotators by number, or by an object with an e-mail."""
    if isinstance(value, dict):
        value = value.get("email") or value.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        return f"label-studio:{value}"
    if not isinstance(value, str | None):
        raise InputError(f"{where}: {field!r} must be an e-mail or a number, found {type(value).__name__}")
    return value or _NOBODY


def _moment(value: Any) -> datetime | None:
    """In UTC, which a time without a zone is taken for; None for what is no time, or lies beyond the calendar in UTC."""
    try:
        moment = datetime.fromisoformat(str(value))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _seconds(value: Any, where: str) -> float | None:
    """A `lead_time`; InputError when it is none, for it would spoil the hours of its annotator."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or (known and 0 <= value <= _MOST_SECONDS):
        return None if value is None else float(value)
    raise InputError(f"{where}: 'lead_time' must be 0 to {_MOST_SECONDS:,} seconds, found {value!r:.40}")
