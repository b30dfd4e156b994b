# Everything runs from .venv, which is made at first need from the versions in constraints.txt.
# `make run` and `make test` are all a newcomer needs; `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
SECONDS ?= 60
QUESTIONS ?= 5000
SEED ?= 1
PLAY ?= auto
UV := $(shell command -v uv 2>/dev/null)
# Relative, for these lists are split at spaces, which the path to here may have.
export PIP_CONSTRAINT := constraints.txt
export UV_CONSTRAINT := constraints.txt
export UV_BUILD_CONSTRAINT := constraints.txt
export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run test check format golden fuzz differential e2e faults conformance bench-cluster bench bench-peers coverage image dist clean

help:           ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

run: .venv/runs ## a cluster to enter, with the demo shop, and kdns for it on 127.0.0.1:5353
	@echo "A Kubernetes cluster with the shop of config/demo, and kdns for it, until Ctrl-C. In another terminal:"
	@echo "  cd '$(CURDIR)'"
	@echo "  export KUBECONFIG=\$$PWD/.kdns/kubeconfig PATH=\$$PWD/.venv/bin:\$$PATH"
	@echo "  kubectl get services,pods -A"
	@echo "  kubectl exec -it webapp -- nslookup mysql-service"
	@echo "  kdns lab exec webapp -- curl -s http://web.shop            # needs no kubectl"
	@echo "  dig +short @127.0.0.1 -p 5353 web.shop.svc.cluster.local"
	@echo "  kdns query @127.0.0.1:5353 mysql.shop.svc.cluster.local    # needs no dig"
	@echo "  kdns explain wbe.shop                                      # why a name resolves, or does not"
	@echo "  kdns top                                                   # what is asked, as it happens"
	@echo "The status page: http://127.0.0.1:9154. A walk through all of it: config/demo/README.md."
	@echo
	@exec $(BIN)/kdns lab --play $(PLAY) --manifests config/demo --serve config/demo/Corefile

test: .venv/tests ## run the tests (the peer ones need CoreDNS: see differential)
	$(BIN)/pytest -n 2 -m "not peer"

check: .venv/tests ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: .venv/tests ## rewrite the sources in the one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: .venv/tests ## rewrite the answers in tests/golden; review the diff
	$(BIN)/python -m tests.golden

fuzz: .venv/tests ## mutated packets, octets of every other kind, Corefiles and manifests for SECONDS (60)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

differential: .venv/tests ## ask CoreDNS 1.15.0 and kdns QUESTIONS (5000) generated questions, and about changing clusters
	@command -v coredns >/dev/null || test -x "$$(go env GOPATH)/bin/coredns" || \
	  { command -v go >/dev/null || { echo "make differential needs Go, to build CoreDNS 1.15.0" >&2; exit 1; }; \
	    cd / && go install github.com/coredns/coredns@v1.15.0; }
	$(BIN)/python -m tests.differential --questions $(QUESTIONS) --seed $(SEED) --seconds 300 --live 60
	$(BIN)/python -m tests.differential.metrics $(SEED)

e2e: .venv/tests ## the tests on a real cluster: KDNS_E2E_KUBECONFIG, or a control plane of its own
	$(BIN)/python -m tests.e2e

faults: .venv/tests ## every fault of an API server with the real deadlines; rewrites kdns/help/faults.md
	$(BIN)/python -m tests.faults

conformance: .venv/tests ## kdns conformance on kdns and on CoreDNS, Knot, NSD and Unbound (those installed); rewrites its table
	$(BIN)/python -m tests.suite.table

bench-cluster: .venv/tests ## CoreDNS and kdns on the same real API server, side by side
	$(BIN)/python -m tests.bench.against

bench: .venv/tests ## CPU per query: our own code, and every kind of load beside a C echo
	$(BIN)/python -m tests.bench

bench-peers: .venv/tests ## CPU per query beside Knot and CoreDNS (those installed); rewrites kdns/help/benchmarks.md
	$(BIN)/python -m tests.bench.peers --readme

coverage: .venv/tests ## branch coverage of the tests
	$(BIN)/pytest -n 2 -m "not peer" --cov --cov-report=term-missing:skip-covered

image: .venv/tests ## build the image, start it as kubeadm does, ask it; without docker or podman in a bare root
	$(BIN)/python -m tests.deploy.image

dist: .venv/tests ## wheel and sdist, in dist/
	$(BIN)/python -m hatchling build -d dist

clean:          ## remove .venv, caches and what make run leaves
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .kdns build dist

# Set-up. Each stamp is newer than what it was made from, or is made again.

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "kdns needs Python 3.11 or newer as $(PYTHON): install it, or name one with make PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import venv' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv module: install it (Debian: apt install python3-venv)" >&2; exit 1; }
ifdef UV
	@$(UV) venv --quiet --python $(PYTHON) .venv
else
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 || $(PYTHON) -m venv --clear --without-pip .venv
	@test -x .venv/bin/pip || $(PYTHON) -m pip --version >/dev/null 2>&1 || \
	  { rm -rf .venv; echo "$(PYTHON) has neither ensurepip nor pip: install one (Debian: apt install python3-venv)" >&2; exit 1; }
endif

ifdef UV
INSTALL = $(UV) pip install --quiet --python .venv/bin/python
else
INSTALL = $(if $(wildcard .venv/bin/pip),.venv/bin/python -m pip,$(PYTHON) -m pip --python .venv/bin/python) install --quiet
endif

.venv/runs: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Setting up .venv, this once: it may take a minute …"
	@$(INSTALL) --editable .
	@touch $@

.venv/tests: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Setting up .venv for the tests, this once: it may take a minute …"
	@$(INSTALL) --editable '.[dev]'
	@touch $@ .venv/runs
