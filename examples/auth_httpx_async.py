"""Sign the calls of httpx's AsyncClient: count the tokens of every user, several requests at a time.

pip install lmtokens httpx
lmtokens sandbox -- python examples/auth_httpx_async.py   # against the embedded portal, with no account
LM_COMPANY=acme LM_ACCESS_ID=... LM_ACCESS_KEY=... python examples/auth_httpx_async.py
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import httpx
import lmtokens

AT_ONCE = 8


async def main() -> None:
    base_url = os.environ.get("LM_BASE_URL") or f"https://{os.environ['LM_COMPANY']}.logicmonitor.com/santaba/rest"
    gate = asyncio.Semaphore(AT_ONCE)
    # The credentials come from the environment, as those of every function of lmtokens.
    async with httpx.AsyncClient(auth=lmtokens.LMv1Auth(), headers={"X-Version": "3"}, timeout=30) as client:

        async def get(path: str, **params: str | int) -> Any:
            async with gate:
                response = await client.get(base_url + path, params=params)
            response.raise_for_status()
            return response.json()

        users = (await get("/setting/admins", size=1000, fields="id,username", sort="id"))["items"]
        # One token is enough to learn how many there are.
        pages = await asyncio.gather(*(get(f"/setting/admins/{user['id']}/apitokens", size=1) for user in users))
    for user, page in zip(users, pages):
        # Some endpoints of the portal say "at least so many" with a negative number.
        print(user["username"], abs(page["total"]))


if __name__ == "__main__":
    asyncio.run(main())
