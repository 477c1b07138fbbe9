"""Minimal checks for every CPython: import, sign, one create over HTTP, an error, the shell."""

import io
import os
import subprocess
import sys

import lmtokens
import lmtokens.sandbox
from lmtokens import _progress


def main() -> None:
    header = lmtokens.sign(
        "get",
        "/setting/admins/apitokens",
        access_id="exampleAccessId00001",
        access_key="unit+test(key)]{%~^_=Z",
        timestamp_ms=1700000000000,
    )
    assert header.split(":")[1].startswith("MDljOGVk"), header

    try:
        lmtokens.Client(5)  # type: ignore[arg-type]
    except TypeError as error:
        assert "company" in str(error), error
    else:
        raise AssertionError("a number was accepted as the company")

    with lmtokens.sandbox.Portal() as portal:
        token = portal.client().add_token(32, "smoke", 2)
        assert (token.admin_id, token.note) == (32, "smoke")
        assert token.status == lmtokens.TokenStatus.ENABLED
        assert token.type == lmtokens.TokenType.LMV1
        assert token.created_on is not None
        assert token.created_on.tzinfo is not None
        assert token.access_key is not None
        assert token.access_key.reveal() not in f"{token} {token!r} {token.to_dict()}"
        assert "smoke" in token._repr_html_()
        assert [seen.method for seen in portal.record] == ["POST"]
        try:
            portal.client().add_token(99)
        except LookupError as error:
            assert isinstance(error, lmtokens.NotFoundError)
            assert (error.status, error.code, error.maybe_applied) == (404, 1404, False)
        else:
            raise AssertionError("a create for an unknown user succeeded")
        stream = io.StringIO()
        _progress._TerminalText(stream).show(_progress.ProgressBar(10, None))
        assert "add_tokens 0/10 (0%)" in stream.getvalue(), stream.getvalue()
        output = subprocess.run(
            [sys.executable, "-m", "lmtokens", "add", "32", "--output", "json"],
            env={**os.environ, **portal.environment()},
            capture_output=True,
            text=True,
            check=True,
        )
        assert '"admin_id": 32' in output.stdout, output
        assert output.stderr == "", output


if __name__ == "__main__":
    main()
