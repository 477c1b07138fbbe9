# `make` alone explains itself. Everything installs what it needs into .venv; nothing else on the machine is touched.

PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.10 python3.9; do \
	command -v $$python >/dev/null && $$python -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' \
	>/dev/null 2>&1 && { echo $$python; break; }; done)
BIN := .venv/bin
WHEELS := target/wheels
STUB := python/lmtokens/_lmtokens.pyi
SOURCES := $(shell find src python -type f ! -name '*.pyc' ! -name '*.so') Cargo.toml Cargo.lock pyproject.toml \
	.cargo/config.toml README.md

.DEFAULT_GOAL := help

.PHONY: help
help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(BIN)/.installed ## Build the module, start the embedded portal, add a token for user 32 and show it
	@echo '$$ lmtokens sandbox -- python -c "import lmtokens; print(lmtokens.add_token(32, note=\"demo\"))"'
	@$(BIN)/lmtokens sandbox -- $(BIN)/python -c 'import lmtokens; print(lmtokens.add_token(32, note="demo"))'
	@echo '$$ lmtokens sandbox -- lmtokens add 32 --note demo'
	@$(BIN)/lmtokens sandbox -- $(BIN)/lmtokens add 32 --note demo

.PHONY: test
test: lint test-rust stubs-check types test-python smoke ## Run everything that must pass

.PHONY: lint
lint: $(BIN)/.tools ## Formatting and lints, Rust and Python
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --no-default-features --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: format
format: $(BIN)/.tools ## Format all code
	cargo fmt
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: test-rust
test-rust: ## The core without Python
	cargo test --locked --no-default-features

.PHONY: test-python
test-python: $(BIN)/.installed ## The built wheel, through the door that users use
	$(BIN)/python -m pytest

.PHONY: smoke
smoke: $(BIN)/.installed ## The built wheel in every CPython from 3.9 on that can be found
	$(BIN)/python tests/smoke/run.py $(WHEELS)

.PHONY: types
types: $(BIN)/.installed ## Type checks, and the stub against the module as it is
	$(BIN)/mypy python tests benches examples
	$(BIN)/pyright --pythonpath $(BIN)/python tests benches examples
	$(BIN)/python -m mypy.stubtest lmtokens --ignore-missing-stub --allowlist tests/stubtest-allowlist.txt \
		--mypy-config-file pyproject.toml

.PHONY: stubs
stubs: $(BIN)/.tools ## Generate the stub from the code
	$(BIN)/maturin generate-stubs --locked --features stubs --out target/stubs
	cp target/stubs/lmtokens/_lmtokens.pyi $(STUB)

.PHONY: stubs-check
stubs-check: $(BIN)/.tools ## Compare the committed stub with the code
	$(BIN)/maturin generate-stubs --locked --features stubs --out target/stubs
	diff -u $(STUB) target/stubs/lmtokens/_lmtokens.pyi

.PHONY: wheel
wheel: $(WHEELS)/.built ## Build the wheel

.PHONY: bench
bench: $(BIN)/.installed ## Time this package beside others; prints tables
	$(BIN)/python benches/startup.py
	$(BIN)/python benches/rate_limit.py

.PHONY: soak
soak: $(BIN)/.installed ## Kill and interrupt creates and bulk runs for minutes; prints what was left
	$(BIN)/python tests/soak/outcomes.py
	$(BIN)/python tests/soak/create.py
	$(BIN)/python tests/soak/bulk.py
	$(BIN)/python tests/soak/interrupt.py

.PHONY: clean
clean: ## Remove what was built
	rm -rf target .venv

$(BIN)/.tools: requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "no CPython 3.10 or newer with venv found; name one: make PYTHON=..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(WHEELS)/.built: $(SOURCES) | $(BIN)/.tools
	rm -f $(WHEELS)/*.whl
	$(BIN)/maturin build --release --locked --out $(WHEELS)
	@touch $@

$(BIN)/.installed: $(WHEELS)/.built $(BIN)/.tools
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps $(WHEELS)/*.whl
	@touch $@
