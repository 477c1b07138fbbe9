"""Where the secret of a new token goes before the token works: ``add_token(32, deliver=to_file("token.json"))``.

``deliver=`` takes ``to_file(…)``, ``to_command([…])``, a callable that takes the token (its ``access_key`` is the
secret), or an object with ``deliver(token)`` and, where wanted, ``commit(token)`` (the token works now) and
``discard(token)`` (it never will). The secret must be safe when ``deliver`` returns; what it raises fails the delivery,
and the token, which never worked, is deleted. A callable may call this package itself, and with ``AsyncClient`` it may
be a coroutine function.
"""

from lmtokens._lmtokens import ToCommand, ToFile, to_command, to_file

__all__ = ["ToCommand", "ToFile", "to_command", "to_file"]
