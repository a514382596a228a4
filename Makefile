# Each target makes what it needs. The first run also makes .venv, with the files that requirements.lock names by
# their hashes: what the course needs; for tests and the book those of requirements-dev.lock, what a maintainer needs.
#
#   make course                    run every chapter: the sample of real cells, quick scale
#   make course CELLS=nih          the same on all real cells (also: CELLS=synthetic, CELLS=FOLDER, SCALE=full, WEIGHTS=FILE)
#   make lab                       JupyterLab on the chapters
#   make test                      chapters, records, and the quick tests: about a quarter of an hour
#   make slow                      the slow tests; CI runs them too
#   make weekly                    long tests that others cover in part: another back end, all answers through the grader
#   make lint                      one form for modules, tests and notebook cells; lessons of one sitting, in standard words
#   make format                    give modules, tests and notebook cells that form
#   make records                   check that prose, code and recorded experiments agree
#   make exercises                 the learners' notebooks from nbs/solutions
#   make docs                      the book, in _docs/html
#   make pdf                       the book as a PDF, _docs/malaria_nb.pdf (needs Debian's chromium)
#   make links                     ask whether the addresses that pages link to are still there (needs a network)
#   make demo                      the page that reads cells in the browser, served on this machine (needs npm)
#   make slides                    slides from the chapters' marked cells, in _docs/slides
#   make browser                   open the book and JupyterLab in a real browser (needs Debian's chromium); with
#                                  EVERY_PAGE=1 also the many pages made alike that it leaves out
#   make walk                      take the whole course in JupyterLab, exercises and all (half an hour)
#   make map                       nbs/map.md: what depends on what
#   make cards                     model card, data sheet and checklists from the records
#   make readme                    README.md from nbs/index.ipynb, and the pictures that both show
#   make claims                    after a new record: store what the chapters now show of it (a minute, no cells)
#   make renew                     the records' metrics as the code gives them now, and the lists of digests
#   make outputs                   run the chapters on the real cells and store what they show
#   make oldest                    the core's tests with the oldest versions that settings.ini allows
#   make lock                      the locks and environment.yml from settings.ini (needs uv)
#   make platforms                is there a wheel of everything for Windows, Macs and Linux? (needs uv and a registry)
#   make clean                     remove .venv and everything built here; the user's cache stays

PYTHON ?= python3
CELLS ?= sample
SCALE ?= quick
# what VGG-19 starts from: the official file where it can be had, else random weights, and a line that says so
WEIGHTS ?= auto
BIN := .venv/bin
ENV := .venv/.made

.DEFAULT_GOAL := course
.PHONY: course lab test slow weekly lint format chapters records exercises docs pdf links demo slides browser walk map cards readme claims renew outputs oldest lock platforms clean

DEV := .venv/.dev
# pip says what it does, unless a machine reads it
PIP := $(BIN)/python -m pip install $(if $(CI),--quiet)
# pip takes minutes; uv takes half a minute, but knows nothing of pip's settings: UV=1 asks for it, as CI does
INSTALL := $(if $(UV),$(BIN)/uv pip install $(if $(CI),--quiet) --python $(BIN)/python,$(PIP))
CAN := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14) and \
    "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.13")

$(ENV): requirements.lock settings.ini setup.py pyproject.toml
	@$(PYTHON) -c '$(CAN)'
	$(PYTHON) -m venv .venv
ifdef UV
	sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.lock > .venv/uv.lock
	$(PIP) --require-hashes -r .venv/uv.lock
endif
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): $(ENV) requirements-dev.lock
	$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

course: $(ENV)
	$(BIN)/malaria-nb course --cells "$(CELLS)" --scale $(SCALE) --weights "$(WEIGHTS)"

lab: $(ENV)
	$(BIN)/malaria-nb lab --cells "$(CELLS)" --scale $(SCALE) --weights "$(WEIGHTS)"

# The chapters run on the sample of real cells, in a cache of their own, so that they neither use nor touch the user's.
# At the tiny scale every line runs; `make course` runs them at the scale that learners meet.
chapters: $(ENV)
	home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && \
	env MALARIA_NB_HOME="$$home" MALARIA_NB_CELLS=sample MALARIA_NB_SCALE=tiny MALARIA_NB_WEIGHTS=random \
	    TF_CPP_MIN_LOG_LEVEL=3 TQDM_DISABLE=1 $(BIN)/nbdev_test --n_workers 2 --timing

TESTS := -m pytest -n 3 --dist worksteal --ignore tests/browser

test: $(DEV) chapters records
	$(BIN)/python $(TESTS) -m "not slow and not weekly"

slow: $(DEV)
	$(BIN)/python $(TESTS) -m slow

weekly: $(DEV)
	$(BIN)/python $(TESTS) -m weekly

# Do prose, code and records agree?
records: $(ENV)
	$(BIN)/malaria-nb experiment check

# A lesson's cells are read beside their outputs, so they are narrower than a module.
LESSONS := --config 'format.exclude=[]' --line-length 90 nbs/[0-6]*.ipynb nbs/index.ipynb nbs/solutions/*.ipynb

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff format --check $(LESSONS)
	$(BIN)/ruff check .
	$(BIN)/python tools/lessons.py --check

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff format $(LESSONS)
	$(BIN)/ruff check --fix .

exercises: $(ENV)
	$(BIN)/python tools/exercises.py

docs: $(DEV)
	$(BIN)/python tools/book.py

pdf: $(DEV)
	$(BIN)/python tools/paper.py

links: $(ENV)
	$(BIN)/python tools/links.py

demo: $(DEV)
	$(BIN)/python tools/demo.py --serve

slides: $(DEV)
	$(BIN)/python tools/slides.py

browser: docs slides
	$(BIN)/python -m pytest -n 2 tests/browser

walk: $(DEV)
	cd tests/browser && ../../$(BIN)/python -m pytest -s -p no:cacheprovider walk.py

map: $(ENV)
	$(BIN)/python tools/map.py

cards: $(ENV)
	$(BIN)/python tools/cards.py

readme: $(ENV)
	$(BIN)/python tools/front.py
	$(BIN)/python tools/readme.py

claims: $(ENV)
	$(BIN)/python tools/claims.py

renew: $(ENV)
	$(BIN)/python tools/renew.py

outputs: $(ENV)
	$(BIN)/malaria-nb course --cells nih --scale $(SCALE) --weights "$(WEIGHTS)" --store
	$(BIN)/malaria-nb course --cells nih --scale $(SCALE) --only 7 8 9 --store --out _course/library
	$(BIN)/malaria-nb course --cells nih --scale $(SCALE) --only index --store --out _course/index
	$(BIN)/python tools/readme.py

# Does the core run with the oldest versions that its requirements allow?
oldest: $(DEV)
	$(BIN)/python tools/oldest.py

lock:
	$(PYTHON) tools/requirements.py

platforms:
	$(PYTHON) tools/platforms.py

clean:
	rm -rf .venv _course _docs build dist *.egg-info
	find . -name __pycache__ -o -name .ipynb_checkpoints -o -name .pytest_cache | xargs rm -rf
