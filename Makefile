# Thin on purpose: each target is a line or two; the logic lives in the packages.
VENV ?= .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PYTHON ?= python3
SOURCES := bootloader_spec firmware differ cloud host_sim boards bench driblet tests
export PYTHONPATH := bootloader_spec:firmware:differ:cloud:host_sim:boards:.

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.stamp: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name it like this: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m otaboards.venv $(VENV)
	@echo "installing the pinned packages into $(VENV) (half a minute, 500 MB)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# htmx makes the console's pages live; it is not ours, so it is fetched and never committed.
HTMX := cloud/otacloud/console/static/vendor/sse.js
$(HTMX): cloud/otacloud/console/vendor.py | $(VENV)/.stamp
	@$(PY) -m otacloud.console.vendor
	@touch $@

setup: $(VENV)/.stamp $(HTMX)  ## virtual environment with everything pinned

# KEEP=1 leaves everything running; BAD=self-test|import|hang|hang-late|offline; OLD=old.bin NEW=new.bin
demo: setup  ## the main job, from two releases to three confirmed boards
	@$(BIN)/driblet demo $(if $(KEEP),--keep) $(if $(BAD),--bad "$(BAD)") \
	  $(if $(OLD),--old "$(OLD)") $(if $(NEW),--new "$(NEW)")

lint: setup  ## style, types, import directions
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint  ## the fast part: lint and the quick tests (<= 60 s)
	$(BIN)/pytest -n 2 -rs -m "not slow and not story and not mcu"

# N: processes side by side; LAST=1: only what failed the last time
N ?= 3
test: setup  ## the whole suite, power cuts at every operation included (25 minutes on two cores)
	$(BIN)/pytest -n $(N) --dist worksteal -rfEs $(if $(LAST),--lf --lfnf=none) -m "not story and not mcu"

story: setup  ## a browser and simulated boards: the whole story, docs/screenshots (<= 4 minutes; UPDATE=1 its figures)
	$(BIN)/pytest -n 0 -s -m story tests/story

prove: setup  ## the long proof (<= 90 minutes, goes on where it was stopped): docs/reliability.md
	$(PY) -m driblet.reliability $(if $(ONLY),--only "$(ONLY)")

# SEED=n tries another life
soak: setup  ## thirty simulated days of a board: rollouts, a bad network, power cuts (<= 5 minutes)
	$(PY) -m driblet.soak $(if $(SEED),--seed $(SEED))

mutation: setup  ## which tests fail without each boot rule: docs/mutation.md
	$(PY) -m tests.spec.mutation

fuzz: setup  ## over a million mutated patches over the decoders (20 minutes); FUZZ="count seed"
	$(PY) -m tests.spec.fuzz $(FUZZ)

fix: setup  ## format and repair what can be repaired
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

docs: setup  ## write the reference pages that are generated
	$(PY) -m driblet.docs

lock: setup  ## resolve pyproject.toml's requirements anew into requirements.lock
	$(PY) -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --all-extras --strip-extras --no-emit-index-url --no-emit-trusted-host \
	  --no-emit-find-links --no-header --no-annotate --allow-unsafe --output-file requirements.lock pyproject.toml

bench: setup build/bench/.stamp  ## patch sizes over CORPUS_DIR, ours and other tools'
	$(PY) -m bench.run build/bench/bin/python

bench-cloud: setup  ## the cloud beside a bare endpoint (4 minutes): docs/benchmarks/cloud.md
	$(PY) -m bench.cloud

fleet: setup  ## 1,000 boards take a release over HTTP while the cloud is killed: docs/benchmarks/fleet.json
	$(PY) -m tests.cloud.fleet

fleet-boards: setup  ## 300 boards as real MicroPython processes take a rollout: docs/benchmarks/boards.json
	$(PY) -m bench.boards

# UPDATE=1 writes docs/benchmarks/mcu.json anew
mcu: setup  ## verifier and decoders on an emulated microcontroller: instructions, heap (<= 5 minutes)
	$(PY) -m bench.mcu $(if $(UPDATE),--update)
	$(BIN)/pytest -n 0 -rs -m mcu tests/board

# without PORT: on a simulated board and on the emulated microcontroller
board: setup  ## the tests of a board, over its serial port: PORT=/dev/ttyUSB0
	$(BIN)/pytest -n 0 -rs tests/board $(if $(PORT),--port $(PORT))

build/bench/.stamp: bench/requirements.txt
	$(PYTHON) -m venv build/bench
	build/bench/bin/python -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
	touch $@

clean:  ## remove what was built
	rm -rf build .mypy_cache .ruff_cache .pytest_cache

.PHONY: help setup demo lint check test story prove soak fuzz fix docs lock bench mcu board bench-cloud fleet fleet-boards clean
.DEFAULT_GOAL := help
