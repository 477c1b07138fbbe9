"""Write the sources of the manual's site to ``target/manual``: the pages of docs/, and those that the code gives.

``make docs`` runs it before MkDocs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config import load_config
from python_reference import Page, Reference
from sequence_diagram import svg

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "target" / "manual"
LMTOKENS = str(Path(sys.executable).with_name("lmtokens"))

# Only their functions are public.
DESTINATIONS = ["ToFile", "ToCommand", "ToKeyring"]

PAGES = [
    Page(
        "reference/client.md",
        "Clients and functions",
        "The functions of the module, such as `lmtokens.add_token`, are the methods of a default client, which is "
        "created from the environment on first use. `AsyncClient` has the same methods as coroutines.",
        [
            "_lmtokens:Client",
            "aio:AsyncClient",
            "aio:AsyncBulkRun",
            "aio:AsyncTemporaryToken",
            "_lmtokens:configure",
            "_lmtokens:default_client",
            "_lmtokens:sign",
            "_lmtokens:explain_signature",
            "_lmtokens:read_journal",
            "_frames:to_dataframe",
        ],
    ),
    Page(
        "reference/types.md",
        "Tokens and results",
        "What the operations take and return. All of these are immutable.",
        [
            f"_lmtokens:{name}"
            for name in (
                *("Token", "CreatedToken", "Secret", "NewToken", "User", "Whoami", "Where", "Field", "Filter"),
                *("TokenIterator", "TemporaryToken", "BulkRun", "RowResult", "Summary", "JournalEntry"),
                *("Rotation", "SweptToken", "Audit", "Finding", "SignatureExplanation", "SignatureCause"),
            )
        ]
        + ["_enums:TokenStatus", "_enums:TokenType", "_enums:AuditReason", "_enums:Severity"],
    ),
    Page(
        "reference/destinations.md",
        "Destinations and signing",
        "The module `lmtokens.deliver` and the class `lmtokens.LMv1Auth`.",
        ["_lmtokens:to_file", "_lmtokens:to_command", "_lmtokens:to_keyring", "auth:LMv1Auth"],
    ),
    Page(
        "reference/sandbox.md",
        "The sandbox in Python",
        "The module `lmtokens.sandbox`, and the fixture of pytest.",
        [
            "sandbox:Portal",
            "sandbox:Seen",
            "sandbox:StoredToken",
            "sandbox:Behavior",
            "pytest_plugin:lmtokens_portal",
        ],
    ),
]


def main() -> None:
    shutil.rmtree(TARGET, ignore_errors=True)
    shutil.copytree(ROOT / "docs", TARGET)
    shutil.copy(ROOT / "examples" / "tour.ipynb", TARGET)
    for path in TARGET.rglob("*.md"):
        path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
    for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        write(name.lower(), text.replace("](docs/", "]("))
    write_reference(Reference(ROOT / "python" / "lmtokens"))
    write("reference/shell.md", shell_reference())
    write("llms.txt", index_for_models())


def write_reference(reference: Reference) -> None:
    clients, types, *others = PAGES
    # The functions that are methods of a client are not shown twice.
    shown = {name.split(":")[1] for one in PAGES for name in one.names} | reference.methods("_lmtokens", "Client")
    for name in sorted(reference.names("_lmtokens") - shown - set(DESTINATIONS)):
        (types if name[0].isupper() else clients).names.append(f"_lmtokens:{name}")
    for one in (clients, types, *others):
        write(one.path, reference.page(one))


def write(path: str, text: str) -> None:
    (TARGET / path).parent.mkdir(exist_ok=True)
    (TARGET / path).write_text(text, encoding="utf-8")


def page(text: str) -> str:
    """Draw the diagrams of a page, link to the copies of examples, and remove the notes for the tests."""
    text = text.replace("](../examples/", "](").replace("](../../SECURITY.md)", "](../security.md)")
    text = re.sub(r"^<!-- (not run|needs): .*? -->\n", "", text, flags=re.MULTILINE)
    title = text.partition("\n")[0].lstrip("# ")
    return re.sub(
        r"^```mermaid\n(.*?)^```$",
        lambda match: f'<div class="sequence-frame">{svg(match[1], title)}</div>',
        text,
        flags=re.DOTALL | re.MULTILINE,
    )


def shell_reference() -> str:
    """Return the help of all commands."""
    parts = ["# Commands", "This is the output of `lmtokens COMMAND --help`.", "## lmtokens", fenced(help_of())]
    portal = ""
    for command in commands(help_of()):
        text = help_of(command)
        text, portal_options = without_group(text, "Portal options")
        text, _ = without_group(text, "Message options")
        portal = portal_options or portal
        parts += [f"## {command}", fenced(text)]
        for inner in commands(text):
            parts += [f"### {command} {inner}", fenced(without_group(help_of(command, inner), "Message options")[0])]
    parts += ["## Options of the commands that call the portal", fenced(portal)]
    return "\n\n".join(parts) + "\n"


def help_of(*words: str) -> str:
    command = [LMTOKENS, *words, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.rstrip()  # noqa: S603


def commands(text: str) -> list[str]:
    """Return the commands that a help lists."""
    group = re.search(r"^Commands:\n(.*?)\n\n", text, re.DOTALL | re.MULTILINE)
    return (
        [] if group is None else [name for name in re.findall(r"^  (\w+) ", group[1], re.MULTILINE) if name != "help"]
    )


def without_group(text: str, title: str) -> tuple[str, str]:
    """Take a group of options out of a help."""
    match = re.search(rf"^{title}:\n(?:(?:  .*| *)\n)+", text, re.MULTILINE)
    return (text, "") if match is None else (text.replace(match[0], ""), match[0].rstrip())


def fenced(text: str) -> str:
    return f"``` {{ .text .help }}\n{text}\n```"


def index_for_models() -> str:
    """Return the file llms.txt: the pages with their first sentences."""
    config = load_config(str(ROOT / "mkdocs.yml"))
    lines = [f"# {config.site_name}", "", f"> {config.site_description}"]
    for section, title, path in entries(config.nav or []):
        text = (TARGET / path).read_text(encoding="utf-8")
        if f"## {section}" not in lines:
            lines += ["", f"## {section}", ""]
        lines.append(f"- [{title}]({Path(path).with_suffix('.html')}): {first_sentence(text)}")
    return "\n".join(lines) + "\n"


def entries(nav: list[Any], section: str = "Overview") -> Iterator[tuple[str, str, str]]:
    for entry in nav:
        # An entry without a title is the first page of its section.
        for title, value in (entry if isinstance(entry, dict) else {section: entry}).items():
            if isinstance(value, str):
                yield section, title, value
            else:
                yield from entries(value, title)


def first_sentence(text: str) -> str:
    paragraphs = [part for part in re.split(r"\n{2,}", text) if part[:1].isalpha() or part[:1] == "`"]
    sentence = re.split(r"(?<=[.:])\s", " ".join(paragraphs[0].split()) if paragraphs else "")[0]
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", sentence).rstrip(":")


if __name__ == "__main__":
    main()
