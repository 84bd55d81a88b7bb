# The commands that developers and CI share; `make` alone lists them. make needs nothing installed before it, not even
# this project, and a target works whether or not the environment is active.
#
# Tools come from VENV: the active environment, else .venv. `make lint VENV=.venv-test` takes them from another.
# A target that needs a separate environment, such as `lowest`, makes it, so that CI and developers run the same lines.
VENV ?= $(or $(VIRTUAL_ENV),.venv)
BIN = $(VENV)/bin
PYTHON ?= python3

.DEFAULT_GOAL = help
.PHONY: help setup format lint types test docs serve notebooks hooks bench coverage package minimal lowest extras audit all

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv with everything for development, and install the hooks that check each commit
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q -e '.[dev]'
	.venv/bin/pre-commit install

format: ## format the code
	$(BIN)/ruff format .

lint: ## check format, style and spelling; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell

types: ## run mypy and pyright
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

test: ## run all tests, with a worker for each core; one file: make test ARGS=tests/query/test_lint.py
	$(BIN)/python -m pytest $(or $(ARGS),-n auto --dist loadgroup)

# Without --quiet, which drops warnings before --strict counts them.
docs: ## build the site; every warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python -m tests.support.site_links site

serve: ## show the site on this machine, and build it again at each change
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

notebooks: ## write the generated files under notebooks/ again
	$(BIN)/python -m tests.support.make_pages

hooks: ## run the hooks of a commit on all files
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pre-commit run --all-files

bench: ## measure the speed against other tools; make bench ARGS=--short takes a minute
	$(BIN)/python -m tests.benchmarks $(ARGS)

coverage: ## measure the branches that the tests take; fails under 95 %
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

package: ## build the wheel and the source archive in dist/, and check them as an index does
	rm -rf dist
	$(BIN)/python -m build >/dev/null
	$(BIN)/twine check --strict dist/*

minimal: ## test the wheel with the core packages only, in .venv-minimal
	.ci/wheel minimal

lowest: ## test the wheel with the lowest versions allowed, in .venv-lowest
	.ci/wheel lowest

extras: ## test each extra alone; some of them: make extras ARGS='plot polars'
	.ci/extras $(ARGS)

audit: ## look for known weaknesses of the workflows and of the newest dependencies, in a new environment
	$(PYTHON) -m venv --clear .venv-audit
	.venv-audit/bin/pip install -q -e '.[test]' 'zizmor>=1.32' 'pip-audit>=2.10'
	.venv-audit/bin/zizmor --offline .github
	.venv-audit/bin/pip-audit --skip-editable

all: lint types docs test ## run everything before you propose a change
