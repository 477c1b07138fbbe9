"""The life of a token, from birth to deletion, with the functions of the module and nothing else.

    lmtokens sandbox -- python examples/life_of_a_token_functions.py

The sandbox sets what the functions read from the environment; with your own variables, the same script runs at your
portal.
"""

from __future__ import annotations

import lmtokens

USER = 32

who = lmtokens.whoami()
print(f"calling as {who.admin_name}, {who.credentials} from {who.credentials_from}")

for kind in ("lmv1", "bearer"):
    token = lmtokens.add_token(USER, note="example", type=kind)
    # The key is told this once. `print(token.access_key)` would show a mask; this is where a vault would take it.
    assert token.access_key is not None
    vault = token.access_key.reveal()
    print(f"{kind}: born, {token.status}, with a key of {'some' if vault else 'no'} characters")

    found = lmtokens.find_token(token)
    print(f"{kind}: found, note {found.note!r}, key {found.access_key}")

    renamed = lmtokens.update_token(token, note="example, renamed")
    print(f"{kind}: renamed, note {renamed.note!r}")

    print(f"{kind}: {lmtokens.disable_token(token).status}")
    print(f"{kind}: {lmtokens.enable_token(token).status} again")

    listed = [one for one in lmtokens.list_tokens(USER, type=kind) if one.id == token.id]
    print(f"{kind}: listed {len(listed)} time")

    lmtokens.delete_token(token)
    try:
        lmtokens.find_token(token)
    except lmtokens.NotFoundError:
        print(f"{kind}: deleted")
