# Thin wrappers over plain commands; the README shows the commands themselves.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip install --disable-pip-version-check --quiet --constraint constraints.txt
JOBS   ?= 2
# torch's CUDA builds pin other versions than jax's, so that one lock cannot hold both: these two are pinned by hand.
GRAPHS := torch==2.13.0 torch-geometric==2.8.1

.DEFAULT_GOAL := help
.PHONY: help demo graphs test slow check docs lock bench clean

help:  ## Show this list.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@test -f $(VENV)/.dev || { echo "Installing energax into $(VENV) (about a minute) ..."; $(PIP) --editable .; }
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing energax and its test tools into $(VENV) (a minute or two) ..."
	@$(PIP) --editable '.[dev]'
	@touch $@

demo: $(VENV)/.demo  ## Train an energy on real digits, sample it, measure log Z, write the report.
	$(BIN)/energax train digits

test: $(VENV)/.dev  ## Run the whole test suite.
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

graphs: $(VENV)/.dev  ## Install torch and torch-geometric too, so that their tests run.
	@$(PIP) $(GRAPHS)

slow: $(VENV)/.dev  ## Run the tests that take minutes.
	ENERGAX_TEST_XLA_AS_USERS=1 $(BIN)/python -m pytest -m slow

check: $(VENV)/.dev  ## Lint, format, types, layers.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev  ## Build the documentation, warnings as errors.
	$(BIN)/python docs/generate_methods.py
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

lock: $(VENV)/.dev  ## Renew the pinned versions (3.11 to 3.13, every platform, no host names).
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --extra gpu --no-annotate --no-header --upgrade pyproject.toml -o constraints.txt
	printf '%s\n' $(GRAPHS) >> constraints.txt

bench: $(VENV)/.dev  ## Run energax's half of the benchmarks.
	$(BIN)/python benchmarks/bench_samplers.py
	$(BIN)/python benchmarks/bench_training.py
	$(BIN)/python benchmarks/bench_conv.py
	$(BIN)/python benchmarks/bench_gebm.py

clean:  ## Remove the environment and every build product.
	rm -rf $(VENV) build dist docs/_build docs/api/generated .pytest_cache .mypy_cache .ruff_cache
