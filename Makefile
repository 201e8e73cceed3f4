# Two commands on a fresh machine: `make demo` and `make test`. Everything else is for those who work on the house.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS ?= dev,ray,postgres,second-opinion
STAMP := $(VENV)/.installed

.PHONY: demo test lint bench screenshots clean env
.DEFAULT_GOAL := help

help:            ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

env: $(STAMP)    ## the environment in .venv, with everything installed
$(STAMP): pyproject.toml constraints.txt setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "facewitness needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@mkdir -p .dev/facewitness
	@ln -sfn $(CURDIR)/src/facewitness/* .dev/facewitness/
	@for room in generator detector provenance dashboard datasets; do ln -sfn $(CURDIR)/$$room .dev/facewitness/$$room; done
	@touch $@

demo: env        ## footage in, a labelled reenactment, its proof, its detection: out/demo/report.html
	$(BIN)/facewitness demo --out out/demo

test: env        ## every test (set FACEWITNESS_CLIPS to a folder of real clips to run those that need them)
	$(BIN)/python -m pytest -q

lint: env        ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy -p bench --explicit-package-bases

bench: env       ## the side-by-side measurements that are too slow for tests
	$(BIN)/facewitness bench all

screenshots: env ## every page of the dashboard, light and dark, on the demo's results
	$(BIN)/python -m bench.screenshots

clean:           ## remove what make made
	rm -rf $(VENV) .dev out
