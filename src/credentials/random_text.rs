//! Random credentials for tests.

/// So many that a rule that takes one credential of thousands for something else is found.
pub(crate) const MANY: usize = 100_000;

pub(crate) const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The characters of access keys.
pub(crate) fn key_characters() -> String {
    format!("{LETTERS}()[]{{}}~^_=+-%$!")
}

/// The characters of bearer tokens.
pub(crate) fn bearer_characters() -> String {
    format!("{LETTERS}+/=")
}

/// A repeatable source of random text, a linear congruential generator.
pub(crate) struct RandomText(pub(crate) u64);

impl RandomText {
    pub(crate) fn next(&mut self, alphabet: &str, length: usize) -> String {
        let mut one = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(self.0 >> 33).unwrap() % alphabet.len();
            char::from(alphabet.as_bytes()[at])
        };
        (0..length).map(|_| one()).collect()
    }
}
