//! `where`: filters for lists, as comparisons of fields.

use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::filter::{self, Condition, Field as CoreField, Operator, Value};
use crate::ids::Status;
use crate::printable;
use crate::python::args::plain::{aware_datetime, encodable, float, integer, items, string, wrong_type};
use crate::python::args::stub_types::Values;
use crate::python::types::enums::is_status;
use crate::times::Timestamp;

/// The fields of a token by which a list can be filtered, as attributes of ``lmtokens.where``.
///
/// Comparing a field with a value returns a ``Filter``: ``where.status == "enabled"``, ``where.note.contains("ci")``,
/// ``where.created_on < datetime(2025, 1, 1, tzinfo=timezone.utc)``. Combine filters with ``&`` and ``|``.
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
    /// Field: the token's id.
    id = Id,
    /// Field: the public half of a pair.
    access_id = AccessId,
    /// Field: the owner's user id.
    admin_id = AdminId,
    /// Field: the owner's user name.
    admin_name = AdminName,
    /// Field: 1 or ``"disabled"``, 2 or ``"enabled"``.
    status = Status,
    /// Field: the note without its marker; a missing one is the empty string. The portal compares the text with the end of
    /// the whole note, so that ``==`` may receive more tokens than it returns.
    note = Note,
    /// Field: the user name of its creator.
    created_by = CreatedBy,
    /// Field: when it was created, as an aware ``datetime`` or seconds (not milliseconds) since 1970-01-01 UTC; numbers
    /// from 1 to 10**9 (in 2001) are refused: they are minutes, days or another unit.
    created_on = CreatedOn,
    /// Field: when it was last used, as ``created_on``; never counts as 0. A time that cannot be read matches
    /// only ``!=``.
    last_used_on = LastUsedOn,
    /// Field: the address it was last used from.
    last_auth_ip = LastAuthIp,
}

/// A field of a token, to compare with a value.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct Field(CoreField);

impl Field {
    fn value(&self, operator: Operator, object: &Bound<'_, PyAny>) -> PyResult<Value> {
        let name = self.0.name();
        if let Some(text) = string(object)? {
            let text = encodable(name, text)?;
            return match self.0 {
                CoreField::Status => Ok(Value::Number(text.parse::<Status>()?.number())),
                _ => Ok(Value::Text(text)),
            };
        }
        if self.0.is_time() {
            return Ok(Value::of_time(self.timestamp(object)?, operator));
        }
        if self.0 == CoreField::Status && is_status(object)? {
            return Ok(Value::Number(object.extract()?));
        }
        if let Some(number) = integer(name, "an integer of 64 bits", object)? {
            return Ok(Value::Number(number));
        }
        let expected = match self.0 {
            CoreField::Status => "compared with an int, a TokenStatus, \"disabled\" or \"enabled\"",
            field if field.is_number() => "compared with an int",
            _ => "compared with a str",
        };
        Err(wrong_type(name, expected, object))
    }

    fn timestamp(&self, object: &Bound<'_, PyAny>) -> PyResult<Timestamp> {
        let name = self.0.name();
        if let Some(seconds) = float(object)? {
            return Ok(Timestamp::from_seconds(name, seconds)?);
        }
        aware_datetime(name, object)?
            .ok_or_else(|| wrong_type(name, &format!("compared with {}", Timestamp::EXPECTED), object))
    }

    fn compare(&self, operator: Operator, object: &Bound<'_, PyAny>) -> PyResult<filter::Filter> {
        let condition = Condition::new(self.0, operator, self.value(operator, object)?);
        Ok(filter::Filter::from(condition?))
    }
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

    /// Return a filter for tokens whose field contains a text.
    ///
    /// Args:
    ///     text (str): the text, case-sensitive.
    #[pyo3(signature = (text: "str") -> "Filter")]
    fn contains(&self, text: &Bound<'_, PyAny>) -> PyResult<Filter> {
        self.compare(Operator::Contains, text).map(Filter)
    }

    /// Return a filter for tokens whose field does not contain a text.
    ///
    /// Args:
    ///     text (str): the text, case-sensitive.
    #[pyo3(signature = (text: "str") -> "Filter")]
    fn not_contains(&self, text: &Bound<'_, PyAny>) -> PyResult<Filter> {
        self.compare(Operator::NotContains, text).map(Filter)
    }

    /// Return a filter for tokens whose field equals one of several values.
    ///
    /// Args:
    ///     values (Iterable): at least one value that the field can be compared with.
    fn one_of(&self, py: Python<'_>, values: Values) -> PyResult<Filter> {
        let mut result: Option<filter::Filter> = None;
        for value in items("values", "an iterable of values, such as a list", values.0.bind(py))? {
            let one = self.compare(Operator::Equal, &value?)?;
            result = Some(match result {
                Some(others) => others.or(&one)?,
                None => one,
            });
        }
        result.map(Filter).ok_or_else(|| PyValueError::new_err("one_of needs at least one value"))
    }

    #[allow(clippy::unused_self)]
    fn __bool__(&self) -> PyResult<bool> {
        Err(PyTypeError::new_err("a Field has no truth value; compare it with a value"))
    }

    fn __repr__(&self) -> String {
        format!("<lmtokens.where {}>", self.0.name())
    }
}

/// A selection of tokens: comparisons of fields of ``lmtokens.where``, combined with ``&`` and ``|``.
///
/// The filter in the request is never narrower than this one, and the tokens in the response are checked again, so that
/// the portal's treatment of special characters cannot hide a token.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct Filter(filter::Filter);

impl Filter {
    pub(crate) fn core(&self) -> &filter::Filter {
        &self.0
    }
}

#[pymethods]
impl Filter {
    fn __and__(&self, other: &Bound<'_, Self>) -> PyResult<Self> {
        Ok(Self(self.0.and(&other.get().0)?))
    }

    fn __or__(&self, other: &Bound<'_, Self>) -> PyResult<Self> {
        Ok(Self(self.0.or(&other.get().0)?))
    }

    #[allow(clippy::unused_self)]
    fn __bool__(&self) -> PyResult<bool> {
        Err(PyTypeError::new_err(
            "a Filter has no truth value; combine filters with & and |, not with and, or, not; use one_of() instead of \
             in, and two comparisons instead of a < b < c",
        ))
    }

    /// Return the filter as it is sent, which may be wider.
    fn __repr__(&self) -> String {
        format!("<lmtokens.Filter {}>", printable::line(&self.0.for_portal(None)))
    }
}
