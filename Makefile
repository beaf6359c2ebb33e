# The only command set: people and CI run these, nothing else. Each target sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' driver/__init__.py)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench bench-sync proto docs manifests image lock clean
PROTOC := $(BIN)/python -m grpc_tools.protoc -I proto proto/driver/wire/csi_provider.proto

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

check: setup  ## Lint, types, import contracts; generated files are as their sources make them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	rm -rf build/proto && mkdir -p build/proto && $(PROTOC) --python_out=build/proto --pyi_out=build/proto
	diff -r -x __init__.py -x __pycache__ build/proto/driver/wire driver/wire
	$(BIN)/python -m tests.generated_docs
	$(BIN)/python -m tests.rendered_manifests

test: check  ## What `make check` does, and all fast tests: what CI runs
	$(BIN)/pytest

bench: setup  ## Mount flood against `keyferry provider`; PEER='command' runs a second provider in the same run
	$(BIN)/python -m tests.bench $(if $(PEER),--peer '$(PEER)')

bench-sync: setup  ## A thousand ExternalSecrets against `keyferry sync`: cold, steady, rotated, deleted
	$(BIN)/python -m tests.bench.sync

proto: setup  ## Regenerate driver/wire from proto/; must give no difference
	$(PROTOC) --python_out=. --pyi_out=.

docs: setup  ## Rewrite the generated tables in README.md and docs/
	$(BIN)/python -m tests.generated_docs --write

manifests: setup  ## Render deploy/chart into deploy/*.yaml; needs helm
	$(BIN)/python -m tests.rendered_manifests --write

image:   ## Build the image keyferry:VERSION; needs docker
	docker build --tag keyferry:$(VERSION) --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) .

lock: setup  ## Resolve pyproject.toml anew into hashed requirements files
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	for part in "runtime:" "dev:--extra demo --group dev"; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade \
	    --no-annotate --no-header $${part#*:} pyproject.toml -o requirements/$${part%%:*}.txt || exit 1; done

clean:   ## Remove what the targets made
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
