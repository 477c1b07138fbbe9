//! Generated credentials, and the generator for seeds.

use crate::error::Error;
use crate::secret::Secret;

/// The prefix of a generated access id.
const ID_PREFIX: &str = "sandbox";
/// The prefix of a generated access key, which keeps people and secret scanners from taking it for a real one.
pub(super) const KEY_PREFIX: &str = "sandbox-key-";
/// The prefix of a generated bearer token; clients recognize a bearer token by `lmb_`.
pub(super) const BEARER_PREFIX: &str = "lmb_sandbox-";

const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Symbols that occur in real keys and that shells, YAML and URLs treat specially.
const SYMBOLS: &[u8] = b"()[]{}%~^=+-_$!";

/// Sebastiano Vigna's splitmix64: repeatable, but not suitable for real secrets.
#[derive(Debug, Clone)]
pub(super) struct SplitMix64(u64);

impl SplitMix64 {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from 0 (included) to 1 (excluded).
    #[allow(clippy::cast_precision_loss, reason = "an f64 holds 53 bits exactly")]
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns one of `choices`; `None` if there are none.
    pub(super) fn choose<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(choices.len()).ok().filter(|count| *count > 0)?;
        choices.get(usize::try_from(self.next() % count).ok()?)
    }
}

/// The source of generated credentials.
#[derive(Debug, Clone)]
pub(super) enum Generator {
    System,
    Seeded(SplitMix64),
}

impl Generator {
    pub(super) fn new(seed: Option<u64>) -> Self {
        seed.map_or(Self::System, |seed| Self::Seeded(SplitMix64::new(seed)))
    }

    /// Returns 20 letters and digits.
    pub(super) fn access_id(&mut self) -> Result<String, Error> {
        Ok(text(ID_PREFIX, self.bytes::<13>()?.map(|byte| letter(ALPHANUMERIC, byte))))
    }

    /// Returns 40 characters; every fourth random one is a symbol.
    pub(super) fn access_key(&mut self) -> Result<Secret, Error> {
        let mut position = 0;
        let letters = self.bytes::<28>()?.map(|byte| {
            position += 1;
            letter(if position % 4 == 0 { SYMBOLS } else { ALPHANUMERIC }, byte)
        });
        Ok(Secret::new(text(KEY_PREFIX, letters)))
    }

    /// Returns 100 characters.
    pub(super) fn bearer(&mut self) -> Result<Secret, Error> {
        let letters = self.bytes::<88>()?.map(|byte| letter(ALPHANUMERIC, byte));
        Ok(Secret::new(text(BEARER_PREFIX, letters)))
    }

    /// Returns all random bytes of a credential at once: one system call for each would dominate the time of a create.
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        match self {
            Self::System => getrandom::fill(&mut bytes).map_err(|cause| {
                Error::configuration(format!("the system's random number generator failed: {cause}"))
            })?,
            Self::Seeded(generator) => {
                for chunk in bytes.chunks_mut(8) {
                    chunk.iter_mut().zip(generator.next().to_le_bytes()).for_each(|(to, from)| *to = from);
                }
            }
        }
        Ok(bytes)
    }
}

/// Returns a character of the alphabet. The slight bias does not matter for fake credentials.
fn letter(alphabet: &[u8], byte: u8) -> char {
    alphabet.get(usize::from(byte) % alphabet.len()).copied().map_or('0', char::from)
}

fn text(prefix: &str, letters: impl IntoIterator<Item = char>) -> String {
    prefix.chars().chain(letters).collect()
}
