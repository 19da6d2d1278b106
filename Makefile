# Thin: every target calls the tool that does the work. Everything is installed into .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint libaom install clean

demo: install  ## the whole main job on the embedded data set
	-$(BIN)/av1part encoder build
	$(BIN)/av1part demo

test: install libaom  ## all tests, with coverage
	$(BIN)/pytest --cov --cov-report=term:skip-covered

lint: install  ## style, types, import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

libaom: install  ## libaom with the hook, into the per-user cache
	$(BIN)/av1part encoder build

install: .venv/installed

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv runs .mypy_cache .pytest_cache .ruff_cache .coverage .import_linter_cache
