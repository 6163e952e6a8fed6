# Two commands: `make up` runs the mesh, `make test` proves it. Both make their environment first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
BEGUN := $(shell date +%s.%N)
# as pip does: a company's own certificate authority is in the system's store, not in uv's
export UV_SYSTEM_CERTS := true

# uv installs in seconds what takes pip half a minute; pip brings it, so that a bare Python is enough
$(UV):
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==0.13.9

$(VENV)/.run: requirements.lock pyproject.toml | $(UV)
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

$(VENV)/.bench: requirements-bench.lock pyproject.toml | $(UV)
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-bench.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@ $(VENV)/.run

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(UV)
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@ $(VENV)/.run $(VENV)/.bench

up: $(VENV)/.run ## Set everything up, start the mesh, make a call on each path
	@$(BIN)/meshlog up --detach --begun $(BEGUN)

down: ## End everything that `make up` started
	@test ! -x $(BIN)/meshlog || $(BIN)/meshlog down

bench: $(VENV)/.bench ## Compare gRPC and REST on the mesh: about 20 minutes (`meshlog bench --quick`: one)
	@$(BIN)/meshlog bench

locust: $(VENV)/.bench ## Open Locust's web UI over the mesh
	@$(BIN)/meshlog bench --ui

test: $(VENV)/.dev ## Set everything up and run the whole suite
	@$(BIN)/python -m pytest

check: $(VENV)/.dev ## Format, lint, types, import rules, generated code fresh
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q -p no:cacheprovider mesh/tests/test_generated.py

format: $(VENV)/.dev ## Bring the code into form
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

generate: $(VENV)/.dev ## Write stubs, descriptor sets and Envoy's messages again
	@$(BIN)/python -m mesh.cli.generate

lock: $(UV) ## Resolve the dependencies again
	@$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url pyproject.toml -o requirements.lock
	@$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url pyproject.toml --extra loadtests --extra reference -c requirements.lock -o requirements-bench.lock
	@$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url pyproject.toml --extra loadtests --extra reference --group dev -c requirements.lock -o requirements-dev.lock

clean: down ## End the mesh and remove the environment
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist

help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up down bench locust test check format generate lock clean help
