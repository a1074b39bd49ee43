# The short way to everything; CMake does the work (presets: release, dev, tsan, serial).
#   make            build into build/
#   make test       all tests, optimised and under the sanitizers; what .ci/run runs
#   make test-long  those that take minutes or hours
#   make demo       an ocean gyre and its analysis, from nothing: installs what is missing, builds, runs
#   make demo-piv  particle images made and measured: pictures of a vortex
#   make twin       a twin experiment: observations draw a model to the truth through weir
#   make bench      measurements, less than half an hour (bench-full: hours); bench-report writes docs/performance.md from them
#   make install    PREFIX=/usr/local
#   make clean
JOBS   ?= $(shell nproc)
PREFIX ?= /usr/local
CMAKE  ?= cmake
CCACHE := $(shell command -v ccache 2>/dev/null)
CONFIGURE = $(CMAKE) $(if $(CCACHE),-DCMAKE_C_COMPILER_LAUNCHER=ccache) --preset
BUILD     = $(CMAKE) --build --preset
# One test more at a time than there are cores: a third of them wait most of the time, for what is slow on purpose.
AT_ONCE  ?= $(shell expr $(JOBS) + 1)
CTEST     = ctest --output-on-failure --no-tests=error

.PHONY: all test test-release test-dev test-tsan test-long demo demo-piv twin bench bench-full bench-report install clean packages
all:
	$(CONFIGURE) release -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	$(BUILD) release -j $(JOBS)

test: test-release test-dev test-tsan

test-release: all
	$(CTEST) --test-dir build -j $(AT_ONCE) -LE long

# Those that measure a model or a machine, or try many runs from end to end, for long, tell the sanitizers little that others do
# not: test-long has them.
MINUTES = ^(gyre\.(twin|circulation|conservation|identity|input|restart)|faults\.(disk|missing|overload)|steer\.(set|twenty)|cli\.recovery|run\.(piv|piv_accuracy|piv_ensemble|placements|same_bytes))$$
test-dev:
	$(CONFIGURE) dev
	$(BUILD) dev -j $(JOBS)
	$(CTEST) --test-dir build-dev -j $(AT_ONCE) -LE long -E '$(MINUTES)'

# Threads and shared memory only: the rest has none. On one rank, as the sanitizer does not know how MPI libraries synchronise.
test-tsan:
	$(CONFIGURE) tsan
	$(BUILD) tsan -j $(JOBS) --target tests_channel tests_exec tests_core
	$(CTEST) --test-dir build-tsan -j $(AT_ONCE) -LE long -R '^(channel|exec|core)\.' -E '\.([2-9]|[1-9][0-9])$$'

test-long: all
	$(CTEST) --test-dir build -L long
	$(CONFIGURE) dev
	$(BUILD) dev -j $(JOBS)
	$(CTEST) --test-dir build-dev -R '$(MINUTES)'

packages:
	sh cmake/debian-packages.sh

# In a folder of its own, with paths relative to it.
demo: packages
	$(MAKE) all
	mkdir -p demo
	cp apps/gyre/gyre.nml demo/gyre.nml
	cd demo && ../build/bin/weir run ../examples/gyre.yaml --workers 2 --ranks 4 -- ../build/apps/gyre/gyre gyre.nml
	@echo "demo/ holds gyre.zarr, ke.csv, spectrum.csv and pictures: zeta_*.png, spectrum_*.png"

# A vortex in particle images with noise and lost partners, whose displacement is known (demo-piv/images/truth.csv).
demo-piv: packages
	$(MAKE) all
	rm -rf demo-piv && mkdir demo-piv
	cd demo-piv && ../build/bin/weir synth-piv -o images --field vortex --gradient 0.15 --size 512x640 --pairs 6 --noise 4 --loss 0.05
	cd demo-piv && ../build/bin/weir piv images -o result
	@echo "demo-piv/result holds piv.zarr, piv.csv and pictures: vectors_*.png"

# Python is Debian's, where numpy, netCDF4 and zarr are.
twin: packages
	$(MAKE) all
	/usr/bin/python3 examples/twin/twin.py twin --workers 2 --ranks 2

bench: all
	bench/run all

bench-full: all
	bench/run all full

bench-report: bench
	bench/run report --from build/bench/results

install: all
	$(CMAKE) --install build

clean:
	rm -rf build build-dev build-tsan build-serial demo demo-piv twin
