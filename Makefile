# Every target may be the first command in a fresh clone: `setup` brings what is missing.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
BIN := .venv/bin

.PHONY: help setup setup-tests demo test check lint format bench neo4j neo4j-stop image-check soak lock clean distclean

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 12

setup: ## install what is missing (system packages, the locked environment)
	@bash scripts/setup.sh

setup-tests:
	@bash scripts/setup.sh tests

demo: setup ## upscale the sample clips, turn the sample documents into a graph; results in out/
	@$(BIN)/millrace run deployments/pipelines/remaster.yaml --set out=out --yes
	@echo; echo "The clips are in $(CURDIR)/out:"; find out -type f -name '*.mp4' | sort
	@echo "What was done: $(CURDIR)/out/report.html."; echo
	@BIN=$(BIN) bash scripts/demo-documents.sh

test: setup-tests lint ## everything: style, types, boundaries, all tests
	@$(BIN)/pytest

check: setup-tests lint ## the fast loop: style, types, boundaries, tests that are not slow
	@$(BIN)/pytest -q -n auto -m "not slow"

lint: setup ## style, types, boundaries
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup ## rewrite the sources in the house style
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: setup ## list the benchmarks; `make bench NAME=x` runs benchmarks/x.py
ifdef NAME
	@$(BIN)/python "benchmarks/$(NAME).py"
else
	@shopt -s nullglob; for file in benchmarks/[!_]*.py; do \
	    printf '%-24s %s\n' "$$(basename "$$file" .py)" "$$(grep -m1 -oP '^"""\K[^"]*' "$$file")"; done
endif

neo4j: ## start a Neo4j server on this machine (fetched the first time) and say what to set
	@bash scripts/neo4j.sh start

neo4j-stop: ## stop it; its data stays
	@bash scripts/neo4j.sh stop

image-check: ## carry out the Dockerfile's steps in a bare Debian root (root; not in CI)
	@bash scripts/image-check.sh $(TARGETS)

soak: setup-tests ## the long tests: faults, fleets of days
	@$(BIN)/pytest -m soak

lock: setup ## resolve the dependencies anew after a change in pyproject.toml
	@.bootstrap/bin/uv lock

clean: ## remove caches, built packages and the demo's results
	@rm -rf out dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove the environments too
	@rm -rf .venv .bootstrap .tools
