# Two commands for a newcomer: `make demo` and `make test`. Each sets up what it needs in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet -c constraints.txt
# One numerics thread a process: many small networks side by side are slower with more.
TEST_WORKERS ?= auto
SAC_STEPS ?= 20000
PPO_STEPS ?= 80000
CONVECTION_STEPS ?= 40000
LANGUAGE_STEPS ?= 60000
OFFLINE_STEPS ?= 600
OFFLINE_DATA := frozenlake:slip=0.6,alpha=-1,trajectories=600
OFFLINE_TRAIN = --dataset $(OFFLINE_DATA) --steps $(OFFLINE_STEPS) --threads 1 --overwrite
# Transformers small enough for a minute.
OFFLINE_SMALL := --config.width 64 --config.layers 2 --config.batch-size 32 --config.learning-rate 5e-4 --config.warmup 100
OFFLINE_DOC := $(OFFLINE_SMALL) --config.hidden 128 128 --config.energy-steps 2
POLE := --env agentgym/RobustInvertedPendulum-v0 --threads 1 --overwrite
# Small networks and a higher learning rate than SAC's defaults: enough to balance a pole, in a minute or two.
SAC := $(BIN)/agentgym train sac $(POLE) --steps $(SAC_STEPS) \
	--config.actor-layers 64 64 --config.critic-layers 64 64 --config.batch-size 128 --config.learning-rate 1e-3

CONVECTION := --env agentgym/Convection-v0 --env-kwargs start=mixed --num-envs 32 --steps $(CONVECTION_STEPS) --threads 1 --overwrite

LANGUAGE := --env agentgym/Household-v0 --env-kwargs size=tiny 'tasks=["place"]'

.PHONY: demo train-sac train-randomised train-ppo demo-convection train-shared train-single demo-language demo-offline test test-slow gpu-check docs docs-serve dist lint format clean help

help:
	@echo "make demo       train three agents, find out where they break, write reports/demo/report.html (minutes)"
	@echo "make demo-convection   the same for convection: one policy for ten heaters"
	@echo "make demo-language   the same for errands by text: a tiny language agent"
	@echo "make demo-offline   who keeps a promise on slippery ice: agents that learn from a dataset"
	@echo "make test       every fast test"
	@echo "make gpu-check  tests and benchmarks on a GPU, reports/gpu/gpu.md (eight minutes at most)"
	@echo "make test-slow  the long learning tests as well"
	@echo "make lint       ruff, mypy, import-linter"
	@echo "make dist       wheel and sdist in dist/, checked and tried in a fresh environment"
	@echo "make docs       the site, into docs/_build/html; make docs-serve shows it at http://localhost:8000"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A file whose date says when the environment was last brought up to date.
$(VENV)/.ready: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e ".[report]"
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(PIP) -e ".[dev]"
	@touch $@

demo: $(VENV)/.ready
	@$(MAKE) --no-print-directory --jobs 3 train-sac train-randomised train-ppo
	$(BIN)/agentgym evaluate runs/demo-sac runs/demo-randomised runs/demo-ppo --overwrite --out reports/demo --workers 2 \
		--suite parameter-grid:points=5 perturbations:axes=observation+action+dynamics,levels=3 --episodes 5
	@echo "Open reports/demo/report.html in a browser."

train-sac: $(VENV)/.ready
	$(SAC) --name demo-sac

train-randomised: $(VENV)/.ready
	$(SAC) --name demo-randomised --env-kwargs randomize=uniform

train-ppo: $(VENV)/.ready
	$(BIN)/agentgym train ppo $(POLE) --steps $(PPO_STEPS) --name demo-ppo

demo-convection: $(VENV)/.ready
	@$(MAKE) --no-print-directory --jobs 2 train-shared train-single
	$(BIN)/agentgym evaluate runs/convection-shared runs/convection-single --overwrite --out reports/convection --workers 2 \
		--suite convection --episodes 4 --controllers zero merge-then-low-T
	$(BIN)/agentgym play runs/convection-shared --env-kwargs start=two-pair --controllers zero \
		--overwrite --video reports/convection/controlled.mp4
	@echo "Open reports/convection/report.html in a browser; watch reports/convection/controlled.mp4."

train-shared: $(VENV)/.ready
	$(BIN)/agentgym train shared-ppo $(CONVECTION) --name convection-shared

train-single: $(VENV)/.ready
	$(BIN)/agentgym train ppo $(CONVECTION) --name convection-single --config.n-steps 25 --config.batch-size 100 \
		--config.gamma 0.99 --config.learning-rate 1e-3 --config.anneal-learning-rate

demo-language: $(VENV)/.ready
	$(BIN)/agentgym train grpo $(LANGUAGE) --steps $(LANGUAGE_STEPS) --threads 1 --overwrite --name language \
		--config.imitation-batches 200
	$(BIN)/agentgym evaluate runs/language $(LANGUAGE) --overwrite --out reports/language --workers 2 --suite text --episodes 64 \
		--controllers oracle explorer random
	$(BIN)/agentgym play runs/language $(LANGUAGE) split=unseen
	@echo "Open reports/language/report.html in a browser."

# The one demo that needs the extra offline.
demo-offline: $(VENV)/.ready
	$(PIP) -e ".[report,offline]"
	$(BIN)/agentgym data make $(OFFLINE_DATA)
	$(BIN)/agentgym train doc $(OFFLINE_TRAIN) --name offline-doc $(OFFLINE_DOC)
	$(BIN)/agentgym train doc $(OFFLINE_TRAIN) --name offline-future-vae $(OFFLINE_DOC) --config.method future-vae
	$(BIN)/agentgym train dt $(OFFLINE_TRAIN) --name offline-dt $(OFFLINE_SMALL)
	$(BIN)/agentgym train percent-bc $(OFFLINE_TRAIN) --name offline-percent-bc
	$(BIN)/agentgym evaluate $(addprefix runs/offline-,doc future-vae dt percent-bc) --overwrite --out reports/offline --workers 2 \
		--suite stochasticity --episodes 100
	@echo "Open reports/offline/report.html in a browser: the tab Consistency."

test: $(VENV)/.ready-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(TEST_WORKERS) --dist worksteal -m "not slow"

test-slow: $(VENV)/.ready-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(TEST_WORKERS) --dist worksteal

docs: $(VENV)/.ready-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W -n --keep-going --jobs auto -q -d docs/_build/doctrees docs docs/_build/html
	@echo "Open docs/_build/html/index.html in a browser."

docs-serve: docs
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory docs/_build/html 8000

# The wheel is tried where nothing of the repository can help it: a fresh environment, an empty folder.
dist: $(VENV)/.ready-dev
	rm -rf build dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	PYTHON=$(PYTHON) .ci/try-wheel dist/*.whl constraints.txt

gpu-check: $(VENV)/.ready-dev
	$(BIN)/python benchmarks/gpu_check.py --out reports/gpu

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p agentgym
	$(BIN)/lint-imports

format: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
