"""The inference package is light and knows nothing of training."""

import ast
import json
import subprocess
import sys
from pathlib import Path

HEAVY = {"torch", "transformers", "datasets", "sklearn", "mlflow", "pandas", "pyarrow", "pydantic", "fastapi", "typer", "rich",
         "openpyxl", "jinja2", "scipy", "matplotlib", "huggingface_hub", "openvino"}  # fmt: skip


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


def test_inference_never_imports_training(root):
    offenders = {
        str(path): found
        for path in (root / "inference").rglob("*.py")
        if (found := {n for n in _imports(path) if n == "training" or n.startswith("zhenyan.training")})
    }
    assert offenders == {}


def test_every_package_is_listed(root):
    import tomllib

    config = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(config["tool"]["setuptools"]["packages"])
    found = {
        "zhenyan." + ".".join(path.parent.relative_to(root).parts)
        for top in ("inference", "training")
        for path in (root / top).rglob("__init__.py")
    }
    assert listed == found
