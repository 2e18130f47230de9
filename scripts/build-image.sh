#!/usr/bin/env bash
# Build the one container image, and the small one that cuts regions of the compose stack apart (not where HELPER_IMAGE
# names another). IMAGE names the first, PYTHON_IMAGE is what both are built from; DOCKER_BUILDKIT=0 uses the legacy builder.
set -euo pipefail
cd "$(dirname "$0")/.."
IMAGE=${IMAGE:-chronicle-ledger:dev}

command -v docker >/dev/null || { echo "build-image: docker is not on PATH; install Docker, or use \`make demo\`, which needs none" >&2; exit 2; }
docker info >/dev/null 2>&1 || { echo "build-image: the Docker daemon does not answer; start it (or see DOCKER_HOST) and try again" >&2; exit 2; }

version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' ledger/chronicle_ledger/__init__.py)
revision=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
arguments=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision")
[ -n "${PYTHON_IMAGE:-}" ] && arguments+=(--build-arg "PYTHON_IMAGE=$PYTHON_IMAGE")
docker build "${arguments[@]}" --tag "$IMAGE" .
[ -n "${HELPER_IMAGE:-}" ] || docker build "${arguments[@]}" --target cut --tag chronicle-cut:dev .
docker image inspect --format "$IMAGE: {{.Size}} bytes" "$IMAGE" |
	awk '{printf "%s %.0f MB\n", $1, $2 / 1000000}'
