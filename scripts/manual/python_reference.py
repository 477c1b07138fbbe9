"""The reference of the Python interface, as Markdown from the docstrings of the stub and of the Python modules."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path

SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Example", "Examples", "Note")

Definition = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Page:
    """One page: a title, an introduction, and names as ``module:Name`` in their order."""

    path: str
    title: str
    introduction: str
    names: list[str]


class Reference:
    """The definitions of the package, by module and name."""

    def __init__(self, package: Path) -> None:
        self._modules = {
            path.stem: ast.parse(path.read_text(encoding="utf-8"))
            for path in [*package.glob("*.py"), package / "_lmtokens.pyi"]
        }

    def page(self, page: Page) -> str:
        parts = [f"# {page.title}", page.introduction]
        for qualified in page.names:
            module, name = qualified.split(":")
            parts += self._definition(self._find(module, name))
        return "\n\n".join(parts) + "\n"

    def names(self, module: str) -> set[str]:
        """Return the public names that a module defines."""
        found = {node.name for node in self._modules[module].body if isinstance(node, Definition)}
        return {name for name in found if not name.startswith("_")}

    def methods(self, module: str, name: str) -> set[str]:
        """Return the names of the methods of a class."""
        return {member.name for member in self._find(module, name).body if isinstance(member, Definition)}

    def _find(self, module: str, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef:
        found = [node for node in self._modules[module].body if isinstance(node, Definition) and node.name == name]
        # Of a function with overloads, the definition that has a docstring.
        for node in sorted(found, key=lambda node: not ast.get_docstring(node)):
            return node
        raise LookupError(f"{module} does not define {name}")

    def _definition(self, node: ast.stmt) -> list[str]:
        assert isinstance(node, Definition)
        if not isinstance(node, ast.ClassDef):
            return _function(node, 2)
        parts = [f"## {node.name} {{ #{node.name} }}"]
        constructor = _member(node, "__new__") or _member(node, "__init__")
        # The native half of an async class is not for callers.
        if constructor and not any(
            _annotation(one.annotation).startswith("_Async")
            for one in [*constructor.args.posonlyargs, *constructor.args.args]
        ):
            parts.append(_signature(constructor, node.name))
        parts.append(markdown(ast.get_docstring(node) or ""))
        attributes, methods = [], []
        seen = {"__new__", "__init__"}
        for member in node.body:
            if not isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            text = ast.get_docstring(member)
            if member.name in seen or member.name.startswith("_") or not text:
                continue
            seen.add(member.name)
            if any(isinstance(one, ast.Name) and one.id == "property" for one in member.decorator_list):
                # The docstring of an attribute begins with its type.
                text = re.sub(r"^[\w.| \[\],]+: ", "", text)
                kind = f" (`{_annotation(member.returns)}`)" if member.returns else ""
                attributes.append(f"`{member.name}`{kind}\n\n{_indented(markdown(text), ':   ')}")
            else:
                methods += _function(member, 3, f"{node.name}.")
        return [*parts, *attributes, *methods]


def _member(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == name), None)


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, level: int, prefix: str = "") -> list[str]:
    heading = f"{'#' * level} {node.name} {{ #{prefix}{node.name} }}"
    return [heading, _signature(node, node.name), markdown(ast.get_docstring(node) or "")]


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> str:
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    parameters = [part for part in _parameters(node.args) if part not in {"self", "cls"}]
    parameters = parameters[1:] if parameters[:1] == ["/"] else parameters
    joined = ", ".join(parameters)
    if len(joined) > 70:
        joined = "\n" + "".join(f"    {part},\n" for part in parameters)
    # A class is called like a function.
    call, returned = (f"{kind} {name}", "") if name == node.name else (f"class {name}", None)
    if node.returns and returned is not None:
        returned = f" -> {_annotation(node.returns)}"
    return f"```python\n{call}({joined}){returned or ''}\n```"


def _parameters(arguments: ast.arguments) -> list[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    parts = [_parameter(one, value) for one, value in zip(positional, [*defaults, *arguments.defaults])]
    if arguments.posonlyargs:
        parts.insert(len(arguments.posonlyargs), "/")
    if arguments.vararg:
        parts.append(f"*{_parameter(arguments.vararg, None)}")
    elif arguments.kwonlyargs:
        parts.append("*")
    parts += [_parameter(one, value) for one, value in zip(arguments.kwonlyargs, arguments.kw_defaults)]
    if arguments.kwarg:
        parts.append(f"**{_parameter(arguments.kwarg, None)}")
    return parts


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    annotation = f": {_annotation(argument.annotation)}" if argument.annotation else ""
    equals = " = " if annotation else "="
    return argument.arg + annotation + (f"{equals}{ast.unparse(default)}" if default else "")


def _annotation(node: ast.expr | None) -> str:
    if node is None:
        return ""
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


def markdown(docstring: str) -> str:
    """Turn a docstring with Google-style sections into Markdown."""
    text = cleandoc(docstring)
    parts = re.split(rf"^({'|'.join(SECTIONS)}):\n", text, flags=re.MULTILINE)
    result = [_prose(parts[0])]
    for title, indented in zip(parts[1::2], parts[2::2]):
        body = cleandoc(indented)
        if title.startswith("Example"):
            result.append(_prose(body))
        elif title in {"Args", "Attributes", "Raises"}:
            result.append(f"**{title}**\n\n{_items(body)}")
        else:
            result.append(f"**{title}**: {_prose(body)}")
    return "\n\n".join(part for part in result if part)


def _prose(text: str) -> str:
    # Paragraphs that begin with >>> are examples; those after a double colon are literal.
    parts = []
    for paragraph in re.split(r"\n{2,}", text.strip()):
        if paragraph.startswith(">>>"):
            parts.append(f"```pycon\n{paragraph}\n```")
        else:
            parts.append(re.sub(r"::$", ":", paragraph, flags=re.MULTILINE))
    return "\n\n".join(parts)


def _items(text: str) -> str:
    items = []
    for item in re.split(r"\n(?=\S)", text):
        lines = cleandoc(item)
        if match := re.match(r"([\w*, ]+)( \([^)]*\))?: ", lines):
            kind = f" ({match[2].strip(' ()')})" if match[2] else ""
            names = ", ".join(f"`{name}`" for name in match[1].split(", "))
            lines = f"{names}{kind}: {lines[match.end() :]}"
        items.append(_indented(lines, "- ", 2))
    return "\n".join(items)


def _indented(text: str, first: str, width: int = 4) -> str:
    lines = text.splitlines()
    return "\n".join([first + lines[0], *(" " * width + line if line else "" for line in lines[1:])])
