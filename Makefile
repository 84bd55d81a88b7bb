# The words that people and CI share; `make` alone lists them. make, because it needs nothing installed before it, not
# even this project, and a word works whether or not the environment is active.
#
# Tools come from VENV: the active environment, else .venv. `make lint VENV=.venv-test` takes them from another.
# A leg that has an environment of its own, such as `lowest`, makes it, so that CI and people run the same lines.
VENV ?= $(or $(VIRTUAL_ENV),.venv)
BIN = $(VENV)/bin
PYTHON ?= python3

.DEFAULT_GOAL = help
.PHONY: help setup format lint types test docs notebooks hooks bench coverage package minimal lowest extras all

help: ## these words
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' Makefile

setup: ## an environment in .venv with everything for development, and the hooks of each commit
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q -e '.[dev]'
	.venv/bin/pre-commit install

format: ## lay out the code
	$(BIN)/ruff format .

lint: ## layout, style, spelling; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell

types: ## mypy and pyright
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

test: ## all tests, a worker for each core; one file: make test ARGS=tests/query/test_lint.py
	$(BIN)/python -m pytest $(or $(ARGS),-n auto --dist loadgroup)

# Not --quiet, which drops the warnings before they are counted, so that --strict has none.
docs: ## the site, where every warning is an error; to look at it: mkdocs serve
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python -m tests.support.site_links site

notebooks: ## write what is generated under notebooks/ anew
	$(BIN)/python -m tests.support.make_pages

hooks: ## what a commit runs, on all files
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pre-commit run --all-files

bench: ## how fast, compared with other tools: make bench ARGS=--short takes two minutes
	$(BIN)/python -m tests.benchmarks $(ARGS)

coverage: ## the share of the branches that the tests take; under 95 % is a failure
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

package: ## the wheel and the source archive in dist/, and what an index would say of them
	rm -rf dist
	$(BIN)/python -m build >/dev/null
	$(BIN)/twine check --strict dist/*

minimal: ## the tests on the wheel with the core packages only, in .venv-minimal
	.ci/wheel minimal

lowest: ## the tests on the wheel with the lowest versions allowed, in .venv-lowest
	.ci/wheel lowest

extras: ## each extra alone, and what it is for; some: make extras ARGS='plot polars'
	.ci/extras $(ARGS)

all: lint types docs test ## what to run before a change is proposed
