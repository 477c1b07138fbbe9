"""Sign the calls of requests: list the users of a portal, page by page.

pip install lmtokens requests
lmtokens sandbox -- python examples/auth_requests.py      # against the embedded portal, with no account
LM_COMPANY=acme LM_ACCESS_ID=... LM_ACCESS_KEY=... python examples/auth_requests.py
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import lmtokens
import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = 50


def users(session: requests.Session, base_url: str) -> Iterator[dict[str, Any]]:
    offset = 0
    while True:
        params: dict[str, str | int] = {"size": PAGE, "offset": offset, "fields": "id,username,status", "sort": "id"}
        response = session.get(f"{base_url}/setting/admins", params=params, timeout=30)
        response.raise_for_status()
        items = response.json()["items"]
        yield from items
        if len(items) < PAGE:
            return
        offset += len(items)


def main() -> None:
    base_url = os.environ.get("LM_BASE_URL") or f"https://{os.environ['LM_COMPANY']}.logicmonitor.com/santaba/rest"
    with requests.Session() as session:
        # The credentials come from the environment, as those of every function of lmtokens.
        session.auth = lmtokens.LMv1Auth()
        session.headers["X-Version"] = "3"
        for user in users(session, base_url):
            print(user["id"], user["username"])


if __name__ == "__main__":
    main()
