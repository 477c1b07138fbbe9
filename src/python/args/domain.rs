//! Arguments of the core's types. Each is checked once, by the type's constructor.

use std::borrow::Cow;
use std::path::PathBuf;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString, PyTuple};

use super::plain::{
    EXPECTED_DURATION, arguments, aware_datetime, duration, encodable, extract, integer, optional, seconds,
    string, text, wrong_type,
};
use crate::credentials::Timeouts;
use crate::error::Error;
use crate::ids::{AdminId, Note, Status, TokenId, Type};
use crate::lifecycle::{OnError, SweepReason};
use crate::python::types::enums::is_status;
use crate::python::types::filter::Filter;
use crate::python::types::secret::Secret;
use crate::python::types::token::Token;
use crate::secret;
use crate::times::Expiry;
use crate::token_output::Form;
use crate::tokens::{AccessId, FindToken, Selection, Target, User, UserName};

arguments! {
    access_id: secret::Secret = read_secret;
    access_key: secret::Secret = read_secret;
    authorization: secret::Secret = read_secret;
    path: String = text;
    status: i64 = status_number;
    format: &'static str = one_of::<Form>(&["json", "env", "env-file", "key"]);
    on_error: &'static str = one_of::<OnError>(&["continue", "stop"]);
    only: Option<SweepReason> = optional(read_sweep_reason);
}

pub(crate) fn overlap(object: &Bound<'_, PyAny>) -> PyResult<f64> {
    read_duration("overlap", object)
}

pub(crate) fn quarantine(object: &Bound<'_, PyAny>) -> PyResult<f64> {
    read_duration("quarantine", object)
}

/// Returns a time span in seconds: signatures show it as the default.
fn read_duration(name: &str, object: &Bound<'_, PyAny>) -> PyResult<f64> {
    /// Ten years.
    const MAX: f64 = 315_360_000.0;
    let seconds = duration(name, EXPECTED_DURATION, object)?
        .ok_or_else(|| wrong_type(name, EXPECTED_DURATION, object))?;
    if (0.0..=MAX).contains(&seconds) {
        return Ok(seconds);
    }
    Err(Error::invalid(name, seconds, "0 to 315360000 seconds (ten years)").into())
}

pub(crate) fn optional_status(object: &Bound<'_, PyAny>) -> PyResult<Option<Status>> {
    optional(read_status)("status", object)
}

pub(crate) fn optional_type(object: &Bound<'_, PyAny>) -> PyResult<Option<Type>> {
    optional(read_type)("type", object)
}

pub(crate) fn read_secret(name: &str, object: &Bound<'_, PyAny>) -> PyResult<secret::Secret> {
    if let Ok(secret) = object.cast::<Secret>() {
        return Ok(secret.get().0.clone());
    }
    match string(object)? {
        Some(text) => encodable(name, text).map(secret::Secret::new),
        None => Err(wrong_type(name, "a str or a Secret", object)),
    }
}

/// Returns the number of a status: signatures show it as the default.
fn status_number(name: &str, object: &Bound<'_, PyAny>) -> PyResult<i64> {
    Ok(read_status(name, object)?.number())
}

/// Returns the word of a type, for the same reason.
pub(crate) fn r#type(object: &Bound<'_, PyAny>) -> PyResult<&'static str> {
    Ok(read_type("type", object)?.as_str())
}

fn read_status(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Status> {
    let status = if is_status(object)? {
        Status::from_number(object.extract()?)
    } else if let Some(word) = string(object)? {
        encodable(name, word)?.parse()
    } else {
        let Some(number) = integer(name, Status::EXPECTED, object)? else {
            return Err(wrong_type(name, Status::EXPECTED, object));
        };
        Status::from_number(number)
    };
    Ok(status?)
}

fn read_type(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Type> {
    // A `TokenType` is a `str` to Python.
    match object.cast::<PyString>() {
        Ok(word) => Ok(encodable(name, word)?.parse()?),
        Err(_) => Err(wrong_type(name, Type::EXPECTED, object)),
    }
}

fn read_sweep_reason(name: &str, object: &Bound<'_, PyAny>) -> PyResult<SweepReason> {
    Ok(text(name, object)?.parse()?)
}

/// Returns a reader of the words that `T` knows.
pub(crate) fn one_of<'a, 'py: 'a, T: std::str::FromStr<Err = Error>>(
    words: &'static [&'static str],
) -> impl Fn(&str, &'a Bound<'py, PyAny>) -> PyResult<&'static str> {
    move |name, object| {
        let given = text(name, object)?;
        given.parse::<T>()?;
        Ok(words.iter().find(|word| **word == given).copied().unwrap_or_default())
    }
}

macro_rules! from_python {
    ($type:ty, $hint:expr, |$object:ident| $body:expr) => {
        impl<'a, 'py> FromPyObject<'a, 'py> for $type {
            type Error = PyErr;

            #[cfg(feature = "stubs")]
            const INPUT_TYPE: pyo3::inspect::PyStaticExpr = $hint;

            fn extract($object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
                $body
            }
        }
    };
}

/// The hints of the stub.
#[cfg(feature = "stubs")]
mod hints {
    use pyo3::inspect::PyStaticExpr;
    use pyo3::{type_hint_identifier, type_hint_union};

    pub(super) const STR: PyStaticExpr = type_hint_identifier!("builtins", "str");
    pub(super) const INT: PyStaticExpr = type_hint_identifier!("builtins", "int");
    pub(super) const USER: PyStaticExpr = type_hint_union!(INT, STR);
    pub(super) const TOKEN: PyStaticExpr =
        type_hint_union!(INT, STR, <super::Token as pyo3::PyTypeInfo>::TYPE_HINT);
    pub(super) const SELECTION: PyStaticExpr =
        type_hint_union!(<super::Filter as pyo3::PyTypeInfo>::TYPE_HINT, STR);
    pub(super) const TIMEOUT: PyStaticExpr = type_hint_union!(
        type_hint_identifier!("builtins", "float"),
        pyo3::type_hint_subscript!(
            type_hint_identifier!("builtins", "tuple"),
            type_hint_identifier!("builtins", "float"),
            type_hint_identifier!("builtins", "float")
        )
    );
    pub(super) const EXPIRY: PyStaticExpr = type_hint_union!(
        type_hint_identifier!("datetime", "datetime"),
        type_hint_identifier!("datetime", "timedelta"),
        type_hint_identifier!("builtins", "float"),
        STR
    );
    pub(super) const BYTES: PyStaticExpr = type_hint_union!(
        type_hint_identifier!("builtins", "bytes"),
        type_hint_identifier!("builtins", "bytearray"),
        type_hint_identifier!("builtins", "memoryview")
    );
}

from_python!(User, hints::USER, |object| {
    if let Some(name) = string(&object)? {
        let name = encodable("admin_id", name)?;
        let number = name.parse::<i64>().ok().filter(|number| AdminId::new(*number).is_ok());
        return Ok(UserName::new(name).map(Self::Name).map_err(|error| match number {
            // A `ValueError` has no hint.
            Some(number) => Error::argument(format!("{}; pass the int {number}", error.details().message)),
            None => error,
        })?);
    }
    match integer("admin_id", AdminId::EXPECTED, &object)? {
        Some(number) => Ok(AdminId::new(number).map(Self::Id)?),
        None => Err(wrong_type("admin_id", AdminId::EXPECTED, &object)),
    }
});

from_python!(Target, hints::TOKEN, |object| {
    if let Ok(token) = object.cast::<Token>() {
        return Ok(Self::Token(Box::new(token.get().core().clone())));
    }
    if let Some(access_id) = string(&object)? {
        let access_id = AccessId::new(encodable("token", access_id)?)?;
        return Ok(Self::Find(FindToken::AccessId(access_id)));
    }
    match integer("token", TokenId::EXPECTED, &object)? {
        Some(number) => Ok(Self::Find(FindToken::Id(TokenId::new(number)?))),
        None => Err(wrong_type("token", TokenId::EXPECTED, &object)),
    }
});

from_python!(Note, hints::STR, |object| Ok(Self::new(text("note", &object)?)?));

from_python!(Expiry, hints::EXPIRY, |object| {
    if let Some(seconds) = duration("expires", Self::EXPECTED, &object)? {
        return Ok(Self::after("expires", seconds)?);
    }
    match aware_datetime("expires", &object)? {
        Some(time) => Ok(Self::At(time.seconds)),
        None => Err(wrong_type("expires", Self::EXPECTED, &object)),
    }
});

from_python!(Selection, hints::SELECTION, |object| {
    if let Ok(filter) = object.cast::<Filter>() {
        return Ok(Self::Filter(filter.get().core().clone()));
    }
    match string(&object)? {
        Some(raw) => encodable("filter", raw).map(Self::Raw),
        None => Err(wrong_type("filter", "a Filter, or a str in the portal's own grammar", &object)),
    }
});

from_python!(Timeouts, hints::TIMEOUT, |object| {
    let Ok(pair) = object.cast::<PyTuple>() else {
        return Ok(Self::from_seconds(None, seconds("timeout", &object)?)?);
    };
    if pair.len() != 2 {
        return Err(PyTypeError::new_err(
            "timeout must be a number of seconds or a tuple of two: (connect, total)",
        ));
    }
    let connect = seconds("timeout", &pair.get_item(0)?)?;
    Ok(Self::from_seconds(Some(connect), seconds("timeout", &pair.get_item(1)?)?)?)
});

/// The paths of a client certificate: one file with its key, or one file for each.
pub(crate) struct Certificate(Files);

#[derive(FromPyObject)]
enum Files {
    Pair(PathBuf, PathBuf),
    #[pyo3(transparent)]
    One(PathBuf),
}

from_python!(Certificate, Files::INPUT_TYPE, |object| {
    let expected = "a path, or a tuple of two: (certificate chain, private key)";
    extract("client_cert", expected, object).map(Self)
});

impl Certificate {
    pub(crate) fn paths(self) -> (PathBuf, Option<PathBuf>) {
        match self.0 {
            Files::Pair(chain, key) => (chain, Some(key)),
            Files::One(both) => (both, None),
        }
    }
}

/// The bytes of a body. A `str` is refused: libraries encode it differently, and the signature covers the bytes.
pub(crate) struct Body<'a>(pub(crate) Cow<'a, [u8]>);

impl Body<'_> {
    pub(crate) const EMPTY: Self = Self(Cow::Borrowed(&[]));
}

from_python!(Body<'a>, hints::BYTES, |object| {
    if object.is_instance_of::<PyBytes>() || object.is_instance_of::<PyByteArray>() {
        return object.extract().map(Self);
    }
    if object.is_instance_of::<PyMemoryView>() {
        return Ok(Self(object.call_method0("tobytes")?.extract::<Vec<u8>>()?.into()));
    }
    let expected = "bytes (the signature covers the bytes that are sent: encode a text first)";
    Err(wrong_type("body", expected, &object))
});

/// Returns the token to create from arguments that are checked already.
pub(crate) fn new_token(
    admin: User,
    note: Option<Note>,
    status: i64,
    r#type: &str,
    expires: Option<Expiry>,
) -> crate::error::Result<crate::tokens::NewToken> {
    let (status, r#type) = (Status::from_number(status)?, r#type.parse::<Type>()?);
    Ok(crate::tokens::NewToken { admin, note, status, r#type, expires })
}
