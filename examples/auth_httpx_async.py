"""Sign requests of httpx's AsyncClient: count the tokens of every user, several requests at a time.

pip install lmtokens httpx
lmtokens sandbox -- python examples/auth_httpx_async.py   # uses the sandbox; no account needed
LM_COMPANY=acme LM_ACCESS_ID=... LM_ACCESS_KEY=... python examples/auth_httpx_async.py
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import lmtokens

CONCURRENCY = 8


async def main() -> None:
    semaphore = asyncio.Semaphore(CONCURRENCY)
    # Like every function of lmtokens, LMv1Auth reads the credentials from the environment.
    auth = lmtokens.LMv1Auth()
    async with httpx.AsyncClient(auth=auth, headers={"X-Version": "3"}, timeout=30) as client:

        async def get(path: str, **params: str | int) -> Any:
            async with semaphore:
                response = await client.get(auth.base_url + path, params=params)
            response.raise_for_status()
            return response.json()

        users = (await get("/setting/admins", size=1000, fields="id,username", sort="id"))["items"]
        # A page of one token is enough: it contains the total.
        pages = await asyncio.gather(*(get(f"/setting/admins/{user['id']}/apitokens", size=1) for user in users))
    for user, page in zip(users, pages):
        # A negative total means "at least this many" on some endpoints.
        print(user["username"], abs(page["total"]))


if __name__ == "__main__":
    asyncio.run(main())
