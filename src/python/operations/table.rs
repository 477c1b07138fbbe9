//! The table of operations. Each row becomes a method of `Client`, a method of `AsyncCore` (which `AsyncClient` wraps
//! in a coroutine) and a module function. `list_tokens` and `add_tokens` return iterators and have files of their
//! own.

use std::time::Duration;

use pyo3::prelude::*;

use crate::ids::{Note, Status};
use crate::lifecycle::{
    AddToken, Audit, AuditTokens, CancelRotation, FinishRotations, RotateToken, Rotation, Rules, SweepReason,
    SweepTokens, Swept,
};
use crate::model::Token;
use crate::python::args::audit::{self, Reasons};
use crate::python::args::stub_types::ReportPath;
use crate::python::args::{domain, plain};
use crate::python::operations::client::{AsyncCore, Client};
use crate::python::operations::deliver::{Deliver, Then};
use crate::python::operations::functions::default_client;
use crate::python::runtime::awaitable::Awaitable;
use crate::python::types::results::{Listed, Results};
use crate::times::Expiry;
use crate::tokens::{
    Change, DeleteToken, Deleted, ListUsers, ListedUser, Target, UpdateToken, User, Whoami, WhoamiReport,
};

/// A row: docstring, Python signature, parameters, result type, and a closure that builds the operation from the
/// parameters. The closure's argument is the queue on which the call runs Python callbacks.
macro_rules! operations {
    ($(
        $(#[doc = $doc:expr])*
        #[signature($($signature:tt)*)]
        fn $name:ident($($parameters:tt)*) -> $result:ty {
            |$queue:pat_param| $operation:expr
        }
    )*) => {
        #[pymethods]
        impl Client {
            $(
                $(#[doc = $doc])*
                #[pyo3(signature = ($($signature)*))]
                #[allow(clippy::too_many_arguments, reason = "they are the parameters of the Python API")]
                fn $name(&self, py: Python<'_>, $($parameters)*) -> PyResult<$result> {
                    self.py_client().wait(py, |$queue| $operation)
                }
            )*
        }

        #[pymethods]
        impl AsyncCore {
            $(
                $(#[doc = $doc])*
                #[pyo3(signature = ($($signature)*))]
                #[allow(clippy::too_many_arguments, reason = "they are the parameters of the Python API")]
                fn $name<'py>(&self, py: Python<'py>, $($parameters)*) -> PyResult<Awaitable<'py, $result>> {
                    self.py_client().awaitable(py, |$queue| $operation)
                }
            )*
        }

        $(
            $(#[doc = $doc])*
            #[pyfunction]
            #[pyo3(signature = ($($signature)*))]
            #[allow(clippy::too_many_arguments, reason = "they are the parameters of the Python API")]
            pub(crate) fn $name(py: Python<'_>, $($parameters)*) -> PyResult<$result> {
                default_client(py)?.get().py_client().wait(py, |$queue| $operation)
            }
        )*
    };
}

operations! {
    /// Create an API token for a user.
    ///
    /// Without ``deliver=`` and ``expires=``, a POST that may have created a token is never repeated.
    ///
    /// With ``deliver=``, the token is created disabled, under a tagged note. After its key has been delivered, one
    /// PATCH sets its status and note. If the call ends before that, the token stays disabled, and ``sweep_tokens``
    /// finds it. With ``expires=``, the same happens even without ``deliver=``: the expiry is in a marker before the
    /// note, ``[lmtokens 248 expires 2027-01-31T00:00Z] ci``, which needs the token's id.
    ///
    /// Args:
    ///     admin_id (int | str): the user's id, 1 to 2147483647, or the user's name, which is looked up.
    ///     note (str | None): a label; default none. Notes that begin as those that lmtokens writes itself are refused:
    ///         with ``[lmtokens `` or the tag of a pending token.
    ///     status (int | str | TokenStatus): 1, ``"disabled"`` or ``TokenStatus.DISABLED``; 2 (the default),
    ///         ``"enabled"`` or ``TokenStatus.ENABLED``.
    ///     type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.
    ///     deliver (ToFile | ToKeyring | ToCommand | Callable[[CreatedToken], object] | object | None): the destination
    ///         that receives the key before the token is enabled: ``lmtokens.deliver.to_file(…)``, ``to_keyring(…)``,
    ///         ``to_command([…])``, a callable that takes the token, or an object with ``deliver(token)`` and optionally
    ///         ``commit(token)`` and ``discard(token)``. Default ``None``: the key is only in the result.
    ///     expires (datetime | timedelta | float | str | None): when the token expires. An aware ``datetime`` in the
    ///         future is rounded down to a whole second. A ``timedelta``, a number of seconds or a text such as
    ///         ``"30d"`` counts from the create by the portal's clock; it is rounded up to a whole second, and is at
    ///         most ten years. Naive datetimes and larger numbers, such as milliseconds, are refused. The portal does
    ///         not act on it: ``sweep_tokens`` deletes the token once it has expired, even if it is in use. Default
    ///         ``None``: never.
    ///
    /// Returns:
    ///     CreatedToken: the new token. Its ``access_key`` is a ``Secret``, which the portal returns only once; for a
    ///         bearer token it is the bearer token itself. With ``deliver=``, a ``Token`` whose ``access_key`` is
    ///         ``None``.
    ///
    /// Raises:
    ///     TypeError, ValueError: an argument is invalid; nothing was sent.
    ///     ConfigurationError, CredentialsError: the settings or credentials are missing or invalid; nothing was sent.
    ///     APIError: the portal rejected the request; no token was created. The subclass gives the reason:
    ///         ``AuthenticationError``, ``PermissionDeniedError``, ``NotFoundError`` (the user does not exist),
    ///         ``RateLimitError`` and others.
    ///     ConnectError, TLSError: the connection failed; nothing was sent.
    ///     DeliveryError: the destination failed. A token that is not yet enabled is deleted; if only ``commit``
    ///         failed, the token is enabled. The message says what remains.
    ///     OutcomeUnknownError: a response was lost, so a token may exist; ``candidates`` holds the tokens that may
    ///         have been created. With ``deliver=`` or ``expires=``, such a token is disabled. If the response to the
    ///         last PATCH was lost instead, the message names the token, which may be enabled; without ``deliver=``,
    ///         ``token`` holds it with its key.
    ///
    /// If the call is interrupted (Ctrl-C) when the portal may already have acted, a warning is logged that a token may
    /// exist.
    ///
    /// Source: the vendor's page "Adding API Tokens"
    /// (https://www.logicmonitor.com/support/adding-api-tokens).
    ///
    /// Example:
    ///     >>> import lmtokens.sandbox
    ///     >>> with lmtokens.sandbox.Portal() as portal:
    ///     ...     token = portal.client().add_token(32, "ci")
    ///     >>> token.admin_id, token.note, token.status
    ///     (32, 'ci', TokenStatus.ENABLED)
    ///     >>> print(token.access_key)
    ///     ********
    #[signature(
        admin_id,
        note = None,
        status: "Literal[1, 2, 'disabled', 'enabled'] | TokenStatus" = 2,
        *,
        r#type: "Literal['lmv1', 'bearer'] | TokenType" = "lmv1",
        deliver = None,
        expires = None,
    )]
    fn add_token(
        admin_id: User,
        note: Option<Note>,
        #[pyo3(from_py_with = domain::status)] status: i64,
        #[pyo3(from_py_with = domain::r#type)] r#type: &str,
        deliver: Option<Deliver>,
        expires: Option<Expiry>,
    ) -> Token {
        |queue| domain::new_token(admin_id, note, status, r#type, expires).map(|token| AddToken {
            token,
            destination: deliver.map(|deliver| deliver.destination(queue)),
        })
    }

    /// List the users of the portal, for example to look up the id of one.
    ///
    /// A user may be missing if others are deleted meanwhile.
    ///
    /// Returns:
    ///     list[User]: the users that the credentials may view, in the order of their ids.
    ///
    /// Raises:
    ///     APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a
    ///         response that could not be understood.
    ///
    /// Source: the vendor's API contract, GET on the users.
    ///
    /// Example:
    ///     >>> import lmtokens.sandbox
    ///     >>> with lmtokens.sandbox.Portal() as portal:
    ///     ...     [(user.id, user.name) for user in portal.client().list_users()]
    ///     [(1, 'admin'), (32, 'api-user'), (33, 'viewer')]
    #[signature()]
    fn list_users() -> Results<ListedUser> {
        |_| Ok(Listed(ListUsers))
    }

    /// Find a token of any user by its id or access id.
    ///
    /// Args:
    ///     token (int | str | Token): its id or its access id; a ``Token`` is read again.
    ///
    /// Returns:
    ///     Token: the token as it is now. ``access_key`` is ``None``: the portal returns a key only when it creates the
    ///         token.
    ///
    /// Raises:
    ///     TypeError, ValueError: an argument is invalid; nothing was sent.
    ///     NotFoundError: the token does not exist, or the credentials may not view it.
    ///     APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a
    ///         response that could not be understood.
    ///
    /// Source: the vendor's page "Getting API Token Details". The portal has no request for a single token, so this
    /// searches its lists.
    #[signature(token)]
    fn find_token(token: Target) -> Token {
        |_| Ok(token)
    }

    /// Change a token's note, its status, or both.
    ///
    /// A new note replaces the user's part only: a marker of lmtokens before it, such as an expiry, is kept. It also
    /// replaces the tag of a pending token. A new status changes the note as ``enable_token`` and ``disable_token`` do.
    ///
    /// The token is read before it is changed, even if it is passed as a ``Token``. There are two exceptions for a
    /// passed ``Token``: it is not read if it is only disabled with ``force=True``; and if the credentials may not view
    /// it, its own note is used, which may be out of date. Without ``force=True``, credentials that may not view a token
    /// cannot disable it.
    ///
    /// Args:
    ///     token (int | str | Token): the token, its id or its access id.
    ///     note (str | None): the new note; ``""`` removes it. ``None`` (the default) leaves it unchanged. Notes are
    ///         refused as by ``add_token``.
    ///     status (int | str | TokenStatus | None): the new status, as for ``add_token``. ``None`` (the default) leaves
    ///         it unchanged.
    ///     force (bool): disable the token even if it signs this call; default ``False``.
    ///
    /// Returns:
    ///     Token: the token after the change.
    ///
    /// Raises:
    ///     TypeError, ValueError: an argument is invalid, or neither note nor status is given; nothing was sent.
    ///     NotFoundError: the token does not exist, or the credentials may not view it.
    ///     SelfLockoutError: the call would disable the token that signs it, or the portal does not show whether it
    ///         would.
    ///     APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a
    ///         response that could not be understood; ``maybe_applied`` is true if the token may have been changed.
    ///
    /// Source: the vendor's API contract, PATCH on a token: members that are not sent stay unchanged. (A PUT without a
    /// status would enable a disabled token.)
    #[signature(
        token,
        note = None,
        status: "Literal[1, 2, 'disabled', 'enabled'] | TokenStatus | None" = None,
        *,
        force: "bool" = false,
    )]
    fn update_token(
        token: Target,
        note: Option<Note>,
        #[pyo3(from_py_with = domain::optional_status)] status: Option<Status>,
        #[pyo3(from_py_with = plain::force)] force: bool,
    ) -> Token {
        |_| Change::new(note, status).map(|change| UpdateToken { target: token, change, force })
    }

    /// Enable a token.
    ///
    /// The tag of a pending token is removed from its note, so that no sweep deletes it if it is disabled again. A marker
    /// is kept. An expiry therefore stays, and a token that a rotation disabled stays part of it: ``finish_rotations``
    /// and ``sweep_tokens`` report it and leave it enabled. Call ``cancel_rotation`` to end the rotation as well; it
    /// enables the token too. The token is read before it is changed, as by ``update_token``.
    ///
    /// Args:
    ///     token (int | str | Token): the token, its id or its access id.
    ///
    /// Returns:
    ///     Token: the token after the change.
    ///
    /// Raises:
    ///     The same errors as ``update_token``.
    ///
    /// Source: the vendor's page "Adding API Tokens": status 2 is enabled.
    #[signature(token)]
    fn enable_token(token: Target) -> Token {
        |_| Ok(UpdateToken { target: token, change: Status::Enabled.into(), force: false })
    }

    /// Disable a token. The portal keeps it and rejects its requests until it is enabled again.
    ///
    /// The note is kept as it is, with its marker or tag.
    ///
    /// Args:
    ///     token (int | str | Token): the token, its id or its access id.
    ///     force (bool): disable the token even if it signs this call; default ``False``.
    ///
    /// Returns:
    ///     Token: the token after the change.
    ///
    /// Raises:
    ///     The same errors as ``update_token``.
    ///
    /// Source: the vendor's page "Adding API Tokens": status 1 is disabled.
    #[signature(token, *, force: "bool" = false)]
    fn disable_token(token: Target, #[pyo3(from_py_with = plain::force)] force: bool) -> Token {
        |_| Ok(UpdateToken { target: token, change: Status::Disabled.into(), force })
    }

    /// Delete a token permanently.
    ///
    /// If an attempt of this call may have deleted the token and its retry does not find it, the call succeeds.
    ///
    /// Args:
    ///     token (int | str | Token): the token, its id or its access id.
    ///     force (bool): delete the token even if it signs this call; default ``False``.
    ///
    /// Raises:
    ///     TypeError, ValueError: an argument is invalid; nothing was sent.
    ///     NotFoundError: the token does not exist, or the credentials may not view it.
    ///     SelfLockoutError: the token signs this call, or the portal does not show whether it does.
    ///     APIError, TransportError: the portal rejected the request or could not be reached; ``maybe_applied`` is true
    ///         if the token may have been deleted.
    ///
    /// Source: the vendor's API contract, DELETE on a token.
    #[signature(token, *, force: "bool" = false)]
    fn delete_token(token: Target, #[pyo3(from_py_with = plain::force)] force: bool) -> Deleted {
        |_| Ok(DeleteToken { target: token, force })
    }

    /// Find what is due: orphans, expired and abandoned tokens, rotations. Optionally do it: delete, disable or restore.
    ///
    /// Tokens of every process and machine are found, of both types. Each is read again before it is deleted. The token
    /// that signs the call is never deleted.
    ///
    /// A token is an orphan if a create with ``deliver=`` or ``expires=``, of ``add_tokens`` or on the command line left
    /// it pending: it is disabled, was never used, its note is exactly the one that its create wrote (a tag alone, or
    /// the tag, a space and the final note, which the tag proves), it was created within an hour of the time in the tag,
    /// and it is more than an hour old by the portal's clock and this machine's. A token that lacks only the exact note,
    /// because somebody added to it or cut it, is listed with ``kept`` and never deleted.
    ///
    /// A token has expired if its note begins with a marker that names this token and a time that has passed by the
    /// portal's clock and this machine's, such as ``[lmtokens 248 expires 2027-01-31T00:00Z]``. It is deleted even if it
    /// is enabled and in use. To keep it, change the time in the note or remove the marker, in the portal.
    ///
    /// A rotation is due if its overlap or its quarantine is over, or if its old token is deleted already. It is
    /// continued as by ``finish_rotations``, with a quarantine of 7 days.
    ///
    /// A token is abandoned if it was to replace another one, but that rotation was cancelled or another token
    /// replaces the old one instead; it is deleted once it is disabled and the time in its marker is 7 days ago.
    ///
    /// All other tokens are left alone.
    ///
    /// Args:
    ///     dry_run (bool): ``True`` (the default) only lists the tokens; ``False`` does what is due.
    ///     only (str | None): find only ``"orphans"``, ``"expired"`` or ``"abandoned"`` tokens, or ``"rotations"``;
    ///         default ``None``: all.
    ///
    /// Returns:
    ///     list[SweptToken]: the tokens that are due and those that are kept, each with ``token``, ``reason``,
    ///         ``deleted``, ``kept``, ``rotation`` and ``error``. For a rotation, ``token`` is the old one.
    ///
    /// Raises:
    ///     TypeError, ValueError: an argument is invalid; nothing was sent.
    ///     APIError: the portal rejected the request to list tokens.
    ///     ResponseError: the portal's response has no time, or the portal's clock and this machine's differ by more
    ///         than an hour. Neither is then reliable enough to delete a token. Two clocks on this machine (a sandbox)
    ///         may differ.
    ///
    /// Example:
    ///     >>> import lmtokens.sandbox
    ///     >>> with lmtokens.sandbox.Portal() as portal:
    ///     ...     portal.client().sweep_tokens()
    ///     []
    #[signature(
        *,
        dry_run: "bool" = true,
        only: "Literal['orphans', 'expired', 'rotations', 'abandoned'] | None" = None,
    )]
    fn sweep_tokens(
        #[pyo3(from_py_with = plain::dry_run)] dry_run: bool,
        #[pyo3(from_py_with = domain::only)] only: Option<SweepReason>,
    ) -> Results<Swept> {
        |_| Ok(Listed(SweepTokens { delete: !dry_run, only }))
    }

    /// Find tokens that should be replaced, disabled or deleted.
    ///
    /// The tokens of all users, of both types, are read page by page and judged by the portal's clock; only findings
    /// are kept in memory. The reasons with their severities are:
    ///
    /// - critical: ``owner_suspended``
    /// - warning: ``idle``, ``never_used``, ``old``, ``expired``, ``pending``, ``rotation_stuck``, ``address_changed``
    /// - info: ``disabled``, ``no_note``, ``owner_not_api_only``, ``administrator``
    ///
    /// ``AuditReason`` describes them. If the credentials may not list users, the reasons about owners are left out;
    /// ``Audit.limitations`` says so. The audit changes nothing; ``lmtokens audit`` can also disable or delete tokens.
    ///
    /// Args:
    ///     reasons (Iterable[AuditReason | str] | None): look only for these reasons; default: for all.
    ///     idle_after (float | str | datetime.timedelta | None): how long ago the last use of an ``idle`` token is:
    ///         seconds, ``"90s"``, ``"24h"``, ``"45d"`` or a ``timedelta``; default 45 days.
    ///     never_used_after (float | str | datetime.timedelta | None): how long ago the creation of a ``never_used``
    ///         token is; default 7 days.
    ///     old_after (float | str | datetime.timedelta | None): how long ago the creation of an ``old`` token is;
    ///         default 365 days, after which the vendor advises to rotate tokens.
    ///     disabled_after (float | str | datetime.timedelta | None): how long ago the last use or, without one, the
    ///         creation of a ``disabled`` token is; default 30 days.
    ///     diff (str | os.PathLike[str] | None): compare with an earlier report: a JSON file of ``Audit.to_dict()`` or
    ///         of ``lmtokens audit -o json``. ``Finding.new_reasons`` and ``Audit.gone`` then say what changed. The
    ///         addresses of ``address_changed`` are those in the file; ``lmtokens audit --all`` writes those of all
    ///         tokens, and so does a list of ``Token.to_dict()``. Default: no comparison.
    ///
    /// Returns:
    ///     Audit: the findings, the most severe first.
    ///
    /// Raises:
    ///     TypeError, ValueError: an argument is invalid, or the earlier report cannot be read; nothing was sent.
    ///     APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
    ///         response that could not be understood or has no time.
    ///
    /// Source: the vendor's page "Managing API Tokens".
    ///
    /// Example:
    ///     >>> import lmtokens.sandbox
    ///     >>> with lmtokens.sandbox.Portal() as portal, portal.client() as client:
    ///     ...     token = client.add_token(32)
    ///     ...     audit = client.audit_tokens(reasons=["no_note"])
    ///     >>> [(finding.reasons, finding.severity, finding.remedy) for finding in audit]
    ///     [([AuditReason.NO_NOTE], Severity.INFO, 'set a note that names the program that uses it')]
    #[signature(
        *,
        reasons = None,
        idle_after: "Age | None" = None,
        never_used_after: "Age | None" = None,
        old_after: "Age | None" = None,
        disabled_after: "Age | None" = None,
        diff = None,
    )]
    fn audit_tokens(
        reasons: Option<Reasons>,
        #[pyo3(from_py_with = audit::idle_after)] idle_after: Option<Duration>,
        #[pyo3(from_py_with = audit::never_used_after)] never_used_after: Option<Duration>,
        #[pyo3(from_py_with = audit::old_after)] old_after: Option<Duration>,
        #[pyo3(from_py_with = audit::disabled_after)] disabled_after: Option<Duration>,
        diff: Option<ReportPath>,
    ) -> Audit {
        |_| {
            let defaults = Rules::default();
            let rules = Rules {
                reasons: reasons.map_or(defaults.reasons, |given| given.0),
                idle_after: idle_after.unwrap_or(defaults.idle_after),
                never_used_after: never_used_after.unwrap_or(defaults.never_used_after),
                old_after: old_after.unwrap_or(defaults.old_after),
                disabled_after: disabled_after.unwrap_or(defaults.disabled_after),
            };
            Ok(AuditTokens { rules, diff: diff.map(|path| path.0), ..AuditTokens::default() })
        }
    }

    /// Replace a token by a new one, without a moment in which no token works.
    ///
    /// The new token gets the owner, the type, the note and the expiry of the old one. It is created disabled; its key
    /// is delivered, and only then is it enabled. A request that is signed with the delivered key must succeed before
    /// the key is put in place. Until ``overlap`` is over, both tokens work. Then the old token is disabled, unless it
    /// is in use, and deleted after ``quarantine``.
    ///
    /// The call does what is due now and returns what remains. Nothing runs by itself: call it again, or
    /// ``finish_rotations`` from any machine. What is in progress is written in the notes of both tokens, so that a
    /// call whose process was killed is continued by the next one with the same destination, and nothing is stored
    /// elsewhere. During the overlap, a call whose file does not have the new key, or with another ``note``, is refused.
    ///
    /// If the token signs this call, the client signs its next calls with the new one. Other objects that were made with
    /// the old key keep it, such as other clients and ``LMv1Auth``: make them again during the overlap.
    ///
    /// Args:
    ///     token (int | str | Token): the token to replace, its id or its access id.
    ///     deliver (ToFile | ToCommand | Callable[[CreatedToken], object] | object): the destination of the new key, as
    ///         for ``add_token``. A file with the key of the old token and nothing else is replaced even without
    ///         ``overwrite=True``. The old key is kept as ``PATH.ID.previous``, with the id of the old token.
    ///     overlap (float | str | timedelta): how long both tokens work: seconds, ``"30m"``, ``"24h"``, ``"7d"`` or a
    ///         ``timedelta``. 0 disables the old token in this call. If the overlap runs already, the shorter one counts.
    ///     quarantine (float | str | timedelta): how long the old token stays disabled before it is deleted; default 7
    ///         days. If it is disabled already, the time in its note counts, but 0 deletes it in this call.
    ///     then (Callable[[Token], object] | None): called with the new token once its key is in place, for example to
    ///         restart the program that uses it, and to check that it works. It must end within 30 minutes: an hour
    ///         after the create, another machine may replace the new token. If it raises, the rotation stops with both
    ///         tokens working, and the next call calls it again. It is not called during the overlap.
    ///     note (str | None): the note of the new token; default ``None``: the note of the old one.
    ///     allow_bearer (bool): rotate a bearer token too; default ``False``. The portal may delete a user's bearer
    ///         token as soon as another one is created.
    ///     take_over (bool): continue a rotation of another machine 12 minutes after it created its token, instead of
    ///         after an hour; default ``False``. A killed process on the same machine, with the same file, is continued
    ///         at once.
    ///     force (bool): disable and delete the old token even if it is in use; default ``False``.
    ///
    /// Returns:
    ///     Rotation: the old and the new token, the state of the rotation, and when the next step is due.
    ///
    /// Raises:
    ///     TypeError, ValueError: an argument is invalid; nothing was sent.
    ///     NotFoundError: the token does not exist, or the credentials may not view it.
    ///     RotationError: the token cannot be rotated now, for example because another process is rotating it, it is
    ///         disabled, or ``then`` raised; the old token works.
    ///     DeliveryError: the destination failed; the old token works.
    ///     SelfLockoutError: the call would disable the token that signs it, and its client has no other.
    ///     OutcomeUnknownError: the response to the create was lost, so a disabled token may exist.
    ///     APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
    ///         response that could not be understood. Call again with the same arguments to continue.
    ///
    /// Example:
    ///     >>> import lmtokens.sandbox, os, tempfile
    ///     >>> from lmtokens.deliver import to_file
    ///     >>> path = os.path.join(tempfile.mkdtemp(), "token.json")
    ///     >>> with lmtokens.sandbox.Portal() as portal:
    ///     ...     client = portal.client()
    ///     ...     token = client.add_token(32, "ci", deliver=to_file(path))
    ///     ...     client.rotate_token(token, deliver=to_file(path), overlap=0).state
    ///     'quarantine'
    #[signature(
        token,
        *,
        deliver,
        overlap: "float | str | timedelta",
        quarantine: "float | str | timedelta" = 604_800.0,
        then = None,
        note = None,
        allow_bearer: "bool" = false,
        take_over: "bool" = false,
        force: "bool" = false,
    )]
    fn rotate_token(
        token: Target,
        deliver: Deliver,
        #[pyo3(from_py_with = domain::overlap)] overlap: f64,
        #[pyo3(from_py_with = domain::quarantine)] quarantine: f64,
        then: Option<Then>,
        note: Option<Note>,
        #[pyo3(from_py_with = plain::allow_bearer)] allow_bearer: bool,
        #[pyo3(from_py_with = plain::take_over)] take_over: bool,
        #[pyo3(from_py_with = plain::force)] force: bool,
    ) -> Rotation {
        |queue| Ok(RotateToken {
            token,
            destination: deliver.destination(queue),
            // An overlap below a second is not none.
            overlap: Duration::from_secs_f64(overlap.ceil()),
            quarantine: Duration::from_secs_f64(quarantine),
            note,
            then: then.map(|then| then.check(queue)),
            allow_bearer,
            take_over,
            force,
        })
    }

    /// Do what is due for rotations: disable old tokens after their overlap, and delete them after their quarantine.
    ///
    /// Rotations of every process and machine are found by the notes of their tokens. Before each change, both tokens
    /// are read again. If the new token was disabled or deleted by others, the old one is enabled again.
    ///
    /// Args:
    ///     token (int | str | Token | None): the old or the new token of one rotation; default ``None``: all rotations.
    ///     quarantine (float | str | timedelta): how long an old token that is disabled in this call stays so before it
    ///         is deleted; default 7 days. If it is disabled already, the time in its note counts, but 0 with ``token``
    ///         deletes it in this call.
    ///     force (bool): disable and delete old tokens even if they are in use; default ``False``.
    ///
    /// Returns:
    ///     list[Rotation]: all rotations, also those for which nothing is due. One that cannot be finished has the state
    ///         ``"failed"`` and an ``error``, and does not stop the others.
    ///
    /// Raises:
    ///     TypeError, ValueError: an argument is invalid; nothing was sent.
    ///     NotFoundError: the token does not exist, or the credentials may not view it.
    ///     RotationError: the token is not being rotated, or its rotation cannot be finished now.
    ///     APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
    ///         response that could not be understood.
    ///
    /// Example:
    ///     >>> import lmtokens.sandbox
    ///     >>> with lmtokens.sandbox.Portal() as portal:
    ///     ...     portal.client().finish_rotations()
    ///     []
    #[signature(
        token = None,
        *,
        quarantine: "float | str | timedelta" = 604_800.0,
        force: "bool" = false,
    )]
    fn finish_rotations(
        token: Option<Target>,
        #[pyo3(from_py_with = domain::quarantine)] quarantine: f64,
        #[pyo3(from_py_with = plain::force)] force: bool,
    ) -> Results<Rotation> {
        |_| Ok(Listed(FinishRotations { token, quarantine: Duration::from_secs_f64(quarantine), force }))
    }

    /// Cancel a rotation: the old token works again, and the new one is disabled.
    ///
    /// The call waits a minute, in which other processes notice that the rotation is cancelled. A killed call is
    /// continued by the next one.
    ///
    /// Args:
    ///     token (int | str | Token): the old or the new token.
    ///
    /// Returns:
    ///     Rotation: the state is ``"cancelled"``, or ``"too_late"`` if the old token is deleted already: then the new
    ///         one is kept.
    ///
    /// Raises:
    ///     TypeError, ValueError: an argument is invalid; nothing was sent.
    ///     NotFoundError: the token does not exist, or the credentials may not view it.
    ///     RotationError: the token is not part of a rotation, or other processes change it.
    ///     SelfLockoutError: the new token signs this call.
    ///     APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
    ///         response that could not be understood. Call again to continue.
    #[signature(token)]
    fn cancel_rotation(token: Target) -> Rotation {
        |_| Ok(CancelRotation { token })
    }

    /// Return the portal, the token that signs the calls, its user, and the source of the credentials.
    ///
    /// Returns:
    ///     Whoami: the identity, as far as it can be read. If the credentials may not view tokens, ``token`` is
    ///         ``None`` and ``limitation`` gives the reason.
    ///
    /// Raises:
    ///     AuthenticationError: the portal rejected the credentials.
    ///     APIError, TransportError, ResponseError: the portal rejected the request for another reason, could not be
    ///         reached, or sent a response that could not be understood.
    #[signature()]
    fn whoami() -> WhoamiReport {
        |_| Ok(Whoami)
    }
}
