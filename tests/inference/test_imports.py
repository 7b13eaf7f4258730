"""The inference package is light and knows nothing of training."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HEAVY = {"torch", "transformers", "datasets", "sklearn", "mlflow", "pandas", "pyarrow", "pydantic", "fastapi", "typer", "rich",
         "openpyxl", "jinja2", "scipy", "matplotlib", "huggingface_hub", "openvino"}  # fmt: skip

# The extras beside the base that a file's imports may come from, by the folder it lies in; the first that fits.
EXTRAS = {
    "training": ("train", "sweep"),
    "inference/serve": ("serve",),
    "inference/review": ("review",),
    "inference": ("docx", "openvino", "ray"),
}


def test_import_pulls_in_nothing_heavy():
    code = "import json, sys, zhenyan.inference; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(json.loads(output))
    assert {"numpy", "onnxruntime", "tokenizers"} <= loaded
    assert not loaded & HEAVY


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize(
    ("folder", "other"), [("inference", "zhenyan.training"), ("inference/report", "zhenyan.inference.review")]
)
def test_dependencies_go_one_way(root, folder, other):
    offenders = {
        str(path): found
        for path in (root / folder).rglob("*.py")
        if (found := {name for name in _imports(path) if name.startswith(other)})
    }
    assert offenders == {}


def test_every_package_is_listed(root):
    config = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(config["tool"]["setuptools"]["packages"])
    found = {
        "zhenyan." + ".".join(path.parent.relative_to(root).parts)
        for top in ("inference", "training")
        for path in (root / top).rglob("__init__.py")
    }
    assert listed == found


def _plain(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def _declared(requirements: list[str]) -> set[str]:
    return {_plain(re.match(r"[\w.-]+", one)[0]) for one in requirements}


def test_what_is_imported_is_declared_where_it_is_imported(root):
    """Not only brought along by another package, which may drop it."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras, base = project["optional-dependencies"], project["dependencies"]
    providers = importlib.metadata.packages_distributions()
    offenders = set()
    for path in (path for top in ("inference", "training") for path in (root / top).rglob("*.py")):
        place = path.relative_to(root).as_posix()
        own = next(names for folder, names in EXTRAS.items() if place.startswith(f"{folder}/"))
        declared = _declared([*base, *(one for name in own for one in extras[name])])
        packages = {name.split(".")[0] for name in _imports(path)} - {"zhenyan", *sys.stdlib_module_names}
        offenders |= {(place, name) for name in packages if not declared & {*map(_plain, providers.get(name, [name]))}}
    assert offenders == set()
