"""A backend of the package keyring that stores its entries in a file, for examples on machines without a keyring.

``PYTHON_KEYRING_BACKEND=file_keyring.Keyring`` selects it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class Keyring(KeyringBackend):
    """The entries are in the file that ``FILE_KEYRING`` names."""

    priority = 1  # pyright: ignore[reportAssignmentType]

    @property
    def _path(self) -> Path:
        return Path(os.environ["FILE_KEYRING"])

    def _entries(self) -> dict[str, str]:
        entries: dict[str, str] = json.loads(self._path.read_text()) if self._path.exists() else {}
        return entries

    def get_password(self, service: str, username: str) -> str | None:
        return self._entries().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._path.write_text(json.dumps({**self._entries(), f"{service} {username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        entries = self._entries()
        if entries.pop(f"{service} {username}", None) is None:
            raise PasswordDeleteError
        self._path.write_text(json.dumps(entries))
