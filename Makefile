# make demo and make test are all that a newcomer needs; both install what they need first and ask nothing.
# PYTHON=… names the interpreter; PORT=… the demo's HTTP port; ARGS=… goes to the command underneath.
PYTHON ?=
PORT ?= 8080
ARGS ?=
# Tests wait more than they work: several processes, each with files of its own, finish in a third of the time.
TESTERS ?= 4
export PYTHON

.PHONY: help install install-test demo test lint soak bench reference clean

help:
	@echo "make demo   install and run the whole service with simulated devices (Ctrl-C stops it)"
	@echo "make test   install what the tests need and run them"
	@echo "make install | lint | soak | bench | reference | clean"

install:
	@sh scripts/install.sh run

install-test:
	@sh scripts/install.sh test

demo: install
	@exec .venv/bin/wangge up --demo --port $(PORT) $(ARGS)

lint: install-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

test: lint
	.venv/bin/python -m pytest -m "not soak" -n $(TESTERS) --dist loadfile $(ARGS)

soak: install-test
	.venv/bin/python -m pytest -m soak -o timeout=7200 $(ARGS)

bench: install
	.venv/bin/wangge bench ingest $(ARGS)

reference: install
	.venv/bin/wangge config reference > docs/configuration.md

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
