# syntax=docker/dockerfile:1
# Holds what the video workload needs. What images may hold, and why: docs/decisions/0002.

FROM python:3.11-slim-bookworm AS build
# The same uv as scripts/setup.sh, so that image and checkout resolve alike.
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/millrace \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /source
# Dependencies first: this layer stays while only our own code changes.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --extra video --no-install-project
COPY LICENSE README.md ./
COPY flows flows
COPY tasks tasks
COPY millrace millrace
RUN uv sync --frozen --no-dev --extra video --no-editable

FROM python:3.11-slim-bookworm
# tini reaps what a killed tool leaves behind; as process 1 we would have to.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ffmpeg tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin millrace \
    && install -d -o millrace -g millrace /var/lib/millrace /work
COPY --from=build /opt/millrace /opt/millrace
ENV PATH=/opt/millrace/bin:$PATH \
    MILLRACE_HOME=/var/lib/millrace \
    PREFECT_HOME=/var/lib/millrace/prefect \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    DO_NOT_TRACK=1
USER 10001
WORKDIR /work
VOLUME /var/lib/millrace
ENTRYPOINT ["tini", "--", "millrace"]
CMD ["--help"]
