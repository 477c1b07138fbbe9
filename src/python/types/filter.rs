//! `where`: filters for lists, written as comparisons.

use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::error::Result;
use crate::filter::{self, Condition, Field as CoreField, Operator, Value};
use crate::python::args::domain::{integer, type_name};
use crate::python::args::plain::encodable;
use crate::python::types::errors::exception;
use crate::python::types::token::TokenStatus;

/// The members of a token by which a list can be filtered, as attributes of ``lmtokens.where``.
///
/// Compared with a value, a member becomes a ``Filter``: ``where.status == 1``, ``where.note.contains("ci")``,
/// ``where.created_on < datetime(2025, 1, 1, tzinfo=timezone.utc)``. Filters are joined with ``&`` and ``|``.
///
/// Example:
///     >>> from lmtokens import where
///     >>> (where.status == 1) & where.note.contains("ci")
///     <lmtokens.Filter status:1,note~"ci">
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct Where;

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $field:ident),* $(,)?) => {
        #[pymethods]
        impl Where {
            $(
                $(#[$doc])*
                #[getter]
                #[allow(clippy::unused_self)]
                fn $name(&self) -> Field {
                    Field(CoreField::$field)
                }
            )*

            #[new]
            fn new() -> Self {
                Self
            }

            #[allow(clippy::unused_self)]
            fn __repr__(&self) -> &'static str {
                "<lmtokens.where>"
            }
        }
    };
}

fields! {
    /// Field: the token's number.
    id = Id,
    /// Field: the public half of a pair.
    access_id = AccessId,
    /// Field: the owner's user id.
    admin_id = AdminId,
    /// Field: the owner's user name.
    admin_name = AdminName,
    /// Field: 1 (disabled) or 2 (enabled).
    status = Status,
    /// Field: the label; a missing one is the empty text.
    note = Note,
    /// Field: the user name of who made it.
    created_by = CreatedBy,
    /// Field: when it was made; compared with an aware ``datetime`` or seconds since 1970-01-01 UTC.
    created_on = CreatedOn,
    /// Field: when it was last used; never is before everything (0).
    last_used_on = LastUsedOn,
    /// Field: the address it was last used from.
    last_auth_ip = LastAuthIp,
}

/// One member of a token, to be compared with a value.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct Field(CoreField);

/// No token was made at this time.
const NEVER: f64 = -1.0;

impl Field {
    fn value(&self, operator: Operator, object: &Bound<'_, PyAny>) -> PyResult<Value> {
        if let Ok(status) = object.cast::<TokenStatus>() {
            return Ok(Value::Number(status.get().0.number()));
        }
        if let Ok(text) = object.cast::<PyString>() {
            return encodable(self.0.name(), text).map(Value::Text);
        }
        if let Some(number) = integer(object) {
            return number.map(Value::Number).map_err(|_| {
                PyValueError::new_err(format!(
                    "{} is out of range: accepted are numbers of 64 bits",
                    self.0.name()
                ))
            });
        }
        if object.hasattr("timestamp")? {
            if object.getattr("tzinfo")?.is_none() {
                return Err(PyValueError::new_err(
                    "a datetime without time zone is not accepted: make it aware",
                ));
            }
            let seconds: f64 = object.call_method0("timestamp")?.extract()?;
            // Whole seconds are all that the portal knows: a fraction moves to the side on which it says the same.
            let whole = match operator {
                Operator::Less | Operator::GreaterOrEqual => seconds.ceil(),
                Operator::Equal | Operator::NotEqual if seconds.fract() != 0.0 => NEVER,
                _ => seconds.floor(),
            };
            #[allow(clippy::cast_possible_truncation)]
            return Ok(Value::Number(whole as i64));
        }
        let (name, given) = (self.0.name(), type_name(object)?);
        Err(PyTypeError::new_err(format!(
            "{name} cannot be compared with a {given}: accepted are a str, an int, a TokenStatus and an aware datetime"
        )))
    }

    fn compare(&self, operator: Operator, object: &Bound<'_, PyAny>) -> PyResult<filter::Filter> {
        let condition = Condition::new(self.0, operator, self.value(operator, object)?);
        raised(object.py(), condition.map(filter::Filter::from))
    }
}

fn raised<T>(py: Python<'_>, result: Result<T>) -> PyResult<T> {
    result.map_err(|error| exception(py, error))
}

#[pymethods]
impl Field {
    fn __richcmp__(&self, other: &Bound<'_, PyAny>, op: CompareOp) -> PyResult<Filter> {
        let operator = match op {
            CompareOp::Eq => Operator::Equal,
            CompareOp::Ne => Operator::NotEqual,
            CompareOp::Lt => Operator::Less,
            CompareOp::Le => Operator::LessOrEqual,
            CompareOp::Gt => Operator::Greater,
            CompareOp::Ge => Operator::GreaterOrEqual,
        };
        self.compare(operator, other).map(Filter)
    }

    /// Tokens whose member contains a text.
    ///
    /// Args:
    ///     text (str): what to look for, letter by letter.
    #[pyo3(signature = (text: "str") -> "Filter")]
    fn contains(&self, text: &Bound<'_, PyAny>) -> PyResult<Filter> {
        self.compare(Operator::Contains, text).map(Filter)
    }

    /// Tokens whose member does not contain a text.
    ///
    /// Args:
    ///     text (str): what to look for, letter by letter.
    #[pyo3(signature = (text: "str") -> "Filter")]
    fn not_contains(&self, text: &Bound<'_, PyAny>) -> PyResult<Filter> {
        self.compare(Operator::NotContains, text).map(Filter)
    }

    /// Tokens whose member equals one of some values.
    ///
    /// Args:
    ///     values (Iterable[str | int]): at least one.
    fn one_of(&self, values: &Bound<'_, PyAny>) -> PyResult<Filter> {
        let mut result: Option<filter::Filter> = None;
        for value in values.try_iter()? {
            let one = self.compare(Operator::Equal, &value?)?;
            result = Some(match result {
                Some(others) => raised(values.py(), others.or(&one))?,
                None => one,
            });
        }
        result.map(Filter).ok_or_else(|| PyValueError::new_err("one_of needs at least one value"))
    }

    fn __repr__(&self) -> String {
        format!("<lmtokens.where {}>", self.0.name())
    }
}

/// Which tokens to list; made by comparing members of ``lmtokens.where``, joined with ``&`` and ``|``.
///
/// What the portal is asked is never narrower than the filter, and what it answers is checked again, so that its
/// treatment of special characters cannot hide a token.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct Filter(filter::Filter);

impl Filter {
    pub(crate) fn core(&self) -> &filter::Filter {
        &self.0
    }
}

#[pymethods]
impl Filter {
    fn __and__(&self, py: Python<'_>, other: &Bound<'_, Self>) -> PyResult<Self> {
        raised(py, self.0.and(&other.get().0)).map(Self)
    }

    fn __or__(&self, py: Python<'_>, other: &Bound<'_, Self>) -> PyResult<Self> {
        raised(py, self.0.or(&other.get().0)).map(Self)
    }

    #[allow(clippy::unused_self)]
    fn __bool__(&self) -> PyResult<bool> {
        Err(PyTypeError::new_err(
            "a Filter is neither true nor false: join filters with & and |, not with and, or, not",
        ))
    }

    /// Shows what the portal is asked, which may be wider than the filter.
    fn __repr__(&self) -> String {
        format!("<lmtokens.Filter {}>", self.0.for_portal(None))
    }
}
