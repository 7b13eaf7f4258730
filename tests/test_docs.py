"""README and docs: every block runs in a small copy of the repository, every command, option and link is real."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import small_repository
import typer
import warm_commands
from zhenyan.inference.serve.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "data" / "README.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
PAGES = [page for page in PAGES if page.exists()]
RUN, OTHER = ("bash", "python"), ("text", "yaml", "json", "mermaid", "toml")
PORTS = ("8000", "8080")  # of the service and the review page: another program may hold them here
TRAINING = ("recipe.md", "ml-engineers.md", "new-label.md")  # pages of many commands with heavy imports
SECONDS = 1800  # of a page; a machine that does other things too takes a while


@dataclass(frozen=True)
class Block:
    """A fenced block; `reason` is given where it isn't run."""

    page: Path
    line: int
    language: str
    code: str
    reason: str | None = None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The page's fenced blocks in order."""
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(
        r"(?:^<!-- not run: (?P<reason>.+?) -->\n)?^```(?P<lang>\w*)\n(?P<code>.*?)^```$", text, re.M | re.S
    ):
        yield Block(page, text.count("\n", 0, found.start("code")), found["lang"], found["code"], found["reason"])


def script(page: Path) -> str:
    """The page's blocks as one script, so that variables and background processes last; each says where it begins."""
    parts = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for block in blocks(page):
        if block.language in RUN and not block.reason:
            code = block.code if block.language == "bash" else f"python - <<'END_OF_BLOCK'\n{block.code}END_OF_BLOCK\n"
            parts += [f"echo '@@ {block}'", code]
    return "\n".join(parts)


def free_port() -> str:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_a_page_runs(
    page: Path, tmp_path: Path, tiny_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for block in blocks(page):
        assert block.language in RUN + OTHER, f"{block}: a fence in {block.language or 'no language'}"
        if block.reason:
            with capsys.disabled():
                print(f"\n{block} is not run: {block.reason}")
    text = script(page)
    if "@@" not in text:
        return
    ports = {port: free_port() for port in PORTS}
    text = re.sub("|".join(rf"\b{port}\b" for port in PORTS), lambda found: ports[found[0]], text)
    folder = small_repository.make(tmp_path / "repository", ROOT, tiny_encoder)
    plain = small_repository.environment(folder) | {"ZHENYAN_PORT": ports["8000"]}
    with warm_commands.commands(plain) if page.name in TRAINING else contextlib.nullcontext(plain) as settings:
        done = subprocess.run(["bash", "-c", text], cwd=folder, env=settings, text=True, timeout=SECONDS,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Traceback" not in done.stdout, done.stdout[-6000:]


@pytest.fixture(scope="module")
def command() -> Any:
    """`zhenyan` with everything that plugins add."""
    from zhenyan.inference.cli import app
    from zhenyan.training.cli import register

    whole = typer.Typer()
    whole.registered_commands = list(app.registered_commands)
    whole.registered_groups = list(app.registered_groups)
    register(whole)
    return typer.main.get_command(whole)


def leaves(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The names of all commands that aren't groups."""
    for name, one in group.commands.items():
        if hasattr(one, "commands"):
            yield from leaves(one, (*path, name))
        else:
            yield (*path, name)


def options(one: Any) -> set[str]:
    """What may stand behind a command."""
    return {"--help", *(name for parameter in one.params for name in (*parameter.opts, *parameter.secondary_opts))}


def code_of(page: Path) -> Iterator[str]:
    """Code lines of a page: shell blocks with their continuations joined, and code inside sentences."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        if block.language == "bash":
            yield from block.code.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))


def calls(page: Path) -> Iterator[list[str]]:
    """The words behind every `zhenyan` that is called."""
    for line in code_of(page):
        for found in re.finditer(r"(?:^|[\s(/])zhenyan ([a-z][^|&;)#<>]*)", line):
            yield shlex.split(re.sub(r"\s[12]?$", "", found[1]).replace('"', "").replace("'", ""))


def resolve(command: Any, words: list[str]) -> tuple[tuple[str, ...], Any, list[str]]:
    """The command that words name, and what stands behind it."""
    one: Any = command
    path: tuple[str, ...] = ()
    while words and words[0] in getattr(one, "commands", {}):
        one, path, words = one.commands[words[0]], (*path, words[0]), words[1:]
    return path, one, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_exist(page: Path, command: Any) -> None:
    known = set().union(*(options(resolve(command, list(path))[1]) for path in leaves(command)))
    for program in [*(ROOT / "benchmarks").glob("*.py"), ROOT / "docs" / "tables.py"]:  # have options of their own
        known |= set(re.findall(r'"(--[a-z-]+)"', program.read_text(encoding="utf-8")))
    for words in calls(page):
        path, one, rest = resolve(command, words)
        said = f"{page.name}: zhenyan {' '.join(words)}"
        assert path and not (rest and hasattr(one, "commands")), f"{said}: no such command"
        given = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert given <= options(one), said
    alone = {found.split("=")[0].split()[0] for found in code_of(page) if found.startswith("--")}
    assert alone <= known, f"{page.name}: {alone - known}"


def test_every_argument_and_option_has_a_help_text(command: Any) -> None:
    bare = [" ".join((*path, parameter.name)) for path in leaves(command)
            for parameter in resolve(command, list(path))[1].params if not getattr(parameter, "help", None)]  # fmt: skip
    assert not bare


def test_every_command_stands_in_a_page(command: Any) -> None:
    named = {resolve(command, words)[0] for page in PAGES for words in calls(page)}
    assert set(leaves(command)) - named == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_exist(page: Path, command: Any) -> None:
    known = {f"ZHENYAN_{name.upper()}" for name in Settings.model_fields}
    for path in leaves(command):
        known |= {str(p.envvar) for p in resolve(command, list(path))[1].params if getattr(p, "envvar", None)}
    assert set(re.findall(r"ZHENYAN_[A-Z_]+", page.read_text(encoding="utf-8"))) <= known


def anchors(page: Path) -> set[str]:
    """What links may point at inside a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "notebooks").glob("*.ipynb"))], ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        assert place.exists(), f"{page.name}: {target} leads nowhere"
        assert not anchor or anchor in anchors(place), f"{page.name}: {target}: no such heading"


def test_pages_and_headings_that_code_and_configurations_name_exist() -> None:
    files = [
        path
        for folder in ("benchmarks", "configs", "docs", "inference", "training")
        for path in (ROOT / folder).rglob("*")
    ]
    named: list[tuple[str, str]] = []
    for path in [*files, ROOT / "CHANGELOG.md"]:
        if path.suffix in (".py", ".yaml", ".md"):
            text = path.read_text(encoding="utf-8")
            named += re.findall(r'\b((?:docs|data|benchmarks)/[\w/.-]+\.md)\b(?:, "([^"]+)")?', text)
    missing = {place for place, _ in named if not (ROOT / place).exists()}
    assert named and not missing
    headings = {place: re.findall(r"^#+ (.+)$", (ROOT / place).read_text(encoding="utf-8"), re.M) for place, _ in named}
    assert [told for told in named if not any(one.startswith(told[1]) for one in headings[told[0]])] == []


def test_contents_of_the_experiments_name_every_page_once() -> None:
    folder = ROOT / "docs" / "experiments"
    contents = re.findall(r"^\| \[([\w-]+\.md)\]\(\1\) \|", (folder / "README.md").read_text(encoding="utf-8"), re.M)
    assert sorted([*contents, "README.md"]) == sorted(page.name for page in folder.iterdir())


def test_contributing_names_the_tables_that_readme_has() -> None:
    named = re.findall(r'--accuracy "([^="]+)=', (ROOT / "docs/contributing.md").read_text(encoding="utf-8"))
    assert named == list(json.loads((ROOT / "benchmarks/accuracy.json").read_text(encoding="utf-8")))


def test_data_card_names_every_moved_batch_that_is_held_out() -> None:
    moved = re.findall(r"^  - ([c-f]\d\d)\b", (ROOT / "data/splits.yaml").read_text(encoding="utf-8"), re.M)
    card = (ROOT / "data/README.md").read_text(encoding="utf-8")
    assert moved and f"the moved lines {', '.join(moved[:-1])} and {moved[-1]}." in card


@pytest.fixture(scope="module")
def tables() -> Any:
    """docs/tables.py."""
    spec = importlib.util.spec_from_file_location("docs_tables", ROOT / "docs" / "tables.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_marked_blocks_say_what_was_measured(tables: Any) -> None:
    for page in tables.pages():
        text = page.read_text(encoding="utf-8")
        assert tables.fill(text) == text, f"{page.name}: run `python docs/tables.py`"


@pytest.mark.parametrize("given", ["no name", "set=", "set=missing.json", "set=text.md", "set=other.json"])
def test_a_file_that_evaluate_did_not_write_is_refused(
    tables: Any, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.md").write_text("# no JSON", encoding="utf-8")
    Path("other.json").write_text('{"models": [1]}', encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["tables.py", "--accuracy", given])
    with pytest.raises(SystemExit) as ended:
        tables.main()
    assert ended.value.code == 2 and "give NAME=FILE, a file of `zhenyan evaluate --json`" in capsys.readouterr().err


def test_what_was_measured_is_taken_in_beside_the_rest(
    tables: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, report = tmp_path / "accuracy.json", tmp_path / "test.json"
    known.write_text('{"other": {"model": {"rows": 1}}}', encoding="utf-8")
    report.write_text('{"models": {"model": {"rows": 2, "curves": [1, 2]}}}', encoding="utf-8")
    monkeypatch.setattr(tables, "ACCURACY", known)
    monkeypatch.setattr(tables, "pages", list)
    monkeypatch.setattr("sys.argv", ["tables.py", "--accuracy", f"a set={report}"])
    tables.main()
    assert json.loads(known.read_text(encoding="utf-8")) == {
        "other": {"model": {"rows": 1}}, "a set": {"model": {"rows": 2}},
    }  # fmt: skip


def test_notes_that_the_chinese_handbook_explains_are_said(root):
    """Word for word in the code that reads and scores, so that whoever meets one finds it in the table."""
    table = (
        (root / "docs/reviewers.zh.md").read_text(encoding="utf-8").partition("| 提示里的话 |")[2].partition("\n\n")[0]
    )
    said = [part for row in table.splitlines()[2:] for part in re.findall(r"`([^`]+)`", row.split("|")[1])]
    code = "\n".join(path.read_text(encoding="utf-8") for path in (root / "inference").rglob("*.py"))
    assert len(said) > 15 and [part for part in said if part.strip() not in code] == []
