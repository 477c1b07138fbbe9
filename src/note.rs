//! Notes as portals store them.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

/// The characters that HTML 4 and HTML 5 give the same name, each followed by its name.
///
/// Libraries know all 2,200 names of HTML 5, which no encoder writes: their table would be a fortieth of the native file.
const NAMED: &str = "\
    \u{a0}nbsp ¡iexcl ¢cent £pound ¤curren ¥yen ¦brvbar §sect ¨uml ©copy ªordf «laquo ¬not \u{ad}shy \
    ®reg ¯macr °deg ±plusmn ²sup2 ³sup3 ´acute µmicro ¶para ·middot ¸cedil ¹sup1 ºordm »raquo ¼frac14 \
    ½frac12 ¾frac34 ¿iquest ÀAgrave ÁAacute ÂAcirc ÃAtilde ÄAuml ÅAring ÆAElig ÇCcedil ÈEgrave ÉEacute \
    ÊEcirc ËEuml ÌIgrave ÍIacute ÎIcirc ÏIuml ÐETH ÑNtilde ÒOgrave ÓOacute ÔOcirc ÕOtilde ÖOuml ×times \
    ØOslash ÙUgrave ÚUacute ÛUcirc ÜUuml ÝYacute ÞTHORN ßszlig àagrave áaacute âacirc ãatilde äauml \
    åaring æaelig çccedil èegrave éeacute êecirc ëeuml ìigrave íiacute îicirc ïiuml ðeth ñntilde òograve \
    óoacute ôocirc õotilde öouml ÷divide øoslash ùugrave úuacute ûucirc üuuml ýyacute þthorn ÿyuml \
    ŒOElig œoelig ŠScaron šscaron ŸYuml ƒfnof ˆcirc ˜tilde ΑAlpha ΒBeta ΓGamma ΔDelta ΕEpsilon ΖZeta \
    ΗEta ΘTheta ΙIota ΚKappa ΛLambda ΜMu ΝNu ΞXi ΟOmicron ΠPi ΡRho ΣSigma ΤTau ΥUpsilon ΦPhi ΧChi ΨPsi \
    ΩOmega αalpha βbeta γgamma δdelta εepsilon ζzeta ηeta θtheta ιiota κkappa λlambda μmu νnu ξxi \
    οomicron πpi ρrho ςsigmaf σsigma τtau υupsilon φphi χchi ψpsi ωomega ϑthetasym ϒupsih ϖpiv \
    \u{2002}ensp \u{2003}emsp \u{2009}thinsp \u{200c}zwnj \u{200d}zwj \u{200e}lrm \u{200f}rlm –ndash \
    —mdash ‘lsquo ’rsquo ‚sbquo “ldquo ”rdquo „bdquo †dagger ‡Dagger •bull …hellip ‰permil ′prime ″Prime \
    ‹lsaquo ›rsaquo ‾oline ⁄frasl €euro ℑimage ℘weierp ℜreal ™trade ℵalefsym ←larr ↑uarr →rarr ↓darr \
    ↔harr ↵crarr ⇐lArr ⇑uArr ⇒rArr ⇓dArr ⇔hArr ∀forall ∂part ∃exist ∅empty ∇nabla ∈isin ∉notin ∋ni ∏prod \
    ∑sum −minus ∗lowast √radic ∝prop ∞infin ∠ang ∧and ∨or ∩cap ∪cup ∫int ∴there4 ∼sim ≅cong ≈asymp ≠ne \
    ≡equiv ≤le ≥ge ⊂sub ⊃sup ⊄nsub ⊆sube ⊇supe ⊕oplus ⊗otimes ⊥perp ⋅sdot ⌈lceil ⌉rceil ⌊lfloor ⌋rfloor \
    ◊loz ♠spades ♣clubs ♥hearts ♦diams";

/// Returns a note without what portals change: Unicode composition, HTML escapes and white space.
#[must_use]
pub fn normalized(note: &str) -> String {
    let mut text = Cow::Borrowed(note);
    // A portal may escape a note that is escaped already.
    for _ in 0..3 {
        if !text.contains('&') {
            break;
        }
        text = Cow::Owned(unescaped(&text));
    }
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(&text);
    composed.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Replaces the escapes of HTML by their characters; what is not an escape stays as it is.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('&');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escape = part.split_once(';').and_then(|(name, rest)| Some((character(name)?, rest)));
        let (character, rest) = escape.unwrap_or(('&', part));
        decoded.push(character);
        decoded.push_str(rest);
    }
    decoded
}

/// Returns the character of an escape, which is given without `&` and `;`.
fn character(escape: &str) -> Option<char> {
    match escape {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match escape.strip_prefix('#') {
            Some(number) => numbered(number),
            None => NAMED.split(' ').find_map(|entry| {
                let character = entry.chars().next()?;
                (entry.strip_prefix(character) == Some(escape)).then_some(character)
            }),
        },
    }
}

fn numbered(number: &str) -> Option<char> {
    let (digits, radix) = number.strip_prefix(['x', 'X']).map_or((number, 10), |digits| (digits, 16));
    // The parser would accept a sign.
    let number = u32::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))?;
    char::from_u32(number).filter(|character| *character >= ' ' || character.is_ascii_whitespace())
}
