"""From a run to a bundle: ONNX export, int8, the gate that compares them, and the manifest."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from rich.console import Console
from rich.table import Table
from scipy.special import expit
from tokenizers import Tokenizer
from torch import Tensor, nn
from zhenyan.inference import normalise
from zhenyan.inference.bundle import CARD, FILES, FORMAT, MANIFEST, bundle_id, load_bundle, sha256
from zhenyan.inference.classifier import Classifier
from zhenyan.inference.doctor import MAX_FLIPS
from zhenyan.inference.errors import ConfigError
from zhenyan.training.config import CONFIG, ThresholdConfig, TrainConfig, load_config
from zhenyan.training.dataset import Corpus, load_corpus
from zhenyan.training.decisions import Decisions, decisions_of
from zhenyan.training.encoders.origin import encoder_origin
from zhenyan.training.evaluate import Labelled, labelled
from zhenyan.training.metrics import f1_score
from zhenyan.training.model_card import changelog_entry, model_card
from zhenyan.training.modelling import MultiLabelClassifier, load_model
from zhenyan.training.placing import BUNDLE, check_output, place, tidy
from zhenyan.training.predict import predict_as_read
from zhenyan.training.provenance import git_commit, read_journal, rows_digest, use_threads
from zhenyan.training.quantise import quantise, quantise_weights
from zhenyan.training.rows import Row
from zhenyan.training.saved_model import read_meta
from zhenyan.training.schema import Schema, load_schema
from zhenyan.training.thresholds import thresholds_table
from zhenyan.training.tracking import Tracker, check_kept
from zhenyan.training.train import METRICS, MODEL, THRESHOLDS, decide
from zhenyan.training.whole import telling_full_disk

OPSET = 20
_ROOM = "make room there, or name a folder that has some in TMPDIR"
# Of the flips that `zhenyan doctor` allows: other processors and runtimes round a line or two otherwise.
PROBE_ROOM = 0.75
PROBES = 600  # of 200 one percent is two lines: three of them refused a runtime that flips 0.4 percent of 4,003 lines


class _Logits(nn.Module):
    """The classifier as the exporter should see it: two arrays in, one out."""

    def __init__(self, model: MultiLabelClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model(input_ids, attention_mask).logits


@dataclass(frozen=True)
class Check:
    """One bound of the gate and what was measured."""

    name: str
    measured: float
    bound: float

    @property
    def passed(self) -> bool:
        """Whether the bound holds."""
        return self.measured <= self.bound


@dataclass(frozen=True)
class Trained:
    """A finished run as it is exported: its model, `meta` that was saved with it, and the rows of today."""

    run: Path
    config: TrainConfig
    schema: Schema
    corpus: Corpus
    model: MultiLabelClassifier
    tokenizer: Any
    meta: dict[str, Any]

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """What the model itself says of texts, (texts, labels), read as `Classifier` reads them."""
        return expit(predict_as_read(self.model, self.tokenizer, texts, self.config.encoder.max_tokens))


def to_onnx(model: MultiLabelClassifier, path: Path) -> None:
    """Export with symbolic batch and width, without traces of this machine; raises if the exporter fixed either of them."""
    model.eval()
    model.encoder.set_attn_implementation("eager")
    ids = torch.randint(5, 100, (3, 17))
    batch, width = torch.export.Dim("batch"), torch.export.Dim("width")
    program = torch.onnx.export(
        _Logits(model).eval(), (ids, torch.ones_like(ids)), dynamo=True, opset_version=OPSET, verbose=False,
        input_names=["input_ids", "attention_mask"], output_names=["logits"],
        dynamic_shapes={"input_ids": {0: batch, 1: width}, "attention_mask": {0: batch, 1: width}},
    )  # fmt: skip
    assert program is not None  # it is None with dynamo=False only
    program.save(str(path), external_data=False)
    saved = onnx.load(str(path))
    for node in saved.graph.node:
        del node.metadata_props[:]  # where in which file on this machine each was made
    onnx.save(saved, str(path))
    for value in saved.graph.input:
        if any(d.dim_value for d in value.type.tensor_type.shape.dim):
            raise RuntimeError(f"{path}: the exporter fixed a dimension of {value.name}")


def export_run(run: Path, output: Path, console: Console, changes: dict[str, Any] | None = None) -> bool:
    """Write run `run` as a bundle at `output`; returns False, and writes nothing, when the gate fails.

    An earlier bundle at `output` is replaced once the new one is whole. `changes` of the run's configuration are dotted keys
    of `export`, or of `thresholds`, which are chosen anew then. ConfigError, before any work, when `run` is no finished run, has labels that
    the schema lacks, or `output` is a place where something else would be lost.
    """
    config = config_of(run, changes)
    check_kept(run)
    use_threads(config.optim)
    check_output(run, output)
    check_output(None, run / BUNDLE, "move it away, for the run's bundle is kept there")
    for folder in (output, run / BUNDLE):
        tidy(folder)
    schema = load_schema(config.data.label_schema)
    if gone := [label for label in read_meta(run / MODEL)["labels"] if label not in schema.ids]:
        raise ConfigError(
            f"{run}: its model has labels that {config.data.label_schema} lacks ({', '.join(gone)}); train on with "
            f"`--from {run / MODEL}`, or export it under the schema it was trained with"
        )
    corpus = load_corpus(config.data, schema)
    model, tokenizer, meta = load_model(run / MODEL)
    trained = Trained(run, config, schema, corpus, model, tokenizer, meta)
    anew = any(key.startswith("thresholds.") for key in changes or {})
    decisions = decide_anew(model, tokenizer, corpus, schema, config) if anew else decisions_of(run)
    if anew:
        then = read_journal(run).tags.get("data.validation")
        if then and then != rows_digest(corpus.validation):
            console.print("[yellow]validation rows were changed since the run: thresholds are chosen on today's[/]")
        console.print(thresholds_table(decisions.thresholds))
    with telling_full_disk(Path(tempfile.gettempdir()), _ROOM), tempfile.TemporaryDirectory() as scratch:
        fp32, final = Path(scratch) / "fp32", Path(scratch) / "final"
        fp32.mkdir()
        to_onnx(model, fp32 / "model.onnx")
        save_tokenizer(fp32, tokenizer, meta["max_tokens"])
        write_metadata(fp32, trained, decisions)
        write_probes(fp32, trained)
        shutil.copytree(fp32, final)
        if config.export.precision == "int8":
            thresholds = np.array([decisions.thresholds[label]["threshold"] for label in model.labels])
            left = to_int8(fp32 / "model.onnx", final / "model.onnx", trained, thresholds)
            console.print(f"int8: {len(left)} matrix products stay in float")
        elif config.export.precision == "weights":
            quantise_weights(fp32 / "model.onnx", final / "model.onnx")
        for folder in (fp32, final):
            write_manifest(folder, config.export.precision if folder is final else "fp32")
        checks = gate(trained, fp32, final)
        console.print(gate_table(checks))
        if not all(check.passed for check in checks):
            console.print("[red]the gate failed: no bundle was written[/]")
            return False
        manifest = write_manifest(final, config.export.precision, gate=[asdict(check) for check in checks])
        card = model_card(run, config, schema, corpus, manifest, decisions.thresholds)
        (final / CARD).write_text(card, encoding="utf-8")
        write_manifest(final, config.export.precision)
        place(final, output)
    report_bundle(run, output, config, console)
    return True


def to_int8(source: Path, target: Path, trained: Trained, thresholds: np.ndarray) -> list[str]:
    """Write `source` (fp32) as int8 to `target`; returns the products that stay in float: no more than the gate asks for.

    `thresholds`: the labels', (labels,).
    """
    config, corpus, labels = trained.config, trained.corpus, trained.model.labels
    data, probes = labelled(corpus.validation, labels), probe_rows(corpus.validation)

    def sound(exact: np.ndarray, given: np.ndarray) -> bool:
        before, after = (expit(logits) >= thresholds for logits in (exact, given))
        checks = compare_decisions(data, before, after, labels, config, probes)
        return all(check.passed for check in checks)

    train = [row.text for row in corpus.train]
    return quantise(source, target, trained.tokenizer, train, data.texts, sound, config)


def config_of(run: Path, changes: dict[str, Any] | None = None) -> TrainConfig:
    """The configuration of a finished run, with `changes` of its sections `thresholds` and `export`.

    ConfigError when `run` is another folder, or was cut off, or when a change is of something else.
    """
    if other := [key for key in changes or {} if not key.startswith(("thresholds.", "export."))]:
        raise ConfigError(
            f"--set {', '.join(other)}: export changes only {', '.join(f'thresholds.{key}' for key in ThresholdConfig.model_fields)} "
            "and what begins with export.; for anything else train again"
        )
    if not (run / CONFIG).is_file():
        raise ConfigError(f"{run}: no run folder ({CONFIG} is missing); give the run folder, not its model or a bundle")
    if missing := [name for name in (MODEL, THRESHOLDS, METRICS) if not (run / name).exists()]:
        raise ConfigError(
            f"{run}: the run isn't finished ({', '.join(missing)} missing); train --resume goes on with it"
        )
    return load_config(run / CONFIG, changes)


def decide_anew(
    model: MultiLabelClassifier, tokenizer: Any, corpus: Corpus, schema: Schema, config: TrainConfig
) -> Decisions:
    """Thresholds by `config.thresholds`, from the scores that the run's model gives validation rows."""
    known = {label.id: label for label in schema.labels}
    own = schema.model_copy(update={"labels": [known[label] for label in model.labels]})
    data = labelled(corpus.validation, own.ids)
    scores = expit(predict_as_read(model, tokenizer, data.texts, config.encoder.max_tokens))
    chosen, _, metrics = decide(data, scores, own, config.thresholds)
    return Decisions(chosen, metrics)


def report_bundle(run: Path, output: Path, config: TrainConfig, console: Console) -> None:
    """Keep bundle and card with the run, in its folder and in MLflow; say where the bundle is and what CHANGELOG.md should hold."""
    bundle = load_bundle(output)
    size = sum(path.stat().st_size for path in output.iterdir()) / 2**20
    console.print(f"bundle {bundle.id} in {output} ({size:.1f} MiB)")  # first, for it is whole whatever fails below
    shutil.copy(output / CARD, run / CARD)
    place(output, run / BUNDLE)
    tracker = Tracker(run, config.tracking, run.name, console)
    tracker.artifacts(run / CARD)
    tracker.artifacts(run / BUNDLE, BUNDLE)
    tracker.tags({"bundle_id": bundle.id})
    console.print("Its entry for CHANGELOG.md, should it be released:\n")
    console.print(changelog_entry(bundle.manifest), markup=False, highlight=False, soft_wrap=True)


def network(model: MultiLabelClassifier, tokenizer: Any) -> dict[str, Any]:
    """What it takes to rebuild the network from its weights (`restore.read_bundle`)."""
    shape = model.encoder.config.to_diff_dict()
    shape = {
        key: value
        for key, value in shape.items()
        if key not in ("_name_or_path", "architectures", "dtype", "transformers_version")
    }
    return {"pad_id": tokenizer.pad_token_id, "specials": dict(tokenizer.special_tokens_map), "architecture": shape}


def save_tokenizer(folder: Path, tokenizer: Any, max_tokens: int) -> None:
    """tokenizer.json, stating the longest sequence: so the bundle's id covers the manifest's `max_tokens`."""
    stated = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    stated.enable_truncation(max_tokens)
    stated.save(str(folder / "tokenizer.json"))


def write_metadata(folder: Path, trained: Trained, decisions: Decisions) -> None:
    """labels.json, thresholds.json, and the manifest without its hashes."""
    meta = trained.meta | network(trained.model, trained.tokenizer)
    labels = [trained.schema.record(label) for label in meta["labels"]]
    tags, shape = read_journal(trained.run).tags, trained.model.encoder.config
    origin = encoder_origin(trained.config, tags)
    manifest = {
        "format": FORMAT, "name": trained.config.name, "labels": meta["labels"], "activation": "sigmoid",
        "max_tokens": meta["max_tokens"], "normaliser": normalise.VERSION,
        **{key: meta[key] for key in ("pad_id", "specials", "pooling", "architecture")},
        "training_run": trained.run.name, "encoder": origin.name, "encoder_licence": origin.licence,
        "layers": shape.num_hidden_layers, "hidden": shape.hidden_size,
        "data_sha256": tags.get("data.train") or rows_digest(trained.corpus.train), "commit": git_commit(),
        "schema_version": trained.schema.version, "validation": decisions.metrics,
    }  # fmt: skip
    for name, value in (("labels.json", labels), ("thresholds.json", decisions.thresholds), (MANIFEST, manifest)):
        (folder / name).write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def probe_rows(rows: Sequence[Row]) -> list[int]:
    """Numbers of the rows that are probes: those of an author batch, for other people's lines aren't shipped, evenly from all."""
    written = [number for number, row in enumerate(rows) if "batch" in row.meta]
    return written[:: max(1, len(written) // PROBES)][:PROBES]


def write_probes(folder: Path, trained: Trained) -> None:
    """Written validation lines with the fp32 model's probabilities: `zhenyan doctor` compares runtimes with them."""
    rows = trained.corpus.validation
    texts = [rows[number].text for number in probe_rows(rows)]
    texts = [texts[number] for number in in_one_window(trained.tokenizer, texts, trained.config.encoder.max_tokens)]
    probabilities = trained.probabilities(texts) if texts else np.zeros((0, 0))
    record = {"texts": texts, "probabilities": [[round(float(p), 6) for p in row] for row in probabilities]}
    (folder / "probes.json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")


def write_manifest(folder: Path, precision: str, **extra: Any) -> dict[str, Any]:
    """Complete the manifest with precision, hashes (the card's too, once there is one) and id; returns it."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    hashes = {name: sha256(folder / name) for name in (*FILES, *((CARD,) if (folder / CARD).exists() else ()))}
    manifest |= {"precision": precision, "sha256": hashes, "bundle_id": bundle_id(manifest["name"], hashes), **extra}
    (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")
    return manifest


def gate(trained: Trained, fp32: Path, final: Path) -> list[Check]:
    """Compare torch with ONNX fp32, and fp32 with the final file, on the validation rows."""
    config, rows, labels = trained.config, trained.corpus.validation, trained.model.labels
    data = labelled(rows, labels)
    texts = data.texts
    reference = trained.probabilities(texts)
    plain, shipped = Classifier.load(fp32, explain=False), Classifier.load(final, explain=False)
    short = in_one_window(trained.tokenizer, texts, config.encoder.max_tokens)
    exact, given = plain.score(texts), shipped.score(texts)
    before, after = (scores >= plain.thresholds for scores in (exact, given))
    # Where no text fits, nothing was compared, and the check fails.
    parity = float(np.abs(exact[short] - reference[short]).max()) if short else math.inf
    return [Check("torch against ONNX fp32, largest probability difference", parity,
                  config.export.max_probability_difference),
            *compare_decisions(data, before, after, labels, config, probe_rows(rows))]  # fmt: skip


def in_one_window(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> list[int]:
    """Numbers of the texts that are read whole at once: of longer ones torch reads the first `max_tokens` tokens only."""
    # Else transformers warns of texts that are too long, which is what is asked.
    encoded = tokenizer([normalise.normalise(text) for text in texts], verbose=False)["input_ids"]
    return [number for number, ids in enumerate(encoded) if len(ids) <= max_tokens]


def compare_decisions(
    data: Labelled,
    before: np.ndarray,
    after: np.ndarray,
    labels: list[str],
    config: TrainConfig,
    probes: Sequence[int] = (),
) -> list[Check]:
    """Flip rate, and the fall of F1 over all labels and for each label with enough positives; decisions are bool (rows, labels).

    Of the `probes` among the rows no more may flip than three quarters of what `zhenyan doctor` allows, or `max_flip_rate`, if that is more.
    """
    bounds = config.export
    flipped = (before != after).any(1)
    checks = [Check("rows with a flipped decision", float(flipped.mean()), bounds.max_flip_rate)]
    if len(probes):
        most = max(PROBE_ROOM * MAX_FLIPS, bounds.max_flip_rate)
        checks.append(Check("probes with a flipped decision", float(flipped[probes].mean()), most))
    truth, before, after = data.truth, before & data.seen, after & data.seen
    fall = f1_score(truth, before) - f1_score(truth, after)
    checks.append(Check("fall of micro F1", fall, bounds.max_f1_drop))
    for i, label in enumerate(labels):
        if truth[:, i].sum() >= config.thresholds.min_positives:
            fall = f1_score(truth[:, i], before[:, i]) - f1_score(truth[:, i], after[:, i])
            one = 1 / truth[:, i].sum()  # a bound below one row's worth can't be met or broken sensibly
            checks.append(Check(f"fall of F1, {label}", fall, max(bounds.max_f1_drop, float(one))))
    return checks


def gate_table(checks: list[Check]) -> Table:
    """The gate as a table."""
    table = Table("check", "measured", "bound", "")
    for check in checks:
        table.add_row(
            check.name, f"{check.measured:.5f}", f"{check.bound:.5f}", "ok" if check.passed else "[red]fails[/]"
        )
    return table
