# `make` alone lists what there is. Everything is set up in .venv inside the checkout.

PYTHON ?= python3
ARGS ?=

VENV_PYTHON := .venv/bin/python
STAMP := .venv/built
# A module with a .pxd beside it is compiled.
TYPES := $(sort $(shell find src -name '*.pxd'))
SOURCES := pyproject.toml setup.py $(TYPES) $(wildcard $(TYPES:.pxd=.py))
# What was built, for whom: any difference builds anew, as a newer source does.
WANTED := $(strip $(CURDIR) $(PYTHON) CC=$(CC) build=$(STABLEMEM_BUILD) sanitize=$(STABLEMEM_SANITIZE) $(TYPES))

.PHONY: help build demo test lint trust bench wheel clean FORCE

help:
	@echo 'make demo    what stablemem does, on real input'
	@echo 'make test    lint, then the whole test suite, compiled and interpreted; ARGS="-k name" for pytest'
	@echo 'make lint    ruff and mypy'
	@echo 'make trust   the long runs: a million power cuts, thousands of kills'
	@echo 'make bench   the benchmarks, half an hour or more; ARGS="--quick" (a minute), ARGS="--only lists", ARGS="--targets"'
	@echo 'make build   .venv with stablemem and its tools in it; the others do this first'
	@echo 'make wheel   a wheel for this machine in dist/, tested in an environment without a compiler'
	@echo 'make clean   remove .venv and everything else that was made'
	@echo
	@echo 'PYTHON=python3.12 names the Python to use, 3.11 or later. STABLEMEM_BUILD=pure builds nothing'
	@echo 'compiled, =require fails where that is impossible, =checked is for finding faults.'

build: $(STAMP)
	@:

$(STAMP): $(SOURCES)
	@PYTHON='$(PYTHON)' sh scripts/build.sh
	@printf '%s\n' '$(WANTED)' > $@

ifneq ($(shell cat $(STAMP) 2>/dev/null),$(WANTED))
$(STAMP): FORCE
endif

demo: build
	@echo '==> demo'
	@$(VENV_PYTHON) examples/demo.py $(ARGS)

test: lint
	@sh scripts/test.sh $(ARGS)

lint: build
	@echo '==> lint'
	@$(VENV_PYTHON) -m ruff check
	@$(VENV_PYTHON) -m ruff format --check
	@$(VENV_PYTHON) -m mypy

trust: build
	@echo '==> a million power cuts (a quarter of an hour or more)'
	@cd tests/tools && ../../$(VENV_PYTHON) -m powercut --states 1000000 --jobs 2 $(ARGS)
	@echo '==> the long runs: kills, faults, damage, random machines, a million operations on raw blocks'
	@STABLEMEM_LONG=1 STABLEMEM_PURE=0 $(VENV_PYTHON) -m pytest -q -rP tests/crash/test_crash.py tests/crash/test_faults.py tests/damage/test_damage.py tests/model/test_state_machine.py tests/model/test_raw_blocks_model.py
	@echo '==> the whole suite, interpreted, with what make test runs in the compiled form alone'
	@STABLEMEM_PURE=1 $(VENV_PYTHON) -m pytest -q -n 2
	@echo '==> the whole suite in both forms, without maps: io="pread"'
	@STABLEMEM_IO=pread sh scripts/test.sh

bench: build
	@echo '==> benchmarks'
	@$(VENV_PYTHON) -c 'import lmdb' 2>/dev/null || $(VENV_PYTHON) -m pip install --quiet --editable '.[bench]'
	@$(VENV_PYTHON) benchmarks/run.py $(ARGS)

wheel: build
	@sh scripts/wheel.sh

clean:
	@echo '==> clean'
	@rm -rf .venv build dist src/*.egg-info src/stablemem/_core/PURE .pytest_cache .hypothesis .mypy_cache .ruff_cache
	@find src tests examples benchmarks \( -name '*.so' -o -name '*.pyc' \) -delete
	@find src tests examples benchmarks -name __pycache__ -empty -delete
