# Two commands do everything: `make repro` runs the study of params.yaml, `make test` the test suite.
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help install peers repro test check clean

help:  ## List the commands
	@awk -F ':[^#]*## *' '/^[a-z]+:.*##/ {printf "%-10s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed  ## Create .venv and install from the lock file

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

peers: install  ## Add the extra `peers`: methods of anomalib, for study.methods
	python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-peers.lock

repro: install  ## Run the study of params.yaml, print its table and where everything is
	@clflow study check
	dvc repro
	@clflow study show
	@echo
	@echo "MLflow UI: $(VENV)/bin/mlflow ui --backend-store-uri sqlite:///mlflow.db   then open"
	@echo "  http://127.0.0.1:5000/#/experiments/1?workflowType=machine_learning"

test: install  ## Run the test suite
	OMP_NUM_THREADS=1 pytest --numprocesses 2 --dist loadfile

check: install  ## Lint and type-check
	ruff check .
	ruff format --check .
	mypy

clean:  ## Remove caches that can be made again; data, models and results stay
	rm -rf .clflow .mypy_cache .pytest_cache .ruff_cache .hypothesis
