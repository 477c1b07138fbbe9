# Linux with musl on x86-64: the tests of the core, and the wheel in a CPython that is linked with musl.
set -euo pipefail
. tests/platforms/zig.sh
target=x86_64-unknown-linux-musl
python=/output/musl

# Debian has musl, but no CPython for it: the source of Debian 13's is built.
if [ ! -x "$python/bin/python3.13" ]; then
    echo 'deb-src http://deb.debian.org/debian trixie main' > /etc/apt/sources.list.d/source.list
    apt-get update -qq -o Acquire::Check-Valid-Until=false
    rm -rf /output/musl-build
    mkdir -p /output/musl-build
    cd /output/musl-build
    apt-get source -qq -o APT::Sandbox::User=root --download-only python3.13
    tar -xf python3.13_*.orig.tar.xz --strip-components=1
    # Without an answer to this question: GCC's is that of glibc, which CPython refuses.
    printf '#!/bin/sh\n[ "$1" = --print-multiarch ] || exec musl-gcc "$@"\n' > cc
    chmod +x cc
    CC="$PWD/cc" ./configure --quiet --prefix="$python" --without-ensurepip --disable-test-modules > build.log 2>&1 &&
        make -s -j"$(nproc)" install >> build.log 2>&1 ||
        { tail -n 30 build.log; exit 1; }
    cd /source
fi

# As for the module: programs that load musl, and the start files of Zig instead of Rust's, which Debian has not.
export RUSTFLAGS="-C target-feature=-crt-static -C link-self-contained=no"
core_tests "$target"
wheel "$target" musllinux_1_2
smoke "$python/bin/python3.13"
