"""Configuration files with profiles."""

from __future__ import annotations

import json
from pathlib import Path

from support import ACCESS_ID, ACCESS_KEY

BEARER = "lmb_invented-bearer"
# Messages do not repeat the variable, which may be a misplaced secret.
NAMED = "the file that LM_CONFIG_FILE names"
ACME = {"company": "acme", "access_id": ACCESS_ID, "access_key": ACCESS_KEY}
GOV = {"company": "acme", "domain": "lmgov.us", "bearer_token": BEARER}


def profile_text(name: str, profile: dict[str, str]) -> str:
    # A JSON string is a TOML string.
    return "".join([f"[profiles.{name}]\n", *(f"{key} = {json.dumps(value)}\n" for key, value in profile.items())])


def write_profiles(path: Path, default: str | None = None, /, **profiles: dict[str, str]) -> Path:
    """Write a configuration file, which only its owner can access."""
    text = "" if default is None else f"default = {json.dumps(default)}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "".join(profile_text(name, profile) for name, profile in profiles.items()), encoding="utf-8")
    path.chmod(0o600)
    return path
