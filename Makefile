# Everything one does with this checkout. `make` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The lock files hold everything a build needs, and nothing is built from elsewhere.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# A test starts hundreds of processes, and none should compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

SECONDS ?= 60
SEED ?= 1
FAULTS := .faults

.PHONY: help install install-dev run test model faults fuzz bench docs docs-reporting check audit fmt lock screenshots clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(VENV)/.runtime ## make .venv from the locked requirements (again only when they change)

install-dev: $(VENV)/.dev ## the same with what development needs

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(VENV)/bin/python
	$(INSTALL) --require-hashes -r requirements/runtime.txt
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

run: install ## start everything on port JOBHUB_PORT (8000), data in .jobhub/, settings from .env; Ctrl-C ends it
	@if [ -f .env ]; then set -a; . ./.env; set +a; fi; exec $(BIN)/jobhub up

BROWSER_TESTS := tests/browser

# Without npm the tests of accessibility are skipped, and say why.
$(BROWSER_TESTS)/node_modules/.package-lock.json: $(BROWSER_TESTS)/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix $(BROWSER_TESTS) --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@; fi

screenshots: install-dev ## take the pictures of docs/images/ anew, of a running `jobhub up` (needs Chromium)
	$(BIN)/python -m tests.browser.screenshots docs/images

test: install-dev $(BROWSER_TESTS)/node_modules/.package-lock.json ## run every test on servers of their own; ARGS="-k cancel" chooses
	$(BIN)/python -m pytest -n 3 --dist loadgroup --durations=15 $(ARGS)

model: install-dev ## compare the statements with the model in EXAMPLES random programs (1000), and find every mutant
	JOBHUB_MODEL_EXAMPLES=$${EXAMPLES:-1000} $(BIN)/python -m pytest -n 2 tests/model $(ARGS)

faults: install-dev ## kill, cut, starve and restart everything; then a random mix: SECONDS=600 SEED=7; its table is for docs/reliability.md
	@rm -f $(FAULTS)
	FAULTS_FIGURES=$(FAULTS) FAULTS_SECONDS=$(SECONDS) FAULTS_SEED=$(SEED) \
		$(BIN)/python -m pytest tests/faults -m "faults or faults_long" -s $(ARGS); \
		status=$$?; $(BIN)/python -m tests.faults.figures $(FAULTS) || exit 1; exit $$status

$(VENV)/.bench: requirements/bench.txt $(VENV)/.runtime
	$(INSTALL) --require-hashes -r requirements/bench.txt
	@touch $@

NODE_PEERS := bench/peers/node

# Without npm its peers are named as missing.
$(NODE_PEERS)/node_modules/.package-lock.json: $(NODE_PEERS)/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix $(NODE_PEERS) --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@; fi

fuzz: install-dev ## let schemathesis send EXAMPLES requests (100) to every operation, as user and as administrator
	JOBHUB_FUZZ_EXAMPLES=$${EXAMPLES:-100} $(BIN)/python -m pytest -n 2 tests/contract/test_fuzz.py $(ARGS)

bench: $(VENV)/.bench $(NODE_PEERS)/node_modules/.package-lock.json ## measure what the documents claim about speed (bench/README.md); QUICK=1, ARGS="--only drain"
	$(BIN)/python -m bench --markdown bench-report.md $(if $(QUICK),--quick) $(ARGS)

docs-reporting: install-dev ## make docs/reporting.md anew from its template, the comments of the views and the headers of the reports
	$(BIN)/python -m tests.contract.reporting_page

check: install-dev ## format, lint, types, layers, SQL, links and the site
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/squawk sql/migrations/*.sql
	$(BIN)/python -m sphinx -W --keep-going -q -E -b html docs dist/docs
	$(BIN)/python docs/check_links.py

docs: install-dev ## build the documentation site into dist/docs, without a network
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs dist/docs
	@echo dist/docs/index.html

audit: ## look for known vulnerabilities in the locked requirements (needs pip-audit); fails too where one can't be looked up
	pip-audit --strict --disable-pip --require-hashes -r requirements/runtime.txt

fmt: install-dev ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: install-dev ## resolve the requirements anew (needs uv)
	uv pip compile pyproject.toml --extra embedded --extra dev $(LOCK) -o requirements/dev.txt
	uv pip compile pyproject.toml --extra embedded --extra build $(LOCK) -c requirements/dev.txt -o requirements/runtime.txt
	uv pip compile pyproject.toml --extra embedded --extra build --extra bench $(LOCK) -c requirements/dev.txt -o requirements/bench.txt

LOCK := --universal --generate-hashes --python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links --quiet

clean: ## remove what was made here, except data in .jobhub/
	rm -rf $(VENV) $(NODE_PEERS)/node_modules $(BROWSER_TESTS)/node_modules bench-report.md $(FAULTS) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist
