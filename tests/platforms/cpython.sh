# CPython of Debian sid (3.13 to 3.15): the smoke tests with the wheel that they install, and in 3.15 also with the wheel
# for free-threaded interpreters, which Debian does not have.
set -euo pipefail
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
