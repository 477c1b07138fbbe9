"""An invalid page size is rejected with a Python exception before any request is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from api_variants import VARIANTS, api_for

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal


@pytest.mark.parametrize("page_size", [-1, 2**32, 2**64, -(2**64)])
@pytest.mark.parametrize("kind", VARIANTS)
def test_page_size_out_of_range_is_rejected(lmtokens_portal: Portal, kind: str, page_size: int) -> None:
    with pytest.raises(ValueError, match=r"1.*1000"):
        api_for(kind, lmtokens_portal).list_tokens(page_size=page_size)
    assert lmtokens_portal.record == []


def test_boolean_page_size_is_rejected(lmtokens_portal: Portal) -> None:
    with pytest.raises(TypeError):
        lmtokens_portal.client().list_tokens(page_size=True)
