# The front door. It installs what is missing (Debian packages; root or sudo), then hands over to CMake and the scripts
# in tools/. `make help` lists what there is. Nothing here needs more than GNU make and a shell.

PREFIX    ?= /usr/local
DESTDIR   ?=
ARGS      ?=
FUZZ_RUNS ?= 10000000
BENCHES    = $(shell find bench -type f -perm -u+x 2>/dev/null | sort)

.DEFAULT_GOAL := all
.PHONY: all run check soak bench install clean help deps
MAKEFLAGS += --no-print-directory

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

all: deps ## install what is missing and build build/kith (the default)
	@# A build folder moved or copied from elsewhere remembers its old place, and CMake refuses it: start afresh.
	@if [ -f build/release/CMakeCache.txt ] && \
	    ! grep -qxF 'CMAKE_HOME_DIRECTORY:INTERNAL=$(CURDIR)' build/release/CMakeCache.txt; then \
	    rm -rf build/release; fi
	@cmake --preset release --log-level=WARNING -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null
	@cmake --build build/release

run: all ## build, then a live local cluster: build/kith dev (ARGS="-nodes 7" adds flags)
	@build/kith dev $(ARGS)

check: ## install what is missing, build every way, run every test
	@tools/install-deps check
	@tools/check

soak: ## the long forms of the tests, and FUZZ_RUNS runs of every fuzz target (hours)
	@tools/install-deps check
	@FUZZ_RUNS=$(FUZZ_RUNS) tools/check soak

bench: all ## measure, side by side with the real peers where there are any
	@tools/install-deps check
	@cmake -S . -B build/bench -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DKITH_TESTS=ON -DKITH_PROGRAM=OFF \
	    --log-level=WARNING >/dev/null
	@cmake --build build/bench --target bench_store
	@test -n "$(BENCHES)" || { echo "no benchmark in bench/" >&2; exit 1; }
	@for bench in $(BENCHES); do echo "== $$bench"; KITH=$(CURDIR)/build/kith tests/run-netns $$bench $(ARGS) || exit 1; done

install: all ## install library, headers, binary, service below DESTDIR and PREFIX
	@DESTDIR=$(DESTDIR) cmake --install build/release --prefix $(PREFIX)

clean: ## remove everything built
	rm -rf build

deps:
	@tools/install-deps build
