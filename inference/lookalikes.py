"""Letters of other scripts that look like Latin ones: 糖nіао病 with Cyrillic і, а and о."""

from __future__ import annotations

import re

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_GREEK = dict(zip("νοικΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "voikABEZHIKMNOPTYX", strict=True))
_OTHERS = dict(
    zip(
        "асеорхуіјѕԁԛԝһѵѡвнкмтгАВСЕНІЈКМОРЅТХУѴԜԚոսօհցԼıɩɪᴀʙᴄᴅᴇꜰɢʜᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ",
        "aceopxyijsdqwhvwbhkmtrABCEHIJKMOPSTXYVWQnuohgLiiiabcdefghjklmnoprstuvwyz",
        strict=True,
    )
)  # Cyrillic, Armenian, small capitals
_LATIN = str.maketrans(_GREEK | _OTHERS)
_WRITTEN_SO = str.maketrans("ɑɡ", "ag")  # as some fonts and schoolbooks write a and g
_ANY = re.compile(f"[ɑɡ{''.join(_GREEK)}{''.join(_OTHERS)}]")
_RUN = re.compile(f"[A-Za-z0-9{''.join(_GREEK)}{''.join(_OTHERS)}]+")
_ALONE = re.compile(f"[{''.join(_OTHERS)}]+")
_BESIDE = re.compile("[\u0370-\u052f\u0530-\u058f]")  # Greek, Cyrillic, Armenian: then it is a word of that language


def latin(text: str) -> str:
    """`text` with such letters as the Latin ones where they stand among those, or in a run of their own beside Han characters."""
    return _RUN.sub(_as_latin, text.translate(_WRITTEN_SO)) if _ANY.search(text) else text


def _as_latin(run: re.Match[str]) -> str:
    written, text = run.group(), run.string
    around = text[max(0, run.start() - 1) : run.start()] + text[run.end() : run.end() + 1]
    alone = _ALONE.fullmatch(written) and re.search(f"[{HAN}]", around) and not _BESIDE.search(around)
    return written.translate(_LATIN) if alone or re.search("[A-Za-z]", written) else written
