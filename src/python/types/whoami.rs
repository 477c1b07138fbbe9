//! `Whoami`: the calling credentials.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::model::{Token, TokenStatus};
use crate::printable;
use crate::python::types::literals::CredentialsKind;
use crate::python::types::token::dict;
use crate::tokens::WhoamiReport;

/// The calling credentials and their source. What they cannot view is ``None``; ``limitation`` says why.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct Whoami(WhoamiReport);

impl<'py> IntoPyObject<'py> for WhoamiReport {
    type Target = Whoami;
    type Output = Bound<'py, Whoami>;
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = <Whoami as pyo3::PyTypeInfo>::TYPE_HINT;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        Bound::new(py, Whoami(self))
    }
}

#[pymethods]
impl Whoami {
    /// str: the portal's address, ending with ``/santaba/rest``.
    #[getter]
    fn base_url(&self) -> &str {
        self.0.identity.portal.base_url()
    }

    /// str | None: the company, if one was given.
    #[getter]
    fn company(&self) -> Option<&str> {
        self.0.identity.portal.company()
    }

    /// str: the source of the portal: ``"arguments"``, ``"environment (LM_COMPANY)"``, ``"profile acme in PATH"``,
    /// ``"prompt"``, …
    #[getter]
    fn portal_from(&self) -> String {
        self.0.identity.portal_from.to_string()
    }

    /// list[str]: the arguments ``"company"`` and ``"domain"``, as far as ``LM_BASE_URL`` overrides them.
    #[getter]
    fn overridden_arguments(&self) -> Vec<&'static str> {
        self.0.identity.overridden.clone()
    }

    /// str: the kind of credentials, ``"LMv1"`` or ``"bearer"``.
    #[getter]
    fn credentials(&self) -> CredentialsKind {
        CredentialsKind(self.0.identity.kind())
    }

    /// str: their source: ``"arguments"``, ``"environment (LM_ACCESS_ID, LM_ACCESS_KEY)"``, ``"profile acme in PATH"``,
    /// ``"prompt"``, …
    #[getter]
    fn credentials_from(&self) -> String {
        self.0.identity.credentials_from.to_string()
    }

    /// list[str]: environment variables that hold other credentials or name another portal, and were ignored.
    #[getter]
    fn ignored_sources(&self) -> Vec<&'static str> {
        self.0.identity.ignored_sources.clone()
    }

    /// Token | None: the calling token.
    #[getter]
    fn token(&self) -> Option<Token> {
        self.0.token.clone()
    }

    /// int | None: its id.
    #[getter]
    fn token_id(&self) -> Option<i64> {
        self.0.token.as_ref().map(|token| token.id)
    }

    /// int | None: the user id of its owner.
    #[getter]
    fn admin_id(&self) -> Option<i64> {
        self.0.token.as_ref()?.admin_id
    }

    /// str | None: the user name of its owner.
    #[getter]
    fn admin_name(&self) -> Option<&str> {
        self.0.token.as_ref()?.admin_name.as_deref()
    }

    /// list[str]: the names of its owner's roles.
    #[getter]
    fn roles(&self) -> Vec<String> {
        self.0.token.as_ref().map(|token| token.roles.clone()).unwrap_or_default()
    }

    /// TokenStatus | None: its status.
    #[getter]
    fn status(&self) -> Option<TokenStatus> {
        self.0.token.as_ref()?.status
    }

    /// str | None: its permission on its owner: ``"write"``, ``"read"`` or ``"none"``.
    #[getter]
    fn user_permission(&self) -> Option<&str> {
        self.0.token.as_ref()?.user_permission.as_deref()
    }

    /// str | None: why the token is not visible.
    #[getter]
    fn limitation(&self) -> Option<&str> {
        self.0.limitation.as_deref()
    }

    /// Return the report as a ``dict`` for ``json``: what ``lmtokens whoami -o json`` prints, without a secret.
    ///
    /// Returns:
    ///     dict[str, object]: the members, those of the token beside those of its user and the sources.
    #[pyo3(signature = () -> "dict[str, object]")]
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict(py, &self.0.members())
    }

    fn __repr__(&self) -> String {
        let identity = &self.0.identity;
        let user = match (self.admin_name(), self.admin_id()) {
            (Some(name), Some(id)) => format!("user {id} ({})", printable::line(name)),
            (None, Some(id)) => format!("user {id}"),
            _ => "an unknown user".to_owned(),
        };
        format!(
            "<lmtokens.Whoami {user} at {}, {} from {}>",
            identity.shown_portal(),
            identity.kind(),
            identity.credentials_from
        )
    }
}
