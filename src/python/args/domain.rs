//! Arguments as callers may give them. A `bool` is never a number here, and a status is no id.

use std::path::PathBuf;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyMemoryView, PyString, PyTuple};

use crate::credentials::Timeouts;
use crate::python::args::plain::{encodable, read_as};
use crate::python::types::errors::exception;
use crate::python::types::filter::Filter;
use crate::python::types::token::{Token, TokenStatus, TokenType};
use crate::{model, tokens};

pub(crate) fn integer(object: &Bound<'_, PyAny>) -> Option<PyResult<i64>> {
    if object.is_instance_of::<PyBool>()
        || object.is_instance_of::<TokenStatus>()
        || !object.hasattr("__index__").unwrap_or(false)
    {
        return None;
    }
    Some(object.extract())
}

pub(crate) fn type_name(object: &Bound<'_, PyAny>) -> PyResult<String> {
    object.get_type().name()?.extract()
}

/// A user, by id or by name.
pub(crate) struct Admin(pub(crate) tokens::Admin);

impl<'py> FromPyObject<'_, 'py> for Admin {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        const ACCEPTED: &str =
            "accepted is the id of the token's user, an integer from 1 to 2147483647, or the user's name";
        let raised = |error| exception(object.py(), error);
        if let Ok(name) = object.cast::<PyString>() {
            return tokens::Admin::named(&encodable("admin_id", &name)?).map(Self).map_err(raised);
        }
        match integer(&object) {
            Some(Ok(number)) => {
                model::check_admin_id(number).map(tokens::Admin::Id).map(Self).map_err(raised)
            }
            Some(Err(_)) => Err(PyValueError::new_err(format!("admin_id is out of range: {ACCEPTED}"))),
            None => {
                let given = type_name(&object)?;
                Err(PyTypeError::new_err(format!("admin_id cannot be a {given}: {ACCEPTED}")))
            }
        }
    }
}

/// A token: one that was had from the portal, its id, or its access id.
pub(crate) struct Target(pub(crate) tokens::Target);

impl<'py> FromPyObject<'_, 'py> for Target {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        const ACCEPTED: &str =
            "accepted are a Token, a token's id (an integer from 1 to 2147483647) and its access id";
        let find = if let Ok(token) = object.cast::<Token>() {
            return Ok(Self(tokens::Target::Token(Box::new(token.get().core().clone()))));
        } else if let Ok(access_id) = object.cast::<PyString>() {
            tokens::FindToken::AccessId(encodable("token", &access_id)?)
        } else {
            match integer(&object) {
                Some(Ok(id)) => tokens::FindToken::Id(id),
                Some(Err(_)) => {
                    return Err(PyValueError::new_err(format!("the token's id is out of range: {ACCEPTED}")));
                }
                None => {
                    let given = type_name(&object)?;
                    return Err(PyTypeError::new_err(format!("a token cannot be a {given}: {ACCEPTED}")));
                }
            }
        };
        find.check().map_err(|error| exception(object.py(), error))?;
        Ok(Self(tokens::Target::Find(find)))
    }
}

impl Target {
    /// What to look for.
    pub(crate) fn find(self) -> tokens::FindToken {
        match self.0 {
            tokens::Target::Token(token) => tokens::FindToken::Id(token.id),
            tokens::Target::Find(find) => find,
        }
    }
}

/// Where the certificates to trust are.
pub(crate) struct CaBundle(pub(crate) PathBuf);

impl<'a, 'py> FromPyObject<'a, 'py> for CaBundle {
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const INPUT_TYPE: pyo3::inspect::PyStaticExpr = PathBuf::INPUT_TYPE;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        read_as("ca_bundle", "a path, as a str or an os.PathLike", object).map(Self)
    }
}

/// Where a certificate of our own is: one file with its key, or one file for each.
pub(crate) struct Certificate(Files);

#[derive(FromPyObject)]
enum Files {
    Pair(PathBuf, PathBuf),
    #[pyo3(transparent)]
    One(PathBuf),
}

impl<'a, 'py> FromPyObject<'a, 'py> for Certificate {
    type Error = PyErr;

    #[cfg(feature = "stubs")]
    const INPUT_TYPE: pyo3::inspect::PyStaticExpr = Files::INPUT_TYPE;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let accepted = "a path, or two in a tuple: (certificate chain, private key)";
        read_as("client_cert", accepted, object).map(Self)
    }
}

impl Certificate {
    pub(crate) fn paths(self) -> (PathBuf, Option<PathBuf>) {
        match self.0 {
            Files::Pair(chain, key) => (chain, Some(key)),
            Files::One(both) => (both, None),
        }
    }
}

/// Which tokens to list.
#[derive(FromPyObject)]
pub(crate) enum Wanted<'py> {
    #[pyo3(transparent)]
    Filter(Bound<'py, Filter>),
    #[pyo3(transparent)]
    Raw(String),
}

impl Wanted<'_> {
    pub(crate) fn core(self) -> tokens::Wanted {
        match self {
            Self::Filter(filter) => tokens::Wanted::Filter(filter.get().core().clone()),
            Self::Raw(raw) => tokens::Wanted::Raw(raw),
        }
    }
}

/// The number of a status that a caller gives in any of its forms.
pub(crate) fn status(object: &Bound<'_, PyAny>) -> PyResult<i64> {
    let status = if let Ok(status) = object.cast::<TokenStatus>() {
        model::TokenStatus::parse_number(status.get().0.number())
    } else if let Ok(word) = object.cast::<PyString>() {
        model::TokenStatus::parse_word(&encodable("status", word)?)
    } else if let Some(number) = integer(object) {
        model::TokenStatus::parse_number(number.unwrap_or(i64::MAX))
    } else {
        let given = type_name(object)?;
        return Err(PyTypeError::new_err(format!(
            "status cannot be a {given}: accepted are 1 (disabled), 2 (enabled), a TokenStatus, \"enabled\" and \
             \"disabled\""
        )));
    };
    status.map(model::TokenStatus::number).map_err(|error| exception(object.py(), error))
}

/// The word of a type that a caller gives in any of its forms.
pub(crate) fn token_type(object: &Bound<'_, PyAny>) -> PyResult<&'static str> {
    let parsed = if let Ok(r#type) = object.cast::<TokenType>() {
        model::TokenType::parse(r#type.get().0.as_str())
    } else if let Ok(word) = object.cast::<PyString>() {
        model::TokenType::parse(&encodable("type", word)?)
    } else {
        let given = type_name(object)?;
        return Err(PyTypeError::new_err(format!(
            "type cannot be a {given}: accepted are \"lmv1\", \"bearer\" and a TokenType"
        )));
    };
    match parsed {
        Ok(model::TokenType::Bearer) => Ok("bearer"),
        Ok(_) => Ok("lmv1"),
        Err(error) => Err(exception(object.py(), error)),
    }
}

/// A time limit: seconds, or (seconds to connect, seconds in all).
pub(crate) struct Timeout(pub(crate) Timeouts);

impl<'py> FromPyObject<'_, 'py> for Timeout {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let seconds = |object: &Bound<'_, PyAny>| -> PyResult<f64> {
            let number = !object.is_instance_of::<PyBool>() && !object.is_instance_of::<PyString>();
            object.extract::<f64>().ok().filter(|_| number).ok_or_else(|| {
                PyTypeError::new_err(
                    "timeout is not accepted: accepted is a number of seconds, or two in a tuple: (to connect, in all)",
                )
            })
        };
        let timeouts = if let Ok(pair) = object.cast::<PyTuple>() {
            if pair.len() != 2 {
                return Err(PyTypeError::new_err(
                    "timeout as a tuple has two numbers of seconds: (to connect, in all)",
                ));
            }
            Timeouts::from_seconds(Some(seconds(&pair.get_item(0)?)?), seconds(&pair.get_item(1)?)?)
        } else {
            Timeouts::from_seconds(None, seconds(&object)?)
        };
        timeouts.map(Self).map_err(|error| exception(object.py(), error))
    }
}

/// The bytes of a body. A `str` is refused: libraries encode one differently, and the signature covers the bytes.
pub(crate) struct Body(pub(crate) Vec<u8>);

impl Body {
    pub(crate) const EMPTY: Self = Self(Vec::new());
}

impl<'py> FromPyObject<'_, 'py> for Body {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Self(bytes.as_bytes().to_vec()));
        }
        if let Ok(bytes) = object.cast::<PyByteArray>() {
            return Ok(Self(bytes.to_vec()));
        }
        if object.is_instance_of::<PyMemoryView>() {
            return Ok(Self(object.call_method0("tobytes")?.extract()?));
        }
        Err(PyTypeError::new_err(format!(
            "body must be bytes, not {}: the signature covers the bytes that travel, so encode the text first, as with \
             .encode(\"utf-8\")",
            type_name(&object)?
        )))
    }
}
