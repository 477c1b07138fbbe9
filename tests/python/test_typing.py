"""Type checkers accept the examples of the README and of the manual.

They reject wrong arguments, and uses of a key that may be missing.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Callable

import lmtokens
import pytest
from api_variants import VARIANTS, api_for
from manual_examples import PAGES, README, blocks
from support import HANG_TIMEOUT

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

# Each line with the comment "error" must have one, and no other line.
USES = """
import os
import lmtokens
import lmtokens.sandbox
import time
from collections.abc import Hashable, Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Union
from typing_extensions import assert_type
from lmtokens import AsyncClient, Client, CreatedToken, NewToken, Secret, Token, TokenStatus, TokenType, where
from lmtokens.deliver import to_command, to_file

client = Client("acme")
records: "list[dict[Hashable, Any]]" = []
words: "Sequence[str]" = []
destination = to_file("token.json", "key")

# The key of a new token.
assert_type(lmtokens.add_token(32), CreatedToken)
assert_type(client.add_token(32, "ci", TokenStatus.DISABLED, type=TokenType.BEARER), CreatedToken)
assert_type(client.add_token(32, deliver=None).access_key, Secret)
pair: "tuple[str, str]" = (lmtokens.add_token(32).access_id, lmtokens.add_token(32).access_key.reveal())
lmtokens.find_token(lmtokens.add_token(32).access_id)
assert_type(lmtokens.add_token(32, deliver=destination), Token)
lmtokens.add_token(32, deliver=destination).access_key.reveal()  # error
client.add_token(32, deliver=lambda token: None).access_key.reveal()  # error
client.find_token(5).access_key.reveal()  # error
for listed in client.list_tokens():
    listed.access_key.reveal()  # error


with lmtokens.temporary_token(32, expires=timedelta(hours=1)) as temporary, client.temporary_token("ci") as other:
    assert_type(temporary, CreatedToken)
    assert_type(other.access_key, Secret)
client.temporary_token(32, type="berer")  # error
client.temporary_token(32, expires=None)  # error


def store(token: CreatedToken) -> None:
    os.environ["KEY"] = token.access_key.reveal()


def show(token: Token) -> None:
    print(token)


class Vault:
    def deliver(self, token: CreatedToken) -> None: ...
    def commit(self, token: Token) -> None: ...


client.add_token(32, deliver=store)
client.add_token(32, deliver=show)
client.add_token(32, deliver=Vault())
client.add_token(32, deliver="token.json")  # error
client.add_token(32, deliver=lambda token: os.environ.update(KEY=token.access_key.reveal()))


async def main(client: AsyncClient, maybe: "Union[Vault, None]") -> None:
    assert_type(await client.add_token(32), CreatedToken)
    assert_type(await client.add_token(32, deliver=destination), Token)
    assert_type(await client.add_token(32, deliver=maybe), Token)
    (await client.add_token(32, deliver=maybe)).access_key.reveal()  # error
    async with client.temporary_token(32, expires=60) as temporary:
        assert_type(temporary, CreatedToken)
    with client.temporary_token(32):  # error
        pass
    await client.add_token(32, type="berer")  # error
    async for token in client.list_tokens(type="berer"):  # error
        print(token)
    client.add_tokens([], journal="j", on_error="contine")  # error


# Choices.
client.add_token(32, type="bearer")
client.add_token(32, type="berer")  # error
client.add_token(32, status="enabled")
client.add_token(32, status="enabeld")  # error
client.add_token(32, status=1)
client.add_token(32, status=3)  # error
client.add_token(32, status=TokenType.BEARER)  # error
client.add_token(32, type=TokenStatus.ENABLED)  # error
client.update_token(5, status="disabled")
client.update_token(5, status="disable")  # error
client.update_token(5, status=client.find_token(5).status)
client.list_tokens(type=None)
client.list_tokens(type="both")  # error
lmtokens.add_token(32, type="berer")  # error
lmtokens.update_token(5, status="on")  # error
lmtokens.list_tokens(type="lmv2")  # error
NewToken(32, "ci", "disabled", type="bearer")
NewToken(32, status="off")  # error
NewToken(32, type="berer")  # error
client.update_token(5, status=NewToken(32).status)
client.add_token(32, type=NewToken(32).type)
to_file("token.json", "yaml")  # error
Client("acme", on_limit="raise")
Client("acme", on_limit="fail")  # error
AsyncClient("acme", on_limit="fail")  # error
lmtokens.configure("acme", on_limit="fail")  # error
client.add_tokens([], journal="j", on_error="stop")
client.add_tokens([], journal="j", on_error="abort")  # error
lmtokens.add_tokens([], journal="j", on_error="abort")  # error
for result in client.add_tokens([(32, "a"), {"admin_id": 33}, NewToken(34)], journal="j"):
    if result.state == "made":  # error
        print(result)
for entry in lmtokens.read_journal("j"):
    if entry.state == "done":  # error
        print(entry)
if client.whoami().credentials == "lmv1":  # error
    print()
with lmtokens.sandbox.Portal() as portal:
    portal.create_token(type="bearer", status=TokenStatus.DISABLED)
    portal.create_token(type="berer")  # error
    portal.fail("act-then-close")
    portal.fail("act-then-clsoe")  # error
    portal.fail_at_random(0.5, seed=1, kinds=["delay"])
    portal.fail_at_random(0.5, seed=1, kinds=["delya"])  # error
    if portal.record[0].signature == "ok":  # error
        print()

# Numbers, times and lists.
client.list_tokens(page_size="5")  # error
client.list_tokens(filter=where.created_on < datetime.now(timezone.utc))
client.list_tokens(filter=where.id)  # error
client.list_tokens(filter=where.id.one_of([1, 2]) | where.note.contains("ci") & (where.status != "enabled"))
where.id.one_of(5)  # error
client.list_tokens(filter=where.last_used_on < date.today())  # error
client.list_tokens(filter=where.last_used_on < "2025-01-01")  # error
client.list_tokens(filter=where.last_used_on >= time.time() - 90 * 86400)
client.list_tokens(filter=where.id > 5)
client.list_tokens(filter=(where.status == 1) & True)  # error
client.list_tokens(filter=(where.status == 1) | where.note)  # error
"ci" in where.note  # error
to_command(["vault", "put"], timeout=5)
to_command(("vault", Path("key")))
to_command(words)
to_command(5)  # error
to_command("vault put")  # error

# Rows as pandas-stubs declares those of a data frame.
client.add_tokens(records, journal="j")

# Names.
from lmtokens import add_tokns  # error
lmtokens.lst_tokens  # error
lmtokens.deliver.to_file("token.json")
assert_type(NewToken(32).admin_id, Union[int, str])
"""


Errors = set[tuple[str, int]]


def errors_of_mypy(folder: Path) -> tuple[Errors, str]:
    output = run("mypy", "--strict", "--cache-dir=cache", "--config-file=", ".", folder=folder)
    return found_errors(r"^(?:.*/)?(\w+)\.py:(\d+): error: ", output), output


def errors_of_pyright(folder: Path) -> tuple[Errors, str]:
    # The examples end before they use what they show.
    ignored = {"reportUnusedVariable": False, "reportUnusedExpression": False}
    configuration = {"typeCheckingMode": "strict", **ignored}
    (folder / "pyrightconfig.json").write_text(json.dumps(configuration), encoding="utf-8")
    output = run("pyright", "--pythonpath", sys.executable, ".", folder=folder)
    return found_errors(r"/(\w+)\.py:(\d+):\d+ - error: ", output), output


def run(module: str, *arguments: str, folder: Path) -> str:
    command = [sys.executable, "-m", module, *arguments]
    completed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=HANG_TIMEOUT, check=False)
    assert completed.returncode == 1, completed.stdout + completed.stderr
    return completed.stdout


def found_errors(pattern: str, output: str) -> Errors:
    return {(name, int(line)) for name, line in re.findall(pattern, output, re.MULTILINE)}


def module_of(example: str) -> str:
    code = example if "import lmtokens" in example else f"import lmtokens\n{example}"
    if re.search(r"\b(await|async (with|for))\b", code):
        code = f"async def main() -> None:\n{textwrap.indent(code, '    ')}"
    return code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert README in PAGES
    for number, page in enumerate(PAGES):
        # What is not run may use packages that are not installed.
        examples = [block for block in blocks(page) if block.language == "python" and block.reason is None]
        # Later blocks of a page use the names of earlier ones.
        if code := "\n".join(block.text for block in examples if block.is_example):
            (tmp_path / f"page_{number}.py").write_text(module_of(code), encoding="utf-8")
        for file in examples:
            if file.is_file:
                (tmp_path / str(file.title)).write_text(file.text, encoding="utf-8")
    (tmp_path / "uses.py").write_text(USES, encoding="utf-8")
    names = "".join(f"print(lmtokens.{name})\n" for name in lmtokens.__all__)
    (tmp_path / "names.py").write_text(f"import lmtokens\n{names}", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("check", [errors_of_mypy, errors_of_pyright])
def test_examples_have_no_type_errors_and_wrong_uses_have(
    folder: Path, check: Callable[[Path], tuple[Errors, str]]
) -> None:
    expected = {("uses", number) for number, line in enumerate(USES.splitlines(), 1) if line.endswith("# error")}
    errors, output = check(folder)
    assert sorted(errors - expected) == [], output
    assert sorted(expected - errors) == [], output


@pytest.mark.parametrize("variant", VARIANTS)
def test_class_of_a_token_tells_whether_it_has_its_key(lmtokens_portal: Portal, variant: str) -> None:
    api = api_for(variant, lmtokens_portal)
    created = api.add_token(32, "ci")
    seen: list[lmtokens.Token] = []
    delivered = api.add_token(32, deliver=seen.append)
    others = [delivered, api.find_token(created), api.disable_token(created)]
    assert [type(token) for token in (created, *seen)] == [lmtokens.CreatedToken] * 2
    assert [type(token) for token in others] == [lmtokens.Token] * 3
    assert isinstance(created, lmtokens.Token)
    assert created.access_id == api.find_token(created.id).access_id
    assert api.add_token(32, type="bearer").access_id is None
