# The front door. CMake does the work; what is missing is installed by scripts/deps first.
#   make            build the program
#   make check      build with warnings as errors and run the fast tests
#   make check-full the slow ones, too: the real model, sanitizers, the browser runtimes
#   make demo       bring the real Gemma 3 270M, convert it to every precision, verify, and let each file speak
#   make install PREFIX=/usr/local
BUILD ?= build
PREFIX ?= /usr/local
GENERATOR := $(shell command -v ninja >/dev/null 2>&1 && echo Ninja || echo "Unix Makefiles")
CMAKE := cmake -S . -G "$(GENERATOR)" -DCMAKE_INSTALL_PREFIX=$(PREFIX)

.PHONY: all check check-full demo install bench clean deps

all: deps
	@$(CMAKE) -B $(BUILD) -DGX_TESTS=OFF >/dev/null
	@cmake --build $(BUILD)

deps:
	@scripts/deps

check: deps
	@tests/run fast

check-full: deps
	@tests/run full

demo: all
	@scripts/demo $(BUILD)/gemma-onnx

install: all
	@cmake --install $(BUILD)

bench: all
	@bench/run $(BUILD)/gemma-onnx

clean:
	rm -rf $(BUILD) build-check build-sanitize
