//! `Rotation`.

use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyDict};

use crate::lifecycle::{self, RotationState};
use crate::model::{Token, iso_8601};
use crate::python::types::errors::LazyException;
use crate::python::types::literals;
use crate::python::types::token::{datetime, dict};
use crate::token_output::Members;

/// The result of a rotation.
#[pyclass(frozen, module = "lmtokens")]
pub struct Rotation {
    old: Token,
    new: Option<Token>,
    state: Option<RotationState>,
    changes: u32,
    error: LazyException,
    members: Members,
}

impl<'py> IntoPyObject<'py> for lifecycle::Rotation {
    type Target = Rotation;
    type Output = Bound<'py, Rotation>;
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = <Rotation as pyo3::PyTypeInfo>::TYPE_HINT;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let members = self.members();
        let Self { old, new, state, changes, .. } = self;
        let (state, error) = match state {
            Ok(state) => (Some(state), None),
            Err(error) => (None, Some(error)),
        };
        Bound::new(py, Rotation { old, new, state, changes, error: error.into(), members })
    }
}

#[pymethods]
impl Rotation {
    /// Token: the old token as it was last read.
    #[getter]
    fn old(&self) -> Token {
        self.old.clone()
    }

    /// Token | None: the new token. Its key is only at its destination.
    #[getter(new)]
    fn successor(&self) -> Option<Token> {
        self.new.clone()
    }

    /// str: ``"overlap"``: both tokens work, and the old one is disabled when ``due``; ``"in_use"``: the overlap is
    /// over, but the old token is still used and works, or the quarantine is over, but the portal refused calls of the
    /// old token within a day, so that it is not deleted; ``"quarantine"``: the old token is disabled, and deleted when
    /// ``due``; ``"finished"``: the old token is deleted; ``"restored"``: the new token was disabled or deleted by
    /// others, so that the old one works again; ``"cancelled"``; ``"too_late"``: it could not be cancelled, and the new
    /// token is kept; ``"failed"``: ``error`` says why.
    #[getter]
    fn state(&self) -> literals::RotationState {
        literals::RotationState(self.state.map_or("failed", RotationState::as_str))
    }

    /// datetime.datetime | None: when the next step is due: aware, in UTC, to the second; ``None`` if there is none, or
    /// if it depends on the use of the old token.
    #[getter]
    fn due<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDateTime>>> {
        self.state.and_then(RotationState::due).map(|seconds| datetime(py, seconds)).transpose()
    }

    /// datetime.datetime | None: for ``"in_use"``, when the old token was last used or, if it is disabled already, when the
    /// portal last refused a call with it: aware, in UTC, to the second.
    #[getter]
    fn last_used_on<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDateTime>>> {
        match self.state {
            Some(RotationState::InUse { last_used_on, .. }) => datetime(py, last_used_on).map(Some),
            _ => Ok(None),
        }
    }

    /// str | None: for ``"in_use"``, the address of that call.
    #[getter]
    fn last_used_from(&self) -> Option<String> {
        match self.state {
            Some(RotationState::InUse { address, .. }) => address.map(|address| address.to_string()),
            _ => None,
        }
    }

    /// bool | None: for ``"in_use"``, whether the new token was last used from that address too; otherwise ``None``.
    #[getter]
    fn is_same_address(&self) -> Option<bool> {
        match self.state {
            Some(RotationState::InUse { is_same_address, .. }) => Some(is_same_address),
            _ => None,
        }
    }

    /// int: how many creates and changes of tokens the call sent. The portal may send an e-mail for each.
    #[getter]
    fn changes(&self) -> u32 {
        self.changes
    }

    /// LMTokensError | None: for ``"failed"``, why the rotation cannot be continued or finished now.
    #[getter]
    fn error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.error.get(py)
    }

    /// Return the rotation as a ``dict`` for ``json``.
    ///
    /// Returns:
    ///     dict[str, object]: ``old_id`` and ``new_id``; ``admin_id``, ``admin_name`` and ``note`` of the old token; and
    ///         ``state``, ``due``, ``last_used_on``, ``last_used_from`` and ``changes``, times in ISO 8601, UTC.
    #[pyo3(signature = () -> "dict[str, object]")]
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict(py, &self.members)
    }

    fn __repr__(&self) -> String {
        let new = self.new.as_ref().map(|new| format!(" by {}", new.id)).unwrap_or_default();
        let state = self.state.map_or("failed", RotationState::as_str);
        let due = self.state.and_then(RotationState::due);
        let due = due.map(|seconds| format!(", due {}", iso_8601(seconds))).unwrap_or_default();
        format!("<lmtokens.Rotation of {}{new}, {state}{due}>", self.old.id)
    }
}
