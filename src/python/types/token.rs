//! `Token`, `TokenStatus` and `TokenType`: frozen values.

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyDict, PyInt, PyString};

use crate::model;
use crate::ports::{Event, Loss};
use crate::python::args::plain as arguments;
use crate::python::types::secret::Secret;

/// One API token, as the portal last told. A frozen value; two are equal where all members are.
///
/// Members that the portal did not send are ``None``; members that this version does not know are ignored.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct Token(model::Token);

impl From<model::Token> for Token {
    fn from(token: model::Token) -> Self {
        Self(token)
    }
}

impl Loss for Token {
    fn loss(&self) -> Option<Event> {
        self.0.loss()
    }
}

#[pymethods]
impl Token {
    /// int: the token's number, unique in the portal.
    #[getter]
    fn id(&self) -> i64 {
        self.0.id
    }

    /// TokenType: LMv1 or bearer.
    #[getter]
    fn r#type(&self) -> TokenType {
        TokenType(self.0.r#type.clone())
    }

    /// str | None: the public half of an LMv1 pair.
    #[getter]
    fn access_id(&self) -> Option<&str> {
        self.0.access_id.as_deref()
    }

    /// Secret | None: the secret half of an LMv1 pair, or the bearer token itself. Only the answer to a create holds
    /// it; the portal never tells it again.
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
    fn status(&self) -> Option<TokenStatus> {
        self.0.status.map(TokenStatus)
    }

    /// str | None: the label.
    #[getter]
    fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }

    /// list[str]: the names of the owner's roles, which are the token's.
    #[getter]
    fn roles(&self) -> Vec<String> {
        self.0.roles.clone()
    }

    /// str | None: the user name of who made it.
    #[getter]
    fn created_by(&self) -> Option<&str> {
        self.0.created_by.as_deref()
    }

    /// datetime.datetime | None: when it was made, aware, in UTC, to the second.
    #[getter]
    fn created_on<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDateTime>>> {
        self.0.created_on.map(|seconds| datetime(py, seconds)).transpose()
    }

    /// datetime.datetime | None: when it was last used, aware, in UTC, to the second; ``None`` for never.
    #[getter]
    fn last_used_on<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDateTime>>> {
        self.0.last_used_on.map(|seconds| datetime(py, seconds)).transpose()
    }

    /// str | None: the address it was last used from.
    #[getter]
    fn last_auth_ip(&self) -> Option<&str> {
        self.0.last_auth_ip.as_deref()
    }

    /// str | None: what the caller may do with the owner: ``"write"``, ``"read"`` or ``"none"``.
    #[getter]
    fn user_permission(&self) -> Option<&str> {
        self.0.user_permission.as_deref()
    }

    /// The token as a ``dict`` that ``json`` takes: all members but ``access_key``, times as ISO 8601 texts in UTC.
    ///
    /// Returns:
    ///     dict[str, object]: member names as the attributes'.
    #[pyo3(signature = () -> "dict[str, object]")]
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let token = &self.0;
        let members = PyDict::new(py);
        members.set_item("id", token.id)?;
        members.set_item("type", token.r#type.as_str())?;
        members.set_item("access_id", token.access_id.as_deref())?;
        members.set_item("admin_id", token.admin_id)?;
        members.set_item("admin_name", token.admin_name.as_deref())?;
        members.set_item("status", token.status.map(model::TokenStatus::number))?;
        members.set_item("note", token.note.as_deref())?;
        members.set_item("roles", &token.roles)?;
        members.set_item("created_by", token.created_by.as_deref())?;
        members.set_item("created_on", token.created_on.map(model::iso_8601))?;
        members.set_item("last_used_on", token.last_used_on.map(model::iso_8601))?;
        members.set_item("last_auth_ip", token.last_auth_ip.as_deref())?;
        members.set_item("user_permission", token.user_permission.as_deref())?;
        Ok(members)
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
            members.push(format!("note={}", quoted(py, note)?));
        }
        Ok(format!("Token({})", members.join(", ")))
    }

    fn __eq__(&self, other: &Bound<'_, Self>) -> bool {
        self.0 == other.get().0
    }

    fn __hash__(&self) -> u64 {
        hash(&(self.0.id, &self.0.access_id))
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
                "a Token with its access key cannot be pickled: the key would be written in the clear; hand over \
                 token.to_dict(), and token.access_key.reveal() where that is meant",
            ));
        }
        let members = token.portal_members(slf.py())?;
        Ok((slf.get_type().getattr("_from_members")?, (members,)))
    }

    /// The token of the portal's members, for pickle.
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
        Ok(Self(model::Token {
            id: number("id")?.unwrap_or_default(),
            r#type: model::TokenType::parse(&word).unwrap_or(model::TokenType::Other(word)),
            access_id: text("access_id")?,
            access_key: None,
            masked_bearer: None,
            admin_id: number("admin_id")?,
            admin_name: text("admin_name")?,
            status: number("status")?.map(model::TokenStatus::from_number),
            note: text("note")?,
            roles: members.get_item("roles")?.map_or(Ok(Vec::new()), |roles| roles.extract())?,
            created_by: text("created_by")?,
            created_on: number("created_on")?,
            last_used_on: number("last_used_on")?,
            last_auth_ip: text("last_auth_ip")?,
            user_permission: text("user_permission")?,
        }))
    }
}

impl Token {
    pub(crate) fn core(&self) -> &model::Token {
        &self.0
    }

    /// As [`Token::to_dict`], with times as the portal's seconds.
    fn portal_members<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let members = self.to_dict(py)?;
        members.set_item("created_on", self.0.created_on)?;
        members.set_item("last_used_on", self.0.last_used_on)?;
        Ok(members)
    }
}

/// Whether a token may be used: ``TokenStatus.DISABLED`` (1) or ``TokenStatus.ENABLED`` (2).
///
/// Equal to the portal's number: ``token.status == 2``. A number that this version does not know is kept.
///
/// Args:
///     number (int): the portal's number.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct TokenStatus(pub(crate) model::TokenStatus);

/// What a status is compared with; any other object has the say itself.
#[derive(FromPyObject)]
enum StatusOrNumber<'py> {
    #[pyo3(transparent)]
    Status(Bound<'py, TokenStatus>),
    #[pyo3(transparent)]
    Number(Bound<'py, PyInt>),
}

#[pymethods]
impl TokenStatus {
    #[new]
    #[pyo3(signature = (number: "int"))]
    fn new(#[pyo3(from_py_with = arguments::number)] number: i64) -> Self {
        Self(model::TokenStatus::from_number(number))
    }

    /// Kept by the portal, and refused.
    #[classattr]
    const DISABLED: TokenStatus = TokenStatus(model::TokenStatus::Disabled);

    /// Usable.
    #[classattr]
    const ENABLED: TokenStatus = TokenStatus(model::TokenStatus::Enabled);

    fn __index__(&self) -> i64 {
        self.0.number()
    }

    fn __int__(&self) -> i64 {
        self.0.number()
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        match self.0 {
            model::TokenStatus::Disabled => "TokenStatus.DISABLED".to_owned(),
            model::TokenStatus::Enabled => "TokenStatus.ENABLED".to_owned(),
            model::TokenStatus::Other(number) => format!("TokenStatus({number})"),
        }
    }

    fn __eq__(&self, other: StatusOrNumber<'_>) -> bool {
        match other {
            StatusOrNumber::Status(other) => self.0 == other.get().0,
            StatusOrNumber::Number(other) => {
                other.extract::<i64>().is_ok_and(|number| self.0.number() == number)
            }
        }
    }

    /// Equal to the number's, as equal values must be.
    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        self.0.number().into_pyobject(py)?.hash()
    }

    #[pyo3(signature = () -> "tuple[object, ...]")]
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (i64,)) {
        (slf.get_type().into_any(), (slf.get().0.number(),))
    }
}

/// The kind of an API token: ``TokenType.LMV1`` (``"lmv1"``) or ``TokenType.BEARER`` (``"bearer"``).
///
/// Equal to the word: ``token.type == "bearer"``. A word that this version does not know is kept.
///
/// Args:
///     word (str): the kind's word.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct TokenType(pub(crate) model::TokenType);

/// What a type is compared with; any other object has the say itself.
#[derive(FromPyObject)]
enum TypeOrWord<'py> {
    #[pyo3(transparent)]
    Type(Bound<'py, TokenType>),
    #[pyo3(transparent)]
    Word(Bound<'py, PyString>),
}

#[pymethods]
impl TokenType {
    #[new]
    #[pyo3(signature = (word: "str"))]
    fn new(#[pyo3(from_py_with = arguments::word)] word: String) -> Self {
        Self(model::TokenType::parse(&word).unwrap_or(model::TokenType::Other(word)))
    }

    /// An access id and an access key that signs.
    #[classattr]
    const LMV1: TokenType = TokenType(model::TokenType::Lmv1);

    /// One text that is sent as it is.
    #[classattr]
    const BEARER: TokenType = TokenType(model::TokenType::Bearer);

    fn __str__(&self) -> &str {
        self.0.as_str()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(match &self.0 {
            model::TokenType::Lmv1 => "TokenType.LMV1".to_owned(),
            model::TokenType::Bearer => "TokenType.BEARER".to_owned(),
            model::TokenType::Other(word) => format!("TokenType({})", quoted(py, word)?),
        })
    }

    fn __eq__(&self, other: TypeOrWord<'_>) -> bool {
        match other {
            TypeOrWord::Type(other) => self.0 == other.get().0,
            TypeOrWord::Word(other) => other.to_cow().is_ok_and(|word| self.0.as_str() == word),
        }
    }

    /// Equal to the word's, as equal values must be.
    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        PyString::new(py, self.0.as_str()).hash()
    }

    #[pyo3(signature = () -> "tuple[object, ...]")]
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (String,)) {
        (slf.get_type().into_any(), (slf.get().0.as_str().to_owned(),))
    }
}

fn datetime(py: Python<'_>, seconds: i64) -> PyResult<Bound<'_, PyDateTime>> {
    let module = py.import("datetime")?;
    let utc = module.getattr("timezone")?.getattr("utc")?;
    let time = module.getattr("datetime")?.call_method1("fromtimestamp", (seconds, utc))?;
    Ok(time.cast_into()?)
}

fn quoted(py: Python<'_>, text: &str) -> PyResult<String> {
    PyString::new(py, text).repr()?.extract()
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
