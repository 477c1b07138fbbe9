//! Conversion of Python arguments: plain types, domain types, settings and the environment.

pub(crate) mod audit;
pub(crate) mod domain;
pub(crate) mod environment;
pub(crate) mod plain;
pub(crate) mod rows;
pub(crate) mod settings;
pub(crate) mod stub_types;
