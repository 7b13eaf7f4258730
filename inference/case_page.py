"""The page of a case: what its file holds, on paper."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from zhenyan.inference.bundle import Bundle
from zhenyan.inference.errors import InputError
from zhenyan.inference.io.jsonlines import write_atomic
from zhenyan.inference.io.notes import chinese_place
from zhenyan.inference.io.times import beijing_time
from zhenyan.inference.report import RESPONSIBLE, is_page, templates
from zhenyan.inference.review.outcome import ACTION_NAMES, OPEN, STATE_NAMES


def write_page(case: Mapping[str, Any], bundle: Bundle, file: Path) -> Path:
    """Write the page of a case beside its `file`, atomically; InputError when a file of something else is there."""
    page = file.with_suffix(".html")
    with suppress(OSError):  # what can't be read can't be written either, which is told there
        if page == file or (page.is_file() and not is_page(page)):
            raise InputError(
                f"{page}: the case's page goes there, but it is another file; give the case file another name"
            )
    write_atomic(page, [page_of(case, bundle, file.name)])
    return page


def page_of(case: Mapping[str, Any], bundle: Bundle, file: str) -> bytes:
    """The page of a case whose file is called so."""
    environment = templates()
    environment.filters |= {
        "chinese_place": chinese_place,
        "beijing": lambda at: beijing_time(datetime.fromisoformat(at)),
    }
    states = [entry["after"].get("state") for entry in case["decisions"] if entry["after"]]
    text = environment.get_template("case.html.jinja").render(
        case=case, f=case["finding"], file=file, names={label.id: label.name_zh for label in bundle.labels},
        states={key: chinese for key, (chinese, _) in STATE_NAMES.items()},
        responsible={label.id: [RESPONSIBLE[who][0] for who in label.responsible] for label in bundle.labels},
        actions={key: chinese for key, (chinese, _) in ACTION_NAMES.items()}, state=next(filter(None, states[::-1]), OPEN),
    )  # fmt: skip
    return text.encode("utf-8", "replace")
