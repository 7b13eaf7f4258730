"""Traditional text: Big5 is told from GB 18030, which can hold nearly every pair of bytes, and headers are known in it."""

from __future__ import annotations

import json
from functools import cache

import pytest
from zhenyan.inference.io import Options, read_items
from zhenyan.inference.io.opening import detect_encoding
from zhenyan.inference.normalise import _to_simplified

LINES = ["家人們，這款膠原蛋白飲喝一個月年輕十歲", "全網銷量第一，沒有之一！今天下單買一送一"]
CANTONESE = "你哋睇下呢款面膜，敷完即刻白咗幾個度，唔使怕嘅"
LEAST = 20  # characters of a line that is taken for a file


def given(path, lines, encoding, head="文案\n"):
    path.write_bytes((head + "".join(f"{line}\n" for line in lines)).encode(encoding))
    return str(path)


@cache
def traditional() -> dict[int, str]:
    """Simplified to traditional characters, each to one that Big5 has among its frequent ones where there is one."""
    found: dict[str, str] = {}
    for code, simple in _to_simplified().items():
        is_frequent = chr(code).encode("cp950", "replace")[0] in range(0xA4, 0xC7)
        if simple not in found or is_frequent:
            found[simple] = chr(code)
    return {ord(simple): old for simple, old in found.items() if simple.encode("cp950", "replace")[:1] == b"?"}


def said(root) -> list[str]:
    """A few thousand lines of hosts."""
    files = [*sorted((root / "data" / "rooms").glob("*.jsonl")), *sorted((root / "data" / "corpus").glob("b0*.jsonl"))]
    texts = [json.loads(line).get("text") or "" for file in files for line in file.open("rb")]
    return [text for text in dict.fromkeys(texts) if sum(map(str.isalpha, text)) >= LEAST]


def encoded(lines, encoding) -> list[bytes]:
    """The lines that the encoding can hold."""
    return [raw for line in lines if b"?" not in (raw := line.replace("?", "").encode(encoding, "replace"))]


def found(files) -> list[str]:
    return [detect_encoding(raw, complete=True) for raw in files]


@pytest.mark.parametrize("written", [str, lambda line: line.translate(traditional())])
def test_lines_of_gb18030_are_never_taken_for_big5(root, written):
    files = encoded(map(written, said(root)), "gb18030")
    assert len(files) > 2000 and set(found(files)) <= {"gb18030"}


def test_lines_of_big5_are_known(root):
    files = encoded((line.translate(traditional()) for line in said(root)), "cp950")
    assert len(files) > 1500 and found(files).count("cp950") > 0.97 * len(files)
    assert set(found(b"\n".join(files[at : at + 5]) for at in range(0, len(files), 5))) == {"cp950"}


@pytest.mark.parametrize(
    "text",
    [
        "size 35–44, 36–45, 10–20, 1–2, 3–4, 5–6, 7–8, 9–10\n", "nǐ hǎo xièxiè píngguǒ hěn hǎochī kàn diànshì méiyǒu\n",
        "これはおちゃです とてもおいしいです まいにちのんでください\n", "Привет это чай для здоровья\n", "┌──┬──┐│　│　│└──┴──┘\n",
        "ΑΒΓΔ αβγδ ω ω ω\n", "、。，！？：；「」『』（）【】\n", "保健 特价\n",
    ],
)  # fmt: skip
def test_signs_and_letters_of_gb18030_are_no_big5(text):
    assert detect_encoding(text.encode("gb18030"), complete=True) == "gb18030"


@pytest.mark.parametrize(
    ("lines", "encoding", "used"), [(LINES, "cp950", "cp950"), ([CANTONESE] * 2, "big5hkscs", "big5hkscs")]
)
@pytest.mark.parametrize("complete", [True, False])
def test_big5_is_read_and_noted(tmp_path, lines, encoding, used, complete):
    options, path = Options(), given(tmp_path / "a.csv", lines, encoding)
    assert [item.text for item in read_items(path, options)] == lines
    assert [*map(str, options.notes)] == [f"{path}: read as {used}; name --encoding if that is wrong"]
    raw = "".join(lines).encode(encoding)
    assert detect_encoding(raw if complete else raw[:-1], complete) == used


def test_headers_are_known_in_traditional_characters_and_wide_brackets(tmp_path):
    rows = [f"房一,1,2,{LINES[0]}", f"房一,3,4,{LINES[1]}"]
    path = given(tmp_path / "a.csv", rows, "cp950", "直播間,開始時間（秒）,結束時間,內容\n")
    first, second = read_items(path, Options())
    assert (first.text, first.record["start"], first.record["end"], first.record["stream"]) == (LINES[0], 1, 2, "房一")
    assert (second.text, second.record["start"]) == (LINES[1], 3)
