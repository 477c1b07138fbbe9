"""The lifecycle of a token, from create to delete, with the async client: both types at the same time.

    lmtokens sandbox -- python examples/token_lifecycle_async.py

The sandbox sets the environment variables that the client reads; with your own, the script uses your portal.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import lmtokens

USER = 32


async def run_lifecycle(client: lmtokens.AsyncClient, type: Literal["lmv1", "bearer"]) -> list[str]:
    """Run every operation on a new token and return a line for each."""
    lines = []
    token = await client.add_token(USER, note="example", type=type)
    # The key is available only now. `print(token.access_key)` prints a mask; a real script would store it in a vault.
    vault = token.access_key.reveal()
    lines.append(f"created, {token.status}, with a key of {'some' if vault else 'no'} characters")

    found = await client.find_token(token)
    lines.append(f"found, note {found.note!r}, key {found.access_key}")

    renamed = await client.update_token(token, note="example, renamed")
    lines.append(f"renamed, note {renamed.note!r}")

    lines.append(f"{(await client.disable_token(token)).status}")
    lines.append(f"{(await client.enable_token(token)).status} again")

    listed = [each async for each in client.list_tokens(USER, type=type) if each.id == token.id]
    lines.append(f"listed {len(listed)} time")

    await client.delete_token(token)
    try:
        await client.find_token(token)
    except lmtokens.NotFoundError:
        lines.append("deleted")
    return [f"{type}: {line}" for line in lines]


async def main() -> None:
    async with lmtokens.AsyncClient() as client:
        identity = await client.whoami()
        print(f"calling as {identity.admin_name}, {identity.credentials} from {identity.credentials_from}")
        for lines in await asyncio.gather(run_lifecycle(client, "lmv1"), run_lifecycle(client, "bearer")):
            print("\n".join(lines))


if __name__ == "__main__":
    asyncio.run(main())
