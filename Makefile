# make demo   .venv, then NIfTI -> record set -> training -> evaluation -> export -> prediction
# make test   .venv, then the test suite; slow conformance tests of one method of each paper
# make variants   those of all other methods, and slow tests that others stand for
# make quick  the tests that are not marked slow
# make watch  ratios within our own code, against what they usually are: three minutes
# make lint   ruff, mypy, and hadolint of the Dockerfiles
# make docs   the documentation site, from docs/ and the docstrings, in build/site
# make server   serving/.venv, in which serving/serve.py runs (docs/serving.md)
# make campaign   damaged, hostile and impossible input, full disks and kills: half an hour;
#                 make campaign SHARE=0.02: a fiftieth, one trial of each category at least

PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python
TFADV := $(BIN)/tfadv
METHOD ?= kohl_purely_adversarial
WORK_DIR ?= runs/demo
MODEL ?= models/demo
SHARE ?= 1
SUBJECT := data/demo_tumour/tumour_000/tumour_000

.PHONY: demo test variants quick campaign watch lint docs server clean

.venv/.installed: requirements.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -r requirements-dev.txt -e .
	touch $@

demo: .venv/.installed
	$(TFADV) preprocess --out_dir records/demo_tumour
	$(TFADV) train --method $(METHOD) --preset small --work_dir $(WORK_DIR) \
	  --epochs 12 --hp.halve_every=4 --hp.batch_size=5 --hp.discriminator_learning_rate=5e-5
	$(TFADV) evaluate --work_dir $(WORK_DIR)
	$(TFADV) export --work_dir $(WORK_DIR) --out_dir $(MODEL)
	$(TFADV) predict --model $(MODEL) --output predictions/tumour_000.nii.gz \
	  --image $(SUBJECT)_t1.nii.gz --image $(SUBJECT)_t1ce.nii.gz \
	  --image $(SUBJECT)_t2.nii.gz --image $(SUBJECT)_flair.nii.gz
	@echo; cat $(WORK_DIR)/summary.txt
	@echo "picture:     $(WORK_DIR)/picture.png"
	@echo "TensorBoard: .venv/bin/tensorboard --logdir $(WORK_DIR)/tensorboard"
	@echo "model:       $(MODEL)"

# Most of the time goes to tracing graphs, which takes one core: two processes take half as long.
PYTEST := TF_FORCE_GPU_ALLOW_GROWTH=true $(RUN) -m pytest -n 2 --dist worksteal

test: .venv/.installed
	$(PYTEST)

variants: .venv/.installed
	$(PYTEST) -m variants

quick: .venv/.installed
	$(PYTEST) -m "not slow"

campaign: .venv/.installed
	$(RUN) -m tests.campaign --share $(SHARE)

watch: .venv/.installed
	$(RUN) benchmarks/run.py --watched --rounds 3

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile serving/Dockerfile

build/docs/.installed: docs/requirements.txt
	$(PYTHON) -m venv build/docs
	build/docs/bin/pip install --quiet -r docs/requirements.txt
	touch $@

docs: build/docs/.installed
	NO_MKDOCS_2_WARNING=1 build/docs/bin/mkdocs build --strict

server: serving/.venv/.installed

serving/.venv/.installed: serving/requirements.txt
	$(PYTHON) -m venv serving/.venv
	serving/.venv/bin/pip install --quiet --upgrade pip
	serving/.venv/bin/pip install --quiet -r serving/requirements.txt
	touch $@

clean:
	rm -rf records runs models predictions comparisons experiments data/demo_tumour data/demo_tissue data/prostate
