//! `TokenStatus`, `TokenType`, `AuditReason` and `Severity`: Python enumerations, loaded on first use.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyString, PyType};

use crate::{lifecycle, model};

struct Classes {
    status: Py<PyType>,
    r#type: Py<PyType>,
    reason: Py<PyType>,
    severity: Py<PyType>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

fn classes(py: Python<'_>) -> PyResult<&Classes> {
    CLASSES.get_or_try_init(py, || {
        let module = py.import("lmtokens._enums")?;
        let class = |name: &str| -> PyResult<Py<PyType>> {
            Ok(module.getattr(name)?.cast_into::<PyType>()?.unbind())
        };
        Ok(Classes {
            status: class("TokenStatus")?,
            r#type: class("TokenType")?,
            reason: class("AuditReason")?,
            severity: class("Severity")?,
        })
    })
}

/// Returns whether an object is a `TokenStatus`, which is an `int` to Python.
pub(crate) fn is_status(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    // Plain integers do not load the class.
    if object.is_exact_instance_of::<PyInt>() || !object.is_instance_of::<PyInt>() {
        return Ok(false);
    }
    object.is_instance(classes(object.py())?.status.bind(object.py()))
}

/// Returns whether an object is a `TokenType`, which is a `str` to Python.
pub(crate) fn is_type(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    if object.is_exact_instance_of::<PyString>() || !object.is_instance_of::<PyString>() {
        return Ok(false);
    }
    object.is_instance(classes(object.py())?.r#type.bind(object.py()))
}

macro_rules! members {
    ($core:ty, $field:ident, $name:literal, |$value:ident| $python:expr) => {
        impl<'py> IntoPyObject<'py> for $core {
            type Target = PyAny;
            type Output = Bound<'py, PyAny>;
            type Error = PyErr;

            #[cfg(feature = "stubs")]
            const OUTPUT_TYPE: pyo3::inspect::PyStaticExpr =
                pyo3::type_hint_identifier!("lmtokens._enums", $name);

            fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
                let $value = self;
                classes(py)?.$field.bind(py).call1(($python,))
            }
        }
    };
}

members!(model::TokenStatus, status, "TokenStatus", |status| status.number());
members!(model::TokenType, r#type, "TokenType", |r#type| r#type.as_str());
members!(lifecycle::AuditReason, reason, "AuditReason", |reason| reason.as_str());
members!(lifecycle::Severity, severity, "Severity", |severity| severity as u8 + 1);
