//! `JournalEntry` and `read_journal`.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::json;

use crate::lifecycle;
use crate::model::Token;
use crate::printable;
use crate::python::args::plain;
use crate::python::args::stub_types::FilePath;
use crate::python::types::literals::EntryState;
use crate::python::types::results::Results;
use crate::python::types::token::dict;
use crate::token_output::Members;
use crate::tokens::User;

/// A token or a row of a journal.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct JournalEntry(lifecycle::JournalEntry);

#[pymethods]
impl JournalEntry {
    /// str: ``"created"``; ``"pending"``: the token is disabled, or not confirmed to be enabled; ``"failed"``;
    /// ``"unknown"``; ``"damaged"``: a part of the journal cannot be read, which ``error`` describes.
    #[getter]
    fn state(&self) -> EntryState {
        EntryState(self.0.state.as_str())
    }

    /// int | str | None: the id of the token's user, or the user's name, as the input named it; ``None`` if the entry
    /// is damaged.
    #[getter]
    fn admin_id(&self) -> Option<&User> {
        self.0.admin_id.as_ref()
    }

    /// str | None: the note of the row.
    #[getter]
    fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }

    /// Token | None: the token; a ``CreatedToken`` if the journal holds its key.
    #[getter]
    fn token(&self) -> Option<Token> {
        self.0.token.clone()
    }

    /// str | None: the reason of a failure or of an unknown outcome.
    #[getter]
    fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    /// int | None: the number of the row in the input, counted from 1; ``None`` in a journal of an earlier version.
    #[getter]
    fn number(&self) -> Option<u64> {
        self.0.input.as_ref().map(|input| input.number)
    }

    /// dict[str, str]: the other columns of the row, which ``lmtokens bulk`` keeps, with their values.
    #[getter]
    fn columns(&self) -> BTreeMap<&str, &str> {
        let columns = self.0.input.iter().flat_map(|input| &input.columns);
        columns.map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Return the entry as a ``dict`` for ``json``, without a key.
    ///
    /// Returns:
    ///     dict[str, object]: ``number``, ``state``, ``admin_id`` and ``note``; ``id``, ``type`` and ``access_id`` of the
    ///         token; ``error`` and ``columns``.
    #[pyo3(signature = () -> "dict[str, object]")]
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let entry = &self.0;
        let token = entry.token.as_ref();
        let members = Members(vec![
            ("number", json!(self.number())),
            ("state", json!(entry.state.as_str())),
            ("admin_id", json!(entry.admin_id)),
            ("note", json!(entry.note)),
            ("id", json!(token.map(|token| token.id))),
            ("type", json!(token.map(|token| token.r#type.as_str()))),
            ("access_id", json!(token.and_then(|token| token.access_id.as_deref()))),
            ("error", json!(entry.error)),
            ("columns", json!(self.columns())),
        ]);
        dict(py, &members)
    }

    fn __repr__(&self) -> String {
        let entry = &self.0;
        let token = entry.token.as_ref().map(|token| format!(" token {}", token.id)).unwrap_or_default();
        let user = entry.admin_id.as_ref().map(|user| printable::line(&format!(" of user {user}")));
        let error = entry.error.as_ref().map(|error| printable::line(&format!(": {error}")));
        let (user, error) = (user.unwrap_or_default(), error.unwrap_or_default());
        format!("<lmtokens.JournalEntry {}{token}{user}{error}>", entry.state.as_str())
    }
}

/// Read the rows and keys of a journal that ``add_tokens`` or ``lmtokens bulk`` wrote.
///
/// Args:
///     path (str | os.PathLike): the journal. It may be in use. A torn last line is ignored: a token whose line with
///         the key is torn was never enabled.
///     skip_damaged (bool): read the intact lines of a damaged journal; each problem is an entry with the state
///         ``"damaged"``. Default ``False``: raise an error that names the first damaged line.
///
/// Returns:
///     list[JournalEntry]: the rows that were started, in the order of the input: one entry for each token of a row that
///     was not deleted, or one entry if there is none. A row can have several tokens. A row without a token is left out
///     once the input of a resumed run no longer has it, for example because it was corrected. A token of such a row
///     keeps the number that the row had. Damaged parts are at the end.
///
/// Raises:
///     DeliveryError: the file cannot be read, is not a journal, or is damaged.
///
/// Example:
///     >>> import lmtokens.sandbox, os, tempfile
///     >>> journal = os.path.join(tempfile.mkdtemp(), "run.journal")
///     >>> with lmtokens.sandbox.Portal() as portal:
///     ...     summary = portal.client().add_tokens([(32, "a"), (32, "b")], journal=journal).finish()
///     >>> [(entry.state, entry.note, entry.token.access_key) for entry in lmtokens.read_journal(journal)]
///     [('created', 'a', Secret('********')), ('created', 'b', Secret('********'))]
#[pyfunction]
#[pyo3(signature = (path, *, skip_damaged: "bool" = false) -> "list[JournalEntry]")]
pub(crate) fn read_journal(
    py: Python<'_>,
    path: FilePath,
    #[pyo3(from_py_with = plain::skip_damaged)] skip_damaged: bool,
) -> PyResult<Results<JournalEntry>> {
    let journal = py.detach(|| lifecycle::read_journal(&path.0, skip_damaged))?;
    Ok(Results(journal.entries.into_iter().map(JournalEntry).collect()))
}
