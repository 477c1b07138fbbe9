# Linux on aarch64, under qemu: the tests of the core, and the wheel in the CPython of Debian sid.
set -euo pipefail
. tests/platforms/zig.sh
target=aarch64-unknown-linux-gnu
python=/output/aarch64

# An interpreter and the libraries that it loads, unpacked and not installed: this system keeps its own.
if [ ! -x "$python/usr/bin/python3.14" ]; then
    dpkg --add-architecture arm64
    apt-get update -qq -o Acquire::Check-Valid-Until=false
    packages=(libc6 libgcc-s1 zlib1g libexpat1 libssl3t64 libzstd1 libffi8 libbz2-1.0 liblzma5 libcrypt1
        libpython3.14-minimal libpython3.14-stdlib python3.14-minimal)
    mkdir -p "$python/packages"
    (cd "$python/packages" && apt-get download -qq -o APT::Sandbox::User=root "${packages[@]/%/:arm64}")
    for package in "$python"/packages/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -C "$python" -x --keep-directory-symlink
    done
    ln -sfn usr/lib "$python/lib"
fi

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L $python"
wheel "$target" manylinux2014
smoke qemu-aarch64 -L "$python" "$python/usr/bin/python3.14"
# 256 cases of each property would take hours.
export PROPTEST_CASES=8
# Emulated, the call that is late in this test takes longer than the delay.
core_tests "$target.2.17" --skip add::faults::late
