"""Filters by time with fractions of a second, although the portal stores whole seconds."""

from __future__ import annotations

import operator
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Callable

import pytest
from lmtokens import where

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

EPOCH = 1_700_000_000


@pytest.mark.parametrize(
    "compare",
    [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge],
    ids=lambda compare: compare.__name__,
)
def test_comparison_with_a_fraction_of_a_second_matches_python(
    lmtokens_portal: Portal, compare: Callable[[Any, Any], Any]
) -> None:
    for offset in (-1, 0, 1, 2):
        lmtokens_portal.create_token(32, created_on=EPOCH + offset)
    moment = datetime.fromtimestamp(EPOCH, timezone.utc) + timedelta(milliseconds=500)
    client = lmtokens_portal.client()
    expected = [token.id for token in client.list_tokens(32) if compare(token.created_on, moment)]
    listed = [token.id for token in client.list_tokens(32, filter=compare(where.created_on, moment))]
    assert listed == expected
