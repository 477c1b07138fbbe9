"""Sign httpx requests: change the note of a token.

pip install lmtokens httpx
lmtokens sandbox -- sh -c 'lmtokens add 32 -o json; python examples/auth_httpx.py 32 103 "night job"'
LM_COMPANY=acme LM_ACCESS_ID=... LM_ACCESS_KEY=... python examples/auth_httpx.py USER_ID TOKEN_ID NOTE
"""

from __future__ import annotations

import sys

import httpx
import lmtokens


def main(user_id: str, token_id: str, note: str) -> None:
    # Like every function of lmtokens, LMv1Auth reads the credentials from the environment.
    auth = lmtokens.LMv1Auth()
    with httpx.Client(auth=auth, headers={"X-Version": "3"}, timeout=30) as client:
        # The signature covers the bytes that json= produces, so the note may contain any characters.
        url = f"{auth.base_url}/setting/admins/{user_id}/apitokens/{token_id}"
        response = client.patch(url, json={"note": note})
        response.raise_for_status()
        token = response.json()
        print(f"{token['id']}: {token['note']}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: auth_httpx.py USER_ID TOKEN_ID NOTE")
    main(*sys.argv[1:])
