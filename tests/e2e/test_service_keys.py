"""API keys: asked for, hashed at rest, revoked while the service runs; settings and their errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import openai
import pytest
from service import ZHENYAN, client, serving, start
from zhenyan.inference.bundle import load_bundle
from zhenyan.inference.doctor import machine, runtime_versions
from zhenyan.inference.serve.keys import KeyFile
from zhenyan.inference.serve.settings import Settings

pytestmark = pytest.mark.slow


def zhenyan(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ZHENYAN, *map(str, arguments)], capture_output=True, text=True, env=os.environ | environment)


def key(file, name: str) -> str:
    done = zhenyan("keys", "add", name, "--file", file)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def bearer(value: str) -> dict[str, str]:
    return {"authorization": f"Bearer {value}"}


def loop(path: Path) -> None:
    """A link to itself in place of an empty folder."""
    path.rmdir()
    path.symlink_to(path)


def test_texts_are_scored_for_who_has_a_key_alone(tmp_path):
    file = tmp_path / "keys.json"
    first, second = key(file, "first"), key(file, "second")
    assert file.stat().st_mode & 0o777 == 0o600
    assert first not in file.read_text() and first.removeprefix("zy-") not in file.read_text()
    body = {"input": "喝这个茶三高就降下来了"}
    with serving(tmp_path, keys=file) as service, client(service) as http:
        for headers in (
            {},
            bearer("wrong"),
            {"authorization": "Bearer"},
            {"authorization": f"Basic {first}"},
            bearer(first + "x"),
        ):
            refused = http.post("/v1/moderations", json=body, headers=headers)
            assert refused.status_code == 401 and refused.json()["error"]["type"] == "authentication_error"
            assert refused.headers["www-authenticate"] == "Bearer" and refused.headers["x-request-id"]
        assert http.post("/v1/moderations", content=b"{", headers=bearer("wrong")).status_code == 401
        assert http.post("/v1/moderations", content=b" " * 3_000_000).status_code == 401
        for value in (first, second):
            assert http.post("/v1/moderations", json=body, headers=bearer(value)).status_code == 200
        assert [http.get(p).status_code for p in ("/health", "/ready", "/metrics", "/openapi.json")] == [200] * 4
        assert http.get("/nowhere").status_code == 401
        assert http.get("/openapi.json").json()["paths"]["/v1/classify"]["post"]["security"] == [{"HTTPBearer": []}]
        with pytest.raises(openai.AuthenticationError, match="valid key"):
            openai.OpenAI(base_url=f"{service.url}/v1", api_key="wrong").moderations.create(input="好")
        assert openai.OpenAI(base_url=f"{service.url}/v1", api_key=second).moderations.create(input="好").results

        assert zhenyan("keys", "revoke", "first", "--file", file).returncode == 0
        assert http.post("/v1/moderations", json=body, headers=bearer(first)).status_code == 401
        assert http.post("/v1/moderations", json=body, headers=bearer(second)).status_code == 200
        third = key(file, "third")
        assert http.post("/v1/moderations", json=body, headers=bearer(third)).status_code == 200
        assert file.stat().st_mode & 0o777 == 0o600

        for broken, told in ((lambda: file.write_text("{broken"), "not a key file"), (file.unlink, "no such file"),
                             (file.mkdir, "Is a directory"), (lambda: loop(file), "symbolic links")):  # fmt: skip
            broken()
            for value in (second, "wrong"):
                refused = http.post("/v1/moderations", json=body, headers=bearer(value))
                assert refused.status_code == 503 and "can't read its keys" in refused.json()["error"]["message"]
            assert [line for line in service.log() if line["level"] == "error" and told in line["message"]]
        assert {line.get("key") for line in service.log("request")} == {None, "first", "second", "third"}
        assert first not in service.log_file.read_text()


def test_key_commands(tmp_path):
    file = tmp_path / "keys.json"
    assert key(file, "a").startswith("zy-")
    assert "there is a key named 'a'" in zhenyan("keys", "add", "a", "--file", file).stderr
    assert zhenyan("keys", "list", "--file", file).stdout.startswith("a  20")
    assert "no key named 'b'; there are a" in zhenyan("keys", "revoke", "b", "--file", file).stderr
    for name in ("", " ", "a\nb", "a\x1b"):
        assert "must be printable and not blank" in zhenyan("keys", "add", name, "--file", file).stderr
    for command in (["list"], ["revoke", "a"]):
        done = zhenyan("keys", *command, "--file", tmp_path / "none.json")
        assert done.returncode == 2 and "none.json: no such file" in done.stderr
    file.write_text(json.dumps({"a": 1}))
    assert "not a key file" in zhenyan("keys", "list", "--file", file).stderr
    assert "cannot be written" in zhenyan("keys", "add", "a", "--file", tmp_path / "none" / "keys.json").stderr


def test_two_processes_lose_none_of_each_others_keys(tmp_path):
    file = tmp_path / "keys.json"
    program = "import pathlib, sys; from zhenyan.inference.serve.keys import KeyFile; file = KeyFile(pathlib.Path(sys.argv[1]))"
    program += (
        "; [file.add(sys.argv[2] + str(n)) for n in range(40)]; [file.revoke(sys.argv[2] + str(n)) for n in range(20)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(file), who]) for who in "ab"]
    assert [process.wait(120) for process in running] == [0, 0]
    assert set(KeyFile(file).names()) == {f"{who}{n}" for who in "ab" for n in range(20, 40)}
    assert {path.name for path in tmp_path.iterdir()} == {"keys.json"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "environment", "told"), [
    (["--set", "max_texts=0"], {}, "max_texts: input should be greater than or equal to 1, found '0' in the options"),
    (["--set", "max_texs=5"], {}, "max_texs: no such setting, found '5' in the options; there are model, runtime, host,"),
    (["--set", "=5"], {}, "--set =5: expected NAME=VALUE"), (["--set", "x"], {}, "expected NAME=VALUE"),
    ([], {"ZHENYAN_WORKERS": "x"}, "found 'x' in ZHENYAN_WORKERS"),
    ([], {"ZHENYAN_MAX_TEXT": "5"}, "max_text: no such setting, found '5' in ZHENYAN_MAX_TEXT; there are model,"),
    (["--set", "host="], {}, "host: must not be empty"), (["--set", "keys="], {}, "keys: must not be empty"),
    (["--set", "max_delay_ms=inf"], {}, "finite"), (["--set", "stop_seconds=inf"], {}, "finite"),
    (["--set", "idle_seconds=1e9"], {}, "idle_seconds: input should be less than or equal to 3600"),
    (["--set", "max_body=70000000"], {}, "max_arriving: must be at least max_body, 70000000, found 64000000 in the defaults"),
    (["--set", "max_delay_ms=1000"], {}, "max_delay_ms: must be at most a quarter of deadline_ms, 500"),
    (["--host", "é" * 80], {}, "not a host name"), (["--host", "localhost:8000"], {}, "the port goes into --port"),
    (["--config", "none.toml"], {}, "none.toml: cannot be read"),
    (["--set", "keys=none.json"], {}, "none.json: no such file"), (["--host", "192.0.2.1"], {}, "cannot listen on 192"),
    (["--model", "/nowhere"], {}, "is /nowhere a bundle folder?"),
    (["--set", "runtime=other"], {}, "runtime: 'other' is unknown"),
])  # fmt: skip
def test_a_wrong_setting_ends_with_a_message(tmp_path, arguments, environment, told):
    done = zhenyan("serve", "--port", "0", *arguments, **environment)
    assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("content", ["max_texts =", "max_texts = " + "[" * 100_000])
def test_broken_toml_is_told(tmp_path, content):
    file = tmp_path / "service.toml"
    file.write_text(content)
    done = zhenyan("serve", "--settings", "--config", file)
    assert done.returncode == 2 and "service.toml: not TOML: " in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("content", ["[]", "{", "[" * 100_000, '{"a": {"sha256": "\u00e9", "created": ""}}', None])
def test_a_broken_key_file_is_told_at_the_start(tmp_path, content):
    file = tmp_path / "keys.json"
    file.mkdir() if content is None else file.write_text(content)
    done = zhenyan("serve", "--port", "0", "--set", f"keys={file}")
    assert done.returncode == 2 and ("not a key file" if content else "Is a directory") in done.stderr


def test_empty_variables_count_as_unset_and_those_of_others_are_left_alone():
    empty = {f"ZHENYAN_{name.upper()}": "" for name in Settings.model_fields if name != "keys"}
    done = zhenyan("serve", "--settings", **empty, ZHENYAN_DATABASE="review.db")
    assert done.returncode == 0 and done.stdout == zhenyan("serve", "--settings", **empty).stdout
    assert "host = '127.0.0.1'  #" in done.stdout and "model = None  #" in done.stdout
    refused = zhenyan("serve", "--settings", ZHENYAN_KEYS="")
    assert refused.returncode == 2 and "keys: must not be empty" in refused.stderr and "ZHENYAN_KEYS" in refused.stderr


def test_a_taken_port_is_told(tmp_path):
    with serving(tmp_path) as service:
        done = zhenyan("serve", "--port", service.url.rpartition(":")[2])
    assert done.returncode == 2 and "address already in use" in done.stderr.lower()


def test_settings_win_in_order(tmp_path):
    file = tmp_path / "service.toml"
    file.write_text("max_texts = 5\nmax_chars = 6\nmax_body = 2000\n")
    arguments = ["serve", "--config", file, "--settings", "--set", "max_chars=8"]
    told = zhenyan(*arguments, ZHENYAN_MAX_TEXTS="7", ZHENYAN_MAX_CHARS="9").stdout
    assert "max_texts = 7  # default 256" in told and "max_chars = 8  #" in told and "max_body = 2000  #" in told


def test_paths_are_shown_as_they_are_written():
    told = zhenyan("serve", "--settings", "--set", "keys=out/keys.json", "--model", "other").stdout
    assert "model = 'other'  # default None; " in told and "keys = 'out/keys.json'  # default None; " in told


def test_help_tells_every_setting_and_its_default():
    told = zhenyan("serve", "--help").stdout
    for name, field in Settings.model_fields.items():
        assert f"  {name} = {field.default!r}  {field.description}\n" in told


def test_several_workers_run_onnxruntime_whatever_auto_would_choose(tmp_path):
    choice = tmp_path / "zhenyan" / "runtime.json"
    choice.parent.mkdir()
    bundle = load_bundle(os.environ.get("ZHENYAN_MODEL"))
    record = {"bundle": bundle.id, "machine": machine(), "versions": runtime_versions(), "runtime": "openvino"}
    choice.write_text(json.dumps(record))
    before = f"import os; os.environ['XDG_CACHE_HOME'] = {str(tmp_path)!r}"
    with serving(tmp_path, "--workers", "2", before=before, runtime="auto") as service, client(service) as http:
        assert http.post("/v1/classify", json={"texts": ["好"]}).status_code == 200
        assert len(service.workers()) == 2


def test_stopped_while_it_starts(tmp_path):
    service = start(tmp_path)
    assert service.stop() in (0, -15)
