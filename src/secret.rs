//! A secret text that leaves by one door.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// What stands for every secret wherever it would be shown: no prefix, no suffix, no length.
pub const MASK: &str = "********";

/// An access key or a bearer token.
///
/// Clones share one buffer, which is wiped when the last of them is dropped. There is no `Display`, no `Serialize`
/// and no `Deref`: the text is had by [`Secret::reveal`] and in no other way. Two secrets are compared in constant
/// time.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Arc::new(Zeroizing::new(text)))
    }

    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({MASK})")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.reveal().as_bytes().ct_eq(other.reveal().as_bytes()).into()
    }
}

impl Eq for Secret {}
