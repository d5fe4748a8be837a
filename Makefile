# Sampan. `make` lists the targets; each is one short command, so that it can be run by hand as well.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
PY := .venv/bin/python
LOCAL := $(PY) -m deploy.local
PYTEST := $(PY) -m pytest
export PYTHONPATH := $(CURDIR):$(CURDIR)/gen

.PHONY: help setup gen up down restart status logs clean test test-unit test-integration test-upgrade test-backup test-chaos test-tls chaos laws fuzz replay audit \
	test-long bench bench-flood bench-growth bench-memory bench-replicas \
	images compose-secrets compose-up compose-order compose-down test-containers chart-tools chart-check \
	monitoring monitoring-down monitoring-check test-monitoring dashboards \
	openapi asyncapi sdk test-sdk web test-web docs site \
	lint format types layers proto-lint proto-breaking schema-lint pages lock wheels

help: ## List all targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "  %-18s %s\n", $$1, $$2}'

# --- The system

setup: ## Make .venv from the hashed lock (PYTHON=python3.12 to choose its interpreter)
	@$(PYTHON) deploy/local/bootstrap.py $(if $(filter file,$(origin PYTHON)),,--any-python)

gen: setup ## Generate the typed protobuf stubs into gen/
	@$(PY) proto/generate.py

up: gen ## Start PostgreSQL, Kafka and the services, seed, carry one order to delivery
	@$(LOCAL) up

down: ## Stop everything
	@if [ -x $(PY) ]; then $(LOCAL).monitoring down; $(LOCAL) down; fi

restart: down up ## Stop everything and start it again

status: gen ## Show what runs where
	@$(LOCAL) status

logs: gen ## Follow the logs (SERVICE=orders for one)
	@$(LOCAL) logs $(SERVICE)

clean: ## Stop everything and delete data, logs and keys (ALL=1: downloads, stubs and .venv as well)
	@if [ -x $(PY) ]; then $(LOCAL).monitoring down; $(LOCAL) clean; fi
	@if [ -n "$(ALL)" ]; then rm -rf .local gen dist .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .grimp_cache .hypothesis; fi

# --- Proof

WORKERS ?= 2
# The longest first, so that no worker waits at the end for another's; and what has a process of its own, or its own target, aside.
TESTS ?= tests/e2e tests/integration \
	$(filter-out tests/e2e tests/integration tests/chaos tests/tls tests/web %.py %__pycache__,$(wildcard tests/*))
# Systems of their own, minutes together: not in `make test`, which CI has a quarter of an hour for.
LONG_TESTS := tests/e2e/test_cli.py tests/e2e/test_personal_data.py tests/e2e/test_rate_limits.py tests/e2e/test_traces.py \
	tests/integration/webhooks/test_process.py

test: gen ## Unit, integration, end-to-end tests and a short chaos run (WORKERS=2 files at a time; ARGS: of pytest, without chaos)
	@# Not tests/web: a browser's driver keeps an event loop running, which no other test of its process would bear.
	@$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(addprefix --ignore=,$(LONG_TESTS)) $(TESTS) $(ARGS)
	@$(if $(ARGS),true,$(PYTEST) tests/chaos/test_short_run.py)

test-long: gen ## Command line, rate limits, traces, personal data, webhooks under crashes: systems of their own
	@$(PYTEST) -n $(WORKERS) --dist loadfile $(LONG_TESTS) $(ARGS)

test-unit: gen ## The tests that need no server
	@$(PYTEST) tests/unit $(ARGS)

test-integration: gen ## The tests on real PostgreSQL and real Kafka
	@$(PYTEST) tests/component tests/integration $(ARGS)

test-upgrade: gen ## Roll from the previous release to this one while orders flow (UPGRADE_FROM=commit)
	@TEST_UPGRADE=1 $(PYTEST) tests/upgrade $(ARGS)

test-backup: gen ## Back up under load, destroy, restore, audit: to the last acknowledged order, and to one moment
	@TEST_BACKUP=1 $(PYTEST) tests/backup $(ARGS)

laws: gen ## The generated tests only (PROFILE=deep: anew each time and twenty times as long)
	@$(PYTEST) -m hypothesis --hypothesis-profile=$(or $(PROFILE),ci) $(if $(filter deep,$(PROFILE)),-o timeout=7200) $(ARGS)

fuzz: gen ## Requests made from the OpenAPI document against a system of its own (MINUTES=10 FUZZ_SEED=n)
	@FUZZ_MINUTES=$(or $(MINUTES),10) $(PYTEST) tests/e2e/test_openapi_fuzz.py $(ARGS)

chaos: gen ## Break a cluster of replicas under load by a seeded plan (MINUTES=20 SEED=1 FAULTS=network,process.kill)
	@$(PY) -m tests.chaos $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) \
		$(if $(FAULTS),--faults $(FAULTS)) $(if $(JSON),--json "$(JSON)") $(ARGS)

test-chaos: gen ## kill -9 of every process during a replay, and the short run of `make test` (CHAOS_ORDERS=20000 for longer)
	@$(PYTEST) tests/chaos $(ARGS)

test-tls: gen ## The whole system with every connection encrypted, its certificates replaced while orders flow
	@$(PYTEST) tests/tls $(ARGS)

replay: gen ## Send a file of real sales through the API (FILE=..., ORDERS=n for the first n)
	@$(PY) -m deploy.replay $(if $(FILE),"$(FILE)") $(if $(ORDERS),--orders $(ORDERS))

audit: gen ## Check every invariant in the databases and topics (ARGS=--help lists the options)
	@$(PY) -m deploy.audit $(ARGS)

bench: gen ## Measure the order path and the reads beside raw PostgreSQL (JSON=path writes the figures; RUNS=n)
	@$(PY) -m deploy.bench $(if $(JSON),--json "$(JSON)") $(if $(RUNS),--runs $(RUNS)) $(ARGS)

bench-flood: gen ## Offer the gateway ten times what it can take, and watch it come back
	@$(PY) -m deploy.bench.flood $(if $(JSON),--json "$(JSON)") $(ARGS)

bench-growth: gen ## Compare the cost per order on 10,000 SKUs and on SKUS=10000000 with PAST_ORDERS=5000000
	@$(PY) -m deploy.bench.growth $(if $(SKUS),--skus $(SKUS)) $(if $(PAST_ORDERS),--past-orders $(PAST_ORDERS)) \
		$(if $(RUNS),--runs $(RUNS)) $(if $(KEEP),--keep) $(if $(JSON),--json "$(JSON)") $(ARGS)

bench-memory: gen ## Watch the services' memory while ORDERS=1000000 go through at full speed
	@$(PY) -m deploy.bench.memory $(if $(ORDERS),--orders $(ORDERS)) $(if $(JSON),--json "$(JSON)") $(ARGS)

bench-replicas: gen ## Measure orders per second with one, two and three replicas of each service
	@$(PY) -m deploy.bench.replicas $(if $(RUNS),--runs $(RUNS)) $(if $(JSON),--json "$(JSON)") $(ARGS)

# --- Monitoring

monitoring: gen ## Start Prometheus and Alertmanager over the local stack
	@$(LOCAL).monitoring up

monitoring-down: gen ## Stop Prometheus and Alertmanager
	@$(LOCAL).monitoring down

monitoring-check: gen ## Check rules, alerts and configurations with promtool and amtool
	@$(PYTEST) tests/monitoring/test_rules.py tests/tidy/test_monitoring.py $(ARGS)

test-monitoring: gen ## Let a stopped consumer raise its alert under a real Prometheus and Alertmanager
	@MONITORING_LIVE=1 $(PYTEST) tests/monitoring $(ARGS)

dashboards: gen ## Write the Grafana dashboards to dist/dashboards
	@$(PY) -m deploy.grafana

# --- For integrators

openapi: gen ## Write the API's OpenAPI document to gen/openapi.json
	@$(PY) -m deploy.openapi gen/openapi.json

asyncapi: gen ## Write the AsyncAPI document of every topic to gen/asyncapi.yaml
	@$(PY) -m deploy.asyncapi

sdk: gen ## Make, compile and type-check the TypeScript and Python clients in dist/sdk
	@$(PY) -m deploy.sdk

test-sdk: sdk ## Let both clients place an order and read it back, on a system of its own
	@$(PYTEST) tests/e2e/test_clients.py $(ARGS)

web: gen ## Build the storefront's and the console's pages in dist/web, on the TypeScript client
	@$(PY) -m deploy.web

test-web: web ## Shop in Thai and Spanish and work in the console, in a real Chromium (ARGS: of pytest)
	@TEST_WEB=1 $(PYTEST) tests/web $(ARGS)

docs: gen ## Build the documentation site in dist/site; a broken link fails
	@$(PY) -m deploy.site

site: docs

# --- Containers

HELM_VERSION := v3.21.4
TOOLS := $(CURDIR)/.local/tools/bin

images: ## Build the images (BASE_IMAGE, SAMPAN_VERSION, SAMPAN_IMAGES as docs/containers.md says)
	@if [ -x $(PY) ] && [ -d gen/sampan ]; then $(PY) -m deploy.web --if-stale || true; fi
	@SAMPAN_REVISION=$$(git rev-parse HEAD 2>/dev/null) SAMPAN_CREATED=$$(git log -1 --format=%cI 2>/dev/null) \
		docker compose --profile tools build

compose-secrets: ## Make the passwords and keys that compose.yaml mounts, where they are missing
	@$(PYTHON) -m deploy.compose.prepare

compose-up: compose-secrets images ## Start everything in containers and wait until it is ready (ARGS="--profile monitoring" for more)
	@docker compose $(ARGS) up --detach --wait

compose-order: gen ## Seed the containers' catalogue and carry one order to delivery
	@$(PY) -m deploy.compose.order

compose-down: ## Stop the containers (ARGS=--volumes deletes their data as well)
	@docker compose --profile monitoring down $(ARGS)

test-containers: gen ## Build the images, run the stack on a real Docker Engine, kill a replica (starts an engine where none runs)
	@TEST_CONTAINERS=1 $(PYTEST) tests/containers $(ARGS)

chart-tools: ## Install helm into .local/tools (needs Go)
	@test -x $(TOOLS)/helm || (mkdir -p $(TOOLS) && GOBIN=$(TOOLS) go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION))

chart-check: gen chart-tools ## Lint the Helm chart and check what it renders against Kubernetes' schemas
	@CHART_CHECK=1 $(PYTEST) tests/chart $(ARGS)

# --- The tree

lint: gen proto-lint proto-breaking schema-lint layers types ## All checks of code and contracts
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

format: gen ## Format the code and mend what can be mended
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

types: gen ## mypy --strict
	@$(PY) -m mypy

layers: gen ## Imports run one way
	@.venv/bin/lint-imports --no-logo

proto-lint: gen ## Lint the contracts
	@.venv/bin/buf lint

proto-breaking: gen ## Compare the contracts with the latest release, else with the commit before
	@$(PY) proto/breaking.py

schema-lint: gen ## Hold the migrations against what locks a table in use, or breaks the release before
	@$(PY) -m deploy.schema_lint

pages: gen ## Write docs/configuration.md, docs/problems.md and docs/cli.md anew from the code
	@$(PY) -m deploy.pages

lock: setup ## Resolve and lock all versions anew (ARGS=--upgrade takes newer ones)
	@$(PY) -m deploy.local.lock $(ARGS)

wheels: gen ## Build the distributions of contracts, chassis, services and command line into dist/
	@for part in proto $(patsubst %/pyproject.toml,%,$(wildcard services/*/pyproject.toml deploy/*/pyproject.toml)); do \
		$(PY) -m uv build --quiet --wheel --no-build-isolation --python $(PY) --out-dir dist $$part || exit 1; \
	done; ls dist/*.whl
