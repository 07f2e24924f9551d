# Needs python3 (3.11 or newer) and make; everything else goes into .venv. `make help` lists the targets.
PYTHON ?= python3
CASES ?= 2000
KILLS ?= 100
BUDGET ?= 300000
MINUTES ?= 5
N ?= 20

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(PY) -m pip install -qq -c constraints.txt

# Whatever exists of these is linted and typed.
CODE := $(wildcard solver server tests benchmarks)
PROTOS := $(wildcard proto/solver/api/v1/*.proto)
SOURCES := $(wildcard solver/*.py solver/*/*.py solver/*/*/*.py server/*.py server/*/*.py)

# Runs protoc into the folder given as $(1). The PATH lets protoc find the mypy-protobuf plugins.
# Always a process of its own: protoc and OR-Tools abort a process that loads both.
protoc = PATH="$(CURDIR)/$(BIN):$$PATH" $(PY) -m grpc_tools.protoc -I proto \
	--python_out=$(1) --grpc_python_out=$(1) --mypy_out=quiet:$(1) --mypy_grpc_out=quiet:$(1) $(PROTOS)

.DEFAULT_GOAL := help
.PHONY: help run test lint types imports proto-check pytest test-extras messages proto proto-image soak oracle oracle-explain \
	fuzz histories whatif-equal whatif-kill bench bench-quick clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1@\2/p' Makefile | awk -F@ '{printf "%-14s %s\n", $$1, $$2}'

run: $(VENV)/.compiled ## install, then answer the default question
	@$(BIN)/solver-cli optimize --budget $(BUDGET)

test: ## install the tools, then run every check
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory imports
	@$(MAKE) --no-print-directory proto-check
	@$(MAKE) --no-print-directory pytest

lint: $(VENV)/.dev ## style and layout of the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy $(addprefix -p ,$(CODE))

imports: $(VENV)/.dev ## imports point down only
	$(BIN)/lint-imports

proto-check: $(VENV)/.dev ## lint the .proto files; generated code equals committed code
ifneq ($(PROTOS),)
	$(BIN)/buf lint proto
	$(BIN)/buf format proto --diff --exit-code
	$(BIN)/buf breaking proto --against proto/released.binpb
	@new=$$(mktemp -d) && trap 'rm -rf "$$new"' EXIT && $(call protoc,"$$new") && \
	diff -r -x __init__.py -x __pycache__ "$$new/solver/api/v1" solver/api/v1 && echo "generated code is up to date" || \
	{ echo "solver/api/v1 differs from proto/: run 'make proto' and commit" >&2; exit 1; }
endif

pytest: $(VENV)/.dev ## the tests (ARGS= for more options)
	$(PY) -m pytest -n 2 $(ARGS)

test-extras: $(VENV)/.dev ## tests with clients, a browser and networks from elsewhere (needs node and npm; installs chromium, iproute2, libfaketime on Debian)
	npm install --prefix examples/node --no-package-lock --no-audit --no-fund --ignore-scripts --silent
	npm install --prefix tests/extras/browser --no-package-lock --no-audit --no-fund --ignore-scripts --silent
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	{ echo "installing chromium ..." >&2; apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; }
	@fc-list :lang=zh 2>/dev/null | grep -q . || \
	{ echo "installing a Chinese font ..." >&2; apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends fonts-noto-cjk fontconfig >/dev/null; }
	@command -v ip >/dev/null || { echo "installing iproute2 ..." >&2; apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends iproute2 >/dev/null; }
	@ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || { echo "installing libfaketime ..." >&2; apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends libfaketime >/dev/null; }
	$(PY) -m pytest -m extras tests/extras $(ARGS)

soak: $(VENV)/.dev ## mixed load with faults on a server for MINUTES, then errors, memory and latency
	$(PY) -m benchmarks.soak --minutes $(MINUTES)

messages: $(VENV)/.dev ## bring solver/locale after the texts of the code, and name what waits for a translation
	$(PY) -m tests.messages

proto: $(VENV)/.dev ## generate solver/api/v1 from proto/ again
	$(call protoc,.)

proto-image: $(VENV)/.dev ## at a release: what `buf breaking` compares with from then on
	$(BIN)/buf build proto -o proto/released.binpb

oracle: $(VENV)/.dev ## compare CASES random problems with brute force
	$(PY) -m tests.oracle_run --cases $(CASES)

oracle-explain: $(VENV)/.dev ## hold CASES explanations and curves of random problems against brute force
	$(PY) -m tests.explain_run --cases $(CASES)

fuzz: $(VENV)/.dev ## fuzz files and options of the command line, CASES of each kind
	$(PY) -m tests.fuzz_cli --examples $(CASES)

histories: $(VENV)/.dev ## N random histories of runs on a server, with kills, held against a model of what may happen
	$(PY) -m tests.server.histories --count $(N)

whatif-equal: $(VENV)/.dev ## answer every scenario of examples/ as a run does and one by one, and compare
	$(PY) -m tests.whatif_equal

whatif-kill: $(VENV)/.dev ## KILLS kill -9 of runs of 2,000 scenarios and of their workers; each must end as if there were none
	$(PY) -m tests.kill_run --kills $(KILLS)

bench: $(VENV)/.bench ## measure against the others; writes benchmarks/README.md (NAMES= for some benches only)
	$(PY) -m benchmarks $(NAMES)

bench-quick: $(VENV)/.dev ## measure in under two minutes
	$(PY) -m benchmarks --quick $(NAMES)

clean: ## remove the environment, caches and builds
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: each is as new as the step it stands for, so that a second run does nothing.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.created pyproject.toml constraints.txt
	@echo "installing the runtime into $(VENV), once ..." >&2
	@$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "installing the tools into $(VENV), once ..." >&2
	@$(PIP) -e '.[dev]'
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	@echo "installing what draws charts into $(VENV), once ..." >&2
	@$(PIP) -e '.[bench,cluster]'
	@touch $@

# Byte code, written even where PYTHONDONTWRITEBYTECODE is set: without it a start takes three times as long.
# A package may carry files for other Python versions, hence `-`.
$(VENV)/.compiled: $(VENV)/.runtime $(SOURCES)
	-@$(PY) -m compileall -q "$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" $(wildcard solver server) >/dev/null
	@touch $@
