# r1net. `make demo` runs the whole promise, `make test` everything that CI runs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROFILE ?= smollm2
MINUTES ?= 60
JOBS ?= 2
NUMERICAL := $(addprefix tests/unit/node/test_,exact.py kernels.py engine.py head.py training.py families.py selfcheck.py)
NODE_MODULES := contracts/node_modules/.package-lock.json

export OMP_NUM_THREADS ?= 1

.PHONY: demo test setup lint unit numerical e2e contracts contracts-deep slow soak cheats bad-days journeys vllm vllm-env adapters adapters-env bench bench-verification clean help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

demo: setup ## run a whole network: chain, coordinator, two nodes, one job (PROFILE=tiny, KEEP=1)
	$(BIN)/python -m tests.e2e.demo --profile $(PROFILE)

test: setup lint contracts unit numerical e2e ## everything that CI runs

setup: $(VENV)/.ready $(NODE_MODULES) ## install into the checkout

$(VENV)/.ready: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip==25.3
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(NODE_MODULES): contracts/package-lock.json
	cd contracts && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

lint: setup ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

contracts: setup ## forge: format, build, tests, gas snapshots, ABIs
	contracts/tools/forge fmt --check
	FOUNDRY_FUZZ_SEED=0x1 contracts/tools/forge test
	contracts/tools/gas --check
	$(BIN)/python contracts/tools/export_abi.py --check

contracts-deep: setup ## forge: long fuzz and invariant runs
	FOUNDRY_PROFILE=deep contracts/tools/forge test

unit: setup ## Python unit, integration and adversarial tests
	contracts/tools/forge build
	$(BIN)/pytest -n $(JOBS) --dist loadfile tests/unit tests/integration tests/adversarial

numerical: setup ## what computes, once more as a machine with AVX2 and nothing beyond
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(BIN)/pytest -n $(JOBS) $(NUMERICAL)

e2e: setup ## real networks: the tiny demo, the faults
	$(BIN)/pytest -n $(JOBS) --dist loadfile tests/e2e

slow: setup ## what takes minutes: cheats on SmolLM2, generated requests against the described routes
	$(BIN)/pytest -s -m slow tests

soak: setup ## hostile traffic beside honest nodes and their jobs (MINUTES=60)
	$(BIN)/python -m tests.adversarial.soak --minutes $(MINUTES)

cheats: setup ## every cheat as a real node in a real network, and what came of it (CHEATS=name,name; minutes)
	$(BIN)/python -m tests.adversarial.network $(if $(CHEATS),--cheats $(CHEATS))

bad-days: setup ## a host behind a bad line, under a closed lid, and stopped at each stage (minutes)
	$(BIN)/pytest -s -m slow tests/e2e/test_bad_days.py

journeys: setup ## a host's and a submitter's whole way, from pip install on (minutes)
	$(BIN)/pytest -s -m slow tests/e2e/journeys

vllm: vllm-env ## install the vLLM environment below build/ and run its tests
	$(BIN)/pytest -s -m slow tests/integration/node/test_vllm.py

vllm-env: setup ## install the vLLM environment below build/
	$(BIN)/r1node --data-dir build engine install vllm

adapters: adapters-env ## install environments of others below build/ and run the adapters' tests
	$(BIN)/pytest -s -m slow tests/integration/adapters

adapters-env: setup ## install environments of others (verifiers, OpenEnv) below build/
	$(BIN)/python -m tests.integration.adapters.places

bench: setup vllm-env ## our decoding and GRPO step against transformers, vLLM and TRL, with ratios
	$(BIN)/python -m tests.benchmarks

bench-verification: setup ## honest traces and gradients before the judges: none may be called bad (minutes)
	$(BIN)/python -m tests.benchmarks.verification

clean: ## remove what was installed and built
	rm -rf $(VENV) build contracts/node_modules contracts/out contracts/cache
