# Every target works in a fresh clone on a machine with only python3, its venv module and make.
# An installation is done again when pyproject.toml or constraints.txt changed: .venv/.installed-EXTRA remembers.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help install demo test test-slow check crash format bench clean
.DELETE_ON_ERROR:

help:
	@echo "make demo       two weeks of a lead process in seconds: real client, server, store and SMTP"
	@echo "make test       the tests, short forms (make test-slow: the long forms)"
	@echo "make check      format, lint, types, and the laws of the house"
	@echo "make format     put the code into the one format, and mend what lint can mend"
	@echo "make crash      SIGKILL a loaded server 36 times and look whether every promise was kept"
	@echo "make bench      every benchmark, and a report with pictures in bench/results"
	@echo "make install    the environment in .venv, with all the tools"
	@echo "make clean      remove .venv and what tools left behind"

install: .venv/.installed-dev

.venv/.installed-%: pyproject.toml constraints.txt
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@echo "installing stagewheel[$*] into .venv"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[$*]'
	@touch $@

demo: .venv/.installed-demo
	@$(BIN)/stagewheel demo

test: .venv/.installed-dev
	@$(BIN)/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder

test-slow: .venv/.installed-dev
	@$(BIN)/python -m pytest -q -m slow

check: .venv/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_house.py

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

crash: .venv/.installed-dev
	@$(BIN)/python -m tests.crash --kills 36

bench: .venv/.installed-dev
	@$(BIN)/python -m bench all
	@$(BIN)/python -m bench report

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find stagewheel bench tests -name __pycache__ -type d -prune -exec rm -rf {} +
