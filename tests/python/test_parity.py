"""The module functions and both clients have the same operations: names, parameters, defaults, docstrings."""

from __future__ import annotations

import inspect
from typing import Any

import lmtokens
import pytest
from api_variants import OPERATIONS, public_methods

# These manage a client or do not contact the portal.
CLIENT_ONLY = {"close"}
FUNCTIONS_ONLY = {"configure", "default_client", "explain_signature", "read_journal", "sign", "to_dataframe"}

LAZY = {"list_tokens", "add_tokens", "temporary_token"}


def parameters(callable_: Any) -> list[tuple[str, Any, Any]]:
    return [
        (parameter.name, parameter.kind, parameter.default)
        for parameter in inspect.signature(callable_).parameters.values()
        if parameter.name != "self"
    ]


@pytest.mark.parametrize("client_class", [lmtokens.Client, lmtokens.AsyncClient])
def test_both_clients_have_every_operation(client_class: type) -> None:
    assert public_methods(client_class) - CLIENT_ONLY == set(OPERATIONS)


def test_every_operation_is_a_module_function() -> None:
    functions = {name for name in lmtokens.__all__ if inspect.isroutine(getattr(lmtokens, name))}
    assert functions - FUNCTIONS_ONLY == set(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS)
class TestOperation:
    def test_takes_the_same_arguments(self, operation: str) -> None:
        expected = parameters(getattr(lmtokens.Client, operation))
        assert parameters(getattr(lmtokens.AsyncClient, operation)) == expected
        assert parameters(getattr(lmtokens, operation)) == expected

    def test_has_the_same_docstring(self, operation: str) -> None:
        expected = inspect.getdoc(getattr(lmtokens.Client, operation))
        assert expected
        assert inspect.getdoc(getattr(lmtokens.AsyncClient, operation)) == expected
        assert inspect.getdoc(getattr(lmtokens, operation)) == expected

    def test_is_a_coroutine_function_in_the_async_client_only(self, operation: str) -> None:
        assert inspect.iscoroutinefunction(getattr(lmtokens.AsyncClient, operation)) == (operation not in LAZY)
        assert not inspect.iscoroutinefunction(getattr(lmtokens.Client, operation))


def test_both_clients_take_the_same_settings() -> None:
    assert parameters(lmtokens.AsyncClient) == parameters(lmtokens.Client) == parameters(lmtokens.configure)


def test_close_is_a_coroutine_in_the_async_client_only() -> None:
    assert inspect.iscoroutinefunction(lmtokens.AsyncClient.close)
    assert parameters(lmtokens.AsyncClient.close) == parameters(lmtokens.Client.close) == []


@pytest.mark.parametrize(
    ("client_class", "methods"),
    [
        (lmtokens.Client, ("__enter__", "__exit__")),
        (lmtokens.AsyncClient, ("__aenter__", "__aexit__")),
    ],
)
def test_context_manager_protocol_matches_the_client(client_class: type, methods: tuple[str, str]) -> None:
    all_methods = {"__enter__", "__exit__", "__aenter__", "__aexit__"}
    assert {name for name in all_methods if hasattr(client_class, name)} == set(methods)
