//! `where`: filters for lists, as comparisons of fields.

use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::filter::{self, Condition, Field as CoreField, Operator, Value};
use crate::ids::Status;
use crate::printable;
use crate::python::args::plain::{encodable, integer, wrong_type};
use crate::python::types::enums::is_status;

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
    /// Field: the note; a missing one is the empty string.
    note = Note,
    /// Field: the user name of its creator.
    created_by = CreatedBy,
    /// Field: when it was created, as an aware ``datetime`` or seconds since 1970-01-01 UTC.
    created_on = CreatedOn,
    /// Field: when it was last used; never counts as 0. A time that cannot be read matches only ``!=``.
    last_used_on = LastUsedOn,
    /// Field: the address it was last used from.
    last_auth_ip = LastAuthIp,
}

/// A field of a token, to compare with a value.
#[pyclass(frozen, module = "lmtokens")]
pub(crate) struct Field(CoreField);

/// A time at which no token was created.
const NEVER: f64 = -1.0;

impl Field {
    fn value(&self, operator: Operator, object: &Bound<'_, PyAny>) -> PyResult<Value> {
        let name = self.0.name();
        if is_status(object)? {
            return Ok(Value::Number(object.extract()?));
        }
        if let Ok(text) = object.cast::<PyString>() {
            let text = encodable(name, text)?;
            return match self.0 {
                CoreField::Status => Ok(Value::Number(text.parse::<Status>()?.number())),
                _ => Ok(Value::Text(text)),
            };
        }
        if let Some(number) = integer(name, "an integer of 64 bits", object)? {
            return Ok(Value::Number(number));
        }
        if object.hasattr("timestamp")? {
            if object.getattr("tzinfo")?.is_none() {
                return Err(PyValueError::new_err(format!(
                    "{name} cannot be compared with a naive datetime; expected an aware one"
                )));
            }
            let seconds: f64 = object.call_method0("timestamp")?.extract()?;
            // The portal stores whole seconds: round the fraction so that the comparison selects the same tokens.
            let whole = match operator {
                Operator::Less | Operator::GreaterOrEqual => seconds.ceil(),
                Operator::Equal | Operator::NotEqual if seconds.fract() != 0.0 => NEVER,
                _ => seconds.floor(),
            };
            #[allow(clippy::cast_possible_truncation)]
            return Ok(Value::Number(whole as i64));
        }
        Err(wrong_type(name, "compared with a str, an int, a TokenStatus or an aware datetime", object))
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
    ///     values (Iterable[str | int]): at least one.
    fn one_of(&self, values: &Bound<'_, PyAny>) -> PyResult<Filter> {
        let mut result: Option<filter::Filter> = None;
        for value in values.try_iter()? {
            let one = self.compare(Operator::Equal, &value?)?;
            result = Some(match result {
                Some(others) => others.or(&one)?,
                None => one,
            });
        }
        result.map(Filter).ok_or_else(|| PyValueError::new_err("one_of needs at least one value"))
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
            "a Filter has no truth value; combine filters with & and |, not with and, or, not",
        ))
    }

    /// Return the filter as it is sent, which may be wider.
    fn __repr__(&self) -> String {
        format!("<lmtokens.Filter {}>", printable::line(&self.0.for_portal(None)))
    }
}
