# Needs make, bash and a Python of 3.11 or newer; everything else is fetched into .venv by `make setup`.
SHELL := bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
STAMP := .venv/.set-up
WHEELS := protocol producer runner orchestrator cli
# Everything that is checked; folders that a checkout does not have yet are left out.
CODE := $(wildcard conftest.py packages tests tools benchmarks examples)

.PHONY: help setup demo test mutations lint types imports format format-check check fuzz bench chaos goals docs transcripts lock wheels clean

help: ## Show this list
	@grep -hE '^[a-z][a-z-]*:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: $(STAMP) ## Make .venv with the five wheels (editable) and every tool

$(STAMP): pyproject.toml tools/setup.sh $(wildcard packages/*/pyproject.toml)
	@PYTHON="$(PYTHON)" tools/setup.sh
	@touch $@

demo: setup ## Watch RRQ work: one job for each file of Python's standard library
	@$(BIN)/rrq demo $(ARGS)

test: setup ## Unit, architecture, conformance and integration tests
	@$(BIN)/python -m pytest $(ARGS)

mutations: setup ## Seed every known defect into a copy of the code, and see the tests catch it
	@RRQ_TEST_MUTANTS=all $(BIN)/python -m pytest -q -o faulthandler_timeout=600 tests/mutations $(ARGS)

lint: setup ## Find mistakes (ruff)
	@$(BIN)/ruff check $(CODE)

types: setup ## Check types, strictly, of sources and tests (mypy)
	@$(BIN)/python tools/typecheck.py

imports: setup ## Check who may import whom (import-linter)
	@$(BIN)/lint-imports --no-cache --no-logo

format: setup ## Put the code into the one format, and mend what can be mended
	@$(BIN)/ruff check --fix-only --quiet $(CODE)
	@$(BIN)/ruff format --quiet $(CODE)

format-check: setup
	@$(BIN)/ruff format --check $(CODE)

check: format-check lint types imports test wheels ## All of the above that judges: what has to pass before a change goes in

fuzz: COUNT ?= 3000000
fuzz: SEED ?= $(shell date +%s)
fuzz: setup ## Fuzz for long: COUNT=50000000 frames, the rest in proportion; SEED=7 repeats a run
	@RRQ_FUZZ_COUNT=$(COUNT) RRQ_FUZZ_SEED=$(SEED) $(BIN)/python -m pytest tests/fuzz -o faulthandler_timeout=0 $(ARGS)

bench: setup ## Measure speed; prints a table and writes JSON
	@$(BIN)/python -m benchmarks $(ARGS)

chaos: setup ## Kill, stop and cut off real processes at random, and see that no job is lost; ARGS="--long" for an hour
	@PYTHONPATH=tests $(BIN)/python -m support.chaos $(ARGS)

goals: setup ## Measure single goals of reliability; ARGS="crash --size 20" for one of them
	@PYTHONPATH=tests $(BIN)/python -m support.goals $(ARGS)

docs: setup ## Write the generated pages of docs/
	@$(BIN)/python tools/docs.py

transcripts: setup ## Write anew what the commands print (tests/transcripts/golden); look at what differs
	@RRQ_TEST_WRITE=1 $(BIN)/python -m pytest -q tests/transcripts

lock: setup ## Try the newest versions of everything and pin them in pyproject.toml
	@$(BIN)/python tools/lock.py
	@$(MAKE) --no-print-directory setup

wheels: setup ## Build the five wheels into dist/
	@rm -rf dist
	@for name in $(WHEELS); do (cd packages/rrq-$$name && ../../$(BIN)/python -m hatchling build -t wheel -d ../../dist) || exit 1; done

clean: ## Remove everything that was made here, .venv too
	@if [ -x $(BIN)/rrq ] && [ -d .rrq ]; then $(BIN)/rrq embedded stop; fi
	@rm -rf .venv dist uv.lock .rrq .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
