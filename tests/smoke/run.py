"""Install the built wheel into every CPython since 3.9 that is found, and run use.py with it."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

OLDEST = (3, 9)


def interpreters() -> dict[str, str]:
    """Return the path of one interpreter for each version that is found."""
    candidates = [sys.executable]
    candidates += filter(None, (shutil.which(f"python3.{minor}") for minor in range(9, 30)))
    # Includes versions that pyenv has installed but not activated.
    root = os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))
    candidates += sorted(glob.glob(f"{root}/versions/*/bin/python3"))
    candidates += ["/usr/bin/python3", "/usr/local/bin/python3"]
    found: dict[str, str] = {}
    probe = "import sys, venv; print(sys.implementation.name, *sys.version_info[:3], hasattr(sys, '_is_gil_enabled'))"
    for candidate in candidates:
        if not os.path.exists(candidate):
            continue
        completed = subprocess.run([candidate, "-c", probe], capture_output=True, text=True, check=False)
        name, *rest = completed.stdout.split() or [""]
        if completed.returncode == 0 and name == "cpython" and tuple(map(int, rest[:2])) >= OLDEST:
            found.setdefault(".".join(rest[:3]), candidate)
    return found


def main() -> int:
    (wheel,) = glob.glob(f"{sys.argv[1]}/*.whl")
    use = Path(__file__).with_name("use.py")
    found = interpreters()
    failed = []
    for version, python in sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")]):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
            # This interpreter's pip installs into the venv, which has none.
            pip = [sys.executable, "-m", "pip", "--python", f"{folder}/bin/python"]
            install = ["install", "--quiet", "--disable-pip-version-check", "--no-index", wheel]
            subprocess.run([*pip, *install], check=True)
            result = subprocess.run([f"{folder}/bin/python", "-W", "error", str(use)], check=False, timeout=120)
        print(f"smoke: CPython {version}: {'ok' if result.returncode == 0 else 'FAILED'}", flush=True)
        if result.returncode != 0:
            failed.append(version)
    print(f"smoke: {len(found) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not found else 0


if __name__ == "__main__":
    sys.exit(main())
