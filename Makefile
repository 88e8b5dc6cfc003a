# The few commands of this project; each sets up all that it needs, in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
READY := $(VENV)/.ready

.PHONY: setup demo test check bench lock clean

setup: $(READY)

$(READY): requirements.lock casadata.lock pyproject.toml deployments/virtual_environment.py deployments/measures.py
	$(PYTHON) -m deployments.virtual_environment $(VENV)
	touch $(READY)

demo: $(READY)
	$(VENV)/bin/ppi demo

test: $(READY)
	deployments/local/services.sh
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(READY)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

bench: $(READY)
	$(VENV)/bin/python -m benchmarks $(ONLY)

# Newer versions of everything, within what is known to install together (constraints.txt).
lock:
	uv pip compile pyproject.toml --extra dev --constraint constraints.txt --python-version 3.11 --python-platform x86_64-manylinux_2_36 \
	  --generate-hashes --strip-extras --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
	  --output-file requirements.lock

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
