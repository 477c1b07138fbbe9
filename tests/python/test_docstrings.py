"""Every example in a docstring runs and prints what it shows."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from typing import TYPE_CHECKING

import lmtokens
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = [
    "lmtokens",
    "lmtokens.__main__",
    *sorted(module.name for module in pkgutil.iter_modules(lmtokens.__path__, "lmtokens.") if "._" not in module.name),
]


def docstrings() -> Iterator[tuple[str, str]]:
    """Yield names and their docstrings, also those of native objects, which doctest does not find."""
    seen: set[int] = set()
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        yield module_name, module.__doc__ or ""
        public: list[str] = getattr(module, "__all__", [name for name in vars(module) if name[0] != "_"])
        for name in public:
            value = getattr(module, name)
            if id(value) in seen or not (callable(value) or isinstance(value, type)):
                continue
            seen.add(id(value))
            yield f"{module_name}.{name}", value.__doc__ or ""
            if isinstance(value, type):
                for member, attribute in vars(value).items():
                    if callable(attribute) or isinstance(attribute, property):
                        yield f"{module_name}.{name}.{member}", attribute.__doc__ or ""


EXAMPLES = {name: text for name, text in docstrings() if ">>>" in text}


def test_examples_are_found() -> None:
    assert {
        "lmtokens",
        "lmtokens.Client",
        "lmtokens.Client.add_token",
        "lmtokens.Secret",
        "lmtokens.add_token",
        "lmtokens.sandbox",
        "lmtokens.sign",
    } <= set(EXAMPLES)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_example_runs(name: str) -> None:
    if name == "lmtokens.to_dataframe":
        pytest.importorskip("pandas")
    example = doctest.DocTestParser().get_doctest(EXAMPLES[name], dict(vars(lmtokens)), name, None, 0)
    output: list[str] = []
    outcome = doctest.DocTestRunner(verbose=False).run(example, out=output.append)
    assert outcome.attempted > 0
    assert outcome.failed == 0, "".join(output)
