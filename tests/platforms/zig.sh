# For platforms that Zig links for: the standard library of Rust is compiled with the tests and the module.
if [ ! -x /output/zig/bin/cargo-zigbuild ]; then
    python3.14 -m venv /output/zig
    /output/zig/bin/pip install --quiet --disable-pip-version-check cargo-zigbuild maturin ziglang
fi
PATH=/output/zig/bin:$PATH
# Debian has the sources of the standard library, which only an unstable option compiles.
export RUSTC_BOOTSTRAP=1
build_std=-Zbuild-std=std,panic_unwind

# core_tests TARGET [ARGUMENT OF THE TESTS…]
core_tests() {
    cargo-zigbuild test --locked "$build_std" --target "$1" --no-default-features --features cli -- "${@:2}"
}

# wheel TARGET PLATFORM
wheel() {
    rm -rf "/output/wheels-$1"
    maturin build --release --locked --zig "$build_std" --target "$1" --compatibility "$2" --interpreter python3.9 \
        --out "/output/wheels-$1"
    rm -rf "/output/unpacked-$1"
    python3.14 -m zipfile -e /output/wheels-"$1"/*.whl "/output/unpacked-$1"
    installed=/output/unpacked-$1
}

# smoke COMMAND OF PYTHON…: the smoke test starts Python again, which has to be by the same command.
smoke() {
    printf '#!/bin/sh\nexec %s "$@"\n' "$*" > /output/python
    chmod +x /output/python
    PYTHONPATH=$installed "$@" -W error -c '
import platform, runpy, sys, sysconfig
sys.executable = "/output/python"
runpy.run_path("tests/smoke/use.py", run_name="__main__")
print("smoke: CPython", platform.python_version(), sysconfig.get_config_var("HOST_GNU_TYPE"), platform.machine(), "ok")'
}
