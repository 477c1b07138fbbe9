# CPython of Debian sid (3.13 to 3.15): the smoke tests with the wheel that they install.
set -euo pipefail
rm -rf /output/wheels-cpython
python3.14 -m venv /output/cpython
/output/cpython/bin/pip install --quiet --disable-pip-version-check maturin
/output/cpython/bin/maturin build --release --locked --out /output/wheels-cpython
/output/cpython/bin/python tests/smoke/run.py /output/wheels-cpython
