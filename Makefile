# The few commands of this project; each sets up all that it needs, in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
READY := $(VENV)/.ready
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check

.PHONY: setup demo test check bench lock clean

setup: $(READY)

$(READY): requirements.lock casadata.lock pyproject.toml deployments/measures.py
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --require-hashes --requirement requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	mkdir -p $(VENV)/share/ppi
	$(PIP) download --quiet --no-deps --require-hashes --requirement casadata.lock --dest $(VENV)/casadata
	$(VENV)/bin/python -m deployments.measures $(VENV)/casadata/casadata-*.whl
	rm -r $(VENV)/casadata
	MPLCONFIGDIR=$(VENV)/share/ppi/matplotlib $(VENV)/bin/python -c "import matplotlib.font_manager"
	touch $(READY)

demo: $(READY)
	$(VENV)/bin/ppi demo

test: $(READY)
	deployments/local/services.sh
	$(VENV)/bin/python -m pytest $(ARGS)

check: $(READY)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

bench: $(READY)
	$(VENV)/bin/python -m benchmarks $(ONLY)

# Newer versions of everything, within what is known to install together (constraints.txt).
lock:
	uv pip compile pyproject.toml --extra dev --constraint constraints.txt --python-version 3.11 --python-platform x86_64-manylinux_2_36 \
	  --generate-hashes --no-strip-extras --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --output-file requirements.lock

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
