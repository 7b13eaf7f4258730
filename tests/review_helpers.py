"""Runs, bundles and sites for the review tests, built without a model."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import report_helpers
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from zhenyan.inference import normalise
from zhenyan.inference.bundle import FILES, Bundle, bundle_id, load_bundle
from zhenyan.inference.review.database import Database, database_url, open_database
from zhenyan.inference.review.desk import Item
from zhenyan.inference.review.intake import take_in
from zhenyan.inference.review.listing import find
from zhenyan.inference.review.logins import User
from zhenyan.inference.review.settings import Settings
from zhenyan.inference.review.web.app import create_app
from zhenyan.inference.review.web.site import Site
from zhenyan.inference.runs.store import RunFolder

LABELS = ("false_propaganda", "food_safety", "price_fraud", "illegal_endorsement")
PASSWORD = "correct horse battery"
PEOPLE = {"ann": "reviewer", "ben": "reviewer", "lea": "lead", "adm": "admin"}
HOSTILE = f"{report_helpers.HOSTILE}\x00{'喝了三高就降 ' * 15_000}"


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


def finding(number: int, text: str | None = None, label: str = "food_safety", **more) -> dict:
    """A finding with words of its own: reviewers decide findings of the same words together."""
    text = f"第{number}句：喝了这个茶三高就降下来了" if text is None else text
    evidence = [{"start": 0, "end": 2, "text": text[:2], "label": label}]
    return report_helpers.finding(number, text=text, label=label, evidence=evidence) | more


def make_bundle(folder: Path) -> Path:
    """A bundle folder whose hashes are right; its model can't be run."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = [
        {"id": key, "name_zh": f"类别{n}", "name_en": key.replace("_", " "), "section": "12", "definition": "What it is.",
         "core": True, "articles": [{"law": "食品安全法 [Food Safety Law]", "article": "第七十一条", "says": "It says."}],
         "responsible": ["operator", "host"],
         "penalty": {"basis": "食品安全法第一百四十条", "states": "A fine.", "states_zh": "处以罚款。"}}
        for n, key in enumerate(LABELS)
    ]  # fmt: skip
    contents = {"model.onnx": "no model", "tokenizer.json": "{}", "labels.json": json.dumps(labels),
                "thresholds.json": json.dumps({key: {"threshold": 0.5} for key in LABELS}), "probes.json": "{}"}  # fmt: skip
    for name in FILES:
        (folder / name).write_text(contents.get(name, "{}"), encoding="utf-8")
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}
    manifest = {"format": 1, "name": "test", "bundle_id": bundle_id("test", hashes), "labels": list(LABELS), "max_tokens": 128,
                "activation": "sigmoid", "pad_id": 1, "normaliser": normalise.VERSION, "sha256": hashes}  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def make_run(folder: Path, findings: list[dict], bundle: str) -> RunFolder:
    """A finished run of these findings."""
    manifest = {
        "format": 1, "bundle": bundle, "output": "out.jsonl", "thresholds": dict.fromkeys(LABELS, 0.5),
        "options": {"runtime": "onnxruntime"}, "inputs": [{"path": "a.jsonl", "sha256": "0" * 64}],
    }  # fmt: skip
    summary = {"rows": 100, "hits": 9, "rejects": 0, "findings": len(findings), "output_sha256": "0" * 64}
    return report_helpers.write_run(folder, manifest, summary, findings)


def make_site(folder: Path, findings: list[dict] | None = None, database: Database | None = None, **settings) -> Site:
    """A site over a fresh run, with the reviewers of PEOPLE; SQLite unless a database is given."""
    bundle = load_bundle(make_bundle(folder / "bundle"))
    run = make_run(folder, findings or [finding(n) for n in range(1, 7)], bundle.id)
    return site_over(run, bundle, database, **settings)


def site_over(run: RunFolder, bundle: Bundle, database: Database | None = None, **settings) -> Site:
    """A site over a run that is there, with the reviewers of PEOPLE."""
    database = database or open_database(database_url(run, None))
    chosen = Settings(**settings)
    site = Site(database, take_in(database, run, chosen), run, bundle, chosen)
    site.accounts.hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    known = {person.name for person in site.accounts.all()}
    for name, role in PEOPLE.items():
        if name not in known:
            site.accounts.add(name, role, PASSWORD)
    return site


def user(site: Site, name: str) -> User:
    """A reviewer as a request would have them."""
    row = next(person for person in site.accounts.all() if person.name == name)
    return User(row.id, row.name, row.role, f"token of {name}")


def decide(site: Site, key: str, labels: list[str] | None, name: str = "ann", note: str | None = None) -> None:
    """One reviewer's decision on one finding, as `Desk.decide` takes it."""
    who = user(site, name)
    item = site.desk.open(who, key)
    site.desk.decide(who, item.reading, item.version, labels, note=note)


def skip(site: Site, key: str, name: str = "ann") -> None:
    """One reviewer passes over one finding."""
    who = user(site, name)
    item = site.desk.open(who, key)
    site.desk.skip(who, item.reading, item.version)


def state(site: Site, key: str) -> tuple[str, list[str] | None]:
    """A finding's state and the labels decided on."""
    row, _ = find(site.database, site.run, key)
    return row.state, row.labels


def disputed(site: Site, key: str = "f000001") -> Item:
    """ann accepts, ben rejects, lea opens it to settle it."""
    for name, labels in (("ann", None), ("ben", [])):
        decide(site, key, labels, name)
    return site.desk.open(user(site, "lea"), key)


class Browser(TestClient):
    """A client that logs in and sends CSRF tokens."""

    def __init__(self, site: Site, name: str | None = None, base_url: str = "http://testserver", language: str = "en"):
        super().__init__(create_app(site), base_url=base_url, raise_server_exceptions=False)
        self.headers["accept-language"] = language
        if name:
            assert self.submit("/login", page="/login", name=name, password=PASSWORD).status_code == 200

    def token(self, page: str = "/account") -> str:
        """A CSRF token from a page."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.get(page).text)
        assert found
        return found[1]

    def submit(self, path: str, page: str = "/account", hx: bool = False, **form):
        """POST a form with a token."""
        headers = {"HX-Request": "true"} if hx else {}
        return self.post(path, data={"csrf": self.token(page), **form}, headers=headers)
