# Two commands do everything on a bare machine: `make demo` and `make test`.
# Each of them first builds .venv from the project's own files, once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
CORE := $(VENV)/.core
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e

.PHONY: demo test test-all reproduce lint types doctest docs notebooks web clean

# The demo needs the library alone, the tests also every extra.
$(CORE): pyproject.toml constraints.txt
	@echo "Installing into $(VENV): a few minutes, most of them for torch."
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) .
	touch $@

$(READY): $(CORE)
	@echo "Installing what the tests need."
	$(INSTALL) ".[dev]"
	touch $@

demo: $(CORE)
	$(BIN)/separatrix demo

# What a change is likely to break, in a few minutes; what is left out is in tests/conftest.py.
test: $(READY)
	$(BIN)/python -m pytest -m "not slow"

test-all: $(READY)
	$(BIN)/python -m pytest

# Half an hour of two cores; `make reproduce MORE=--full` for everything, which wants a GPU. Data and weights: $SEPARATRIX_DATA.
reproduce: $(READY)
	$(BIN)/python reproduce $(MORE)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

doctest: $(READY)
	$(BIN)/python -m pytest --doctest-modules src -q

# The site, in site/: warnings are errors, every link leads somewhere, and no page asks another host for anything.
docs: $(READY)
	$(BIN)/python -m sphinx -W --keep-going -q -c docs -b html . site
	$(BIN)/python docs/check_site.py site

# The tutorials, docs/uses, as Jupyter notebooks; the site has them too.
notebooks:
	$(PYTHON) docs/notebooks.py notebooks

# Users need no Node: what this builds is committed. It fails if the source builds anything else.
web:
	cd web && npm ci --silent && npm test && npm run --silent build
	git diff --exit-code --stat -- src/separatrix/explorer/static

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build site notebooks docs/reference web/node_modules
