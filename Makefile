# `make help` lists the targets. Requires only Python 3.11 or newer and pip.

PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin

# With external servers or providers, the packages of the embedded ones are not needed.
ifneq ($(and $(DATABASE_URL),$(REDIS_URL)),)
SERVERS := production-ocr
else
SERVERS := embedded
endif
ifneq ($(filter 0 no off false,$(LOCAL_MODELS)),)
NEEDED := $(SERVERS)
else ifneq ($(DEMO_PROVIDER_BASE_URL),)
NEEDED := $(SERVERS)
else
NEEDED := local
endif

.DEFAULT_GOAL := help
.PHONY: help run test test-browser lint lock bench bench-retrieval bench-search clients fuzz reliability

help: ## List the targets
	@echo "make run     run a gateway with a demo tenant on PORT (default: 8000) until Ctrl-C"
	@echo "             LOCAL_MODELS=0: without local models and their download"
	@echo "             DEMO_PROVIDER_BASE_URL, DEMO_PROVIDER_API_KEY: use this provider instead of local models"
	@echo "             DATABASE_URL, REDIS_URL: use external servers instead of embedded ones"
	@echo "             GTAPI_HOME: the data directory (default: var/)"
	@echo "make test    run all tests on a private PostgreSQL and Redis; ARGS: arguments of pytest,"
	@echo "             PROCESSES: number of parallel processes (default: 2)"
	@echo "make test-browser  test the admin in a headless Chromium (CHROMIUM, default: /usr/bin/chromium)"
	@echo "make lint    run ruff, mypy, the check for missing migrations and the prose check"
	@echo "make fuzz    send 10,000 random requests generated from the OpenAPI description; CASES: another number"
	@echo "make reliability  kill workers, stop Redis, fill the queue, search 1,000 times (several minutes)"
	@echo "make bench   measure the cost of a request; ARGS: arguments of the benchmark"
	@echo "make bench-retrieval  measure the quality of vector, full-text and hybrid search"
	@echo "make bench-search  measure search latency by number of chunks"
	@echo "make clients test real clients against a gateway and write docs/compatibility.md;"
	@echo "             ARGS=--list: list them, ARGS=\"--only NAME\": test one, ARGS=--help: all options"
	@echo "make lock    update requirements/ from pyproject.toml; ARGS=--upgrade: newest versions"

run: $(VENV)/.$(NEEDED)
	@exec $(BIN)/python manage.py run

# Several pytest processes, each with private servers.
test: $(VENV)/.dev
	@exec $(BIN)/python -m pytest -n $(or $(PROCESSES),2) --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy manage.py gtapi tenants files inference local_models
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m tests.prose

test-browser: $(VENV)/.dev
	@exec $(BIN)/python -m pytest -m browser tests/admin/test_browser.py $(ARGS)

fuzz: $(VENV)/.dev
	@FUZZ_CASES=$(or $(CASES),10000) exec $(BIN)/python -m pytest tests/openapi/test_fuzz.py $(ARGS)

reliability: $(VENV)/.dev
	@exec $(BIN)/python -m pytest -m slow tests/reliability tests/files/test_search_isolation.py $(ARGS)

bench: $(VENV)/.dev
	@exec $(BIN)/python benchmarks/run.py $(ARGS)

bench-retrieval: $(VENV)/.dev
	@exec $(BIN)/python benchmarks/retrieval/run.py $(ARGS)

bench-search: $(VENV)/.dev
	@exec $(BIN)/python benchmarks/search_scale.py $(ARGS)

clients: $(VENV)/.dev
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	@exec $(BIN)/python clients/run.py $(ARGS)

lock: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet uv
	cd requirements && $(LOCK) --extra embedded --extra local --extra ocr --extra s3 --extra dev -o dev.txt
	cd requirements && $(LOCK) -c dev.txt --extra embedded --extra local --extra ocr -o local.txt
	cd requirements && $(LOCK) -c dev.txt --extra embedded --extra ocr -o embedded.txt
	cd requirements && $(LOCK) -c dev.txt -o production.txt
	cd requirements && $(LOCK) -c dev.txt --extra s3 -o production-s3.txt
	cd requirements && $(LOCK) -c dev.txt --extra ocr -o production-ocr.txt

LOCK := UV_CUSTOM_COMPILE_COMMAND="make lock" ../$(BIN)/uv pip compile --quiet ../pyproject.toml \
	--python-version 3.11 --generate-hashes $(ARGS)

# One stamp file per set of packages: a set is reinstalled only when its lock file has changed. If the environment
# has no pip, as on Debian without python3-venv, the system's pip is used.
$(VENV)/.%: requirements/%.txt | $(BIN)/python
	@echo "Installing the packages of $< into $(VENV) (once; takes up to a minute)"
	@if $(BIN)/python -m pip --version >/dev/null 2>&1; then pip="$(BIN)/python -m pip"; \
	else pip="$(PYTHON) -m pip --python $(BIN)/python"; fi; \
	$$pip install --quiet --quiet --disable-pip-version-check --no-input --require-hashes --no-deps -r $< || { \
	echo "Some packages could not be installed; see the output of pip above. If one does not support this machine," >&2; \
	echo "set LOCAL_MODELS=0 (no local models), or DATABASE_URL and REDIS_URL (external servers)." >&2; \
	exit 1; }
	@touch $@ $(addprefix $(VENV)/.,$(INCLUDED_$*))

# Sets that are installed as part of another set.
INCLUDED_dev := local embedded production-ocr production
INCLUDED_local := embedded production-ocr production
INCLUDED_embedded := production-ocr production
INCLUDED_production-ocr := production

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is required, but was not found." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || $(PYTHON) -m venv --without-pip $(VENV) || { \
	echo "Could not create a virtual environment in $(VENV). Install python3-venv." >&2; exit 1; }
