//! `NewToken`, and the other forms of a row.

use pyo3::exceptions::{PyKeyError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::ids::Note;
use crate::lifecycle::{Row, all_problems};
use crate::python::args::domain;
use crate::python::args::plain::wrong_type;
use crate::tokens::{self, User};

/// A token to create, as a row of ``add_tokens``.
///
/// Args:
///     admin_id (int | str): the id of the token's user, or the user's name.
///     note (str | None): the note; default none.
///     status (int | str | TokenStatus): as for ``add_token``; default 2, enabled.
///     type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.
///
/// Raises:
///     TypeError, ValueError: an invalid argument.
///
/// Example:
///     >>> import lmtokens
///     >>> lmtokens.NewToken(32, "ci")
///     NewToken(32, note='ci', status=2, type='lmv1')
#[pyclass(frozen, module = "lmtokens")]
#[derive(Clone)]
pub(crate) struct NewToken(pub(crate) tokens::NewToken);

#[pymethods]
impl NewToken {
    #[new]
    #[pyo3(signature = (
        admin_id: "int | str",
        note: "str | None" = None,
        status: "int | str | TokenStatus" = 2,
        *,
        r#type: "str | TokenType" = "lmv1",
    ))]
    fn new(
        admin_id: User,
        note: Option<Note>,
        #[pyo3(from_py_with = domain::status)] status: i64,
        #[pyo3(from_py_with = domain::r#type)] r#type: &str,
    ) -> PyResult<Self> {
        Ok(Self(domain::new_token(admin_id, note, status, r#type)?))
    }

    /// int | str: the id of the token's user, or the user's name.
    #[getter]
    fn admin_id<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.0.admin {
            User::Id(id) => Ok(id.get().into_pyobject(py)?.into_any()),
            User::Name(name) => Ok(name.as_str().into_pyobject(py)?.into_any()),
        }
    }

    /// str | None: the note.
    #[getter]
    fn note(&self) -> Option<&str> {
        self.0.note()
    }

    /// int: 1 for disabled, 2 for enabled.
    #[getter]
    fn status(&self) -> i64 {
        self.0.status.number()
    }

    /// str: ``"lmv1"`` or ``"bearer"``.
    #[getter]
    fn r#type(&self) -> &str {
        self.0.r#type.as_str()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let admin = self.admin_id(py)?.repr()?;
        let note = self.0.note().into_pyobject(py)?.repr()?;
        Ok(format!("NewToken({admin}, note={note}, status={}, type='{}')", self.status(), self.r#type()))
    }
}

impl NewToken {
    /// Reads a row: a `NewToken`, `dict`, tuple or list.
    fn of_row(row: &Bound<'_, PyAny>) -> PyResult<tokens::NewToken> {
        const EXPECTED: &str =
            "a NewToken, a dict with admin_id, note, status and type, or a tuple in this order";
        const NAMES: [&str; 4] = ["admin_id", "note", "status", "type"];
        let py = row.py();
        if let Ok(token) = row.cast::<Self>() {
            return Ok(token.get().0.clone());
        }
        let members = if let Ok(members) = row.cast::<PyDict>() {
            for name in members.keys() {
                let known = name.extract::<String>().is_ok_and(|name| NAMES.contains(&name.as_str()));
                if !known {
                    return Err(PyValueError::new_err(format!(
                        "unknown key {}; expected {EXPECTED}",
                        name.repr()?
                    )));
                }
            }
            members.copy()?
        } else if row.is_instance_of::<PyTuple>() || row.is_instance_of::<PyList>() {
            let members = PyDict::new(py);
            let length = row.len()?;
            if length > NAMES.len() {
                return Err(PyValueError::new_err(format!(
                    "a row of {length} members is too long; expected {EXPECTED}"
                )));
            }
            for (name, value) in NAMES.iter().zip(row.try_iter()?) {
                members.set_item(name, value?)?;
            }
            members
        } else {
            return Err(wrong_type("it", EXPECTED, row));
        };
        let Some(admin_id) = members.get_item(intern!(py, "admin_id"))? else {
            return Err(PyValueError::new_err(format!("admin_id is missing; expected {EXPECTED}")));
        };
        members.del_item(intern!(py, "admin_id"))?;
        let token = py.get_type::<Self>().call((admin_id,), Some(&members))?;
        Ok(token.cast::<Self>()?.get().0.clone())
    }
}

/// Reads all rows; the error lists every invalid one.
pub(crate) fn rows(rows: &Bound<'_, PyAny>) -> PyResult<Vec<Row>> {
    let py = rows.py();
    let (mut good, mut problems) = (Vec::new(), Vec::new());
    for (line, row) in (1..).zip(rows.try_iter()?) {
        match NewToken::of_row(&row?) {
            Ok(token) => good.push(Row { token, line }),
            Err(error)
                if error.is_instance_of::<PyTypeError>(py)
                    || error.is_instance_of::<PyValueError>(py)
                    || error.is_instance_of::<PyKeyError>(py) =>
            {
                problems.push(format!("row {line}: {}", error.value(py)));
            }
            Err(error) => return Err(error),
        }
    }
    match all_problems(&problems) {
        Some(message) => Err(PyValueError::new_err(message)),
        None => Ok(good),
    }
}
