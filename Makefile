# Needs make, git and a Python 3.11 to 3.13; everything else is installed into .venv.
# `make PYTHON=/path/to/python3.12` chooses the interpreter.

SUPPORTED := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# Names are tried by running them: a version manager's shim may be on PATH and still fail.
ifndef PYTHON
PYTHON := $(shell for name in python3 python3.13 python3.12 python3.11; do \
	"$$name" -c '$(SUPPORTED)' 2>/dev/null && echo "$$name" && break; done)
endif
PORT ?= 5000
TEST_WORKERS ?= 2
ARGS ?=
STUDY ?=

# The commands of dvc.yaml say `python`, so .venv comes first. It is set for each command and not
# for all of make, which would hide the interpreter that .venv itself is made from.
VENV := PATH="$$PWD/.venv/bin:$$PATH"
# Likewise in the folder of a study: STUDY=goal is studies/goal, none is the root.
FOLDER := "./$${STUDY:+studies/$$STUDY}"
IN := cd $(FOLDER) && PATH="$$OLDPWD/.venv/bin:$$PATH"
PIP := .venv/bin/python -m pip --disable-pip-version-check install -qq
TEST := $(VENV) PYTEST_ADDOPTS="$$ARGS" python -m pytest -n "$$TEST_WORKERS" --dist worksteal

# What the user says reaches commands as variables of their environment: neither make nor the shell
# reads more out of it than words.
override ARGS := $(value ARGS)
override CELL := $(value CELL)
override FILE := $(value FILE)
override PORT := $(value PORT)
override PYTHON := $(value PYTHON)
override STUDY := $(value STUDY)
override TEST_WORKERS := $(value TEST_WORKERS)
export ARGS CELL FILE PORT PYTHON STUDY TEST_WORKERS
# A shell reads these in the path of a script's interpreter, and a colon splits PATH.
ifneq ($(strip $(foreach each,: " $$ ` \,$(findstring $(each),$(CURDIR)))),)
$(error expected a checkout whose path has none of : " $$ ` \, received $(CURDIR); move it)
endif

export TF_CPP_MIN_LOG_LEVEL ?= 3
# Nothing here reports to anyone.
export DO_NOT_TRACK = 1
export MLFLOW_DISABLE_TELEMETRY = true
export DVC_NO_ANALYTICS = true
export PYRIGHT_PYTHON_IGNORE_WARNINGS = true
export NO_MKDOCS_2_WARNING = true

.DEFAULT_GOAL := help
.PHONY: help folder install study pull experiments watch test check bench ui dashboard docs results \
	tables schema lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

folder:
	@test -d $(FOLDER) || { echo >&2 "error: STUDY: expected one of $$(echo $$(ls studies)), \
	received $$STUDY"; exit 1; }

install: .venv/.installed ## install all into .venv, which the other targets do by themselves

study: .venv/.installed folder ## run the study, or what of it is out of date ([STUDY=goal] ARGS="--force report")
	$(IN) pamdp study $$ARGS

pull: .venv/.installed folder ## take the commit's results from its DVC remote instead of computing them
	$(IN) dvc pull $$ARGS
	@echo "The report: "$(FOLDER)"/metrics/report/index.html"

# Cells are told apart by dashes and files by slashes, which no setting has in its name: what is left
# are the best cell of each environment, and the settings that differ. Lists would be as wide as all
# the rest; `dvc params diff` has them.
experiments: .venv/.installed folder ## compare experiments: the best cells and the settings that differ
	$(IN) dvc exp show --only-changed --keep 'best[.]' \
		--drop '.*[-/]|study[.]|tuning[.](seeds|space|enqueue)' $$ARGS

watch: .venv/.installed folder ## watch a policy: make watch CELL=platform-mpdqn-inverting [FILE=film.mp4]
	@test -n "$$CELL" || { echo >&2 "error: expected a cell, received none: make watch \
	CELL=platform-mpdqn-inverting"; exit 1; }
	$(IN) pamdp watch "$$CELL" $(if $(FILE),--file "$$FILE") $$ARGS

test: .venv/.installed ## run all tests (ARGS="-k name" for some)
	$(TEST)

check: .venv/.installed ## what CI runs: style, types, import contracts, tests
	$(VENV) ruff check
	$(VENV) ruff format --check
	$(VENV) pyright
	$(VENV) lint-imports
	$(VENV) pylint src benchmarks
	$(TEST)

bench: .venv/.installed ## measure speed and memory (JAX's and PyTorch's too, with the extra `bench`)
	$(VENV) python -m benchmarks.run $$ARGS

ui: .venv/.installed folder ## browse the runs in MLflow, the best cell first (PORT=5000)
	$(IN) pamdp ui --port "$$PORT"

# Not with --quiet, which lets broken links pass.
docs: .venv/.installed ## write the documentation site to site/
	$(VENV) mkdocs build
	@echo "The site: $$PWD/site/index.html (with its search: python -m http.server -d site)"

dashboard: .venv/.installed folder ## browse the searches in Optuna's dashboard (PORT=5000)
	@test -n "$$PAMDP_OPTUNA_STORAGE" || test -f $(FOLDER)/optuna.db || { echo >&2 "error: expected \
	optuna.db, which a search writes, found none; run \`make study\`"; exit 1; }
	$(IN) optuna-dashboard --host 127.0.0.1 --port "$$PORT" \
		"$${PAMDP_OPTUNA_STORAGE:-sqlite:///optuna.db}"

results: .venv/.installed ## write docs/results.md from what the studies have in their results/
	$(VENV) python -m docs.results

tables: .venv/.installed ## write the tables of docs/strategies.md and docs/algorithms.md
	$(VENV) python docs/tables.py

schema: .venv/.installed ## write params.schema.json, the editor's help for params.yaml
	$(VENV) python -m pamdp.schema

lock: ## pin the dependencies of pyproject.toml in requirements.lock (ARGS=--upgrade for newer ones)
	tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && "$$PYTHON" -m venv "$$tools" && \
	"$$tools/bin/python" -m pip --disable-pip-version-check install -qq uv && \
	"$$tools/bin/uv" pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
		--generate-hashes --no-header --group dev --extra study --extra deploy --extra ray \
		--output-file requirements.lock $$ARGS pyproject.toml

# setuptools comes first, from the same lock, so that source distributions are built with that
# version of it (--no-build-isolation) and not with whatever is newest that day.
.venv/.installed: requirements.lock pyproject.toml
	@"$$PYTHON" -c '$(SUPPORTED)' 2>/dev/null || { echo >&2 "error: pamdp needs Python 3.11, 3.12 \
	or 3.13 with its venv module; found $${PYTHON:-none on PATH}. Install one, or name it: make \
	PYTHON=/path/to/python3.12"; exit 1; }
	@echo "Installing requirements.lock into .venv (3 GB on disk, some minutes the first time)"
	"$$PYTHON" -m venv .venv
	awk '/^setuptools==/, !/\\$$/' requirements.lock > .venv/build.lock
	$(PIP) --require-hashes -r .venv/build.lock
	$(PIP) --require-hashes --no-build-isolation -r requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
