# The verbs of everyday work. Everything happens in a virtual environment of this checkout.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TEST_WORKERS ?= auto

.PHONY: demo dev test check format bench bench-transfer bench-scale docs clean

demo: $(VENV)/.installed
	@$(BIN)/audio-compressor demo

dev: $(VENV)/.installed
	@$(BIN)/audio-compressor demo --serve

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(TEST_WORKERS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.night --json bench.json $(BENCH)

bench-transfer: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.sftp_download $(BENCH)

bench-scale: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.scale $(BENCH)

docs: $(VENV)/.installed-dev
	$(BIN)/python -m audio_compressor.reference

clean:
	rm -rf $(VENV) .demo bench.json build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say which with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "This Python cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.installed: setup.py pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV); this takes a minute or two"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.installed-dev: setup.py pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV); this takes a minute or two"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed
