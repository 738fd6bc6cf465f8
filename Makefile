# Everything starts here, from nothing but python3 (3.11 or newer) and a network. `make help` says what there is.

SHELL   := /bin/sh
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.synced
UV      := uv==0.13.9
WEB     := $(wildcard server/web/*.json server/web/*.ts server/web/*.js server/web/*.html) \
           $(shell find server/web/src server/web/public -type f 2>/dev/null)

# make demo
STATE    ?= .mimamori
SPEED    ?= 1
PORT     ?= 8780
DURATION ?= 0
HEADLESS ?=
# make test, make fuzz
TESTS        ?=
WORKERS      ?= 3
FUZZ_SECONDS ?= 60

# make bench, make bench-core, make soak
JSON  ?=
SMALL ?=
# make soak
MINUTES ?= 10
# make outage
HOURS ?= 72
RATE  ?= 200
SEED    ?=
SPARE   ?=

DEBIAN := chromium dbus tshark fonts-noto-cjk mosquitto ffmpeg openssl
BENCH_DEBIAN  := redis-server postgresql-postgis
BENCH_OPTIONS := $(if $(filter-out 0 false no,$(JSON)),--json) $(if $(filter-out 0 false no,$(SMALL)),--small)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# A proxy of the house is trusted where the system trusts it.
export UV_SYSTEM_CERTS := 1
# Each program of the town is a process, and each would compile its modules anew: two seconds of processor for the API alone.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install demo test debian check bench bench-peers python-peers fuzz soak outage lock clean

help: ## say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo
	@echo "  make demo SPEED=60                   an hour a minute"
	@echo "  make demo DURATION=40 HEADLESS=1     stops by itself; the last line is JSON"
	@echo "  make bench-core JSON=1 SMALL=1       one benchmark, a short run; the last line is JSON"
	@echo "  make soak MINUTES=60 SEED=7 JSON=1   an hour, the same choices each time; the last line is JSON"
	@echo "  make outage HOURS=24 RATE=50 JSON=1  a day at 50 sightings a second; the last line is JSON"
	@echo "  make demo PORT=9000 STATE=/tmp/town  another port, another place"

install: $(STAMP) ## install everything into .venv

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "mimamori needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "This Python cannot make a virtual environment. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(BIN)/uv: | $(BIN)/python
	@echo "installing $(UV)"
	@$(BIN)/python -m pip install --quiet '$(UV)'

$(STAMP): pyproject.toml uv.lock hatch_build.py $(WEB) | $(BIN)/uv
	@echo "installing what uv.lock names, building the web app"
	@$(BIN)/uv sync --frozen --all-extras --inexact --reinstall-package mimamori
	@touch $@

demo: $(STAMP) ## the whole town on this machine; Ctrl-C stops it
	@$(BIN)/mimamori demo --state '$(STATE)' --speed $(SPEED) --port $(PORT) --duration $(DURATION) \
	  $(if $(filter-out 0 false no,$(HEADLESS)),--headless,)

test: $(STAMP) python-peers debian ## all tests; TESTS=tests/wire for some, WORKERS=0 one after the other
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

debian: ## install the Debian packages that tests want, where that is possible
	@sh scripts/debian-packages $(DEBIAN)

check: $(STAMP) ## ruff, mypy --strict, import-linter, svelte-check
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@sh scripts/check-web

bench: $(STAMP) bench-peers ## every figure, each beside its peer
	@for file in bench/bench_*.py; do [ -e "$$file" ] || continue; name=$$(basename "$$file" .py); \
	  echo "== $$name"; $(BIN)/python -m "bench.$$name" $(BENCH_OPTIONS) || exit 1; done

python-peers: $(STAMP)
	@$(BIN)/uv sync --quiet --frozen --all-extras --group bench --inexact --no-install-project

bench-peers: python-peers ## install what the benchmarks compare with, where that is possible
	@sh scripts/debian-packages $(BENCH_DEBIAN)

bench-%: $(STAMP) bench-peers
	@$(BIN)/python -m bench.bench_$* $(BENCH_OPTIONS)

fuzz: $(STAMP) ## the parsers, for FUZZ_SECONDS each
	@$(BIN)/uv run --no-sync --with 'atheris>=3,<4' python tests/fuzz/fuzz_wire.py all -max_total_time=$(FUZZ_SECONDS)

soak: $(STAMP) ## kill -9 at random for MINUTES, then count: nothing lost, nothing twice
	@$(BIN)/python -m tests.system.soak --minutes $(MINUTES) $(SEED:%=--seed %) $(SPARE:%=--spare %) \
	  $(if $(filter-out 0 false no,$(JSON)),--json)

outage: $(STAMP) python-peers ## HOURS without a network at RATE sightings a second, then count: nothing lost
	@$(BIN)/python -m tests.system.outage --hours $(HOURS) --rate $(RATE) $(if $(filter-out 0 false no,$(JSON)),--json)

lock: | $(BIN)/uv ## write uv.lock anew
	@$(BIN)/uv lock --upgrade

clean: ## remove all that was made here: environment, state, builds, caches
	@sh scripts/clean '$(STATE)'
