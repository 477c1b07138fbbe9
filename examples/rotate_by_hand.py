"""Replace a token without an interruption: create a new one, deliver it, test it, disable the old one, delete it.

    lmtokens sandbox -- python examples/rotate_by_hand.py

The argument is the id or access id of the token to replace; without it, the script replaces a token that it creates.
"""

from __future__ import annotations

import sys

import lmtokens


def deliver(token: lmtokens.Token) -> lmtokens.Client:
    """Replace this with your own delivery, such as a vault and a restart. Here, a client uses the new key directly."""
    if token.type == lmtokens.TokenType.BEARER:
        return lmtokens.Client(bearer_token=token.access_key)
    return lmtokens.Client(access_id=token.access_id, access_key=token.access_key)


def rotate(admin: lmtokens.Client, old: lmtokens.Token) -> lmtokens.Token:
    """Replace a token by one with the same owner, type and note, and return the new one."""
    assert old.admin_id is not None
    new = admin.add_token(old.admin_id, note=old.note, type=old.type)
    try:
        # The new token must work before the old one is disabled.
        deliver(new).whoami()
    except lmtokens.LMTokensError:
        admin.delete_token(new)
        raise
    # Disabled first: if something still uses the old key, the token can be enabled again.
    admin.disable_token(old)
    admin.delete_token(old)
    return new


def main() -> None:
    with lmtokens.Client() as admin:
        if len(sys.argv) > 1:
            argument = sys.argv[1]
            old = admin.find_token(int(argument) if argument.isdecimal() else argument)
        else:
            old = admin.add_token(32, note="nightly job")
        new = rotate(admin, old)
        print(f"token {old.id} was deleted; token {new.id} ({new.note}) replaces it")


if __name__ == "__main__":
    main()
