#!/usr/bin/env bash
# Run the failure scenarios on the compose stack: ./scripts/chaos-test.sh [SCENARIO...] (none: all five). Options of
# `chronicle scenario run` may follow, such as --seed 7 or --duration 20. CHRONICLE_PORT is the load balancer's port.
# Exit status: 0 all passed, 1 any failed, 2 usage or no stack, 3 inconclusive or aborted.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v docker >/dev/null || { echo "chaos-test: docker is not on PATH; install Docker, or run \`make demo\`, which needs none" >&2; exit 2; }
docker info >/dev/null 2>&1 || { echo "chaos-test: the Docker daemon does not answer; start it and try again" >&2; exit 2; }

# The engine runs here, beside Docker's command line; see docs/compose.md for why it is no container.
python=.venv/bin/python
if ! "$python" -c 'import chronicle_chaos' 2>/dev/null; then
	make --silent .venv/.local || { echo "chaos-test: the engine could not be installed into .venv; Python 3.11 or newer is needed" >&2; exit 2; }
fi

mkdir -p runs
target=$(mktemp runs/.target-XXXXXX)
trap 'rm -f "$target"' EXIT
"$python" -m chronicle_chaos.injectors.compose_stack "http://127.0.0.1:${CHRONICLE_PORT:-8080}" "$target"

# Not exec, so that the trap removes the file. Ctrl-C reaches the engine too, which heals before it ends; this shell only
# waits for it.
trap : INT TERM
status=0
.venv/bin/chronicle scenario run --target "$target" "$@" || status=$?
exit "$status"
