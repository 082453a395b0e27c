# The commands that README tells people to use. Each sets up what it needs in .venv and then does its job.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help app test check lint types imports format gates bench clean

help: ## list the commands
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

# One stamp per requirements file: a change of a pin sets up again, nothing else does.
$(VENV)/.app: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gradreach needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another with: make PYTHON=python3.11 app")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.app
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

app: $(VENV)/.app ## open the app
	$(BIN)/python -m streamlit run app.py $(ARGS)

test: $(VENV)/.dev ## pass the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not gates" -n 2 --dist loadfile $(ARGS)

gates: $(VENV)/.dev ## train what a correct build must reproduce (about ten minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m gates $(ARGS)

lint: $(VENV)/.dev ## formatting and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev ## static types
	$(BIN)/mypy

imports: $(VENV)/.dev ## the directions of the arrows
	PYTHONPATH=. $(BIN)/lint-imports

check: lint types imports test ## everything that CI runs

format: $(VENV)/.dev ## format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## print the benchmarks
	for script in benchmarks/[a-z]*.py; do OMP_NUM_THREADS=1 $(BIN)/python $$script || exit 1; done

clean: ## remove the environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis
