"""Take the pictures of the manual's page on notebooks: cells of ``examples/tour.ipynb`` in a real JupyterLab.

``make pictures`` runs it. It executes the notebook in Chromium and writes each picture in light and in dark colors to
``docs/pictures``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from PIL import Image  # pyright: ignore[reportMissingImports]
from playwright.sync_api import Page, sync_playwright  # pyright: ignore[reportMissingImports]

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "tour.ipynb"
TARGET = ROOT / "docs" / "pictures"

# The ids of the cells whose pictures are taken when they have run, or while they show this text.
CELLS = {
    "token": None,
    "list": None,
    "dataframe": None,
    "error": None,
    "rotation": None,
    "audit": None,
    "bulk": "waiting",
}

SETTINGS = {
    "apputils-extension/themes": {
        "adaptive-theme": True,
        "preferred-light-theme": "JupyterLab Light",
        "preferred-dark-theme": "JupyterLab Dark",
    },
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # Cells outside of the window are in the page too.
    "notebook-extension/tracker": {"windowingMode": "none"},
}

START_TIMEOUT = 60.0
COLORS = 128


def main() -> None:
    chromium = find_chromium()
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, jupyterlab(Path(name)) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 960, "height": 2000}, device_scale_factor=2)
        page.goto(url)
        page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel")
        cells = [cell["id"] for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]]
        assert CELLS.keys() <= set(cells), f"the cells of {NOTEBOOK.name} are {cells}"
        for index, cell in enumerate(cells):
            start(page, index)
            if text := CELLS.get(cell):
                page.locator(".jp-Cell").nth(index).locator(".jp-OutputArea").get_by_text(text).first.wait_for()
                take(page, index, cell)
            page.evaluate("() => window.running")
            if cell in CELLS and text is None:
                take(page, index, cell)
        browser.close()


def find_chromium() -> str:
    names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        sys.exit("Chromium is missing: install it (apt-get install chromium), or set CHROMIUM to its path")
    return found


@contextlib.contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """Run a JupyterLab with settings of its own; the value is the address of the notebook in it."""
    for name, settings in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings), encoding="utf-8")
    (folder / "files").mkdir()
    shutil.copy(NOTEBOOK, folder / "files")
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex()
    with (folder / "log").open("w+", encoding="utf-8") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"),
                *(f"--ServerApp.root_dir={folder / 'files'}", f"--port={port}", "--ServerApp.port_retries=0"),
            ],
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("LM_")},
                **{name: str(folder / value) for name, value in own.items()},
                "JUPYTER_TOKEN": token,
            },
            stderr=log,
        )
        try:
            if not responds(f"http://127.0.0.1:{port}/api?token={token}", server):
                log.seek(0)
                sys.exit(f"JupyterLab did not start:\n{log.read()}")
            yield f"http://127.0.0.1:{port}/doc/tree/{NOTEBOOK.name}?token={token}"
        finally:
            server.terminate()
            server.wait()


def responds(url: str, server: subprocess.Popen[bytes]) -> bool:
    """Wait until the server responds."""
    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(url):
            return True
        time.sleep(0.2)
    return False


def start(page: Page, index: int) -> None:
    """Start a cell; ``window.running`` is the promise that it ends."""
    page.evaluate(
        """(index) => {
            const { commands, shell } = window.jupyterapp;
            shell.currentWidget.content.activeCellIndex = index;
            window.running = commands.execute('notebook:run-cell');
            // Only the active cell has a frame.
            shell.currentWidget.content.activeCellIndex = 0;
        }""",
        index,
    )


def take(page: Page, index: int, name: str) -> None:
    """Take the pictures of a cell with its output."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        theme = "true" if scheme == "light" else "false"
        page.wait_for_selector(f"body[data-jp-theme-light={theme}]", state="attached")
        png = page.locator(".jp-Cell").nth(index).screenshot(animations="disabled")
        path = TARGET / f"{name}-{scheme}.png"
        Image.open(io.BytesIO(png)).convert("RGB").quantize(COLORS).save(path, optimize=True)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
