"""Destinations for the secrets of new tokens: ``add_token(32, deliver=to_file("token.json"))``.

The token is enabled only after its secret has been delivered. ``deliver=`` takes one of:

- ``to_file(…)``, ``to_keyring(…)`` or ``to_command([…])``;
- a callable that takes the token, whose ``access_key`` is the secret;
- an object with ``deliver(token)`` and optionally ``commit(token)``, called after the token has been enabled, and
  ``discard(token)``, called if the token is deleted after its secret was delivered.

The secret must be stored durably when ``deliver`` returns. If ``deliver`` raises, the delivery fails and the token,
which was never enabled, is deleted. It also fails if ``deliver`` returns work that is still to be done: a coroutine
(unless ``AsyncClient`` awaits it), a generator or another iterator, a future, a process, a callable or a destination.
All other results are ignored, as are open files, HTTP responses and database cursors. The same applies to ``commit``
and ``discard``. A destination may call this package.
"""

from lmtokens._lmtokens import ToCommand, ToFile, ToKeyring, to_command, to_file, to_keyring

__all__ = ["ToCommand", "ToFile", "ToKeyring", "to_command", "to_file", "to_keyring"]
