//! Runs the target that the variable `TARGET` names.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lmtokens::fuzz::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    found.unwrap_or_else(|| panic!("expected TARGET to be one of {}", names.join(", "))).1
});

fuzz_target!(init: { LazyLock::force(&TARGET); }, |input: &[u8]| TARGET(input));
