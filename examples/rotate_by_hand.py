"""Replace a token with no moment at which none works: new one, hand it over, try it, disable the old one, delete it.

    lmtokens sandbox -- python examples/rotate_by_hand.py

Without an argument it makes the token that it then replaces; name one by its id or access id to replace that one.
"""

from __future__ import annotations

import sys

import lmtokens


def hand_over(token: lmtokens.Token) -> lmtokens.Client:
    """Stands for what you do with a new key: put it into a vault, restart what uses it. Here: a client that uses it."""
    if token.type == lmtokens.TokenType.BEARER:
        return lmtokens.Client(bearer_token=token.access_key)
    return lmtokens.Client(access_id=token.access_id, access_key=token.access_key)


def rotate(admin: lmtokens.Client, old: lmtokens.Token) -> lmtokens.Token:
    """Replaces a token of the same owner, kind and note; the new one."""
    assert old.admin_id is not None
    new = admin.add_token(old.admin_id, note=old.note, type=old.type)
    try:
        # It has to be seen to work before the old one may go.
        hand_over(new).whoami()
    except lmtokens.LMTokensError:
        admin.delete_token(new)
        raise
    # Disabled first: whoever still has the old key shows up now, and can be helped in a second.
    admin.disable_token(old)
    admin.delete_token(old)
    return new


def main() -> None:
    with lmtokens.Client() as admin:
        if len(sys.argv) > 1:
            named = sys.argv[1]
            old = admin.find_token(int(named) if named.isdecimal() else named)
        else:
            old = admin.add_token(32, note="nightly job")
        new = rotate(admin, old)
        print(f"token {old.id} is gone; token {new.id} ({new.note}) works")


if __name__ == "__main__":
    main()
