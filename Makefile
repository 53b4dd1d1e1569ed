# The two commands of a newcomer: make run, make test. Everything they need is installed by themselves, from
# the hashed locks, into .venv; a second call installs nothing.

VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough and really starts (a pyenv shim may exist for one that does not).
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
# Compiled at once, for those whose Python writes no bytecode (PYTHONDONTWRITEBYTECODE). Other Pythons compile what
# they import when they first import it: UV_COMPILE_BYTECODE=0 saves half a minute.
UV = UV_COMPILE_BYTECODE=$${UV_COMPILE_BYTECODE-1} $(BIN)/uv pip install --quiet --python $(BIN)/python
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock"
BENCHMARKS := launch independence cli log_calls data_digest images image_start training busy serve sweeps queues
# What travels to a bare machine with a card, and what its own Python has (tooling/gpu_check/machine.txt).
GPU_WHEELS := .trainer/gpu-wheels
ON_MACHINE = $(shell sed -n 's/^\([a-z0-9-][a-z0-9-]*\).*/--no-emit-package \1/p' tooling/gpu_check/machine.txt)
DASHBOARD := tooling/trainer/deploy/compose/files/grafana/dashboards/models.json
SCRIPTS := tooling/docker_engine.sh tooling/trainer/backends/start.sh \
	tooling/trainer/deploy/templates/dokku.sh trainer_images/layer.sh .ci/run \
	tests/docker/stack/services/postgres.sh tests/docker/stack/services/weed

.PHONY: help run test test-unit test-servers bench gpu-check gpu-check-wheels lint format lock schema commands \
	dashboard pictures docs release clean

help:
	@echo "make run       set everything up and run the sklearn project, tracked"
	@echo "make test      run the tests; those with containers need a Docker engine. ARGS='tests/docker -x': of pytest"
	@echo "make test-unit  run those without an engine, on all cores; ARGS as above"
	@echo "make test-servers  run those with MLflow servers of all versions that runs may report to"
	@echo "make bench     measure, in turns with what else could be used; write docs/benchmarks.json and .md:"
	@echo "               25 minutes, with a Docker engine, the package registry and 10 GB of disk"
	@echo "make gpu-check-wheels  fetch what a bare machine with a GPU lacks into $(GPU_WHEELS)"
	@echo "make gpu-check  on that machine: 8 minutes, one JSON and one page (docs/gpu.md). PYTHON= its Python, ARGS=--small"
	@echo "make lint      check code, types, layers, shell scripts and the Dockerfile"
	@echo "make format    format the code, and fix what the linter can"
	@echo "make lock      compile the requirements locks again"
	@echo "make schema    write the schemas of trainer/run.json, and of the YAML that users write, to docs/"
	@echo "make commands  write docs/commands.md from the command line"
	@echo "make dashboard  write the Grafana dashboard of a stack from tooling/dashboard.py"
	@echo "make pictures  draw the pictures of the pages again, in docs/images"
	@echo "make docs      write the pages as a site to site/"
	@echo "make release   build the wheel and the sdist into dist/, and check them"
	@echo "make clean     stop the tracking server and remove .venv; runs and data stay"

# Without an engine `--backend auto` says so and runs in a virtual environment instead.
run: $(VENV)/.run
	@$(BIN)/trainer run sklearn --backend auto

test: $(VENV)/.dev
	@$(BIN)/pytest $(ARGS)

# They share nothing, and wait half of the time: two processes for each core.
test-unit: $(VENV)/.dev
	@$(BIN)/pytest --numprocesses $$((2 * $$(getconf _NPROCESSORS_ONLN))) --dist worksteal tests/unit $(ARGS)

# With every version of the tracking server that is promised; `make test` has three of them.
test-servers: $(VENV)/.dev
	@$(BIN)/pytest -m 'opt_in or not opt_in' tests/servers

# All of them, even when one misses its goal; then it fails.
bench: $(VENV)/.dev
	@failed=; for name in $(BENCHMARKS); do \
		$(BIN)/python tooling/bench/$$name.py --record || failed="$$failed $$name"; done; \
	[ -z "$$failed" ] || { echo "Missed a goal:$$failed"; exit 1; }

# Where there is a registry: what a bare machine with a card lacks (docs/gpu.md).
gpu-check-wheels: $(VENV)/.dev
	@PYTHONPATH=tooling $(BIN)/python -m gpu_check.wheels $(GPU_WHEELS)

# On that machine, with its own Python: nothing of .venv is used, or made.
gpu-check:
	@PYTHONPATH=tooling $(PYTHON) -m gpu_check --wheels $(GPU_WHEELS) $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy tooling trainer_images/trainkit trainer_images/serve mlflow_tracking_server tests
	$(BIN)/lint-imports
	$(BIN)/shellcheck $(SCRIPTS)
	$(BIN)/hadolint trainer_images/Dockerfile trainer_images/serve/Dockerfile tooling/trainer/images/project_env/Dockerfile \
		tooling/trainer/images/project_env/micromamba.Dockerfile mlflow_tracking_server/Dockerfile

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: $(VENV)/.uv
	$(COMPILE) pyproject.toml --group install -o requirements.txt
	$(COMPILE) pyproject.toml --group install --group dev -c requirements.txt -o requirements-dev.txt
	for group in docs release; do $(COMPILE) --group $$group -o requirements-$$group.txt || exit 1; done
	echo uv | $(COMPILE) - -c requirements.txt -o trainer_images/uv.txt
	cp trainer_images/uv.txt mlflow_tracking_server/uv.txt
	$(BIN)/uv pip compile --quiet --python-version 3.12 --python-platform x86_64-manylinux_2_28 --generate-hashes \
		--no-annotate --custom-compile-command "make lock" -c tooling/gpu_check/machine.txt $(ON_MACHINE) \
		tooling/gpu_check/wheels.in -o tooling/gpu_check/wheels.txt
	for image in trainer_images/*/requirements.in mlflow_tracking_server/requirements.in tests/docker/*/requirements.in; do \
		$(COMPILE) "$$image" -o "$${image%.in}.txt" || exit 1; done
	for server in tests/servers/requirements/*.in; do $(BIN)/uv pip compile --quiet --python-version 3.11 --no-annotate \
		--custom-compile-command "make lock" "$$server" -o "$${server%.in}.txt" || exit 1; done

# What docs/run-record.md refers to, from the code.
schema: $(VENV)/.dev
	$(BIN)/python -c 'import json; from pydantic import TypeAdapter; from trainer.runs.run_record import RunRecord; \
		print(json.dumps(TypeAdapter(RunRecord).json_schema(), indent=2))' > docs/run.schema.json
	PYTHONPATH=tooling $(BIN)/python tooling/schemas.py docs/schemas

# To a file of its own first: a command line that does not start leaves the page as it is.
commands: $(VENV)/.dev
	$(BIN)/python tooling/command_reference.py > docs/commands.md.new
	mv docs/commands.md.new docs/commands.md

dashboard: $(VENV)/.dev
	$(BIN)/python tooling/dashboard.py > $(DASHBOARD).new
	mv $(DASHBOARD).new $(DASHBOARD)

# With runs of this workspace, an engine and a Chromium; look at each before it is committed.
pictures: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python tooling/docs_pictures.py docs/images

# Nothing of it is loaded from elsewhere: site/README.html can be opened as it is.
docs: $(VENV)/.dev $(VENV)-docs/.there
	$(BIN)/python tooling/docs_site.py .trainer/docs
	NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs build --quiet

# The version is the tag's: git tag v1.2.3; make release.
release: $(VENV)/.dev $(VENV)-release/.there
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(VENV)-release/bin/twine check --strict dist/*

clean:
	@[ ! -x $(BIN)/trainer ] || $(BIN)/trainer server down
	rm -rf $(VENV) $(VENV)-* .trainer/environments

$(VENV)/.uv: trainer_images/uv.txt
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed. Install it, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: apt-get install python3-venv"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r trainer_images/uv.txt
	@touch $@

$(VENV)/.run: $(VENV)/.uv requirements.txt pyproject.toml
	@echo "Installing what trainer needs (a minute, once)"
	@$(UV) --require-hashes -r requirements.txt
	@$(UV) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.txt
	@echo "Installing what the tests need"
	@$(UV) --require-hashes -r requirements-dev.txt
	@touch $@

# What is used rarely has an environment of its own.
$(VENV)-%/.there: requirements-%.txt $(VENV)/.uv
	@echo "Installing what make $* needs"
	@$(BIN)/uv venv --quiet --clear $(VENV)-$*
	@$(BIN)/uv pip install --quiet --python $(VENV)-$*/bin/python --require-hashes -r $<
	@touch $@
