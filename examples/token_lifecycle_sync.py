"""The lifecycle of a token, from create to delete, with the blocking client.

    lmtokens sandbox -- python examples/token_lifecycle_sync.py

The sandbox sets the environment variables that the client reads; with your own, the script uses your portal.
"""

from __future__ import annotations

from typing import Literal

import lmtokens

USER = 32


def run_lifecycle(client: lmtokens.Client, type: Literal["lmv1", "bearer"]) -> None:
    """Run every operation on a new token and print the results."""
    token = client.add_token(USER, note="example", type=type)
    # The key is available only now. `print(token.access_key)` prints a mask; a real script would store it in a vault.
    vault = token.access_key.reveal()
    print(f"{type}: created, {token.status}, with a key of {'some' if vault else 'no'} characters")

    found = client.find_token(token)
    print(f"{type}: found, note {found.note!r}, key {found.access_key}")

    renamed = client.update_token(token, note="example, renamed")
    print(f"{type}: renamed, note {renamed.note!r}")

    print(f"{type}: {client.disable_token(token).status}")
    print(f"{type}: {client.enable_token(token).status} again")

    listed = [each for each in client.list_tokens(USER, type=type) if each.id == token.id]
    print(f"{type}: listed {len(listed)} time")

    client.delete_token(token)
    try:
        client.find_token(token)
    except lmtokens.NotFoundError:
        print(f"{type}: deleted")


def main() -> None:
    with lmtokens.Client() as client:
        identity = client.whoami()
        print(f"calling as {identity.admin_name}, {identity.credentials} from {identity.credentials_from}")
        for type in ("lmv1", "bearer"):
            run_lifecycle(client, type)


if __name__ == "__main__":
    main()
