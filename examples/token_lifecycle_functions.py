"""The lifecycle of a token, from create to delete, with the module functions.

    lmtokens sandbox -- python examples/token_lifecycle_functions.py

The sandbox sets the environment variables that the functions read; with your own, the script uses your portal.
"""

from __future__ import annotations

import lmtokens

USER = 32

identity = lmtokens.whoami()
print(f"calling as {identity.admin_name}, {identity.credentials} from {identity.credentials_from}")

for type in ("lmv1", "bearer"):
    token = lmtokens.add_token(USER, note="example", type=type)
    # The key is available only now. `print(token.access_key)` prints a mask; a real script would store it in a vault.
    vault = token.access_key.reveal()
    print(f"{type}: created, {token.status}, with a key of {'some' if vault else 'no'} characters")

    found = lmtokens.find_token(token)
    print(f"{type}: found, note {found.note!r}, key {found.access_key}")

    renamed = lmtokens.update_token(token, note="example, renamed")
    print(f"{type}: renamed, note {renamed.note!r}")

    print(f"{type}: {lmtokens.disable_token(token).status}")
    print(f"{type}: {lmtokens.enable_token(token).status} again")

    listed = [each for each in lmtokens.list_tokens(USER, type=type) if each.id == token.id]
    print(f"{type}: listed {len(listed)} time")

    lmtokens.delete_token(token)
    try:
        lmtokens.find_token(token)
    except lmtokens.NotFoundError:
        print(f"{type}: deleted")
