"""Install the wheel that pip chooses in a folder into every CPython since 3.9 that is found, and run use.py with it."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

OLDEST = (3, 9)


def interpreters() -> dict[str, str]:
    """Return the path of one interpreter for each version that is found."""
    candidates = [sys.executable]
    names = (f"python3.{minor}{suffix}" for minor in range(9, 30) for suffix in ("", "t"))
    candidates += filter(None, map(shutil.which, names))
    # Includes versions that pyenv has installed but not activated.
    root = os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))
    candidates += sorted(glob.glob(f"{root}/versions/*/bin/python3"))
    candidates += ["/usr/bin/python3", "/usr/local/bin/python3"]
    found: dict[str, str] = {}
    probe = (
        "import sys, sysconfig, venv;"
        "threads = 't' if sysconfig.get_config_var('Py_GIL_DISABLED') else '';"
        "print(sys.implementation.name, *sys.version_info[:2], f'{sys.version_info[2]}{threads}')"
    )
    for candidate in candidates:
        if not os.path.exists(candidate):
            continue
        completed = subprocess.run([candidate, "-c", probe], capture_output=True, text=True, check=False)
        name, *rest = completed.stdout.split() or [""]
        if completed.returncode == 0 and name == "cpython" and tuple(map(int, rest[:2])) >= OLDEST:
            found.setdefault(".".join(rest), candidate)
    return found


def main() -> int:
    wheels = sys.argv[1]
    use = Path(__file__).with_name("use.py")
    found = interpreters()
    failed = []
    for version, python in sorted(found.items(), key=lambda item: list(map(int, re.findall(r"\d+", item[0])))):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
            # This interpreter's pip installs into the venv, which has none.
            inside = str(Path(folder) / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
            pip = [sys.executable, "-m", "pip", "--python", inside]
            install = ["install", "--quiet", "--disable-pip-version-check", "--no-index", "--find-links", wheels]
            subprocess.run([*pip, *install, "lmtokens"], check=True)
            result = subprocess.run([inside, "-W", "error", str(use)], check=False, timeout=120)
        print(f"smoke: CPython {version}: {'ok' if result.returncode == 0 else 'FAILED'}", flush=True)
        if result.returncode != 0:
            failed.append(version)
    print(f"smoke: {len(found) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not found else 0


if __name__ == "__main__":
    sys.exit(main())
