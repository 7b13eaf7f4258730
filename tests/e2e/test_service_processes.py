"""Workers, reloads and stops: memory is shared, the dead are replaced, nobody is left behind."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from service import Service, classifier, client, serving, start
from zhenyan.inference.bundle import bundle_id

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # loaded, and killed by the clock
BODY = {"texts": ["喝这个茶三高就降下来了"]}


def ask(service: Service, count: int = 1) -> None:
    """Requests on connections of their own, eight at a time."""

    def one(_: int) -> int:
        return httpx.post(f"{service.url}/v1/classify", json=BODY, timeout=60, trust_env=False).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(count))) == {200}


def sample(service: Service, name: str) -> float:
    page = httpx.get(f"{service.url}/metrics", timeout=60, trust_env=False).text
    return sum(s.value for family in text_string_to_metric_families(page) for s in family.samples if s.name == name)


def eventually(condition, seconds: float = 120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_three_workers_share_memory_and_requests(tmp_path):
    with serving(tmp_path) as one:
        ask(one, 30)
        single = one.memory("Pss")
    with serving(tmp_path, "--workers", "3") as three:
        assert len(three.workers()) == 3
        asked = 0
        end = time.monotonic() + 120
        while asked < 90 or {line["pid"] for line in three.log("request")} != set(three.workers()):
            assert time.monotonic() < end, "every worker has its share"
            ask(three, 30)
            asked += 30
        together = three.memory("Pss")
        print(f"Pss: one worker {single / 1024:.0f} MB, three {together / 1024:.0f} MB")
        assert together < 2 * single
        assert sample(three, "zhenyan_requests_total") == asked
        assert sample(three, "zhenyan_texts_total") == asked and sample(three, "zhenyan_waiting_chars") == 0


def test_a_killed_worker_is_replaced(tmp_path):
    with serving(tmp_path, "--workers", "3") as service:
        ask(service, 9)
        before = set(service.workers())
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        service.wait_for("worker died")
        eventually(lambda: len(service.log("Application startup complete.")) == 4)
        after = set(service.workers())
        assert len(after) == 3 and len(after - before) == 1 and killed not in after
        ask(service, 30)
        assert set(service.workers()) == after, "the replacement stays"
        assert sample(service, "zhenyan_texts_total") == 39, "what the dead one counted still counts"


def test_a_worker_may_be_stopped_by_hand(tmp_path):
    """Its siblings live on, and it is replaced like any other."""
    with serving(tmp_path, "--workers", "2") as service:
        first, second = service.workers()
        os.kill(second, signal.SIGTERM)
        service.wait_for("Application startup complete.", 3)
        assert first in service.workers() and second not in service.workers()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_dead_generation_is_replaced_and_leaves_no_orphans(tmp_path, workers):
    with serving(tmp_path, "--workers", str(workers)) as service:
        old = service.pids()[1:]
        os.kill(old[0], signal.SIGKILL)
        service.wait_for("workers died, starting again")
        assert service.log("generation ended")[0]["ended"].startswith("SIGKILL (killed by hand")
        eventually(lambda: not any(map(alive, old)))
        ask(service, 5)
        assert len(service.workers()) == workers


@pytest.mark.parametrize("workers", [1, 2])
def test_no_worker_outlives_the_supervisor(tmp_path, workers):
    with serving(tmp_path, "--workers", str(workers), code=-signal.SIGKILL) as service:
        pids = service.pids()
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
        eventually(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize("workers", [1, 2])
def test_no_worker_outlives_a_supervisor_that_went_while_it_loaded(tmp_path, workers):
    service = start(tmp_path, "--workers", str(workers))
    generation = eventually(lambda: service.pids()[1:])[0]
    os.kill(service.process.pid, signal.SIGKILL)
    service.process.wait()
    eventually(lambda: not group(generation))


def group(leader: int) -> bool:
    """Whether a process of the leader's group is alive."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return alive(leader)  # before it leads one
    return True


def bundle_copy(folder: Path) -> Path:
    return Path(shutil.copytree(classifier().bundle.folder, folder / "bundle"))


def test_reload_takes_the_new_bundle_and_keeps_the_old_when_it_is_broken(tmp_path):
    model = bundle_copy(tmp_path)
    manifest = json.loads((model / "manifest.json").read_text())
    with serving(tmp_path, "--workers", "2", "--model", str(model)) as service:
        first = set(service.workers())
        good = manifest["sha256"]["model.onnx"]
        manifest["sha256"]["model.onnx"] = "0" * 64
        (model / "manifest.json").write_text(json.dumps(manifest))
        service.hang_up()
        service.wait_for("reload failed: the new model could not be started; the old one stays")
        assert "the manifest says 000" in service.log_file.read_text()
        assert set(service.workers()) == first
        ask(service, 5)

        manifest["sha256"]["model.onnx"] = good
        manifest["name"], manifest["bundle_id"] = "second", bundle_id("second", manifest["sha256"])
        (model / "manifest.json").write_text(json.dumps(manifest))
        service.hang_up()
        service.wait_for("reloaded")
        eventually(lambda: not any(map(alive, first)))
        assert (
            httpx.post(f"{service.url}/v1/classify", json=BODY, trust_env=False).json()["model"]
            == manifest["bundle_id"]
        )


@pytest.mark.parametrize(("workers", "ends"), [(1, "SIGBUS (is the disk of TMPDIR full"), (2, "exit status 1")])
def test_a_reload_that_fails_without_a_word_of_its_own_tells_how_the_process_ended(tmp_path, workers, ends):
    """As when the disk of the metrics is full: they are mapped into memory, and writing them is a fault."""
    full = tmp_path / "full"
    before = (
        "import os, signal\nimport zhenyan.inference.serve.worker as worker\nwork = worker._work\n"
        f"worker._work = lambda *a: os.kill(os.getpid(), signal.SIGBUS) if os.path.exists({str(full)!r}) else work(*a)"
    )
    with serving(tmp_path, "--workers", str(workers), before=before) as service:
        full.touch()
        service.hang_up()
        service.wait_for("reload failed: the new model could not be started; the old one stays")
        (line,) = service.log("generation ended before it was ready")
        assert line["ended"].startswith(ends)
        assert all(line["ended"].startswith("SIGBUS") for line in service.log("worker died"))
        assert len(service.log("worker died")) == (0 if workers == 1 else 6)
        ask(service, 5)


def test_a_reload_for_which_no_process_can_be_made_leaves_the_old_one(tmp_path):
    """As at a container's limit of processes: the supervisor ended with a traceback, and the service with it."""
    before = (
        "import os\nfork, seen = os.fork, []\ndef limited():\n    seen.append(1)\n"
        "    if len(seen) == 2:\n        raise BlockingIOError(11, 'Resource temporarily unavailable')\n    return fork()\n"
        "os.fork = limited"
    )
    with serving(tmp_path, before=before) as service:
        service.hang_up()
        service.wait_for("reload failed: the new model could not be started; the old one stays")
        assert service.log("no generation could be started")[0]["why"].endswith("Resource temporarily unavailable")
        ask(service, 5)
        service.hang_up()
        service.wait_for("reloaded")


def locked(folder: Path) -> bool:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(handle)


def test_metrics_are_kept_from_those_who_sweep_tmp_and_a_reload_makes_their_folder_again(tmp_path):
    """systemd-tmpfiles passes over what is locked. Without the folder new workers answered 500 and reloads failed."""
    with serving(tmp_path, "--workers", "2") as service, client(service) as http:
        (folder,) = tmp_path.glob("zhenyan-metrics-*")
        assert locked(folder)
        old = set(service.workers())
        shutil.rmtree(folder)
        os.kill(min(old), signal.SIGKILL)
        eventually(lambda: len(service.workers()) == 2 and min(old) not in service.workers())
        ask(service, 8)  # of the one that came without the folder, too
        old = set(service.workers())
        service.hang_up()
        service.wait_for("reloaded")
        eventually(lambda: not any(map(alive, old)))
        assert locked(folder)
        ask(service, 5)
        assert 'zhenyan_requests_total{path="/v1/classify",status="200"} 5.0' in http.get("/metrics").text
    assert not folder.exists()


def test_it_gives_up_when_no_worker_can_start_again(tmp_path):
    model = bundle_copy(tmp_path)
    quicker = "import zhenyan.inference.serve.server as server; server._PAUSES = (0, 0.1, 0.2, 0.3)"
    with serving(tmp_path, "--model", str(model), code=1, before=quicker) as service:
        (model / "tokenizer.json").unlink()
        os.kill(service.workers()[0], signal.SIGKILL)
        assert service.process.wait(120) == 1
        assert len(service.log("workers died, starting again")) == 4
        assert service.log("workers can't be started, giving up")


def test_stop_while_reloading(tmp_path):
    with serving(tmp_path, "--workers", "2") as service:
        pids = service.pids()
        service.hang_up()
        eventually(lambda: len(service.pids()) > len(pids))
        pids = service.pids()
        assert service.stop() == 0
        assert not any(map(alive, pids))


def test_ctrl_c_stops_in_order(tmp_path):
    with serving(tmp_path, "--workers", "2") as service:
        os.kill(service.process.pid, signal.SIGINT)
        assert service.process.wait(120) == 0


def test_a_request_that_never_ends_does_not_hold_up_a_stop(tmp_path):
    with serving(tmp_path, stop_seconds=1, body_seconds=600) as service:
        host, port = service.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(b"POST /v1/classify HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{")
            time.sleep(0.5)
            begin = time.monotonic()
            assert service.stop() == 0
            assert time.monotonic() - begin < 20


@pytest.mark.parametrize("signal_sent", [signal.SIGTERM, signal.SIGHUP])
def test_what_outlasts_a_stop_is_told_so_and_the_stop_ends_in_time(tmp_path, signal_sent):
    """It got uvicorn's own 500, counted as a client that left, and the stop waited for its text to be scored."""
    texts = ["喝这个茶三高就降下来了，今天拍明天发，" * 1_000]
    before = (
        "import time\nfrom zhenyan.inference.classifier import Classifier\npredict = Classifier.predict\n"
        "def slow(self, texts, *rest):\n    time.sleep(60 * (len(texts[0]) > 10_000))\n    return predict(self, texts, *rest)\n"
        "Classifier.predict = slow"
    )
    with serving(tmp_path, before=before, stop_seconds=2) as service, ThreadPoolExecutor(1) as pool:
        headers, (worker,) = {"x-request-id": "long"}, service.workers()
        asked = pool.submit(httpx.post, f"{service.url}/v1/classify", json={"texts": texts}, headers=headers,
                            timeout=60, trust_env=False)  # fmt: skip
        time.sleep(1)
        service.process.send_signal(signal_sent)
        answer = asked.result()
        assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
        assert (
            "waits 2 s (stop_seconds), which this request outlasts; retry in 1 s" in answer.json()["error"]["message"]
        )
        assert service.request("long")["status"] == 503
        began = time.monotonic()
        eventually(lambda: not alive(worker))
        assert time.monotonic() - began < 5 and not service.log("stopped too slowly, killed")
