"""The life of a token, from birth to deletion, with a client that waits for each answer.

    lmtokens sandbox -- python examples/life_of_a_token_sync.py

The sandbox sets what the client reads from the environment; with your own variables, the same script runs at your
portal.
"""

from __future__ import annotations

import lmtokens

USER = 32


def live(client: lmtokens.Client, kind: str) -> None:
    """Takes one token of a kind, ``"lmv1"`` or ``"bearer"``, through everything that can happen to it."""
    token = client.add_token(USER, note="example", type=kind)
    # The key is told this once. `print(token.access_key)` would show a mask; this is where a vault would take it.
    assert token.access_key is not None
    vault = token.access_key.reveal()
    print(f"{kind}: born, {token.status}, with a key of {'some' if vault else 'no'} characters")

    found = client.find_token(token)
    print(f"{kind}: found, note {found.note!r}, key {found.access_key}")

    renamed = client.update_token(token, note="example, renamed")
    print(f"{kind}: renamed, note {renamed.note!r}")

    print(f"{kind}: {client.disable_token(token).status}")
    print(f"{kind}: {client.enable_token(token).status} again")

    listed = [one for one in client.list_tokens(USER, type=kind) if one.id == token.id]
    print(f"{kind}: listed {len(listed)} time")

    client.delete_token(token)
    try:
        client.find_token(token)
    except lmtokens.NotFoundError:
        print(f"{kind}: deleted")


def main() -> None:
    with lmtokens.Client() as client:
        who = client.whoami()
        print(f"calling as {who.admin_name}, {who.credentials} from {who.credentials_from}")
        for kind in ("lmv1", "bearer"):
            live(client, kind)


if __name__ == "__main__":
    main()
