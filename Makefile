# make run: the quick experiment, from nothing. make test: the tests, without any file of others. make test-data: those that read the files of
# others, from COLORFAST_MIRROR or the network. make docs, make package: site/ and dist/. All set up .venv first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Without a GPU the pinned release below is installed first, so that a CPU build on the machine, or in an index that
# TORCH_INDEX names, is taken; with one, pip brings the CUDA build.
GPU         := $(shell command -v nvidia-smi 2>/dev/null)
TORCH       ?= $(if $(GPU),,torch==2.13.0)
TORCH_INDEX ?=
EXPERIMENT  ?= quick
TESTS       ?= 2# tests beside each other

.PHONY: run test test-data test-versions slow lint check docs package bench clean

run: $(BIN)/colorfast
	$(BIN)/colorfast run $(EXPERIMENT)

test: $(BIN)/.dev
	$(BIN)/python -m pytest -q -n $(TESTS) --dist worksteal -m "not slow and not data"

test-data: $(BIN)/.dev
	$(BIN)/python -m pytest -q -n $(TESTS) --dist worksteal -m data

slow: $(BIN)/.dev
	$(BIN)/python -m pytest -q -n $(TESTS) --dist worksteal -m slow

test-versions: $(BIN)/.dev
	VENV=$(VENV) .ci/versions

lint: $(BIN)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check: lint test

docs: $(BIN)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

package: $(BIN)/.release
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*

bench: $(BIN)/.dev $(BIN)/.bench # kills.py borrows the tests' tiny model
	for script in bench/*.py; do PYTHONPATH=tests $(BIN)/python $$script || exit 1; done

comma := ,
# Sizes are of wheels for Linux on x86, times of two cores with a fast connection: pip itself stays quiet, unless it fails.
pip = $(BIN)/python -m pip install --quiet

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("colorfast needs Python 3.11 or newer: make PYTHON=python3.12 run" if sys.version_info < (3, 11) else 0)'
	@echo "Making a virtual environment in $(VENV) (nothing to download, about 10 seconds) ..."
	@$(PYTHON) -m venv $(VENV)
	$(if $(TORCH),@echo "Installing PyTorch: $(TORCH) (190 MB, about 1 minute; 3 GB where there is no CPU build: see TORCH_INDEX) ...")
	$(if $(TORCH),@$(pip) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) "$(TORCH)")

$(BIN)/colorfast: $(BIN)/python pyproject.toml
	@echo "Installing colorfast and its libraries ($(if $(TORCH),200 MB$(comma) about 2 minutes,PyTorch with CUDA among them: 3.2 GB$(comma) several minutes)) ..."
	@$(pip) --editable .
	@touch $@

$(BIN)/.dev: $(BIN)/colorfast
	@echo "Installing what tests and linters need (100 MB, about 1 minute) ..."
	@$(pip) --editable ".[dev]"
	@touch $@

$(BIN)/.docs: $(BIN)/colorfast
	@echo "Installing what builds the pages (30 MB, about 1 minute) ..."
	@$(pip) --editable ".[docs]"
	@touch $@

$(BIN)/.release: $(BIN)/colorfast
	@echo "Installing what builds and checks a package (10 MB, less than a minute) ..."
	@$(pip) --editable ".[release]"
	@touch $@

$(BIN)/.bench: $(BIN)/colorfast
	@echo "Installing lm-evaluation-harness to compare with (30 MB, about 1 minute) ..."
	@$(pip) --editable ".[bench]"
	@touch $@

clean:
	rm -rf $(VENV) site dist .pytest_cache .ruff_cache .mypy_cache
