PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# The real data where they are, drawn faces otherwise.
export FER2013_ROOT ?= data
GRID = head.act=relu,gelu,swish,mish head.norm=none,bn

.PHONY: setup sweep test test-all test-faults fuzz lint site bench bench-recipe clean

# Downloads gigabytes, because torch brings CUDA along. Without a GPU a tenth is enough:
#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make setup
setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml
	@echo "Installing into $(VENV): gigabytes and some minutes, without a GPU far less (README, Install)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]' $(if $(CI),--constraint constraints.txt)
	touch $@

# The 8-cell grid: two minutes on drawn faces, about 70 minutes on the real ones with two cores and no GPU.
# The data are looked for in the recipe: make gives its variables to recipes, and only from 4.4 on to $(shell).
sweep: setup
	@if [ "$$($(BIN)/python -m fer_lightning.data.fer2013)" = fer2013 ]; then \
	echo "Data: FER-2013 in $$FER2013_ROOT"; data=data=fer2013; \
	else echo "Data: synthetic faces, because there is no FER-2013 in $$FER2013_ROOT (set FER2013_ROOT to its folder)"; data=recipe=tour; fi; \
	$(BIN)/python -m fer_lightning -m $(GRID) $$data $(ARGS)
	@echo "For the other commands of the README, first: . $(BIN)/activate"

test: setup
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -q -n 2 --dist loadfile $(ARGS)

test-all: setup
	$(BIN)/python -m pytest -q -m "" $(ARGS)

# Kills, signals, full disks, damaged files: docs/reliability.md. A quarter of an hour.
test-faults: setup
	$(BIN)/python -m pytest -q -m "" tests/faults $(ARGS)

# Coverage-guided, a minute for each kind of foreign file on one core: 10 minutes. Needs atheris: .venv/bin/pip install atheris
SECONDS = 60
fuzz: setup
	@for kind in table gzipped archive parquet face votes picture predictions result config; do \
	nice -n 19 $(BIN)/python tests/fuzz/readers.py $$kind -max_total_time=$(SECONDS) || exit 1; done

lint: setup
	$(BIN)/ruff check .

# The docs as a site, in site/: half a minute at most, and nothing is fetched. A link that leads nowhere ends it.
site: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "site/index.html"

# Half an hour on two quiet cores. What it found is in docs/performance.md; on a GPU every script uses it.
bench: setup
	@[ ! -f $(FER2013_ROOT)/fer2013.csv ] || $(BIN)/python benchmarks/read_csv.py $(FER2013_ROOT)/fer2013.csv
	$(BIN)/python benchmarks/input_path.py
	$(BIN)/python benchmarks/training_loop.py
	$(BIN)/python benchmarks/training_loop.py --batch 64
	$(BIN)/python benchmarks/against_template.py
	$(BIN)/python benchmarks/stability_monitor.py
	$(BIN)/python benchmarks/frozen_grid.py --only a logger=csv
	$(BIN)/python benchmarks/frozen_grid.py --only b --batch 2048 logger=csv
	$(BIN)/python benchmarks/allocation.py
	$(BIN)/python benchmarks/precision.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/busy.py
	$(BIN)/python benchmarks/packing.py
	$(BIN)/python benchmarks/cost_curves.py
	$(BIN)/python benchmarks/report_scale.py

# Three seeds of recipe=fast: half an hour on two quiet cores, whatever it takes on a GPU.
bench-recipe: setup
	$(BIN)/python benchmarks/fast_recipe.py $(ARGS)

clean:
	rm -rf outputs site multirun/*/
