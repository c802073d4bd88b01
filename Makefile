# Everything runs from this folder in .venv, which is made on first use. Needs make and Python 3.11 to 3.13, nothing else.
#   make pirate ARGS="-P epochs=10 -P method=full"      make demo PORT=7861      make test ARGS="-k splits"
VENV := .venv
PYTHONS := $(PYTHON) python3.11 python3.12 python3.13 python3 python
IS_SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
IN_VENV := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
# MLflow's own command would let two first runs create the tables of a new store at once, and try to write to a store that
# can't be written for minutes.
STORE := case "$$MLFLOW_TRACKING_URI" in sqlite:///*) store="$${MLFLOW_TRACKING_URI\#sqlite:///}";; "") store=mlflow.db;; \
  *) store=/;; esac; [ -w "$$store" ] || $(VENV)/bin/python -m steps.store
export MLFLOW_DISABLE_TELEMETRY ?= true
export MLFLOW_LOGGING_LEVEL ?= WARNING
RUN := $(STORE) && $(IN_VENV) mlflow run . --env-manager local --experiment-name parley

.PHONY: help pirate base ui demo serve test check docs clean

help:
	@echo "make pirate   fine-tune the base model on the pirate set, evaluate and register it (ARGS=\"-P epochs=10\")"
	@echo "make ui       runs, curves and versions in the MLflow UI (PORT=5001)"
	@echo "make demo     the chat page: base and tuned versions side by side (PORT=7861, ARGS=\"--share true\")"
	@echo "make serve    a server with OpenAI's HTTP API (PORT=8001, ARGS=\"--new_key alice\")"
	@echo "make base     make the bundled base model anew"
	@echo "make test     all tests"
	@echo "make check    style, types, import rules and the tests of the documents"
	@echo "make docs     build the documentation into site/ (PORT=8008 serves it at that port)"
	@echo "make clean    remove .venv and caches; runs and models stay"

pirate: $(VENV)/.ready
	@$(RUN) -e pirate $(ARGS)

base: $(VENV)/.ready
	@$(RUN) -e base $(ARGS)

ui: $(VENV)/.ready
	@$(VENV)/bin/python -m steps.ui $(if $(PORT),--port $(PORT))

demo: $(VENV)/.ready
	@$(VENV)/bin/python -m steps.demo $(if $(PORT),--port $(PORT)) $(ARGS)

serve: $(VENV)/.ready
	@$(VENV)/bin/python -m steps.serve $(if $(PORT),--port $(PORT)) $(ARGS)

test: $(VENV)/.ready-dev
	@$(IN_VENV) python -m pytest --numprocesses 3 --dist loadfile $(ARGS)

check: $(VENV)/.ready-dev
	@$(IN_VENV) ruff check .
	@$(IN_VENV) ruff format --check .
	@$(IN_VENV) pyright
	@$(IN_VENV) lint-imports
	@$(IN_VENV) python -m pytest tests/test_project.py tests/test_words.py tests/test_style.py tests/docs

docs: $(VENV)/.ready-docs
	@$(IN_VENV) NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict --quiet
	@echo "The documentation is in site/index.html."
	@$(if $(PORT),$(VENV)/bin/python -m http.server --bind 127.0.0.1 --directory site $(PORT))

clean:
	rm -rf $(VENV) site .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written last, so that an interrupted set-up is taken up again. PYTHON=... names another interpreter.
$(VENV)/.ready: requirements.txt
	@if [ ! -e $(VENV) ]; then \
	  for python in $(PYTHONS); do \
	    "$$python" -c '$(IS_SUPPORTED)' 2>/dev/null && found="$$python" && break; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "Parley needs Python 3.11, 3.12 or 3.13, which was not found (python3 is $$(python3 --version 2>&1))." >&2; \
	    echo "Install it, or say where it is: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; \
	  fi; \
	  "$$found" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; \
	fi
	@$(VENV)/bin/python -c 'import pip; $(IS_SUPPORTED)' 2>/dev/null || { \
	  echo "$(VENV) is there, but is no Python 3.11 to 3.13 with pip. Remove it with: make clean" >&2; exit 1; }
	@echo "Setting up $(VENV): PyTorch and what else requirements.txt names. This happens once."
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.ready-docs: $(VENV)/.ready requirements-docs.txt
	@$(PIP) -r requirements-docs.txt
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.txt requirements-docs.txt
	@$(PIP) -r requirements-dev.txt
	@touch $@
