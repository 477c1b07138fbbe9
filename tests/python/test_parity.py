"""A verb is the same verb on every face: name, parameters, defaults, words."""

from __future__ import annotations

import inspect
from typing import Any

import lmtokens
import pytest
from api_variants import OPERATIONS, public_methods

# What is no verb: it says how a face is held, not what the portal is asked.
CLIENT_ONLY = {"close"}
FUNCTIONS_ONLY = {"configure", "default_client", "read_journal", "sign"}

LAZY = {"list_tokens", "add_tokens"}


def parameters(callable_: Any) -> list[tuple[str, Any, Any]]:
    return [
        (parameter.name, parameter.kind, parameter.default)
        for parameter in inspect.signature(callable_).parameters.values()
        if parameter.name != "self"
    ]


@pytest.mark.parametrize("face", [lmtokens.Client, lmtokens.AsyncClient])
def test_clients_have_the_same_verbs(face: type) -> None:
    assert public_methods(face) - CLIENT_ONLY == set(OPERATIONS)


def test_functions_are_the_same_verbs() -> None:
    functions = {name for name in lmtokens.__all__ if inspect.isroutine(getattr(lmtokens, name))}
    assert functions - FUNCTIONS_ONLY == set(OPERATIONS)


@pytest.mark.parametrize("verb", OPERATIONS)
class TestVerb:
    def test_takes_the_same_arguments(self, verb: str) -> None:
        of_client = parameters(getattr(lmtokens.Client, verb))
        assert parameters(getattr(lmtokens.AsyncClient, verb)) == of_client
        assert parameters(getattr(lmtokens, verb)) == of_client

    def test_is_documented_in_the_same_words(self, verb: str) -> None:
        of_client = inspect.getdoc(getattr(lmtokens.Client, verb))
        assert of_client
        assert inspect.getdoc(getattr(lmtokens.AsyncClient, verb)) == of_client
        assert inspect.getdoc(getattr(lmtokens, verb)) == of_client

    def test_is_a_coroutine_function_where_it_is_awaited(self, verb: str) -> None:
        assert inspect.iscoroutinefunction(getattr(lmtokens.AsyncClient, verb)) == (verb not in LAZY)
        assert not inspect.iscoroutinefunction(getattr(lmtokens.Client, verb))


def test_both_clients_are_made_alike() -> None:
    assert parameters(lmtokens.AsyncClient) == parameters(lmtokens.Client) == parameters(lmtokens.configure)


def test_close_is_awaited_on_the_async_face() -> None:
    assert inspect.iscoroutinefunction(lmtokens.AsyncClient.close)
    assert parameters(lmtokens.AsyncClient.close) == parameters(lmtokens.Client.close) == []


@pytest.mark.parametrize(
    ("face", "manages"),
    [
        (lmtokens.Client, ("__enter__", "__exit__")),
        (lmtokens.AsyncClient, ("__aenter__", "__aexit__")),
    ],
)
def test_context_manager_is_of_the_kind_of_the_face(face: type, manages: tuple[str, str]) -> None:
    every = {"__enter__", "__exit__", "__aenter__", "__aexit__"}
    assert {name for name in every if hasattr(face, name)} == set(manages)
