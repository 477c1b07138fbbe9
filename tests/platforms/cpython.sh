# CPython of Debian sid (3.13 to 3.15): the smoke tests with the wheel that they install, in 3.15 also with the wheel for
# free-threaded interpreters of 3.15, and in a free-threaded 3.14 with its own.
set -euo pipefail
. tests/platforms/python_source.sh
rm -rf /output/wheels-cpython
python3.14 -m venv /output/cpython
/output/cpython/bin/pip install --quiet --disable-pip-version-check maturin
/output/cpython/bin/maturin build --release --locked --out /output/wheels-cpython
/output/cpython/bin/python tests/smoke/run.py /output/wheels-cpython

rm -rf /output/wheels-abi3t /output/unpacked-abi3t
/output/cpython/bin/maturin build --release --locked --features abi3t --interpreter python3.15 --out /output/wheels-abi3t
python3.14 -m zipfile -e /output/wheels-abi3t/*.whl /output/unpacked-abi3t
PYTHONPATH=/output/unpacked-abi3t python3.15 -W error tests/smoke/use.py
echo "smoke: abi3t in $(python3.15 --version) ok"

build_python sid 3.14 /output/free-threaded --disable-gil
rm -rf /output/wheels-free-threaded /output/unpacked-free-threaded
/output/cpython/bin/maturin build --release --locked --interpreter /output/free-threaded/bin/python3.14t \
    --out /output/wheels-free-threaded
python3.14 -m zipfile -e /output/wheels-free-threaded/*.whl /output/unpacked-free-threaded
PYTHONPATH=/output/unpacked-free-threaded /output/free-threaded/bin/python3.14t -W error -c '
import runpy, sys
runpy.run_path("tests/smoke/use.py", run_name="__main__")
assert not sys._is_gil_enabled()
print("smoke:", sys.version, "ok")'
