PY := .venv/bin/python
BIN := .venv/bin
SPEED ?= 60
STORY_SPEED ?= 120
TEST_JOBS ?= 3
CHAOS_KILLS ?= 1000
CHAOS_FAULTS ?= 400
CHAOS_MIRRORS ?= 10000
CHAOS_DELIVERIES ?= 1000000
CHAOS_EXAMPLES ?= 100
CHAOS_SEED ?= 1
.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo "make setup    environment in .venv from the hashed lock"
	@echo "make demo     play the recorded outage at http://127.0.0.1:8000"
	@echo "make run      serve with ./sextant.toml"
	@echo "make test     all tests"
	@echo "make check    every gate: tests, format, lint, types, imports, API document, demo"
	@echo "make chaos    hours of kill -9, cut connections, crashing databases and a faulty Graph; CHAOS_KILLS=50 makes it shorter"
	@echo "make bench    benchmarks"
	@echo "make evaluation  docs/evaluation.md from unseen seeds"
	@echo "make openapi  write openapi/v1.json"
	@echo "make lock     resolve the dependencies anew"

.PHONY: setup
setup: .venv/.ready
.venv/.ready: requirements-dev.lock pyproject.toml
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(PY) -m compileall -q app
	touch $@

.PHONY: demo run
demo: setup
	$(BIN)/sextant demo --speed $(SPEED)
run: setup
	$(BIN)/sextant serve

.PHONY: test check style story kills chaos bench evaluation openapi
test: setup
	$(BIN)/pytest -n $(TEST_JOBS) --dist loadfile

# The story waits more than it works, so the style is checked beside it; each tells its lines whole.
# The tests come last, so that their closing line ends the output.
check: setup
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target style story
	$(MAKE) --no-print-directory kills test

style: setup
	$(BIN)/ruff format --check app tests bench alembic docs/examples docs/receivers
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/sextant openapi --check

# The demo is an acceptance test: it ends with 0 only when the incident went as told.
story: setup
	$(BIN)/sextant demo --once --speed $(STORY_SPEED) --port 18765

# 25 kill -9 on each database, side by side.
kills: setup
	$(PY) -m tests.chaos.kill --kills 25

chaos: setup
	$(PY) -m tests.chaos.campaign sqlite --target $(CHAOS_KILLS)
	$(PY) -m tests.chaos.campaign postgresql
	$(PY) -m tests.chaos.campaign faults --target $(CHAOS_FAULTS)
	$(PY) -m tests.chaos.campaign disorder --piece 50000 --target $(CHAOS_DELIVERIES)
	$(PY) -m tests.chaos.campaign table
	$(PY) -m tests.chaos.takeover
	$(PY) -m tests.chaos.outage --gone 60 --times 3
	$(PY) -m tests.chaos.outage --gone 60 --times 3 --hang
	if [ "$$(id -u)" = 0 ]; then $(PY) -m tests.chaos.space --fills 20; fi
	CHAOS_CALLS=1 $(BIN)/pytest tests/flow/test_calls.py
	CHAOS_KILLS=25 CHAOS_POLLS=10000 $(BIN)/pytest tests/chaos -s
	$(PY) -m tests.chaos.mirror --runs $(CHAOS_MIRRORS) --jobs 2
	$(PY) -m tests.chaos.channels --kills 10
	$(PY) -m tests.api.fuzz --seed $(CHAOS_SEED) --max-examples $(CHAOS_EXAMPLES)
	FUZZ_PAGES=10000 $(BIN)/pytest tests/sources/test_graph_fuzz.py

bench: setup
	$(PY) -m bench

# Unseen seeds, part by part as bench/evaluate/count.toml lists them; goes on where it stood.
EVALUATION ?= --jobs 2 --minutes 75
evaluation: setup
	$(BIN)/sextant evaluate --plan count $(EVALUATION) --write docs/evaluation.md

openapi: setup
	$(BIN)/sextant openapi

.PHONY: lock
lock:
	.venv/bin/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 --extra telemetry -o requirements.lock pyproject.toml
	.venv/bin/uv pip compile -q --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 --extra dev --extra telemetry -o requirements-dev.lock pyproject.toml
