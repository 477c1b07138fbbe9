"""Print the enabled tokens that were not used for 90 days. Nothing is changed.

lmtokens sandbox -- python examples/list_stale_tokens.py
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone

import lmtokens
from lmtokens import where


def main(days: int) -> None:
    limit = datetime.now(timezone.utc) - timedelta(days=days)
    # The filter on last_used_on includes tokens that were never used, so new tokens are excluded by their creation.
    stale = (where.status == lmtokens.TokenStatus.ENABLED) & (where.last_used_on < limit) & (where.created_on < limit)
    count = 0
    for token in lmtokens.list_tokens(filter=stale):
        used = f"last used {token.last_used_on:%Y-%m-%d}" if token.last_used_on else "never used"
        print(f"{token.id}\t{token.type}\t{token.admin_name}\t{used}\t{token.note}")
        count += 1
    print(f"{count} enabled tokens unused for {days} days", file=sys.stderr)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 90)
