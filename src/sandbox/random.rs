//! Made-up credentials, and the small generator behind seeds.

use crate::error::Error;
use crate::secret::Secret;

/// How a made-up access id begins.
const ID_PREFIX: &str = "sandbox";
/// How a made-up access key begins, so that neither a person nor a secret scanner takes it for a real one.
pub(super) const KEY_PREFIX: &str = "sandbox-key-";
/// How a made-up bearer token begins; clients tell a bearer by `lmb_`.
pub(super) const BEARER_PREFIX: &str = "lmb_sandbox-";

const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// What real keys contain, and what shells, YAML and URLs trip over.
const SYMBOLS: &[u8] = b"()[]{}%~^=+-_$!";

/// Sebastiano Vigna's splitmix64: enough to repeat a test run, never for a real secret.
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

    /// A number from 0 up to, not including, 1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds")]
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of `choices`; `None` where there are none.
    pub(super) fn choose<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(choices.len()).ok().filter(|count| *count > 0)?;
        choices.get(usize::try_from(self.next() % count).ok()?)
    }
}

/// Where made-up credentials come from.
#[derive(Debug, Clone)]
pub(super) enum Generator {
    System,
    Seeded(SplitMix64),
}

impl Generator {
    pub(super) fn new(seed: Option<u64>) -> Self {
        seed.map_or(Self::System, |seed| Self::Seeded(SplitMix64::new(seed)))
    }

    /// 20 letters and digits.
    pub(super) fn access_id(&mut self) -> Result<String, Error> {
        Ok(text(ID_PREFIX, self.bytes::<13>()?.map(|byte| letter(ALPHANUMERIC, byte))))
    }

    /// 40 characters, every fourth of the random ones a symbol.
    pub(super) fn access_key(&mut self) -> Result<Secret, Error> {
        let mut position = 0;
        let letters = self.bytes::<28>()?.map(|byte| {
            position += 1;
            letter(if position % 4 == 0 { SYMBOLS } else { ALPHANUMERIC }, byte)
        });
        Ok(Secret::new(text(KEY_PREFIX, letters)))
    }

    /// 100 characters.
    pub(super) fn bearer(&mut self) -> Result<Secret, Error> {
        let letters = self.bytes::<88>()?.map(|byte| letter(ALPHANUMERIC, byte));
        Ok(Secret::new(text(BEARER_PREFIX, letters)))
    }

    /// All at once: a call of the system for each letter would be most of what a create costs.
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

/// A character of the alphabet; that some are a little likelier than others does not matter here.
fn letter(alphabet: &[u8], byte: u8) -> char {
    alphabet.get(usize::from(byte) % alphabet.len()).copied().map_or('0', char::from)
}

fn text(prefix: &str, letters: impl IntoIterator<Item = char>) -> String {
    prefix.chars().chain(letters).collect()
}
