//! What a client accepts: the weight that its `Accept` gives to a media type (RFC 9110 §12.5.1).
//!
//! Of parameters only `version` is compared: it is the one by which the formats that are offered here
//! differ.

use super::grammar::{Members, Split};

/// The weight of what a client does not want at all.
const NONE: u16 = 0;
/// The weight of what it wants most, and of a range that gives none.
const FULL: u16 = 1000;

/// A media type on offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// As in `text/plain`, in lower case.
    pub media_type: &'static str,
    pub version: &'static str,
}

/// How much of a media type a range of `Accept` names. "Media ranges can be overridden by more specific
/// media ranges or specific media types. If more than one media range applies to a given type, the most
/// specific reference has precedence."
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Names {
    Anything,
    Type,
    Subtype,
    Version,
}

/// The thousandths of the weight for an offer; `None` when the client says nothing at all.
pub fn weight<'a>(accept: impl Iterator<Item = &'a [u8]>, offer: Offer) -> Option<u16> {
    let mut best = None;
    let mut is_said = false;
    for member in accept.flat_map(Members::of) {
        is_said = true;
        let mut parts = Split::of(member, b';');
        let Some(mut names) = names(parts.next().unwrap_or_default(), offer) else { continue };
        let (mut weight, mut is_other) = (FULL, false);
        for (name, value) in parts.filter_map(parameter) {
            match name.as_slice() {
                b"q" => weight = thousandths(value).unwrap_or(NONE),
                b"version" if value == offer.version.as_bytes() => names = Names::Version,
                b"version" => is_other = true,
                _ => {}
            }
        }
        if !is_other {
            best = best.max(Some((names, weight)));
        }
    }
    is_said.then(|| best.map_or(NONE, |(_, weight)| weight))
}

fn names(range: &[u8], offer: Offer) -> Option<Names> {
    let range = range.to_ascii_lowercase();
    let (kind, _) = offer.media_type.split_once('/')?;
    match range.strip_suffix(b"/*") {
        Some(b"*") => Some(Names::Anything),
        Some(of_type) if of_type == kind.as_bytes() => Some(Names::Type),
        _ => (range == offer.media_type.as_bytes()).then_some(Names::Subtype),
    }
}

/// A parameter's name in lower case, and its value without quotation marks.
fn parameter(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let at = text.iter().position(|octet| *octet == b'=')?;
    let (name, value) = text.split_at_checked(at)?;
    let value = value.strip_prefix(b"=")?.trim_ascii();
    let quoted = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    Some((name.trim_ascii().to_ascii_lowercase(), quoted.unwrap_or(value)))
}

/// RFC 9110 §12.4.2: `0`, `1`, or `0.` and up to three digits.
fn thousandths(value: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = part.len() <= 3 && part.bytes().all(|digit| digit.is_ascii_digit());
    let part: u16 = format!("{part:0<3}").parse().ok().filter(|_| is_number)?;
    match (whole, part) {
        ("0", part) => Some(part),
        ("1", 0) => Some(FULL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_range_decides() {
        let offer = Offer { media_type: "text/plain", version: "0.0.4" };
        let cases: &[(&[&str], Option<u16>)] = &[
            (&[], None),
            (&["text/plain"], Some(1000)),
            (&["Text/Plain;Version=0.0.4;q=0.25"], Some(250)),
            (&["text/plain; version=\"0.0.4\""], Some(1000)),
            (&["text/plain;version=1.0.0"], Some(0)),
            (&["text/plain;version=1.0.0;q=0.9, */*;q=0.1"], Some(100)),
            (&["text/*;q=0.5, */*;q=0.9"], Some(500)),
            (&["text/plain;q=0, */*"], Some(0)),
            (&["text/plain;q=0.2, text/plain;version=0.0.4;q=0.7"], Some(700)),
            (&["application/json"], Some(0)),
            (&["application/json", "*/*;q=0.001"], Some(1)),
            (&["text/plain;charset=utf-8;escaping=allow-utf-8"], Some(1000)),
            (&["text/plain;q=1.5"], Some(0)),
            (&["text/plain;q=0.1234"], Some(0)),
            (&["text/plain;q=1.000"], Some(1000)),
            (&["text/plainer"], Some(0)),
            (&["*"], Some(0)),
            (&[""], None),
        ];
        for (fields, expected) in cases {
            let found = weight(fields.iter().map(|field| field.as_bytes()), offer);
            assert_eq!(found, *expected, "{fields:?}");
        }
    }
}
