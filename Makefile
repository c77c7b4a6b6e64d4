# `make help` lists what there is. Nothing but Python 3.11 or newer and pip has to be installed.

PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin

# With servers and models of one's own, their packages are not needed.
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

help: ## What there is
	@echo "make run     serve a gateway with a demo tenant on PORT (8000); Ctrl-C stops all of it"
	@echo "             LOCAL_MODELS=0 leaves out the models of this machine and their download;"
	@echo "             DEMO_PROVIDER_BASE_URL and DEMO_PROVIDER_API_KEY name another provider;"
	@echo "             DATABASE_URL and REDIS_URL name servers to use in place of our own;"
	@echo "             GTAPI_HOME is where the data goes (var/)"
	@echo "make test    the whole suite, on a PostgreSQL and a Redis of its own; ARGS goes to pytest,"
	@echo "             PROCESSES (2) says how many of them share the work"
	@echo "make test-browser  click through the admin in a headless Chromium (CHROMIUM, or /usr/bin/chromium)"
	@echo "make lint    ruff, mypy, missing migrations"
	@echo "make fuzz    10,000 requests made up from the API's description; CASES=N makes it another number"
	@echo "make reliability  kill workers, stop Redis, crowd the queue, search 1,000 times: some minutes, with a table"
	@echo "make bench   measure what a request costs; ARGS goes to the benchmark"
	@echo "make bench-retrieval  measure what search finds, by vectors, by words and by both"
	@echo "make bench-search  measure how long search takes as chunks grow"
	@echo "make clients install real clients, check each against a gateway, write docs/compatibility.md;"
	@echo "             ARGS=--list says which, ARGS=\"--only NAME\" checks one, ARGS=--help says what else"
	@echo "make lock    write requirements/ anew from pyproject.toml; ARGS=--upgrade takes the newest of all"

run: $(VENV)/.$(NEEDED)
	@exec $(BIN)/python manage.py run

# Several pytest processes, each with servers of its own.
test: $(VENV)/.dev
	@exec $(BIN)/python -m pytest -n $(or $(PROCESSES),2) --no-loadscope-reorder $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy manage.py gtapi tenants files inference local_models
	$(BIN)/python manage.py makemigrations --check --dry-run

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

# One stamp a set of packages: a set is installed again only when its lock has changed. Where the environment
# cannot bring a pip of its own, as on a Debian without python3-venv, the system's pip fills it.
$(VENV)/.%: requirements/%.txt | $(BIN)/python
	@echo "Installing the packages of $< into $(VENV) (once; a few tens of seconds)"
	@if $(BIN)/python -m pip --version >/dev/null 2>&1; then pip="$(BIN)/python -m pip"; \
	else pip="$(PYTHON) -m pip --python $(BIN)/python"; fi; \
	$$pip install --quiet --quiet --disable-pip-version-check --no-input --require-hashes --no-deps -r $< || { \
	echo "The packages could not be installed; pip says why above. Where one has no build for this machine:" >&2; \
	echo "LOCAL_MODELS=0 does without the models, DATABASE_URL and REDIS_URL without our own servers." >&2; \
	exit 1; }
	@touch $@ $(addprefix $(VENV)/.,$(INCLUDED_$*))

# A set that is part of another one is installed with it.
INCLUDED_dev := local embedded production-ocr production
INCLUDED_local := embedded production-ocr production
INCLUDED_embedded := production-ocr production
INCLUDED_production-ocr := production

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || $(PYTHON) -m venv --without-pip $(VENV) || { \
	echo "No environment could be made in $(VENV): install python3-venv." >&2; exit 1; }
