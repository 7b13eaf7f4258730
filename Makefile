# make demo: base install, score the samples with the bundled model, write the report.   make test: everything.   make lint: style and types.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
DEMO := .venv-demo
# What `pip install .` copies; a bundle that was released since is reinstalled too.
SOURCES := pyproject.toml README.md $(shell find inference training -type f ! -path '*/__pycache__/*')

.PHONY: demo test lint bench notebooks screenshots clean

demo: $(DEMO)/installed
	$(DEMO)/bin/zhenyan score data/samples -o out/demo.jsonl --report out/demo.html --text-column 文案 --show 40 --restart

# What setuptools left in build/ would be installed again, modules that are gone by now as well.
$(DEMO)/installed: $(SOURCES)
	rm -rf build
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/pip install --quiet --disable-pip-version-check .
	touch $@

test: $(VENV)/installed
	sh tests/system_packages.sh
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	mkdir -p $(VENV)/types
	ln -sfn "$(CURDIR)" $(VENV)/types/zhenyan
	MYPYPATH=$(VENV)/types $(VENV)/bin/mypy -p zhenyan.inference -p zhenyan.training

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e .[train,serve,review,sweep,docx,openvino,ray,dev]
	touch $@

# Of out/ only what `make demo` wrote: one's own runs and their decisions lie there, too.
clean:
	rm -rf $(VENV) $(DEMO) out/demo.* build *.egg-info

bench: $(VENV)/installed
	$(VENV)/bin/python benchmarks/run.py $(if $(TEACHER),--teacher $(TEACHER))

# Runs the notebooks on everything there is and keeps their output, here and in docs/new-label.md. 01 goes on from the bundled model.
notebooks: $(VENV)/installed
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/jupyter-execute --inplace --timeout=3600 notebooks/*.ipynb
	$(VENV)/bin/python docs/tidy_notebooks.py notebooks/*.ipynb
	$(VENV)/bin/python docs/tables.py

# The pictures in docs/images, from a real browser.
screenshots: $(VENV)/installed
	sh tests/system_packages.sh
	$(VENV)/bin/python docs/screenshots.py
