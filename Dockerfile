# syntax=docker/dockerfile:1
# The images of the fleet: worker-cpu (video; also conductor and Prefect server), worker-gpu,
# worker-documents.
#
#   docker build --target worker-cpu -t millrace/worker-cpu .
#
# What they may hold and why they are built so: docs/decisions/0002 and 0010. `make image-check`
# carries the steps out without a container engine. Publish with both bases pinned by digest:
# --build-arg DEBIAN=debian:bookworm-slim@sha256:… --build-arg CUDA=nvidia/cuda:…@sha256:…
ARG DEBIAN=debian:bookworm-slim
ARG CUDA=nvidia/cuda:12.9.1-cudnn-runtime-ubuntu24.04

FROM ${DEBIAN} AS tools
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
# The same uv as scripts/setup.sh, so that image and checkout resolve alike.
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir uv==0.13.9
# Compiled here, because a read-only root cannot keep what Python compiles later.
ENV PATH=/opt/uv/bin:$PATH \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/millrace \
    UV_PYTHON=/usr/bin/python3 \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /source
COPY pyproject.toml uv.lock ./

# Dependencies first: that layer stays while only our own code changes.
FROM tools AS build-cpu
RUN uv sync --frozen --no-dev --extra video --extra s3 --extra postgres --no-install-project
COPY LICENSE README.md ./
COPY flows flows
COPY tasks tasks
COPY millrace millrace
RUN uv sync --frozen --no-dev --extra video --extra s3 --extra postgres --no-editable

# Two distributions hold the module onnxruntime: the lock's, for CPUs, stays out.
FROM tools AS build-gpu
COPY deployments/images/gpu.txt ./
RUN uv sync --frozen --no-dev --extra video --extra s3 --extra postgres --no-install-project \
        --no-install-package onnxruntime \
    && uv pip install --python /opt/millrace/bin/python --no-deps --require-hashes -r gpu.txt
COPY LICENSE README.md ./
COPY flows flows
COPY tasks tasks
COPY millrace millrace
RUN uv sync --frozen --no-dev --extra video --extra s3 --extra postgres --no-editable --inexact \
        --no-install-package onnxruntime

FROM tools AS build-documents
RUN uv sync --frozen --no-dev --extra documents --extra s3 --extra postgres --no-install-project
COPY LICENSE README.md ./
COPY flows flows
COPY tasks tasks
COPY millrace millrace
RUN uv sync --frozen --no-dev --extra documents --extra s3 --extra postgres --no-editable

# What every worker is. It writes to /var/lib/millrace and /tmp alone: its root may be read-only.
FROM ${DEBIAN} AS runtime
# tini reaps what a killed tool leaves behind; as process 1 we would have to.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 tini \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/* \
    && useradd --uid 10001 --home-dir /var/lib/millrace --shell /usr/sbin/nologin millrace \
    && install -d -m 700 -o millrace -g millrace /var/lib/millrace
COPY deployments/images/health.py /usr/local/bin/millrace-health
COPY deployments/images/start.sh /usr/local/bin/millrace-start
COPY deployments/images/with-secrets.sh /usr/local/bin/with-secrets
ENV PATH=/opt/millrace/bin:$PATH \
    HOME=/var/lib/millrace \
    MILLRACE_HOME=/var/lib/millrace \
    PREFECT_HOME=/var/lib/millrace/prefect \
    PREFECT_SERVER_UI_STATIC_DIRECTORY=/tmp/prefect-ui \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    PYTHONUNBUFFERED=1 \
    DO_NOT_TRACK=1
WORKDIR /var/lib/millrace
VOLUME /var/lib/millrace
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python3", "/usr/local/bin/millrace-health"]
# A pool follows (`docker run millrace/worker-cpu studio`), or what a worker for containers passes.
ENTRYPOINT ["tini", "--", "with-secrets", "millrace-start"]
CMD ["--help"]
LABEL org.opencontainers.image.vendor="Millrace" \
      org.opencontainers.image.documentation="docs/guide"

FROM runtime AS worker-documents
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless tesseract-ocr \
        tesseract-ocr-deu tesseract-ocr-fra tesseract-ocr-ita tesseract-ocr-spa \
        tesseract-ocr-chi-sim \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/*
COPY --from=build-documents /opt/millrace /opt/millrace
# One process a core reads six times as many pages as threads inside each.
ENV OMP_THREAD_LIMIT=1 \
    JAVA_HOME=/usr/lib/jvm/java-17-openjdk-amd64
USER 10001
LABEL org.opencontainers.image.title="millrace/worker-documents" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-only WITH Classpath-exception-2.0"

FROM runtime AS video
RUN apt-get update \
    && apt-get install -y --no-install-recommends ffmpeg \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/* \
    # Mesa's drivers come with SDL, for windows that no worker opens: 140 MB.
    && rm -rf /usr/lib/x86_64-linux-gnu/dri /usr/lib/x86_64-linux-gnu/libLLVM-15.so* \
    && ffmpeg -v error -f lavfi -i testsrc=d=0.1 -c:v libx264 -f null -

# NVIDIA publishes no image on Debian, and FFmpeg's version is part of every key: one FFmpeg for all
# images, so the libraries that ONNX Runtime loads come from NVIDIA's image and the rest from Debian.
FROM ${CUDA} AS cuda

FROM video AS worker-gpu
COPY --from=cuda /usr/local/cuda-12.9/targets/x86_64-linux/lib/libcublas.so.12 \
    /usr/local/cuda-12.9/targets/x86_64-linux/lib/libcublasLt.so.12 \
    /usr/local/cuda-12.9/targets/x86_64-linux/lib/libcudart.so.12 \
    /usr/local/cuda-12.9/targets/x86_64-linux/lib/libcufft.so.11 \
    /usr/local/cuda-12.9/targets/x86_64-linux/lib/libcurand.so.10 \
    /usr/local/cuda-12.9/targets/x86_64-linux/lib/libnvJitLink.so.12 \
    /usr/local/cuda-12.9/targets/x86_64-linux/lib/libnvrtc.so.12 \
    /usr/local/cuda-12.9/targets/x86_64-linux/lib/libnvrtc-builtins.so.12.9 \
    /usr/lib/x86_64-linux-gnu/libcudnn*.so.9 \
    /usr/local/lib/cuda/
COPY --from=cuda /NGC-DL-CONTAINER-LICENSE /usr/share/doc/cuda/
# Sessions get a clean environment, so the loader's own list has to know the folder.
RUN echo /usr/local/lib/cuda >/etc/ld.so.conf.d/cuda.conf && ldconfig
COPY --from=build-gpu /opt/millrace /opt/millrace
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
USER 10001
LABEL org.opencontainers.image.title="millrace/worker-gpu" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-or-later AND LicenseRef-NVIDIA"

# Last, so that a build without --target makes it.
FROM video AS worker-cpu
COPY --from=build-cpu /opt/millrace /opt/millrace
USER 10001
LABEL org.opencontainers.image.title="millrace/worker-cpu" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-2.0-or-later"
