//! Arguments of `audit_tokens`.

use std::time::Duration;

use pyo3::prelude::*;

use super::plain::{EXPECTED_DURATION, arguments, duration, encodable, items, optional, string, wrong_type};
use crate::error::Error;
use crate::lifecycle::AuditReason;

arguments! {
    idle_after: Option<Duration> = optional(age);
    never_used_after: Option<Duration> = optional(age);
    old_after: Option<Duration> = optional(age);
    disabled_after: Option<Duration> = optional(age);
}

fn age(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let seconds = duration(name, EXPECTED_DURATION, object)?
        .ok_or_else(|| wrong_type(name, EXPECTED_DURATION, object))?;
    Ok(Duration::try_from_secs_f64(seconds)
        .map_err(|_| Error::invalid(name, seconds, format_args!("{EXPECTED_DURATION}, not negative")))?)
}

/// The reasons to look for, from an iterable of their words.
pub(crate) struct Reasons(pub(crate) Vec<AuditReason>);

impl<'a, 'py> FromPyObject<'a, 'py> for Reasons {
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const INPUT_TYPE: pyo3::inspect::PyStaticExpr = pyo3::type_hint_identifier!("lmtokens._types", "Reasons");

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let read = |item: PyResult<Bound<'_, PyAny>>| {
            let item = item?;
            match string(&item)? {
                Some(word) => Ok(encodable("reasons", word)?.parse::<AuditReason>()?),
                None => Err(wrong_type("each item of reasons", "an AuditReason or a str", &item)),
            }
        };
        let items = items("reasons", "an iterable of AuditReason, such as a list", &object)?;
        items.map(read).collect::<PyResult<_>>().map(Self)
    }
}
