"""The FastAPI application: limits, keys, routes, errors in OpenAI's shape."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from zhenyan.inference.bundle import read_json
from zhenyan.inference.classifier import Classifier, Prediction
from zhenyan.inference.errors import ConfigError, ZhenyanError
from zhenyan.inference.serve import observe
from zhenyan.inference.serve.batcher import Asker, Batcher, Overloaded
from zhenyan.inference.serve.keys import KeyFile, KeyGate
from zhenyan.inference.serve.labels import LabelsResponse, check_thresholds, labels_response, thresholds_schema
from zhenyan.inference.serve.limits import BodyLimit
from zhenyan.inference.serve.pace import length
from zhenyan.inference.serve.refusals import Json, Refused, given, refusal
from zhenyan.inference.serve.requests import JsonRoute, unreadable
from zhenyan.inference.serve.schemas import (
    ClassifyRequest,
    ClassifyResponse,
    ErrorResponse,
    Health,
    ModerationRequest,
    ModerationResponse,
    StreamRequest,
    StreamResponse,
    moderation,
    result,
    stream_result,
    wrong_input,
)
from zhenyan.inference.serve.settings import Settings
from zhenyan.inference.serve.stream import queued_pair_hits

_HITS = 6  # that the warm-up seeks evidence of: about a second of one core
_REFUSALS = (400, 408, 413, 415, 422, 429, 500, 503)
_BODILESS = (500, 503)  # refusals of a request without a body


def create_app(settings: Settings, classifier: Classifier) -> FastAPI:
    """The application around one classifier."""
    batcher = Batcher(
        lambda texts, explain, deciders: classifier.predict(texts, explain, [each or classifier for each in deciders]),
        settings.token_budget, settings.max_delay_ms / 1000, settings.deadline_ms / 1000,
    )  # fmt: skip

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher.on_fault = _give_up
        batcher.start()
        await _warm_up(batcher, classifier, settings)
        batcher.observe = observe.measure  # from now on: the warm-up serves nobody
        app.state.ready = True
        yield
        await batcher.stop()

    app = FastAPI(
        title="zhenyan", version=classifier.bundle.id, lifespan=lifespan, docs_url=None, redoc_url=None,
        redirect_slashes=False,  # behind a proxy that ends TLS it would send clients to http://
        description="Deceptive advertising in Chinese livestreams and product copy: labels, scores, evidence.",
    )  # fmt: skip
    app.router.route_class = JsonRoute
    app.state.ready = app.state.draining = False
    app.add_middleware(BodyLimit, limit=settings.max_body, seconds=settings.body_seconds, most=settings.max_arriving)
    keys = KeyFile(settings.keys) if settings.keys else None
    if keys:
        app.add_middleware(KeyGate, keys=keys, seconds=settings.body_seconds)
    app.add_middleware(observe.Observed, stop_seconds=settings.stop_seconds)
    _add_errors(app)
    _add_scoring(app, settings, classifier, batcher)
    _add_labels(app, settings, classifier)
    _add_probes(app, classifier, batcher, keys)
    _state_limits(app, settings, classifier.bundle.label_ids)
    _answer_head(app)
    return app


def _give_up(fault: BaseException) -> None:
    """End this process, which can't score any more, so that another takes its place."""
    observe.log.critical("the queue ended by a fault, so this worker ends", exc_info=fault)
    signal.raise_signal(signal.SIGTERM)


async def _warm_up(batcher: Batcher, classifier: Classifier, settings: Settings) -> None:
    """Score the largest shapes, and hits, so that the first request isn't the slow one and the pace is known; raises if it can't.

    On a busy machine it may miss a short deadline, which holds for those who wait: nobody does, so the service starts all the same.
    """
    hits = _hits(classifier)
    for explain, longest in ((False, 400), (True, 100)) * 2:  # the evidence of a long text takes seconds
        texts = ["降" * min(settings.max_chars, longest)] * 4 + ["暖" * 20] * 32
        with contextlib.suppress(Overloaded):
            await batcher.submit(hits if hits and explain else [text + str(explain) for text in texts], explain)
        classifier.clear_cache()


def _hits(classifier: Classifier) -> list[str]:
    """A few hits among the bundle's probes: evidence of what is none costs nothing. [] where it carries none."""
    try:
        probes = read_json(classifier.bundle.folder / "probes.json")
        decided = zip(probes["texts"], map(classifier.decide, probes["probabilities"]), strict=True)
        return list(itertools.islice((text for text, labels in decided if labels), _HITS))
    except (ZhenyanError, KeyError, TypeError, ValueError):
        return []  # only `zhenyan doctor` needs them


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, fault: RequestValidationError) -> Response:
        faults = fault.errors()
        first = faults[0]
        parts = first["loc"][1:] if first["loc"][:1] == ("body",) else first["loc"]
        place = ".".join(str(part) or '""' for part in parts)[:100] or "body"
        if first["type"] == "json_invalid":
            why = first["ctx"]["error"].removesuffix(" at")  # Python ends some with it, for the place to follow
            text = f"body: not JSON: {why} at character {first['loc'][-1]}"
            return refusal(400, text, "invalid_request_error", "body")
        if first["loc"][:2] == ("body", "input") and len(first["loc"]) > 2:
            text, place = wrong_input(faults)
            return refusal(422, text, "invalid_request_error", place)
        text = f"{place}: {first['msg']}, given {given(first['input'])}"
        return refusal(422, text, "invalid_request_error", place)

    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, fault: StarletteHTTPException) -> Response:
        if fault.status_code == 400 and fault.__cause__:  # FastAPI's, from reading the body
            return refusal(400, unreadable(fault.__cause__), "invalid_request_error", "body")
        text = str(fault.detail)
        if fault.status_code in (404, 405):
            text = f"{request.method} {request.url.path[:100]}: {text.lower()}; there are {_routes(request.app)}"
        param = fault.param if isinstance(fault, Refused) else None
        return refusal(fault.status_code, text, "invalid_request_error", param, **(fault.headers or {}))

    @app.exception_handler(Overloaded)
    async def overloaded(_: Request, fault: Overloaded) -> Response:
        return refusal(429, str(fault), "rate_limit_error", **{"retry-after": str(fault.retry_after)})


def _routes(app: FastAPI) -> str:
    """What can be asked, such as GET /health."""
    routes = {route.path: route.methods for route in app.routes if isinstance(route, Route) and route.methods}
    return ", ".join(f"{'POST' if 'POST' in methods else 'GET'} {path}" for path, methods in routes.items())


def _check_texts(texts: list[str], settings: Settings, where: str) -> None:
    """422 that states limit and value. `where`: the place of a text in the body, with {} for its number."""
    param = where.partition(".")[0]
    if len(texts) > settings.max_texts:
        raise Refused(422, f"{param}: at most {settings.max_texts} texts in a request, given {len(texts)}", param)
    for number, text in enumerate(texts):
        place = where.format(number)
        if (chars := length(text)) > settings.max_chars:
            more = f", {chars} after normalisation" if chars > len(text) else ""
            limit = f"{place}: at most {settings.max_chars} characters in a text"
            raise Refused(422, f"{limit}, given {len(text)}{more}", place)


def _add_scoring(app: FastAPI, settings: Settings, classifier: Classifier, batcher: Batcher) -> None:
    options = _stated(settings, _REFUSALS)

    def deciding(thresholds: Mapping[Any, Any]) -> Classifier:
        check_thresholds(thresholds, classifier.bundle.label_ids)
        return classifier.with_thresholds(thresholds=thresholds) if thresholds else classifier

    async def ask(request: Request, texts: list[str], evidence: bool, decider: Classifier) -> list[Prediction]:
        return await _while_connected(request, batcher.submit(texts, evidence, decider, request.state.asker))

    async def score(
        request: Request,
        texts: list[str],
        evidence: bool,
        where: str,
        decider: Classifier = classifier,
        again: bool = False,
    ) -> list[Prediction]:
        _check_texts(texts, settings, where)
        request.state.fields |= {"texts": len(texts), "chars": sum(map(len, texts))}
        if settings.log_texts:
            request.state.fields["content"] = texts
        request.state.asker = Asker(_adds_wait(request), request.state.read, again)
        predictions = await ask(request, texts, evidence, decider)
        observe.count(predictions)
        return predictions

    @app.post("/v1/classify", response_model=ClassifyResponse, **options)
    async def classify(request: Request, body: ClassifyRequest) -> Response:
        """Labels, scores and evidence for each text."""
        predictions = await score(request, body.texts, body.evidence, "texts.{}", deciding(body.thresholds))
        answer = ClassifyResponse(model=classifier.bundle.id, results=[result(p) for p in predictions])
        return Json(answer.model_dump())

    @app.post("/v1/moderations", response_model=ModerationResponse, **options)
    async def moderations(request: Request, body: ModerationRequest) -> Response:
        """The same decisions in OpenAI's shape: one result for each text; text parts are one input, so one result."""
        predictions = await score(request, body.texts(), False, body.place())
        groups = [predictions] if body.is_parts() else [[p] for p in predictions]
        answer = ModerationResponse(
            id=f"modr-{request.state.id}", model=classifier.bundle.id, results=[moderation(g) for g in groups]
        )
        return Json(answer.model_dump())

    @app.post("/v1/stream", response_model=StreamResponse, **options)
    async def stream(request: Request, body: StreamRequest) -> Response:
        """Labels, scores and evidence for each line of a stream, and what it carries together with the line before."""
        lines, decider = body.told(), deciding(body.thresholds)
        texts = [line.text for line in lines]
        predictions = await score(request, texts, body.evidence, "lines.{}.text", decider, again=True)
        hits = await queued_pair_hits(
            lambda texts, evidence: ask(request, texts, evidence, decider),
            lines, predictions, decider.thresholds, body.evidence,
        )  # fmt: skip
        observe.count_labels(hits.values())
        results = [stream_result(p, hits.get(place - 1)) for place, p in enumerate(predictions)]
        return Json(StreamResponse(model=classifier.bundle.id, results=results).model_dump())


def _add_labels(app: FastAPI, settings: Settings, classifier: Classifier) -> None:
    @app.get("/v1/labels", response_model=LabelsResponse, **_stated(settings, _BODILESS))
    async def labels() -> Response:
        """The model's labels: names, definition, articles, penalty, threshold."""
        return Json(labels_response(classifier.bundle).model_dump())


def _stated(settings: Settings, codes: Sequence[int]) -> dict[str, Any]:
    """What the OpenAPI document tells of a route: its refusals, and the key, which KeyGate checks before the body is read."""
    return {
        "responses": {code: {"model": ErrorResponse} for code in (*codes, *([401] if settings.keys else []))},
        "dependencies": [Security(HTTPBearer(auto_error=False))] if settings.keys else [],
    }


def _why_not_ready(app: FastAPI, batcher: Batcher, keys: KeyFile | None) -> str:
    """What keeps it from scoring, "" where nothing does; said to everybody, so the log alone names the key file."""
    if not app.state.ready or app.state.draining:
        return "stopping" if app.state.draining else "warming up"
    if not batcher.running:
        return "the queue has ended"
    try:
        if keys:
            keys.names()
    except ConfigError as error:
        observe.log.error(str(error))
        return "the keys can't be read, the log says why"
    return ""


def _add_probes(app: FastAPI, classifier: Classifier, batcher: Batcher, keys: KeyFile | None) -> None:
    @app.get("/health")
    async def health() -> Health:
        """Whether the process lives."""
        return Health(status="ok")

    @app.get("/ready", responses={503: {"model": Health}})
    async def ready(response: Response) -> Health:
        """Whether it can score: after the warm-up, until it stops, while it can read its keys."""
        why = _why_not_ready(app, batcher, keys)
        if why:
            response.status_code = 503
        return Health(status=f"not ready: {why}" if why else "ready", model=classifier.bundle.id)

    @app.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> Response:
        """Prometheus metrics of all workers."""
        page, kind = observe.metrics_page()
        return Response(page, media_type=kind)


def _state_limits(app: FastAPI, settings: Settings, labels: Sequence[str]) -> None:
    """Write the limits that are in force into the OpenAPI document."""
    schemas = app.openapi()["components"]["schemas"]
    text = {"type": "string", "maxLength": settings.max_chars}
    schemas["ClassifyRequest"]["properties"]["texts"] |= {"items": text, "maxItems": settings.max_texts}
    for name in ("ClassifyRequest", "StreamRequest"):
        schemas[name]["properties"]["thresholds"] |= thresholds_schema(labels)
    schemas["TextPart"]["properties"]["text"] |= text
    schemas["StreamLine"]["properties"]["text"] |= text
    schemas["StreamRequest"]["properties"]["lines"] |= {"maxItems": settings.max_texts}
    one, many, parts = schemas["ModerationRequest"]["properties"]["input"]["anyOf"]
    one |= text
    many |= {"items": text, "maxItems": settings.max_texts}
    parts |= {"maxItems": settings.max_texts}


def _answer_head(app: FastAPI) -> None:
    """HEAD wherever GET is; only now, for the OpenAPI document, made before, would count it as an operation."""
    for route in app.routes:
        if isinstance(route, APIRoute) and route.methods == {"GET"}:
            route.methods = {"GET", "HEAD"}


def _adds_wait(request: Request) -> Callable[[float], None]:
    """Adds seconds in the queue to the request's `queue_ms`, for the log and the answer's header."""
    fields = request.state.fields

    def add(seconds: float) -> None:
        fields["queue_ms"] = round(fields.get("queue_ms", 0) + 1000 * seconds, 2)

    return add


async def _while_connected(request: Request, work: asyncio.Future[list[Prediction]]) -> list[Prediction]:
    """Wait for the scores, but leave the queue when the client has gone."""
    gone: asyncio.Future[None] = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise HTTPException(499, "the client has gone")  # seen only in log and metrics
    finally:
        work.cancel()
        gone.cancel()


async def _disconnect(request: Request) -> None:
    """Return when the client closes; its body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
