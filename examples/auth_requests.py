"""Sign requests of the requests library: list the users of a portal, page by page.

pip install lmtokens requests
lmtokens sandbox -- python examples/auth_requests.py      # uses the sandbox; no account needed
LM_COMPANY=acme LM_ACCESS_ID=... LM_ACCESS_KEY=... python examples/auth_requests.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lmtokens
import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE_SIZE = 50


def users(session: requests.Session, base_url: str) -> Iterator[dict[str, Any]]:
    offset = 0
    while True:
        params: dict[str, str | int] = {
            "size": PAGE_SIZE,
            "offset": offset,
            "fields": "id,username,status",
            "sort": "id",
        }
        response = session.get(f"{base_url}/setting/admins", params=params, timeout=30)
        response.raise_for_status()
        items = response.json()["items"]
        yield from items
        if len(items) < PAGE_SIZE:
            return
        offset += len(items)


def main() -> None:
    # Like every function of lmtokens, LMv1Auth reads the credentials from the environment.
    auth = lmtokens.LMv1Auth()
    with requests.Session() as session:
        session.auth = auth
        session.headers["X-Version"] = "3"
        for user in users(session, auth.base_url):
            print(user["id"], user["username"])


if __name__ == "__main__":
    main()
