# `make help` lists the targets. Every target makes what it needs: nothing has to be installed first
# but Python 3.11 or newer, and make. Uses uv where it is there, venv and pip where it isn't.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
# What the tests are installed with: all that can be had for the interpreter.
EXTRAS ?= test,jwt,otel
PARALLEL := -n auto --maxprocesses 4 --dist loadfile -m "not alone"

# What `make fuzz` gives bytes to, and for how long.
TARGETS ?= parser query batch
SECONDS ?= 60

# The free-threaded interpreter: give PYTHON_FREETHREADED, or have one on PATH, or have uv fetch one.
PYTHON_FREETHREADED ?= $(shell command -v python3.14t || command -v python3.13t || echo 3.14t)

UV := $(shell command -v uv)
ifneq ($(UV),)
MAKE_VENV = uv venv -q --python "$(PYTHON)" "$(VENV)"
INSTALL = uv pip install -q --python $(BIN)/python
else
MAKE_VENV = "$(PYTHON)" -m venv "$(VENV)"
INSTALL = $(BIN)/python -m pip install -q --disable-pip-version-check
endif

.DEFAULT_GOAL := help
.PHONY: help serve test faults test-freethreaded soak deploy-checks deploy-lock model fuzz fuzz-api lint format types bench bench-peers bench-threads bench-check docs docs-serve clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(VENV)/.installed ## install into .venv, and serve on 127.0.0.1:8080 (ARGS="--port 9000" on another port)
	@exec $(BIN)/leveret serve $(ARGS)

test: $(VENV)/.installed-test ## run all the tests but those that need the machine for themselves
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

faults: $(VENV)/.installed-test ## the tests that need the machine for themselves, one after another
	$(BIN)/python -m pytest -m alone $(ARGS)

# Without an interpreter that is free-threaded and without uv, which fetches one, there is none to be had.
FREETHREADED = command -v uv >/dev/null || command -v "$(PYTHON_FREETHREADED)" >/dev/null || { \
	echo "there is no free-threaded Python on PATH: say PYTHON_FREETHREADED=/where/it/is/python3.14t, or install uv, which fetches one" >&2; exit 2; }

test-freethreaded: ## run all the tests on a free-threaded Python, with the GIL verified off
	@$(FREETHREADED)
	@$(MAKE) --no-print-directory VENV=.venv-freethreaded PYTHON="$(PYTHON_FREETHREADED)" EXTRAS=test,otel .venv-freethreaded/.installed-test
	PYTHON_GIL=0 .venv-freethreaded/bin/python -c "import sys, uvloop, httptools; assert not sys._is_gil_enabled(), 'the GIL is on'; print('GIL off:', sys.version)"
	PYTHON_GIL=0 .venv-freethreaded/bin/python -m pytest $(PARALLEL) $(ARGS)

soak: $(VENV)/.installed-test ## the trials in their long form, which takes hours; writes docs/reliability.md (ARGS="kill power" runs some, ARGS=--list lists them)
	@$(BIN)/python tests/soak $(ARGS)

deploy-checks: $(VENV)/.installed-deploy ## what is in deploy/, by the tools of each; and proxies, where they are installed
	$(BIN)/python -m pytest tests/test_deploy.py tests/test_proxies.py tests/test_dashboard.py $(ARGS)

deploy-lock: $(VENV)/.installed-deploy ## the versions in the image, written anew
	$(BIN)/uv pip compile pyproject.toml --extra jwt --upgrade --universal --python-version 3.14 --generate-hashes --quiet --custom-compile-command 'make deploy-lock' -o deploy/requirements.txt
	echo hatchling | $(BIN)/uv pip compile - --upgrade --no-annotate --python-version 3.14 --generate-hashes --quiet --custom-compile-command 'make deploy-lock' -o deploy/build-requirements.txt

model: $(VENV)/.installed-test ## a hundred thousand steps of every store, and of the server over HTTP, beside the reference
	LEVERET_MODEL_STEPS=$${LEVERET_MODEL_STEPS:-100000} $(BIN)/python -m pytest -s tests/model/test_model.py $(ARGS)

fuzz: ## arbitrary bytes to the parsers, a minute each, by atheris in an environment of its own (TARGETS=parser SECONDS=3600 for longer)
	@$(MAKE) --no-print-directory VENV=.venv-fuzz .venv-fuzz/.installed-fuzz
	for target in $(TARGETS); do .venv-fuzz/bin/python tests/fuzz $$target --seconds $(SECONDS) || exit 1; done

fuzz-api: ## 20,000 requests made from the API's description, by schemathesis in an environment of its own
	@$(MAKE) --no-print-directory VENV=.venv-api .venv-api/.installed-api
	.venv-api/bin/python tests/api $(ARGS)

lint: $(VENV)/.installed-lint ## ruff: style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/.installed-lint ## mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/.installed-lint ## mypy, strict
	$(BIN)/mypy

bench: $(VENV)/.installed-test ## measure against the ceiling, and what depth costs; needs wrk (apt-get install wrk)
	$(BIN)/python -m bench $(ARGS)
	$(BIN)/python -m bench.depth
	$(BIN)/python -m bench.depth_on_disk
	$(BIN)/python -m bench.publish
	$(BIN)/python -m bench.guarded
	$(BIN)/python -m bench.tenants
	$(BIN)/python -m bench.start
	$(BIN)/python -m bench.polls
	$(BIN)/python -m bench.footprint

bench-peers: $(VENV)/.installed-bench ## measure against other queues, those that are installed; writes docs/performance.md
	$(BIN)/python -m bench.peers $(ARGS)

bench-threads: ## what a second thread is worth, without sockets, on a free-threaded Python
	@$(FREETHREADED)
	@$(MAKE) --no-print-directory VENV=.venv-freethreaded PYTHON="$(PYTHON_FREETHREADED)" EXTRAS=test,otel .venv-freethreaded/.installed-test
	PYTHON_GIL=0 .venv-freethreaded/bin/python -m bench.threads $(ARGS)

bench-check: $(VENV)/.installed-test ## fail where a request takes 5 % more instructions than committed; needs valgrind (apt-get install valgrind)
	$(BIN)/python -m bench.check $(ARGS)

docs: $(VENV)/.installed-docs ## build the documentation into site/; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs-serve: $(VENV)/.installed-docs ## show the documentation on 127.0.0.1:8001, and again whenever it changes
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --dev-addr 127.0.0.1:8001

clean: ## remove what make made
	rm -rf .venv .venv-freethreaded .venv-api .venv-fuzz .mypy_cache .pytest_cache .ruff_cache build dist site

$(VENV)/.installed: pyproject.toml
	@test -x $(BIN)/python || { echo "installing into $(VENV) ..."; $(MAKE_VENV); }
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@$(INSTALL) -e '.[$(EXTRAS)]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-test
	@$(INSTALL) -e '.[bench]'
	@touch $@

$(VENV)/.installed-lint: $(VENV)/.installed-test
	@$(INSTALL) -e '.[lint]'
	@touch $@

$(VENV)/.installed-deploy: $(VENV)/.installed-test
	@$(INSTALL) -e '.[deploy]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	@$(INSTALL) -e '.[docs]'
	@touch $@

$(VENV)/.installed-fuzz: $(VENV)/.installed
	@$(INSTALL) -e '.[fuzz]'
	@touch $@

$(VENV)/.installed-api: $(VENV)/.installed
	@$(INSTALL) -e '.[api]'
	@touch $@
