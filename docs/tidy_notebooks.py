"""Makes kept notebooks readable on the web: streams in one piece, without warnings, progress bars and the machine's paths.

python docs/tidy_notebooks.py notebooks/*.ipynb
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

BAR = re.compile(r"^.*\d+%\|.*$\n?", re.MULTILINE)  # tqdm
HERE = f"{Path(__file__).resolve().parents[1]}/"


def tidy(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Outputs of a cell with everything printed merged where it began; what went to stderr is left out."""
    kept: list[dict[str, Any]] = []
    for output in outputs:
        if output["output_type"] != "stream":
            kept.append(output)
        elif output["name"] == "stdout":
            text = "".join(output["text"])
            if kept and kept[-1]["output_type"] == "stream":
                kept[-1]["text"] += text
            else:
                kept.append(output | {"text": text})
    for output in kept:
        if output["output_type"] == "stream":
            shown = re.sub(r"[^\n]*\r(?!\n)", "", output["text"]).replace(HERE, "")
            output["text"] = BAR.sub("", shown).splitlines(keepends=True)
    return [output for output in kept if output.get("text", True)]


def main(paths: list[str]) -> None:
    """Rewrite each notebook in place."""
    for path in map(Path, paths):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"] = tidy(cell["outputs"])
        path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
