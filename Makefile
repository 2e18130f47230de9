# The only entry: `make` prints what there is. Every step installs what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash -o pipefail
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# More workers than the two cores of the smallest machine that this is meant for: many tests wait for what they broke.
# Tests marked `alone` measure time, and run afterwards with less beside them.
UNIT_WORKERS ?= 4
INTEGRATION_WORKERS ?= 3
ALONE_WORKERS ?= 2
LOCKS := $(wildcard requirements/*.lock)

##@ Start here
.PHONY: help demo test
help: ## Print this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.local ## Start a real ledger on this machine, break it in five ways, print one table
	$(BIN)/chronicle demo $(DEMO_ARGS)

# Unit tests mostly wait, types mostly compute: side by side they take as long as the longer one.
test: $(VENV)/.dev ## Lint, unit and integration tests, on real servers
	$(MAKE) --no-print-directory --jobs=2 lint unit
	$(MAKE) --no-print-directory integration

##@ Develop
.PHONY: setup lint format unit integration bench fuzz mutants sbom lock generate release clean
setup: $(VENV)/.dev ## Create .venv with everything that development needs

lint: $(VENV)/.dev ## Format, lint, types, end-to-end tests collect, import contracts, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest --collect-only --quiet --quiet tests/e2e >/dev/null
	$(BIN)/lint-imports
	$(BIN)/python scripts/generate.py --check
	$(BIN)/python scripts/promises.py
	scripts/lint-charts.sh

format: $(VENV)/.dev ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

unit: $(VENV)/.dev ## The tests that need no server
	$(BIN)/pytest tests/unit -n $(UNIT_WORKERS) --dist worksteal $(PYTEST_ARGS)

integration: $(VENV)/.dev ## The tests on real servers of this machine
	$(BIN)/pytest tests/integration -m 'not alone' -n $(INTEGRATION_WORKERS) --dist loadgroup $(PYTEST_ARGS)
	$(BIN)/pytest tests/integration -m alone -n $(ALONE_WORKERS) --dist loadfile $(PYTEST_ARGS)

bench: $(VENV)/.dev ## Measure; results as a table and as JSON in tests/bench/results/
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

fuzz: $(VENV)/.dev ## 20,000 schema-aware and hostile requests against three replicas, on each database; a proof at the end
	$(BIN)/python -m tests.fuzz $(FUZZ_ARGS)

mutants: $(VENV)/.dev ## Change pure code in one place at a time, and see whether the unit tests notice (docs/mutants.md)
	$(BIN)/python -m tests.mutants $(MUTANTS_ARGS)

generate: $(VENV)/.dev ## Write openapi.json, the CRD and the manifests anew from the code
	$(BIN)/python scripts/generate.py

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra operator --extra chaos pyproject.toml -o requirements/runtime.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group build -o requirements/build.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra operator --extra local --group build pyproject.toml -c requirements/runtime.lock -c requirements/build.lock -o requirements/local.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra operator --extra local --group dev pyproject.toml -c requirements/local.lock -o requirements/dev.lock

sbom: $(VENV)/.dev ## Write dist/sbom.cdx.json: what the image installs, with versions and hashes (CycloneDX)
	mkdir -p dist
	$(BIN)/python -m cyclonedx_py requirements requirements/runtime.lock --pyproject pyproject.toml --mc-type application \
		--output-reproducible --output-format JSON --output-file dist/sbom.cdx.json

release: $(VENV)/.dev ## Build what a release publishes into dist/ (VERSION=0.1.0; RELEASE_ARGS="--image … --url …")
	$(BIN)/python scripts/release.py $(or $(VERSION),$(error name the version: make release VERSION=0.1.0)) $(RELEASE_ARGS)

clean: ## Remove what the other targets made
	rm -rf $(VENV) runs dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache tests/bench/results
	find . -name __pycache__ -prune -exec rm -rf {} +

##@ Containers and Kubernetes
.PHONY: image compose-test e2e
image: ## Build the one container image (IMAGE=chronicle-ledger:dev)
	scripts/build-image.sh

compose-test: $(VENV)/.dev image ## Bring up the compose stack, run the five scenarios on it, take it down
	$(BIN)/pytest tests/e2e/compose $(PYTEST_ARGS)

e2e: $(VENV)/.dev image ## kind, Chaos Mesh, the chart, and the five scenarios (KEEP=1 keeps the cluster)
	$(BIN)/pytest tests/e2e/kind --durations=15 $(PYTEST_ARGS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("chronicle needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (make PYTHON=python3.13 ...)" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# Two marks: what the demo needs, and what development needs on top of it.
$(VENV)/.local: requirements/build.lock requirements/local.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --require-hashes -r requirements/local.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/build.lock requirements/dev.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@ $(VENV)/.local
