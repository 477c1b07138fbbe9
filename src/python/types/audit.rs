//! `Audit` and `Finding`.

use std::collections::BTreeMap;
use std::convert::Infallible;

use pyo3::prelude::*;
use pyo3::types::{PyDateTime, PyDict, PyIterator, PyList};

use crate::lifecycle::{self, AuditReason, Severity};
use crate::model::{Token, iso_8601};
use crate::python::types::token::{datetime, dict};

/// The report of an audit: an iterable of findings, the most severe first.
///
/// A report without findings is false in a condition.
#[pyclass(frozen, module = "lmtokens")]
pub struct Audit {
    findings: Vec<Py<Finding>>,
    gone: Vec<lifecycle::Gone>,
    checked: u64,
    checked_on: Option<i64>,
    limitations: Vec<String>,
}

/// A token that an audit found.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct Finding(lifecycle::Finding);

impl<'py> IntoPyObject<'py> for lifecycle::Audit {
    type Target = Audit;
    type Output = Bound<'py, Audit>;
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = <Audit as pyo3::PyTypeInfo>::TYPE_HINT;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        let Self { findings, gone, portals } = self;
        let findings = findings.into_iter().map(|finding| Py::new(py, Finding(finding)));
        let audit = Audit {
            findings: findings.collect::<PyResult<_>>()?,
            gone,
            checked: portals.iter().map(|portal| portal.checked).sum(),
            checked_on: portals.iter().find_map(|portal| portal.checked_on),
            limitations: portals.into_iter().flat_map(|portal| portal.limitations).collect(),
        };
        Bound::new(py, audit)
    }
}

/// An iterator of findings.
struct Findings(Py<PyIterator>);

impl<'py> IntoPyObject<'py> for Findings {
    type Target = PyIterator;
    type Output = Bound<'py, PyIterator>;
    type Error = Infallible;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = pyo3::type_hint_subscript!(
        pyo3::type_hint_identifier!("collections.abc", "Iterator"),
        <Finding as pyo3::PyTypeInfo>::TYPE_HINT
    );

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
        Ok(self.0.into_bound(py))
    }
}

/// A list of dictionaries.
struct Dicts(Py<PyList>);

impl<'py> IntoPyObject<'py> for Dicts {
    type Target = PyList;
    type Output = Bound<'py, PyList>;
    type Error = Infallible;

    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr = pyo3::type_hint_subscript!(
        pyo3::type_hint_identifier!("builtins", "list"),
        pyo3::type_hint_subscript!(
            pyo3::type_hint_identifier!("builtins", "dict"),
            pyo3::type_hint_identifier!("builtins", "str"),
            pyo3::type_hint_identifier!("builtins", "object")
        )
    );

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
        Ok(self.0.into_bound(py))
    }
}

#[pymethods]
impl Audit {
    /// list[Finding]: the tokens that were found.
    #[getter]
    fn findings(&self, py: Python<'_>) -> Vec<Py<Finding>> {
        self.findings.iter().map(|finding| finding.clone_ref(py)).collect()
    }

    /// list[dict[str, object]]: with ``diff=``, the findings of the earlier report that do not apply any more, as it
    /// has them: the token's members, ``portal``, ``profile`` and, in ``reasons``, those that are gone.
    #[getter]
    fn gone(&self, py: Python<'_>) -> PyResult<Dicts> {
        let gone = self.gone.iter().map(|gone| dict(py, &gone.members()));
        Ok(Dicts(PyList::new(py, gone.collect::<PyResult<Vec<_>>>()?)?.unbind()))
    }

    /// int: how many tokens were checked.
    #[getter]
    fn checked(&self) -> u64 {
        self.checked
    }

    /// datetime.datetime | None: the portal's time by which the tokens were judged: aware, in UTC, to the second.
    #[getter]
    fn checked_on<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDateTime>>> {
        self.checked_on.map(|seconds| datetime(py, seconds)).transpose()
    }

    /// list[str]: what could not be checked, and why.
    #[getter]
    fn limitations(&self) -> Vec<String> {
        self.limitations.clone()
    }

    /// dict[AuditReason, int]: how many tokens have each reason, without those that no token has.
    #[getter]
    fn counts(&self) -> BTreeMap<AuditReason, u64> {
        let mut counts = BTreeMap::new();
        for reason in self.findings.iter().flat_map(|finding| &finding.get().0.reasons) {
            *counts.entry(*reason).or_default() += 1;
        }
        counts
    }

    /// Return the report as a ``dict`` for ``json``, which ``diff=`` reads again.
    ///
    /// Returns:
    ///     dict[str, object]: ``checked_on`` (ISO 8601, UTC), ``checked``, ``limitations`` and ``findings``, a list of
    ///         the ``dict`` of each finding.
    #[pyo3(signature = () -> "dict[str, object]")]
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let findings = self.findings.iter().map(|finding| finding.get().to_dict(py));
        let members = PyDict::new(py);
        members.set_item("checked_on", self.checked_on.map(iso_8601))?;
        members.set_item("checked", self.checked)?;
        members.set_item("limitations", &self.limitations)?;
        members.set_item("findings", findings.collect::<PyResult<Vec<_>>>()?)?;
        Ok(members)
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<Findings> {
        let findings = PyList::new(py, &self.findings)?;
        Ok(Findings(findings.try_iter()?.unbind()))
    }

    fn __len__(&self) -> usize {
        self.findings.len()
    }

    fn __repr__(&self) -> String {
        let count = |severity: &Severity| {
            let has = |finding: &&Py<Finding>| finding.get().0.severity() == Some(*severity);
            format!("{} {severity}", self.findings.iter().filter(has).count())
        };
        let counts: Vec<String> = Severity::ALL.iter().rev().map(count).collect();
        format!("<lmtokens.Audit {} tokens checked: {}>", self.checked, counts.join(", "))
    }
}

#[pymethods]
impl Finding {
    /// Token: the token.
    #[getter]
    fn token(&self) -> Token {
        self.0.token.clone()
    }

    /// list[AuditReason]: why it was found.
    #[getter]
    fn reasons(&self) -> Vec<AuditReason> {
        self.0.reasons.clone()
    }

    /// list[AuditReason]: with ``diff=``, the reasons that the earlier report does not have; otherwise empty.
    #[getter]
    fn new_reasons(&self) -> Vec<AuditReason> {
        self.0.new_reasons.clone()
    }

    /// Severity: the highest severity of its reasons.
    #[getter]
    fn severity(&self) -> Severity {
        self.0.severity().unwrap_or(Severity::Info)
    }

    /// str: what to do about the most severe reason, and when the portal itself disables the token.
    #[getter]
    fn remedy(&self) -> String {
        self.0.remedy(&self.0.reasons).unwrap_or_default()
    }

    /// datetime.datetime | None: when the portal disables the token if it stays unused: aware, in UTC; ``None`` if the
    /// portal does not, if the credentials may not read its settings, or if the token is disabled.
    #[getter]
    fn portal_disables_on<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDateTime>>> {
        self.0.portal_disables_on.map(|seconds| datetime(py, seconds)).transpose()
    }

    /// str: the address of its portal, ending with ``/santaba/rest``.
    #[getter]
    fn portal(&self) -> &str {
        &self.0.portal
    }

    /// Return the finding as a ``dict`` for ``json``.
    ///
    /// Returns:
    ///     dict[str, object]: the members of ``Token.to_dict()``, ``reasons`` and ``severity`` as words, ``remedy``,
    ///         ``portal`` and ``profile``, which is ``None``.
    #[pyo3(signature = () -> "dict[str, object]")]
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict(py, &self.0.members(&self.0.reasons))
    }

    fn __repr__(&self) -> String {
        let reasons: Vec<&str> = self.0.reasons.iter().map(|reason| reason.as_str()).collect();
        format!("<lmtokens.Finding {}, {}: {}>", self.0.token.id, self.severity(), reasons.join(", "))
    }
}
