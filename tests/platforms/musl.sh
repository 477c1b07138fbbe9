# Linux with musl on x86-64: the tests of the core, and the wheel in a CPython that is linked with musl.
set -euo pipefail
. tests/platforms/zig.sh
. tests/platforms/python_source.sh
target=x86_64-unknown-linux-musl
python=/output/musl

# Debian has musl, but no CPython for it. GCC's answer to this question is that of glibc, which CPython refuses.
printf '#!/bin/sh\n[ "$1" = --print-multiarch ] || exec musl-gcc "$@"\n' > /output/musl-cc
chmod +x /output/musl-cc
CC=/output/musl-cc build_python trixie 3.13 "$python"

# As for the module: programs that load musl, and the start files of Zig instead of Rust's, which Debian has not.
export RUSTFLAGS="-C target-feature=-crt-static -C link-self-contained=no"
core_tests "$target"
wheel "$target" musllinux_1_2
smoke "$python/bin/python3.13"
