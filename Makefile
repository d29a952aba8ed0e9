# make run, make test: on a fresh Debian or Ubuntu machine with python3 (3.11 or later) and network, these two suffice.
VENV ?= .venv
BIN := $(VENV)/bin
KERNELS ?= 6.1 6.12
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: run test check lab-test differential bench bench-move format lock clean setup setup-dev setup-lab setup-bench

# The console on the simulated machine; without a terminal, the first shipped profile.
run: setup
	@if [ -t 0 ] && [ -t 1 ]; then \
	  exec $(BIN)/numamig --backend simulator; \
	else \
	  first=$$(ls profiles/*.yaml | head -n 1); \
	  exec $(BIN)/numamig --backend simulator replay "$$first"; \
	fi

test: setup-dev
	$(BIN)/python -m pytest -n auto --dist loadgroup

# Lint, format, types, and who may import whom.
check: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# The same on real kernels with three memory nodes, booted for the purpose.
lab-test: setup-lab
	@$(BIN)/python -m compileall -q numamig tests
	$(BIN)/python -m numamig.lab $(foreach kernel,$(KERNELS),--kernel $(kernel)) -- \
	  env PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(abspath $(BIN))/python -m pytest -c tests/lab/pytest.ini --rootdir . tests/lab tests/unit/linux
	@$(MAKE) --no-print-directory differential

# Random calls to real kernels and to the simulator, which must agree: CALLS=20000 SEED=7 for others.
differential: setup-lab
	$(BIN)/python -m tests.differential $(foreach kernel,$(KERNELS),--kernel $(kernel)) \
	  $(if $(CALLS),--calls $(CALLS)) $(if $(SEED),--seed $(SEED))

# What docs/performance.md says, measured here, and moving in the laboratory: ratios, the same work side by side.
bench: setup-bench
	$(BIN)/python -m benchmarks.locate
	$(BIN)/python -m benchmarks.disturbance
	$(BIN)/python -m benchmarks.simulator
	$(BIN)/python -m benchmarks.golden_2004
	$(BIN)/python -m benchmarks.engine
	$(BIN)/python -m benchmarks.console

bench-move: setup-lab
	@$(BIN)/python -m compileall -q numamig benchmarks
	$(BIN)/python -m numamig.lab $(foreach kernel,$(KERNELS),--kernel $(kernel)) -- $(abspath $(BIN))/python -m benchmarks.move

setup:
	@tools/setup.sh $(VENV) run

setup-dev:
	@tools/setup.sh $(VENV) dev tmux

setup-lab: setup-dev

setup-bench:
	@tools/setup.sh $(VENV) dev cc=gcc,libc6-dev

format: setup-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Versions and hashes of everything, without addresses; needs uv.
lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  pyproject.toml requirements/build.in -o requirements/run.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --extra dev --extra lab -c requirements/run.txt pyproject.toml requirements/build.in -o requirements/dev.txt

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
