"""The FastAPI application: limits, keys, routes, errors in OpenAI's shape."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException as StarletteHTTPException
from zhenyan.inference.classifier import Classifier, Prediction
from zhenyan.inference.serve import observe
from zhenyan.inference.serve.batcher import Batcher, Overloaded
from zhenyan.inference.serve.keys import KeyFile
from zhenyan.inference.serve.limits import BodyLimit
from zhenyan.inference.serve.schemas import (
    ClassifyRequest,
    ClassifyResponse,
    ErrorResponse,
    EvidenceSpan,
    Health,
    ModerationRequest,
    ModerationResponse,
    ModerationResult,
    Result,
)
from zhenyan.inference.serve.settings import Settings

log = logging.getLogger("zhenyan.serve")
_REFUSALS: dict[int | str, dict[str, Any]] = {code: {"model": ErrorResponse} for code in (400, 401, 413, 422, 429, 500)}


def create_app(settings: Settings, classifier: Classifier) -> FastAPI:
    """The application around one classifier."""
    batcher = Batcher(
        lambda texts, explain: classifier.predict(texts, explain=explain),
        settings.token_budget, settings.max_delay_ms / 1000, settings.deadline_ms / 1000,
        lambda stage, seconds: observe.STAGE.labels(stage).observe(seconds),
    )  # fmt: skip

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.get_running_loop().run_in_executor(None, warm_up, classifier, settings)
        batcher.start()
        app.state.ready = True
        yield
        app.state.ready = False
        await batcher.stop()

    app = FastAPI(
        title="zhenyan", version=classifier.bundle.id, lifespan=lifespan, docs_url=None, redoc_url=None,
        description="Deceptive advertising in Chinese livestreams and product copy: labels, scores, evidence.",
    )  # fmt: skip
    app.state.ready, app.state.settings, app.state.batcher, app.state.classifier = False, settings, batcher, classifier
    app.add_middleware(BodyLimit, limit=settings.max_body)
    app.middleware("http")(_observed)
    _add_errors(app)
    _add_routes(app, settings, classifier, batcher)
    return app


def warm_up(classifier: Classifier, settings: Settings) -> None:
    """Score the largest shapes once, so that the first request isn't the slow one; raises if they can't be."""
    classifier.score(["降" * min(settings.max_chars, 400)] * 4 + ["暖" * 20] * 32)
    classifier.clear_cache()


async def _observed(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
    """Request id, timing, counters and one log line."""
    identity = request.headers.get("x-request-id", "")[:64] or uuid.uuid4().hex
    request.state.id = identity
    started = time.perf_counter()
    response = await proceed(request)
    took = time.perf_counter() - started
    route = getattr(request.scope.get("route"), "path", "other")
    observe.REQUESTS.labels(route, str(response.status_code)).inc()
    observe.STAGE.labels("request").observe(took)
    response.headers["x-request-id"] = identity
    fields = {"request": identity, "method": request.method, "path": request.url.path, "status": response.status_code,
              "ms": round(1000 * took, 2), **getattr(request.state, "fields", {})}  # fmt: skip
    log.info("request", extra={"fields": fields})
    return response


def error(status: int, message: str, kind: str, param: str | None = None, **headers: str) -> JSONResponse:
    """A refusal in OpenAI's shape."""
    body = {"error": {"message": message, "type": kind, "param": param, "code": None}}
    return JSONResponse(body, status, headers=headers or None)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, fault: RequestValidationError) -> JSONResponse:
        first = fault.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
        status = 400 if first["type"] == "json_invalid" else 422
        return error(status, f"{place}: {first['msg']}", "invalid_request_error", place)

    @app.exception_handler(StarletteHTTPException)
    async def refused(_: Request, fault: StarletteHTTPException) -> JSONResponse:
        kind = "authentication_error" if fault.status_code == 401 else "invalid_request_error"
        return error(fault.status_code, str(fault.detail), kind, **(fault.headers or {}))

    @app.exception_handler(Overloaded)
    async def overloaded(_: Request, fault: Overloaded) -> JSONResponse:
        return error(429, str(fault), "rate_limit_error", **{"Retry-After": str(int(fault.retry_after + 0.999))})

    @app.exception_handler(Exception)
    async def broken(request: Request, fault: Exception) -> JSONResponse:
        log.error("unexpected", exc_info=fault, extra={"fields": {"request": getattr(request.state, "id", "")}})
        return error(500, "internal error; the log has the details under the request id", "server_error")


def _check_texts(texts: list[str], settings: Settings, param: str) -> None:
    """422 that states limit and value."""
    if len(texts) > settings.max_texts:
        raise HTTPException(422, f"{param}: at most {settings.max_texts} texts in a request, given {len(texts)}")
    for number, text in enumerate(texts):
        if len(text) > settings.max_chars:
            raise HTTPException(
                422, f"{param}.{number}: at most {settings.max_chars} characters in a text, given {len(text)}"
            )


def _add_routes(app: FastAPI, settings: Settings, classifier: Classifier, batcher: Batcher) -> None:
    keys = KeyFile(settings.keys) if settings.keys else None

    async def authorised(given: HTTPAuthorizationCredentials | None = Depends(HTTPBearer(auto_error=False))) -> None:
        if keys is not None and (given is None or keys.who(given.credentials) is None):
            raise HTTPException(401, "a valid key is needed: Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"})

    async def score(request: Request, texts: list[str], evidence: bool, param: str) -> list[Prediction]:
        _check_texts(texts, settings, param)
        request.state.fields = {"texts": len(texts), "chars": sum(map(len, texts))}
        if settings.log_texts:
            request.state.fields["content"] = texts
        observe.WAITING.set(batcher.waiting)
        predictions = await submit_while_connected(request, batcher, texts, evidence)
        observe.TEXTS.inc(len(predictions))
        for prediction in predictions:
            for label in prediction.labels:
                observe.HITS.labels(label).inc()
        return predictions

    @app.post("/v1/classify", dependencies=[Depends(authorised)], responses=_REFUSALS)
    async def classify(request: Request, body: ClassifyRequest) -> ClassifyResponse:
        """Labels, scores and evidence for each text."""
        predictions = await score(request, body.texts, body.evidence, "texts")
        return ClassifyResponse(model=classifier.bundle.id, results=[_result(p) for p in predictions])

    @app.post("/v1/moderations", dependencies=[Depends(authorised)], responses=_REFUSALS)
    async def moderations(request: Request, body: ModerationRequest) -> ModerationResponse:
        """The same decisions in OpenAI's shape."""
        predictions = await score(request, body.texts(), False, "input")
        return ModerationResponse(
            id=f"modr-{request.state.id}", model=classifier.bundle.id, results=[_moderation(p) for p in predictions]
        )

    @app.get("/health")
    async def health() -> Health:
        """Whether the process lives."""
        return Health(status="ok")

    @app.get("/ready", responses={503: {"model": Health}})
    async def ready(response: Response) -> Health:
        """Whether it can score: after the warm-up, until it stops."""
        if not app.state.ready:
            response.status_code = 503
        return Health(status="ready" if app.state.ready else "not ready", model=classifier.bundle.id)

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Prometheus metrics of all workers."""
        page, kind = observe.metrics_page()
        return Response(page, media_type=kind)


async def submit_while_connected(
    request: Request, batcher: Batcher, texts: list[str], evidence: bool
) -> list[Prediction]:
    """Wait for the scores, but leave the queue when the client has gone."""
    work = asyncio.ensure_future(batcher.submit(texts, evidence))
    while True:
        done, _ = await asyncio.wait({work}, timeout=0.5)
        if done:
            return work.result()
        if await request.is_disconnected():
            work.cancel()
            raise HTTPException(499, "the client has gone")


def _result(prediction: Prediction) -> Result:
    return Result(
        labels=list(prediction.labels), scores=prediction.scores, truncated=prediction.truncated,
        evidence=[EvidenceSpan(start=e.start, end=e.end, text=e.text, label=e.label) for e in prediction.evidence],
    )  # fmt: skip


def _moderation(prediction: Prediction) -> ModerationResult:
    return ModerationResult(
        flagged=bool(prediction.labels),
        categories={label: label in prediction.labels for label in prediction.scores},
        category_scores=prediction.scores,
        category_applied_input_types={label: ["text"] for label in prediction.scores},
    )
