"""LMv1Auth works with the versions of requests and urllib3 in older distributions as with current ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import HANG_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Mapping

CALLS = Path(__file__).parents[1] / "legacy" / "requests_calls.py"
# The last version of urllib3 1: CPython 3.12 cannot import older ones.
OLD_VERSIONS = ["requests==2.25.1", "urllib3==1.26.20"]
REJECTED = {"POST of a generator": "TypeError", "another address": "ConfigurationError"}
BY_HAND = "text in Latin-1, signed by hand"


def run_calls(environment: Mapping[str, str]) -> dict[str, Any]:
    completed = subprocess.run(
        [sys.executable, str(CALLS)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    result: dict[str, Any] = json.loads(completed.stdout)
    return result


@pytest.fixture(scope="module")
def current() -> dict[str, Any]:
    return run_calls({})


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of the same calls with the old versions."""
    folder = tmp_path_factory.mktemp("old-requests")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
            folder,
            *OLD_VERSIONS,
        ],
        check=True,
        timeout=HANG_TIMEOUT,
    )
    return run_calls({"PYTHONPATH": str(folder)})


def test_versions_are_the_intended_ones(current: dict[str, Any], old: dict[str, Any]) -> None:
    assert old["versions"] == dict(requirement.split("==") for requirement in OLD_VERSIONS)
    assert current["versions"]["urllib3"] >= "2"


@pytest.mark.parametrize("which", ["current", "old"])
def test_every_call_is_signed_or_rejected(which: str, request: pytest.FixtureRequest) -> None:
    results = request.getfixturevalue(which)["results"]
    assert {name: results[name]["status"] for name in REJECTED} == REJECTED
    signatures = {
        name: {seen[0] for seen in result["seen"]}
        for name, result in results.items()
        if name not in REJECTED and name != BY_HAND
    }
    assert signatures.pop("bearer") == {"bearer-valid"}
    assert set(map(frozenset, signatures.values())) == {frozenset({"valid"})}
    assert results["redirect elsewhere"]["elsewhere"] == ["absent"]
    assert results["POST of text"]["seen"][0][1] == '{"note": "Zoë’s 🔑"}'


def test_old_and_current_versions_behave_alike(current: dict[str, Any], old: dict[str, Any]) -> None:
    for name, result in current["results"].items():
        if name != BY_HAND:
            assert old["results"][name] == result, name


def test_old_version_breaks_the_signature_of_text_signed_by_hand(current: dict[str, Any], old: dict[str, Any]) -> None:
    # This is why LMv1Auth encodes text: urllib3 1 sends Latin-1, but the signature covers UTF-8.
    assert current["results"][BY_HAND]["seen"][0][0] == "valid"
    assert old["results"][BY_HAND]["seen"][0][0] == "invalid"
