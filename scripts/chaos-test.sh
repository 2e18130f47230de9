#!/usr/bin/env bash
# Run the failure scenarios on the compose stack: ./scripts/chaos-test.sh [SCENARIO...] (none: all five). Options of
# `chronicle scenario run` may follow, such as --seed 7 or --duration 60. COMPOSE_PROJECT_NAME and CHRONICLE_PORT say which
# stack is meant, from the environment or from .env, as for `docker compose`.
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

child='' stopped='' again=''
hand_on() {
	stopped=$1 again=yes
	[ -z "$child" ] || kill -s "$1" "$child" 2>/dev/null || :
}

# Run a command to its end, whatever signal comes meanwhile: it is handed on, and the command heals before it ends. In
# the background, because bash answers no signal while it waits for a foreground command; in a process group of its own
# (set -m), so that Ctrl-C reaches it once and by this script alone, and because bash would have it ignore Ctrl-C
# otherwise.
run() {
	status=3
	[ -z "$stopped" ] || return "$status"
	set -m
	"$@" &
	child=$!
	set +m
	[ -z "$stopped" ] || kill -s "$stopped" "$child" 2>/dev/null || :
	again=yes
	while [ -n "$again" ]; do
		again='' status=0
		wait "$child" || status=$?
	done
	child=''
	# Ended by the signal itself, before it could take it: nothing was broken yet.
	[ -z "$stopped" ] || [ "$status" -le 128 ] || status=3
	return "$status"
}

mkdir -p runs
target=$(mktemp runs/.target-XXXXXX)
trap 'rm -f "$target"' EXIT
for signal in INT TERM HUP; do
	# shellcheck disable=SC2064 # the name of the signal now
	trap "hand_on $signal" "$signal"
done

run .venv/bin/chronicle compose-target "$target" || exit "$status"
run .venv/bin/chronicle scenario run --target "$target" "$@" || exit "$status"
