//! The search for the mistakes that give a digest.

use aws_lc_rs::{digest, hmac};
use zeroize::Zeroizing;

use super::cause::Cause;
use super::variants::{Variant, bodies, epochs, keys, methods, other_epochs, paths, permutations, utf16};
use super::{SentRequest, Token};

/// How many bytes are hashed at most: 0.1 s, which only large bodies reach.
const MAX_HASHED: usize = 64 * 1024 * 1024;

/// How many mistakes two wrong parts have at most.
const MAX_CAUSES: usize = 3;

/// What the parts are hashed with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hash {
    Hmac,
    /// The string as key and the key as message.
    Swapped,
    /// Without the key, or after it.
    Plain {
        with_key: bool,
    },
}

/// How the parts become a string, and its hash.
struct Layout {
    order: Vec<usize>,
    separator: &'static str,
    end: &'static str,
    is_utf16: bool,
    hash: Hash,
    causes: Vec<Cause>,
}

/// Returns the mistakes that give the digest, the fewest ones; `Unknown` if none are found. At most two of the key, the
/// layout and the four parts are wrong at once.
pub(super) fn find(digest: &[u8], request: &SentRequest<'_>, token: Token<'_>, epoch: &str) -> Vec<Cause> {
    let (algorithm, cause) = match digest.len() {
        20 => (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, Some(Cause::Sha1)),
        64 => (hmac::HMAC_SHA512, Some(Cause::Sha512)),
        _ => (hmac::HMAC_SHA256, None),
    };
    let keys = keys(token);
    let mut search = Search {
        digest,
        algorithm,
        hmac_keys: keys.iter().map(|key| hmac::Key::new(algorithm, &key.bytes)).collect(),
        keys,
        layouts: layouts(),
        parts: [methods(&request.method), epochs(epoch), bodies(request), paths(request)],
        hashed: 0,
    };
    let mut found = search.run();
    if found.is_none() {
        let [_, epochs, ..] = &mut search.parts;
        *epochs = other_epochs(epoch);
        let count = epochs.len();
        found = (0..count).find_map(|index| search.try_choice([0, 0, 0, index, 0, 0]));
    }
    let found = found.unwrap_or_else(|| vec![Cause::Unknown]);
    cause.into_iter().chain(found).collect()
}

struct Search<'a> {
    digest: &'a [u8],
    algorithm: hmac::Algorithm,
    keys: Vec<Variant>,
    hmac_keys: Vec<hmac::Key>,
    layouts: Vec<Layout>,
    parts: [Vec<Variant>; 4],
    hashed: usize,
}

/// The indexes of a key, a layout, a method, an epoch, a body and a path.
type Choice = [usize; 6];

/// A wrong index in a choice, and how many mistakes it takes.
struct Change {
    dimension: usize,
    index: usize,
    causes: usize,
}

fn choice(changes: &[&Change]) -> Choice {
    let mut choice = [0; 6];
    for change in changes {
        if let Some(index) = choice.get_mut(change.dimension) {
            *index = change.index;
        }
    }
    choice
}

impl Search<'_> {
    fn run(&mut self) -> Option<Vec<Cause>> {
        let count = |variants: &[Variant]| variants.iter().map(|variant| variant.causes.len()).collect();
        let [methods, epochs, bodies, paths] = &self.parts;
        let counts: [Vec<usize>; 6] = [
            count(&self.keys),
            self.layouts.iter().map(|layout| layout.causes.len()).collect(),
            count(methods),
            count(epochs),
            count(bodies),
            count(paths),
        ];
        let wrong = counts.iter().enumerate().flat_map(|(dimension, counts)| {
            let change = move |(index, causes): (usize, &usize)| Change { dimension, index, causes: *causes };
            counts.iter().enumerate().skip(1).map(change)
        });
        let wrong: Vec<Change> = wrong.collect();
        let one = wrong.iter().map(|change| choice(&[change]));
        let two = wrong.iter().flat_map(|first| {
            let is_tried = |second: &&Change| {
                second.dimension > first.dimension && first.causes + second.causes <= MAX_CAUSES
            };
            wrong.iter().filter(is_tried).map(|second| choice(&[first, second]))
        });
        std::iter::once(choice(&[])).chain(one).chain(two).find_map(|choice| self.try_choice(choice))
    }

    /// Returns the mistakes of a choice if it gives the digest.
    fn try_choice(&mut self, choice: Choice) -> Option<Vec<Cause>> {
        let [key, layout, indexes @ ..] = choice;
        let (hmac_key, key, layout) =
            (self.hmac_keys.get(key)?, self.keys.get(key)?, self.layouts.get(layout)?);
        let mut parts = [&[] as &[u8]; 4];
        let mut causes = [key.causes.as_slice(), &layout.causes].concat();
        for ((part, variants), index) in parts.iter_mut().zip(&self.parts).zip(indexes) {
            let variant = variants.get(index)?;
            *part = &variant.bytes;
            causes.extend(&variant.causes);
        }
        if self.hashed > MAX_HASHED {
            return None;
        }
        let string = layout.string(parts);
        // The blocks that the key and the padding take.
        self.hashed += string.len() + 192;
        let is_equal = match layout.hash {
            Hash::Hmac => hmac::sign(hmac_key, &string).as_ref() == self.digest,
            Hash::Swapped => {
                let swapped = hmac::Key::new(self.algorithm, &string);
                hmac::sign(&swapped, &key.bytes).as_ref() == self.digest
            }
            Hash::Plain { with_key } => {
                let mut context = digest::Context::new(self.algorithm.digest_algorithm());
                if with_key {
                    context.update(&key.bytes);
                }
                context.update(&string);
                context.finish().as_ref() == self.digest
            }
        };
        is_equal.then_some(causes)
    }
}

impl Layout {
    fn string(&self, parts: [&[u8]; 4]) -> Zeroizing<Vec<u8>> {
        let ordered: Vec<&[u8]> = self.order.iter().filter_map(|index| parts.get(*index).copied()).collect();
        let mut string = ordered.join(self.separator.as_bytes());
        string.extend_from_slice(self.end.as_bytes());
        if self.is_utf16 {
            string = utf16(&String::from_utf8_lossy(&string));
        }
        Zeroizing::new(string)
    }
}

fn layouts() -> Vec<Layout> {
    let right = |causes: &[Cause]| Layout {
        order: vec![0, 1, 2, 3],
        separator: "",
        end: "",
        is_utf16: false,
        hash: Hash::Hmac,
        causes: causes.to_vec(),
    };
    let mut layouts: Vec<Layout> =
        permutations(4).into_iter().map(|order| Layout { order, ..right(&[Cause::PartOrder]) }).collect();
    if let Some(first) = layouts.first_mut() {
        first.causes.clear();
    }
    let separators = ["\n", "\r\n", " ", "\t", "+", ":", ",", "|", "&"];
    layouts.extend(separators.map(|separator| Layout { separator, ..right(&[Cause::PartSeparators]) }));
    layouts.extend(["\n", "\r\n"].map(|end| Layout { end, ..right(&[Cause::StringLineBreak]) }));
    layouts.push(Layout { is_utf16: true, ..right(&[Cause::Utf16]) });
    layouts.push(Layout { hash: Hash::Swapped, ..right(&[Cause::SwappedArguments]) });
    let plain = [false, true].map(|with_key| Hash::Plain { with_key });
    layouts.extend(plain.map(|hash| Layout { hash, ..right(&[Cause::PlainHash]) }));
    layouts
}
