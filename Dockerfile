# One image for every role: api, relay, projector, operator, scenario runner. No `# syntax=` line on purpose: it would be
# pulled, and the legacy builder does not know it. Everything below works with both builders.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /build/tools && python -m venv --without-pip /opt/chronicle
WORKDIR /build
# Dependencies first, so that a change of the code leaves this layer alone. Wheels only: nothing is compiled.
COPY requirements/ requirements/
RUN /build/tools/bin/pip --python /opt/chronicle/bin/python install --quiet \
    --require-hashes --only-binary=:all: --no-compile -r requirements/runtime.lock
# The build backend at the locked versions and hashes: its lines are taken out of the lock that has them.
RUN awk '/^[a-z]/ {keep = $0 ~ /^(hatchling|editables|packaging|pathspec|pluggy|trove-classifiers)==/} keep' \
    requirements/local.lock > build.lock \
    && /build/tools/bin/pip install --quiet --require-hashes --only-binary=:all: -r build.lock
ARG REVISION=
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY cli/ cli/
COPY ledger/ ledger/
COPY chaos/ chaos/
COPY operator/ operator/
COPY deploy/image/healthcheck.py /opt/chronicle/bin/chronicle-healthcheck
RUN CHRONICLE_REVISION=${REVISION} /build/tools/bin/pip wheel --quiet --no-build-isolation --no-deps --wheel-dir dist . \
    && /build/tools/bin/pip --python /opt/chronicle/bin/python install --quiet --no-deps --no-index --no-compile dist/*.whl \
    && chmod 755 /opt/chronicle/bin/chronicle-healthcheck \
    # Byte code now, since the root file system is read-only later. Checked by hash, not by time: layers stay reproducible.
    # None for the generated modules of the Kubernetes client: nothing imports them, and there are almost two thousand.
    && python -m compileall -q --invalidation-mode unchecked-hash -x 'kubernetes/(aio/)?client/(api|models)/[a-z]' \
    /opt/chronicle/lib

# What cuts regions of the compose stack apart (docs/compose.md): a shell and iptables, which the ledger's own image has not.
FROM ${PYTHON_IMAGE} AS cut
RUN command -v iptables >/dev/null || { apt-get update -q && apt-get install -q -y --no-install-recommends iptables \
    && rm -rf /var/lib/apt/lists/*; }
ENTRYPOINT ["/bin/sh"]

FROM ${PYTHON_IMAGE}
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ChronicleLedger" \
      org.opencontainers.image.description="A double-entry ledger whose behaviour under failure is proven where it runs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/chronicle/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CHRONICLE_LISTEN_HOST=::
# The standard library too: the official images leave its byte code out, and a container that cannot write would compile
# what it imports at each start.
RUN library=$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') \
    && python -m compileall -q --invalidation-mode unchecked-hash \
    -x '/(test|tests|idlelib|ensurepip|lib2to3|pydoc_data|site-packages|tkinter|turtledemo)/' "$library"
COPY --from=build /opt/chronicle /opt/chronicle
# A number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
# The process alone; whether it is ready is asked elsewhere (/readyz), or a database outage would restart every instance.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["chronicle-healthcheck", "/livez"]
ENTRYPOINT ["chronicle"]
CMD ["--help"]
