//! `Token`.

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
#[cfg(feature = "stubs")]
use pyo3::type_hint_union;
use pyo3::types::{PyDateTime, PyDict, PyString};

use crate::python::types::secret::Secret;
use crate::token_output::{Members, token_members};
use crate::{model, secret};

/// One API token, as the portal last reported it. Immutable.
///
/// Two tokens are equal if they are the same token: their ``portal``, ``type`` and ``id`` are equal. So a token is found
/// again in a set or a ``dict`` after its note, status or any other member has changed; compare ``to_dict()`` to see
/// whether one has.
///
/// Members that the portal did not send are ``None``; members that this version does not know are ignored.
#[pyclass(frozen, module = "lmtokens", subclass)]
pub struct Token(model::Token);

/// A token with its access key: the result of a create, a row or an entry of a journal, and what a destination
/// receives.
#[pyclass(frozen, module = "lmtokens", extends = Token)]
pub(crate) struct CreatedToken(secret::Secret);

impl<'py> IntoPyObject<'py> for model::Token {
    type Target = Token;
    type Output = Bound<'py, Token>;
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = <Token as pyo3::PyTypeInfo>::TYPE_HINT;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        match self.access_key.clone() {
            Some(key) => {
                let token = PyClassInitializer::from(Token(self)).add_subclass(CreatedToken(key));
                Ok(Bound::new(py, token)?.into_super())
            }
            None => Bound::new(py, Token(self)),
        }
    }
}

/// The access id of a `CreatedToken`. Type checkers let it pass as a `str`: only a bearer token has none, and a caller
/// knows which type it created.
struct CreatedAccessId(Option<String>);

impl<'py> IntoPyObject<'py> for CreatedAccessId {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = type_hint_union!(
        pyo3::type_hint_identifier!("builtins", "str"),
        pyo3::type_hint_identifier!("typing", "Any")
    );

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        self.0.into_bound_py_any(py)
    }
}

#[pymethods]
impl CreatedToken {
    /// Secret: the secret half of an LMv1 pair, or the bearer token itself. The portal never returns it again.
    #[getter]
    fn access_key(&self) -> Secret {
        Secret(self.0.clone())
    }

    /// str: the public half of an LMv1 pair; ``None`` for a bearer token.
    #[getter]
    fn access_id(slf: &Bound<'_, Self>) -> CreatedAccessId {
        CreatedAccessId(slf.as_super().get().0.access_id.clone())
    }
}

#[pymethods]
impl Token {
    /// str | None: the address of its portal, ending with ``/santaba/rest``, as ``Client.base_url``; ``None`` in a token
    /// that an earlier version pickled.
    #[getter]
    fn portal(&self) -> Option<&str> {
        self.0.portal.as_deref()
    }

    /// int: the id, which each portal assigns by itself.
    #[getter]
    fn id(&self) -> i64 {
        self.0.id
    }

    /// TokenType: LMv1 or bearer.
    #[getter]
    fn r#type(&self) -> model::TokenType {
        self.0.r#type.clone()
    }

    /// str | None: the public half of an LMv1 pair.
    #[getter]
    fn access_id(&self) -> Option<&str> {
        self.0.access_id.as_deref()
    }

    /// Secret | None: the secret half of an LMv1 pair, or the bearer token itself. Only a ``CreatedToken`` holds it: the
    /// portal never returns it again.
    #[getter]
    fn access_key(&self) -> Option<Secret> {
        self.0.access_key.clone().map(Secret)
    }

    /// int | None: the owner's user id.
    #[getter]
    fn admin_id(&self) -> Option<i64> {
        self.0.admin_id
    }

    /// str | None: the owner's user name.
    #[getter]
    fn admin_name(&self) -> Option<&str> {
        self.0.admin_name.as_deref()
    }

    /// TokenStatus | None: enabled or disabled.
    #[getter]
    fn status(&self) -> Option<model::TokenStatus> {
        self.0.status
    }

    /// str | None: the note, without the marker that lmtokens may have put before it.
    #[getter]
    fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }

    /// datetime.datetime | None: when ``sweep_tokens`` may delete the token: aware, in UTC, to the second.
    #[getter]
    fn expires_on<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDateTime>>> {
        self.0.expires_on().map(|seconds| datetime(py, seconds)).transpose()
    }

    /// int | None: the id of the token that this one replaces.
    #[getter]
    fn replaces(&self) -> Option<i64> {
        self.0.replaces()
    }

    /// int | None: the id of the token that replaces this one, which is disabled and will be deleted.
    #[getter]
    fn replaced_by(&self) -> Option<i64> {
        self.0.replaced_by()
    }

    /// list[str]: the names of the owner's roles, which are the token's.
    #[getter]
    fn roles(&self) -> Vec<String> {
        self.0.roles.clone()
    }

    /// str | None: the user name of its creator.
    #[getter]
    fn created_by(&self) -> Option<&str> {
        self.0.created_by.as_deref()
    }

    /// datetime.datetime | None: when it was created: aware, in UTC, to the second.
    #[getter]
    fn created_on<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDateTime>>> {
        self.0.created_on.map(|seconds| datetime(py, seconds)).transpose()
    }

    /// datetime.datetime | None: when it was last used: aware, in UTC, to the second; ``None`` if never, or if the
    /// portal reports a time that cannot be read. ``where.last_used_on == 0`` selects only tokens that were never used.
    #[getter]
    fn last_used_on<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDateTime>>> {
        self.0.last_used_on.map(|seconds| datetime(py, seconds)).transpose()
    }

    /// str | None: the address it was last used from.
    #[getter]
    fn last_auth_ip(&self) -> Option<&str> {
        self.0.last_auth_ip.as_deref()
    }

    /// str | None: the caller's permission on the owner: ``"write"``, ``"read"`` or ``"none"``.
    #[getter]
    fn user_permission(&self) -> Option<&str> {
        self.0.user_permission.as_deref()
    }

    /// Return the token as a ``dict`` for ``json``: all members except ``access_key`` and ``portal``, which the tokens
    /// of a client have in common; times in ISO 8601 and UTC.
    ///
    /// Returns:
    ///     dict[str, object]: the members by attribute name; ``status`` is the portal's number.
    #[pyo3(signature = () -> "dict[str, object]")]
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict(py, &token_members(&self.0))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let token = &self.0;
        let mut members =
            vec![format!("id={}", token.id), format!("type={}", quoted(py, token.r#type.as_str())?)];
        if let Some(access_id) = &token.access_id {
            members.push(format!("access_id={}", quoted(py, access_id)?));
        }
        if token.access_key.is_some() {
            members.push(format!("access_key=Secret('{}')", crate::secret::MASK));
        }
        if let Some(admin_id) = token.admin_id {
            members.push(format!("admin_id={admin_id}"));
        }
        if let Some(status) = token.status {
            members.push(format!("status={}", quoted(py, &status.to_string())?));
        }
        if let Some(note) = &token.note {
            members.push(format!("note={}", note_repr(py, note)?));
        }
        Ok(format!("Token({})", members.join(", ")))
    }

    fn __eq__(&self, other: &Bound<'_, Self>) -> bool {
        identity(&self.0) == identity(&other.get().0)
    }

    fn __hash__(&self) -> u64 {
        hash(&identity(&self.0))
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (memo: "object", /) -> "Token")]
    fn __deepcopy__(slf: Py<Self>, memo: &Bound<'_, PyAny>) -> Py<Self> {
        let _ = memo;
        slf
    }

    #[pyo3(signature = () -> "tuple[object, ...]")]
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyDict>,))> {
        let token = slf.get();
        if token.0.access_key.is_some() {
            return Err(PyTypeError::new_err(
                "cannot pickle a Token that holds its access key: the key would be stored in plain text; use token.to_dict(), \
                 and token.access_key.reveal() if you mean to store the key",
            ));
        }
        let members = token.portal_members(slf.py())?;
        Ok((slf.get_type().getattr("_from_members")?, (members,)))
    }

    /// Create a token from its members, for pickle.
    #[staticmethod]
    #[pyo3(signature = (members: "dict[str, object]", /))]
    fn _from_members(members: &Bound<'_, PyDict>) -> PyResult<Self> {
        let number = |name: &str| -> PyResult<Option<i64>> {
            members.get_item(name)?.map_or(Ok(None), |value| value.extract())
        };
        let text = |name: &str| -> PyResult<Option<String>> {
            members.get_item(name)?.map_or(Ok(None), |value| value.extract())
        };
        let word = text("type")?.unwrap_or_default();
        let id = number("id")?.unwrap_or_default();
        let (marker, note) = model::split_note(id, text("note")?);
        Ok(Self(model::Token {
            portal: text("portal")?.map(Into::into),
            id,
            r#type: model::TokenType::from_word(&word),
            access_id: text("access_id")?,
            access_key: None,
            masked_bearer: None,
            admin_id: number("admin_id")?,
            admin_name: text("admin_name")?,
            status: number("status")?.map(model::TokenStatus::from_number),
            marker,
            note,
            roles: members.get_item("roles")?.map_or(Ok(Vec::new()), |roles| roles.extract())?,
            created_by: text("created_by")?,
            created_on: number("created_on")?,
            last_used_on: number("last_used_on")?,
            was_used: members.get_item("was_used")?.map_or(Ok(false), |value| value.extract())?,
            last_auth_ip: text("last_auth_ip")?,
            user_permission: text("user_permission")?,
        }))
    }
}

impl Token {
    pub(crate) fn core(&self) -> &model::Token {
        &self.0
    }

    /// As [`Token::to_dict`], with the whole note, and times as the portal's seconds.
    fn portal_members<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let members = self.to_dict(py)?;
        members.set_item("portal", self.portal())?;
        members.set_item("note", self.0.whole_note())?;
        members.set_item("created_on", self.0.created_on)?;
        members.set_item("last_used_on", self.0.last_used_on)?;
        members.set_item("was_used", self.0.was_used)?;
        Ok(members)
    }
}

/// Returns members as a `dict`.
pub(crate) fn dict<'py>(py: Python<'py>, members: &Members) -> PyResult<Bound<'py, PyDict>> {
    let json = serde_json::to_string(members).unwrap_or_default();
    Ok(py.import("json")?.call_method1("loads", (json,))?.cast_into()?)
}

pub(crate) fn datetime(py: Python<'_>, seconds: i64) -> PyResult<Bound<'_, PyDateTime>> {
    let module = py.import("datetime")?;
    let utc = module.getattr("timezone")?.getattr("utc")?;
    let time = module.getattr("datetime")?.call_method1("fromtimestamp", (seconds, utc))?;
    Ok(time.cast_into()?)
}

/// Returns what makes a token the same one. The vendor does not say whether ids of both types can be equal.
fn identity(token: &model::Token) -> (Option<&str>, &model::TokenType, i64) {
    (token.portal.as_deref(), &token.r#type, token.id)
}

/// Returns the `repr` of a note. A long one is cut, so that a list of tokens stays readable.
pub(crate) fn note_repr(py: Python<'_>, note: &str) -> PyResult<String> {
    const MAX_CHARACTERS: usize = 80;
    let mut shown: String = note.chars().take(MAX_CHARACTERS).collect();
    if shown.len() < note.len() {
        shown.push('…');
    }
    quoted(py, &shown)
}

fn quoted(py: Python<'_>, text: &str) -> PyResult<String> {
    PyString::new(py, text).repr()?.extract()
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
