# The only command set: people and CI run these, nothing else. Each target sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench bench-sync proto docs lock clean

help:    ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' $(MAKEFILE_LIST)

setup: .venv/ready  ## Create .venv from the hashed lock, with keyferry in it

.venv/ready: requirements/dev.txt
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  --config-settings editable_mode=compat -e .
	touch $@

demo: setup  ## See a pod's secrets arrive and rotate, against an AWS stand-in on this machine
	$(BIN)/keyferry demo

test: setup  ## Lint, types, import contracts and all fast tests: what CI runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

bench: setup  ## Mount flood against `keyferry provider`; PEER='command' runs a second provider in the same run
	$(BIN)/python -m tests.bench $(if $(PEER),--peer '$(PEER)')

bench-sync: setup  ## A thousand ExternalSecrets against `keyferry sync`: cold, steady, rotated, deleted
	$(BIN)/python -m tests.bench.sync

proto: setup  ## Regenerate driver/wire from proto/; must give no difference
	$(BIN)/python -m grpc_tools.protoc -I proto --python_out=. --pyi_out=. proto/driver/wire/csi_provider.proto

docs: setup  ## Rewrite the generated tables in README.md and docs/
	$(BIN)/python -m tests.generated_docs --write

lock: setup  ## Resolve pyproject.toml anew into hashed requirements files
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	for part in "runtime:" "dev:--extra demo --group dev"; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade \
	    --no-annotate --no-header $${part#*:} pyproject.toml -o requirements/$${part%%:*}.txt || exit 1; done

clean:   ## Remove what the targets made
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
