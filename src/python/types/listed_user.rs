//! `User`.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::printable;
use crate::python::types::token::dict;
use crate::tokens::ListedUser;

/// A user, as the portal reported it. Immutable; two users are equal if all members are.
///
/// Members that the portal did not send are ``None``; members that this version does not know are ignored.
#[pyclass(frozen, eq, hash, module = "lmtokens")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct User(ListedUser);

impl<'py> IntoPyObject<'py> for ListedUser {
    type Target = User;
    type Output = Bound<'py, User>;
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = <User as pyo3::PyTypeInfo>::TYPE_HINT;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        Bound::new(py, User(self))
    }
}

#[pymethods]
impl User {
    /// int: the id, which ``admin_id`` arguments take.
    #[getter]
    fn id(&self) -> i64 {
        self.0.id
    }

    /// str | None: the user name.
    #[getter]
    fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// str | None: the e-mail address.
    #[getter]
    fn email(&self) -> Option<&str> {
        self.0.email.as_deref()
    }

    /// list[str]: the names of the roles.
    #[getter]
    fn roles(&self) -> Vec<String> {
        self.0.roles.clone()
    }

    /// str | None: ``"active"`` or ``"suspended"``.
    #[getter]
    fn status(&self) -> Option<&str> {
        self.0.status.as_deref()
    }

    /// bool | None: whether the user can only use the API and not log in to the portal.
    #[getter]
    fn api_only(&self) -> Option<bool> {
        self.0.api_only
    }

    /// Return the user as a ``dict`` for ``json``.
    ///
    /// Returns:
    ///     dict[str, object]: the members by attribute name.
    #[pyo3(signature = () -> "dict[str, object]")]
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict(py, &self.0.members())
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (memo: "object", /) -> "User")]
    fn __deepcopy__(slf: Py<Self>, memo: &Bound<'_, PyAny>) -> Py<Self> {
        let _ = memo;
        slf
    }

    #[pyo3(signature = () -> "tuple[object, ...]")]
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyDict>,))> {
        Ok((slf.get_type().getattr("_from_members")?, (slf.get().to_dict(slf.py())?,)))
    }

    /// Create a user from its members, for pickle.
    #[staticmethod]
    #[pyo3(signature = (members: "dict[str, object]", /))]
    fn _from_members(members: &Bound<'_, PyDict>) -> PyResult<Self> {
        Ok(Self(ListedUser {
            id: member(members, "id")?,
            name: member(members, "name")?,
            email: member(members, "email")?,
            roles: member(members, "roles")?,
            status: member(members, "status")?,
            api_only: member(members, "api_only")?,
        }))
    }

    fn __repr__(&self) -> String {
        let name = self.0.name.as_deref().map(|name| format!(" ({})", printable::line(name)));
        format!("<lmtokens.User {}{}>", self.0.id, name.unwrap_or_default())
    }
}

/// Reads a member that `to_dict` wrote.
fn member<T: for<'a> FromPyObjectOwned<'a>>(members: &Bound<'_, PyDict>, name: &str) -> PyResult<T> {
    members.as_any().get_item(name)?.extract().map_err(Into::into)
}
