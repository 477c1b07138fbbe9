"""Sign aiohttp requests, with a second middleware that waits when the rate limit is reached.

pip install lmtokens aiohttp
lmtokens sandbox -- python examples/auth_aiohttp.py       # uses the sandbox; no account needed
LM_COMPANY=acme LM_ACCESS_ID=... LM_ACCESS_KEY=... python examples/auth_aiohttp.py
"""

from __future__ import annotations

import asyncio

import aiohttp
import lmtokens

ATTEMPTS = 3


async def wait_for_rate_limit(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Retry after a 429: the portal has not acted on the request."""
    for _ in range(ATTEMPTS - 1):
        response = await handler(request)
        if response.status != 429:
            return response
        window = float(response.headers.get("X-Rate-Limit-Window", "60"))
        response.release()
        await asyncio.sleep(window)
    return await handler(request)


async def main() -> None:
    auth = lmtokens.LMv1Auth()
    # LMv1Auth comes last, so that each attempt is signed with its own time.
    async with aiohttp.ClientSession(middlewares=[wait_for_rate_limit, auth], headers={"X-Version": "3"}) as session:
        params = {"filter": "status:2", "fields": "id,adminName,note,lastUsedOn", "size": "1000", "sort": "id"}
        async with session.get(f"{auth.base_url}/setting/admins/apitokens", params=params) as response:
            response.raise_for_status()
            for token in (await response.json())["items"]:
                never = "" if token["lastUsedOn"] else " (never used)"
                print(f"{token['id']} of {token['adminName']}: {token['note']}{never}")


if __name__ == "__main__":
    asyncio.run(main())
