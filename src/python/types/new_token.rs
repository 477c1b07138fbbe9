//! `NewToken`.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::json;

use crate::ids::Note;
use crate::python::args::domain;
use crate::python::types::literals::{StatusNumber, TypeWord};
use crate::python::types::token::{dict, note_repr};
use crate::token_output::Members;
use crate::tokens::{self, User};

/// A token to create, as a row of ``add_tokens``.
///
/// Args:
///     admin_id (int | str): the id of the token's user, or the user's name. A text of digits is refused.
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
        status: "Literal[1, 2, 'disabled', 'enabled'] | TokenStatus" = 2,
        *,
        r#type: "Literal['lmv1', 'bearer'] | TokenType" = "lmv1",
    ))]
    fn new(
        admin_id: User,
        note: Option<Note>,
        #[pyo3(from_py_with = domain::status)] status: i64,
        #[pyo3(from_py_with = domain::r#type)] r#type: &str,
    ) -> PyResult<Self> {
        Ok(Self(domain::new_token(admin_id, note, status, r#type, None)?))
    }

    /// int | str: the id of the token's user, or the user's name.
    #[getter]
    fn admin_id(&self) -> &User {
        &self.0.admin
    }

    /// str | None: the note.
    #[getter]
    fn note(&self) -> Option<&str> {
        self.0.note()
    }

    /// int: 1 for disabled, 2 for enabled.
    #[getter]
    fn status(&self) -> StatusNumber {
        StatusNumber(self.0.status.number())
    }

    /// str: ``"lmv1"`` or ``"bearer"``.
    #[getter]
    fn r#type(&self) -> TypeWord {
        TypeWord(self.0.r#type.as_str())
    }

    /// Return the row as a ``dict`` for ``json``.
    ///
    /// Returns:
    ///     dict[str, object]: the members by attribute name.
    #[pyo3(signature = () -> "dict[str, object]")]
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let members = Members(vec![
            ("admin_id", json!(self.0.admin)),
            ("note", json!(self.0.note())),
            ("status", json!(self.0.status.number())),
            ("type", json!(self.0.r#type.as_str())),
        ]);
        dict(py, &members)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let admin = self.admin_id().into_pyobject(py)?.repr()?;
        let note = self.0.note().map_or(Ok("None".to_owned()), |note| note_repr(py, note))?;
        Ok(format!("NewToken({admin}, note={note}, status={}, type='{}')", self.status().0, self.r#type().0))
    }
}
