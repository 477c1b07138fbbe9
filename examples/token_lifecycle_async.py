"""The life of a token, from birth to deletion, in coroutines: both kinds live at the same time.

    lmtokens sandbox -- python examples/life_of_a_token_async.py

The sandbox sets what the client reads from the environment; with your own variables, the same script runs at your
portal.
"""

from __future__ import annotations

import asyncio

import lmtokens

USER = 32


async def live(client: lmtokens.AsyncClient, kind: str) -> list[str]:
    """Takes one token of a kind, ``"lmv1"`` or ``"bearer"``, through everything; what happened."""
    happened = []
    token = await client.add_token(USER, note="example", type=kind)
    # The key is told this once. `print(token.access_key)` would show a mask; this is where a vault would take it.
    assert token.access_key is not None
    vault = token.access_key.reveal()
    happened.append(f"born, {token.status}, with a key of {'some' if vault else 'no'} characters")

    found = await client.find_token(token)
    happened.append(f"found, note {found.note!r}, key {found.access_key}")

    renamed = await client.update_token(token, note="example, renamed")
    happened.append(f"renamed, note {renamed.note!r}")

    happened.append(f"{(await client.disable_token(token)).status}")
    happened.append(f"{(await client.enable_token(token)).status} again")

    listed = [one async for one in client.list_tokens(USER, type=kind) if one.id == token.id]
    happened.append(f"listed {len(listed)} time")

    await client.delete_token(token)
    try:
        await client.find_token(token)
    except lmtokens.NotFoundError:
        happened.append("deleted")
    return [f"{kind}: {what}" for what in happened]


async def main() -> None:
    async with lmtokens.AsyncClient() as client:
        who = await client.whoami()
        print(f"calling as {who.admin_name}, {who.credentials} from {who.credentials_from}")
        for lines in await asyncio.gather(live(client, "lmv1"), live(client, "bearer")):
            print("\n".join(lines))


if __name__ == "__main__":
    asyncio.run(main())
