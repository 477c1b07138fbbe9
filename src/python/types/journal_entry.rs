//! Reading journals.

use pyo3::prelude::*;

use crate::lifecycle;
use crate::python::args::stub_types::FilePath;
use crate::python::types::errors::exception;
use crate::python::types::token::Token;

/// One row of a journal.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct JournalEntry(lifecycle::JournalEntry);

#[pymethods]
impl JournalEntry {
    /// str: ``"created"``; ``"pending"``: there is a token, disabled or not known to be enabled; ``"failed"``;
    /// ``"unknown"``.
    #[getter]
    fn state(&self) -> &'static str {
        self.0.state
    }

    /// str: the user as the input named one, an id or a name.
    #[getter]
    fn admin(&self) -> &str {
        &self.0.admin
    }

    /// str | None: the note that the row asks for.
    #[getter]
    fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }

    /// Token | None: the token, with its key where the journal holds keys.
    #[getter]
    fn token(&self) -> Option<Token> {
        self.0.token.clone().map(Token::from)
    }

    /// str | None: why there is none, or why it is not known.
    #[getter]
    fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    fn __repr__(&self) -> String {
        format!("<lmtokens.JournalEntry {} of user {}>", self.0.state, self.0.admin)
    }
}

/// Read the rows of a journal that ``add_tokens`` or ``lmtokens bulk`` wrote, and hand their keys out again.
///
/// Args:
///     path (str | os.PathLike): the journal. It may be in use; a line that a crash tore off is left out, since its token
///         never worked.
///
/// Returns:
///     list[JournalEntry]: one for each row that was begun, in that order.
///
/// Raises:
///     DeliveryError: the file cannot be read, or is no journal.
///
/// Example:
///     >>> import lmtokens.sandbox, os, tempfile
///     >>> journal = os.path.join(tempfile.mkdtemp(), "run.journal")
///     >>> with lmtokens.sandbox.Portal() as portal:
///     ...     summary = portal.client().add_tokens([(32, "a"), (32, "b")], journal=journal).finish()
///     >>> [(entry.state, entry.note, entry.token.access_key) for entry in lmtokens.read_journal(journal)]
///     [('created', 'a', Secret('********')), ('created', 'b', Secret('********'))]
#[pyfunction]
#[pyo3(signature = (path) -> "list[JournalEntry]")]
pub(crate) fn read_journal(py: Python<'_>, path: FilePath) -> PyResult<Vec<JournalEntry>> {
    let entries = py.detach(|| lifecycle::read_journal(&path.0)).map_err(|error| exception(py, error))?;
    Ok(entries.into_iter().map(JournalEntry).collect())
}
