# Thin: every target calls the tool that does the work. Everything is installed into VENV.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The newest Python for which PyTorch and ONNX Runtime have wheels.
PYTHON_NEWEST ?= python3.14
SOAK_S ?= 180
# The versions that CI ran, with the hashes of their files. `make install LOCK=` takes the newest ones instead.
LOCK ?= requirements.lock
# The built encoder, which `make demo` takes where its C code is that of this folder.
WHEEL := $(wildcard dist/av1part_libaom-*.whl)

.PHONY: system demo test test-long coverage portable test-newest lint libaom wheels webgpu soak sanitize bench zoo install lock clean

demo: system install  ## the whole main job on the embedded data set; its encoder from a wheel in dist/, else built
	$(if $(WHEEL),-$(BIN)/python -m pip install --quiet --no-deps --force-reinstall $(WHEEL))
	-$(BIN)/av1part encoder info >/dev/null 2>&1 || $(BIN)/av1part encoder build
	$(BIN)/av1part demo

test: system install libaom webgpu  ## all tests but those marked long
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile -m "not long"

test-long: system install libaom webgpu  ## the tests marked long
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto -m long

coverage: system install libaom webgpu  ## all tests, long ones too, and the lines that none of them runs
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile --cov --cov-report=term-missing:skip-covered

portable: system install libaom webgpu  ## the tests whose verdict depends on floats, as several CPUs would compute them
	$(BIN)/python benchmarks/portable.py

test-newest:  ## all tests on PYTHON_NEWEST, in an environment of its own
	$(MAKE) test VENV=.venv-newest PYTHON=$(PYTHON_NEWEST)

lint: install  ## style, types, import direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

libaom: system install  ## libaom with the hook, into the per-user cache
	$(BIN)/av1part encoder build

wheels: libaom  ## dist/: av1part, and av1part-libaom for machines without a compiler; what is inside, with hashes
	$(BIN)/python wheels/build.py

webgpu: system install  ## ONNX Runtime's WebGPU provider, into a folder of the per-user cache; what it runs on
	-$(BIN)/av1part doctor --install-webgpu

soak: install  ## random encodes under AddressSanitizer and UBSan for SOAK_S seconds (its build, once: about 8 minutes)
	$(BIN)/python benchmarks/soak.py --seconds $(SOAK_S)

sanitize: install  ## the encoder's tests in the same build
	$(BIN)/av1part encoder build --sanitize
	LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)" AV1PART_SANITIZE=1 \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	$(BIN)/pytest --timeout 1200 tests/integration/libaom/test_hook.py tests/integration/codec/test_encoder.py \
	tests/integration/libaom/test_search.py tests/integration/libaom/test_inter_frames.py \
	tests/integration/libaom/test_motion_features.py tests/integration/pruning/test_overrides.py

bench: install  ## inference, training and memory, both sides of a ratio in one run; best on a machine that is idle
	$(BIN)/python benchmarks/runtime.py --repeats 3
	$(BIN)/python benchmarks/training.py --rounds 3
	$(BIN)/python benchmarks/execution.py --backbone small
	$(BIN)/python benchmarks/execution.py --backbone resnet18-se --rounds 3
	$(BIN)/python benchmarks/memory.py

zoo: install libaom  ## make the pruners in the box again from PHOTOS, a folder that holds their photographs
	$(BIN)/python benchmarks/rebuild_zoo.py $(PHOTOS) -o runs/zoo

system:  ## system packages that are missing: compilers, CMake, Ninja, NASM, Chromium, ffmpeg and other AV1 clients
	.ci/system

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml $(LOCK)
	$(PYTHON) -m venv $(VENV)
ifdef LOCK
	$(BIN)/python -m pip install --quiet --require-hashes --requirement $(LOCK)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
else
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
endif
	touch $@

lock: install  ## the newest versions that pyproject.toml and pip's own constraints allow, for every Python; prints what changed
	grep == requirements.lock >$(VENV)/pins
	UV_CONSTRAINT="$$($(BIN)/python -m pip config list | sed -n "s/^global.constraint='\(.*\)'/\1/p")" $(BIN)/uv pip compile \
	--quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra dev \
	pyproject.toml --output-file requirements.lock
	! grep == requirements.lock | diff $(VENV)/pins - || echo "No version has changed."

clean:
	rm -rf .venv .venv-newest runs .mypy_cache .pytest_cache .ruff_cache .coverage .import_linter_cache
