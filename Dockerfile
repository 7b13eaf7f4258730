# The HTTP service with its bundled model. Nothing is fetched at run time.
#   docker build -t zhenyan . && docker run --read-only --tmpfs /tmp -p 8000:8000 zhenyan
# Every setting is an environment variable: docker run zhenyan serve --settings
# `docker stop` kills after 10 s, while a stop waits for stop_seconds (30): run it with --stop-timeout 45.
# Give the port as one too (-e ZHENYAN_PORT=9000): the health check can't see options, and asks 127.0.0.1 at ZHENYAN_PORT.

FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY inference inference
COPY training training
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check ".[serve]"

FROM python:3.11-slim
COPY --from=build /venv /venv
RUN useradd --system --no-create-home --uid 10001 zhenyan
USER 10001
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    ZHENYAN_HOST=0.0.0.0 \
    ZHENYAN_PORT=8000
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('ZHENYAN_PORT') or 8000), timeout=4); c.request('GET', '/ready'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["zhenyan"]
CMD ["serve"]
