"""Open-loop load: requests leave at their appointed time whether or not earlier ones were answered."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx

_PHRASES = "喝这个茶 三高就降下来了 家人们 今天直播间 最后一百单 买一送一 原价九百九 质检报告 全国第一 三天见效 下单 加粉丝团".split()


def lines(seed: int) -> Iterator[str]:
    """Endless distinct lines of about thirty characters: no score is remembered from an earlier one."""
    chance = random.Random(seed)
    while True:
        yield "，".join(chance.choices(_PHRASES, k=5)) + str(chance.randrange(10**9))


def bodies(texts: int, seed: int = 0) -> Iterator[bytes]:
    """Endless distinct bodies of /v1/classify."""
    source = lines(seed)
    while True:
        yield json.dumps({"texts": [next(source) for _ in range(texts)], "evidence": False}).encode()


def streams(lines_each: int, seed: int = 0) -> Iterator[bytes]:
    """Endless distinct bodies of /v1/stream; nearly all neighbours are read together, as much again as the lines."""
    source = lines(seed)
    while True:
        yield json.dumps({"lines": [{"text": next(source)} for _ in range(lines_each)], "evidence": False}).encode()


@dataclass
class Outcome:
    """What became of a load."""

    sent: int = 0  # requests that had their appointed time
    statuses: Counter[int] = field(default_factory=Counter)
    refused: int = 0  # connections that could not be opened: nothing was sent
    lost: list[str] = field(default_factory=list)  # ids of requests that were not answered in full, though sent
    accepted: list[float] = field(default_factory=list)  # seconds from the appointed time to the answer
    answered: list[float] = field(default_factory=list)  # the same of all requests, also of those refused
    without_retry_after: int = 0
    lag: float = 0.0  # the worst delay with which the load itself kept its schedule: the error of the latencies

    def quantile(self, share: float) -> float:
        """Latency below which `share` of all requests stayed."""
        return sorted(self.answered)[min(len(self.answered) - 1, int(share * len(self.answered)))]

    def note(self, response: httpx.Response, seconds: float) -> None:
        """Count one answer."""
        self.statuses[response.status_code] += 1
        self.answered.append(seconds)
        if response.status_code == 200:
            assert b'"results":[{' in response.content
            self.accepted.append(seconds)
        elif response.status_code == 429:
            self.without_retry_after += not response.headers.get("retry-after", "").isdigit()


def session(url: str, keep: bool = True) -> httpx.AsyncClient:
    """A client without limits of its own; `keep`: connections are used again."""
    unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=None if keep else 0)
    return httpx.AsyncClient(base_url=url, limits=unlimited, timeout=60, trust_env=False)


async def send(http: httpx.AsyncClient, body: bytes, outcome: Outcome, since: float) -> None:
    """Send one request and note what became of it."""
    path = "/v1/stream" if body.startswith(b'{"lines"') else "/v1/classify"
    identity = uuid.uuid4().hex
    headers = {"content-type": "application/json", "x-request-id": identity}
    try:
        response = await http.post(path, content=body, headers=headers)
    except httpx.ConnectError:
        outcome.refused += 1
        await asyncio.sleep(0.1)
    except httpx.HTTPError:
        outcome.lost.append(identity)
    else:
        outcome.note(response, time.perf_counter() - since)


async def open_loop(
    url: str,
    rate: float,
    seconds: float,
    source: Iterator[bytes],
    keep: bool = True,
    until: asyncio.Event | None = None,
) -> Outcome:
    """`rate` requests a second, evenly spaced, for `seconds` and on until the event; on new connections if not `keep`."""
    outcome = Outcome()
    async with session(url, keep) as http, asyncio.TaskGroup() as tasks:
        begin = time.perf_counter()
        while outcome.sent < int(rate * seconds) or (until is not None and not until.is_set()):
            due = begin + outcome.sent / rate
            await asyncio.sleep(due - time.perf_counter())
            outcome.lag = max(outcome.lag, time.perf_counter() - due)
            tasks.create_task(send(http, next(source), outcome, due))
            outcome.sent += 1
    return outcome


async def closed_loop(url: str, clients: int, seconds: float, source: Iterator[bytes]) -> tuple[float, Outcome]:
    """`clients` that each wait for their answer; accepted requests a second."""
    outcome = Outcome()
    end = time.perf_counter() + seconds

    async def one(http: httpx.AsyncClient) -> None:
        while (now := time.perf_counter()) < end:
            await send(http, next(source), outcome, now)

    begin = time.perf_counter()
    async with session(url) as http:
        await asyncio.gather(*(one(http) for _ in range(clients)))
    return len(outcome.accepted) / (time.perf_counter() - begin), outcome


async def measured_capacity(url: str, kind: Callable[[int, int], Iterator[bytes]] = bodies) -> tuple[int, float]:
    """Texts in a request and the requests a second then possible, as of now: about fifteen, so that clients keep up."""
    rate, _ = await closed_loop(url, 4, 2, kind(8, 1))
    texts = min(256, max(1, round(8 * rate / 15)))
    rate, _ = await closed_loop(url, 4, 3, kind(texts, 2))
    return texts, rate
