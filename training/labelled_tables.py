"""`zhenyan data import` of a table: labelled lines of any file that `zhenyan score` reads, as rows of the data contract."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from zhenyan.inference.errors import InputError
from zhenyan.inference.io import Options, read_items, resolve_inputs
from zhenyan.inference.io.items import Item, Reject
from zhenyan.inference.io.jsonlines import dump_line
from zhenyan.inference.io.notes import Note
from zhenyan.inference.normalise import plain_text
from zhenyan.training.annotated_tasks import number, with_channel
from zhenyan.training.candidates import first_few, is_judgement
from zhenyan.training.corpus_check import contradictions
from zhenyan.training.label_names import read_labels, refuse
from zhenyan.training.rows import Row, row_from_json
from zhenyan.training.schema import Schema

_OPTIONS = ("--text-column", "--encoding")  # of `zhenyan data import`; its readers' notes name others, too
_OF_REVIEW = {"决定", "决定类别", "触发词语"}  # columns that tables of findings have, open ones among them


@dataclass
class Table:
    """The rows of a labelled table, what was left out of them and what to tell."""

    rows: list[Row] = field(default_factory=list)
    repeated: int = 0  # lines that say what an earlier one says, with its labels, looked for alike
    unread: list[str] = field(default_factory=list)  # places and reasons of lines without a text and the like
    notes: list[Note] = field(default_factory=list)  # of the readers: which column is the text, the encoding
    judgements: set[str] = field(default_factory=set)  # columns left out, as a model's opinion

    @property
    def told(self) -> tuple[str, ...]:
        """The first lines that could not be read, the notes, and the columns that were left out."""
        left_out = (
            f"left out, as what a model said of the lines: column {', '.join(sorted(self.judgements))}; "
            "give a column of your own another name"
        )
        notes = (str(note.within(_OPTIONS)) for note in self.notes)
        return (*first_few(self.unread, len(self.unread)), *notes, *([left_out] if self.judgements else []))


def import_table(path: Path, schema: Schema, labels_column: str, batch: str | None, options: Options) -> Table:
    """Rows of a table whose column `labels_column` names each line's labels; `batch` is whose rows those without a batch are.

    InputError lists the lines with unknown labels or other faults, or says that there is no such column or no line.
    """
    done, faults, first = Table(notes=options.notes), list[str](), dict[str, Row]()
    for place, item in _lines(path, options):
        if isinstance(item, Reject):
            done.unread.append(f"{place}: {item.reason}")
        elif row := _row(item, place, schema, labels_column, batch, faults):
            done.judgements |= _judgements(item, labels_column)
            same = first.setdefault(plain_text(row.text), row)
            if same is row:
                done.rows.append(row)
            elif (same.labels, same.annotated) == (row.labels, row.annotated):
                done.repeated += 1
            else:
                other = "labels" if same.labels != row.labels else "labels in `annotated`"
                faults.append(
                    f"{place}: the text of {same.origin} with other {other}; keep one line with all that hold"
                )
    if faults:
        refuse(faults, schema)
    if not done.rows:
        raise InputError("\n".join([f"{path}: no line with a text", *done.told]))
    number(done.rows)
    return done


def _lines(path: Path, options: Options) -> Iterator[tuple[str, Item | Reject]]:
    for file in resolve_inputs([str(path)]):
        for item in read_items(file, options):
            yield f"{file} {item.place}", item


def _judgements(item: Item, labels_column: str) -> set[str]:
    """Columns of a line that hold a model's opinion; those of each label's score under one name."""
    own = {labels_column, "annotated"}
    told = {key for key, value in item.record.items() if key not in own and value not in (None, "")}
    return {"score.LABEL" if key.startswith("score.") else key for key in told if is_judgement(key)}


def _row(
    item: Item, place: str, schema: Schema, labels_column: str, batch: str | None, faults: list[str]
) -> Row | None:
    """The line's row; None where something is wrong with it, which goes into `faults`."""
    if labels_column not in item.record:
        columns = ", ".join(item.record)
        raise InputError(f"{place}: no column {labels_column!r} (--labels-column); its columns are {columns}")
    if item.record.keys() >= _OF_REVIEW:
        raise InputError(
            f"{place}: a table of `zhenyan review-export`, which doesn't tell what was looked for; export with --to rows instead"
        )
    record = json.loads(dump_line(item.record))  # without dates and numbers that JSON can't hold
    labels = read_labels(record.pop(labels_column), schema, place, faults)
    # An empty cell is no field, the column that the text was read from says it twice, and a model's opinion is no part of a row.
    told = {key: value for key, value in record.items() if value not in (None, "", item.text)}
    kept = {key: value for key, value in told.items() if key == "annotated" or not is_judgement(key)}
    if "annotated" in kept:
        kept["annotated"] = read_labels(kept["annotated"], schema, f"{place}, column 'annotated'", faults)
    group = {"batch": batch} if batch else {"room": kept["stream"]} if "stream" in kept else {}
    try:
        row = row_from_json(with_channel(group | kept | {"text": item.text, "labels": labels}), place)
    except InputError as error:
        faults += str(error).splitlines()
        return None
    if not row.group:
        faults.append(f"{place}: no batch and no room; name who wrote or labelled these lines with --batch")
    faults += [f"{place}: {fault}" for fault in contradictions(row, schema)]
    return row
