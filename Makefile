# Frontline Notebooks. `make help` lists the targets.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# make report DATE=2025-01-08 SOURCE=deepstate COMPARE_TO=2024-12-08 ROOT=/path/to/workspace
DATE ?= 2025-01-08
ROOT ?= .
SOURCE ?=
COMPARE_TO ?=
# make site BASE_URL=https://example.org/frontline/
BASE_URL ?=
ACCEPT ?=
PORT ?= 8000
export SOURCE COMPARE_TO BASE_URL ACCEPT

.DEFAULT_GOAL := help
.PHONY: help setup report site serve test lab lint notebooks sample bench gallery crash mutants \
  regress audit docs sbom wheel walk lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The lock has hashes for every package; the project itself is installed from this folder.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed; name one with PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Setting up $(VENV) (once; a minute or two)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@# Python reads these in the locale's encoding; a relative path is ASCII wherever the folder is.
	@for path in $(VENV)/lib/python3*/site-packages/*frontline_notebooks.pth; do echo ../../../../src > "$$path"; done
	@# As pip does for packages: some machines let no command write what it has compiled.
	@$(BIN)/python -m compileall -q src/helpers
	@touch $(STAMP)

setup: $(STAMP) ## set up the environment in .venv

report: $(STAMP) ## make the report of DATE (SOURCE=, COMPARE_TO=, ROOT= are optional)
	@$(BIN)/frontline --root "$(ROOT)" report "$(DATE)" \
	  $${SOURCE:+--source "$$SOURCE"} $${COMPARE_TO:+--compare-to "$$COMPARE_TO"}

site: docs ## build the archive of all reports in site/ (BASE_URL=, ROOT= are optional)
	@$(BIN)/frontline --root "$(ROOT)" site --docs build/docs $${BASE_URL:+--base-url "$$BASE_URL"}

serve: site ## show the archive at http://127.0.0.1:8000 (PORT=)
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory "$(ROOT)/site" "$(PORT)"

test: $(STAMP) ## pass the tests, the committed notebooks among them
	@$(BIN)/python -m pytest -n 2 --dist worksteal
	@$(BIN)/python -m pytest -n 2 --dist loadfile --nbval --nbval-sanitize-with tests/nbval.cfg --nbval-current-env \
	  -W default notebooks

lab: $(STAMP) ## open JupyterLab at the start notebook
	@$(BIN)/jupyter lab $$([ "$$(id -u)" != 0 ] || echo --allow-root) --notebook-dir="$(CURDIR)" notebooks/start.ipynb

lint: $(STAMP) ## check style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

notebooks: $(STAMP) ## run the committed notebooks again and keep their outputs
	@$(BIN)/frontline notebooks

sample: $(STAMP) ## make the embedded sample again from the settlement facts
	@$(BIN)/frontline reconstruct

bench: $(STAMP) ## compare with the plain way, in the same run
	@$(BIN)/python benchmarks/bench_ingest.py
	@$(BIN)/python benchmarks/bench_measures.py
	@$(BIN)/python benchmarks/bench_maps.py
	@$(BIN)/python benchmarks/bench_notebooks.py

gallery: $(STAMP) ## draw every figure in every situation, side by side
	@$(BIN)/python scripts/gallery.py

walk: ## run the tutorial as it is written, in a clean clone, and time each step
	@$(PYTHON) scripts/walk.py

crash: $(STAMP) ## kill every command at a hundred moments and see it made good (some minutes)
	@FRONTLINE_KILLS=100 $(BIN)/python -m pytest -n 2 tests/test_crash.py

mutants: $(STAMP) ## break the measuring rooms in every way and see their tests fail (half an hour)
	@mkdir -p mutants && $(BIN)/mutmut run && $(BIN)/python scripts/mutants.py

regress: $(STAMP) ## compare the numbers of the committed examples with fresh ones (ACCEPT=1 keeps them)
	@$(BIN)/python scripts/regress.py $${ACCEPT:+--accept}

audit: $(STAMP) ## ask for known vulnerabilities of the locked packages
	@$(BIN)/python scripts/audit.py

docs: $(STAMP) ## build the documentation in build/docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --clean

sbom: $(STAMP) ## write the software bill of materials to dist/sbom.cdx.json
	@$(BIN)/python scripts/sbom.py dist/sbom.cdx.json

wheel: $(STAMP) ## build the package in dist/
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w dist .

lock: ## resolve pyproject.toml into requirements.lock and environment.yml (needs uv)
	@scripts/lock.sh

clean: ## remove what can be made again
	@rm -rf data/processed/* reports site build dist mutants .pytest_cache .ruff_cache .mypy_cache .hypothesis
