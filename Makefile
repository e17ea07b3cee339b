# The verbs of everyday work. Everything happens in a virtual environment of this checkout.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TEST_WORKERS ?= auto
FUZZ_SECONDS ?= 60
# One lock for every platform and Python that is supported; no index is noted, so that any will do.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

.PHONY: demo demo-tracks demo-library dev test test-long soak check format bench bench-transfer bench-scale bench-tracks docs fuzz lock audit clean

demo: $(VENV)/.installed
	@$(BIN)/audio-compressor demo

demo-tracks: $(VENV)/.installed
	@$(BIN)/audio-compressor demo --tracks --serve

demo-library: $(VENV)/.installed
	@$(BIN)/audio-compressor demo --library

dev: $(VENV)/.installed
	@$(BIN)/audio-compressor demo --serve

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal

test-long: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal -m long

soak: $(VENV)/.installed-dev
	$(BIN)/python -m audio_compressor_tests.soak $(SOAK)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.night --json bench.json $(BENCH)
	$(BIN)/python -m benchmarks.tracks speed coders

bench-transfer: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.sftp_download $(BENCH)

bench-scale: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.scale $(BENCH)

bench-tracks: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.tracks $(BENCH)

fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS) $(FUZZ)

# The newest versions that setup.py allows; without UPGRADE, what is locked stays where it still fits.
lock: $(VENV)/.installed-dev
	$(LOCK) --output-file requirements.lock setup.py
	$(LOCK) --extra dev --output-file requirements-dev.lock --constraint requirements.lock setup.py
	$(LOCK) --extra demo --no-annotate --constraint requirements-dev.lock \
		$$(sed -n 's/^\([a-z0-9._-]*\)==.*/--no-emit-package=\1/p' requirements.lock) \
		--output-file requirements-demo.lock setup.py
	echo 'setuptools>=77' | $(LOCK) --no-annotate --output-file requirements-build.lock -

audit: $(VENV)/.installed-dev
	$(BIN)/python .ci/audit requirements-dev.lock

docs: $(VENV)/.installed-dev
	$(BIN)/python -m audio_compressor.reference

clean:
	rm -rf $(VENV) .demo bench.json build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say which with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "This Python cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.installed: setup.py pyproject.toml requirements.lock requirements-demo.lock | $(VENV)/bin/python
	@echo "Installing into $(VENV); this takes a minute or two"
	@$(INSTALL) --no-deps --require-hashes --requirement requirements.lock --requirement requirements-demo.lock
	@$(INSTALL) --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: setup.py pyproject.toml requirements-dev.lock | $(VENV)/bin/python
	@echo "Installing into $(VENV); this takes a minute or two"
	@$(INSTALL) --no-deps --require-hashes --requirement requirements-dev.lock
	@$(INSTALL) --no-deps --editable .
	@touch $@ $(VENV)/.installed
