//! Entity tags (RFC 9110 §8.8.3): grammar, comparison, and the lists of `If-None-Match`.
//!
//! What is not exactly an entity tag is no validator: it is stored and forwarded, never compared.

use bytes::Bytes;

/// An entity tag in its sender's spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag {
    text: Bytes,
}

impl ETag {
    /// `text` when it is one entity tag and nothing else.
    pub fn parse(text: &[u8]) -> Option<ETag> {
        let (tag, rest) = Tag::take(text)?;
        (rest.is_empty() && tag.is_well_formed()).then(|| ETag { text: Bytes::copy_from_slice(text) })
    }

    /// The tag with its quotes, and `W/` if it is weak.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Whether the tag is weak: two representations that share it may differ in their octets.
    pub fn is_weak(&self) -> bool {
        self.text.starts_with(b"W/")
    }

    /// RFC 9110 §8.8.3.2: equal, and neither is weak.
    pub fn strong_eq(&self, other: &ETag) -> bool {
        !self.is_weak() && self.text == other.text
    }

    /// RFC 9110 §8.8.3.2: equal but for their weakness.
    pub fn weak_eq(&self, other: &ETag) -> bool {
        self.opaque() == other.opaque()
    }

    /// Whether one of the entity tags in `list` is this one by weak comparison, as
    /// `If-None-Match` asks. The list is read up to its first malformed member.
    pub fn is_weakly_in(&self, list: &[u8]) -> bool {
        Tags(list).any(|tag| tag.opaque == self.opaque())
    }

    fn opaque(&self) -> &[u8] {
        self.text.strip_prefix(b"W/").unwrap_or(&self.text)
    }
}

struct Tag<'a> {
    /// With its quotes.
    opaque: &'a [u8],
}

impl<'a> Tag<'a> {
    /// The entity tag that `text` starts with, and what follows. A backslash escapes nothing
    /// here, other than in a quoted string, so that the list grammar of other fields won't do.
    fn take(text: &'a [u8]) -> Option<(Tag<'a>, &'a [u8])> {
        let tag = text.strip_prefix(b"W/").unwrap_or(text);
        let inner = tag.strip_prefix(b"\"")?;
        let end = inner.iter().position(|&byte| byte == b'"')?;
        let (opaque, rest) = tag.split_at_checked(end + 2)?;
        Some((Tag { opaque }, rest))
    }

    /// `etagc = %x21 / %x23-7E / obs-text`.
    fn is_well_formed(&self) -> bool {
        self.opaque.iter().all(|&byte| byte > b' ' && byte != 0x7f)
    }
}

/// The entity tags of a list.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let start = self.0.iter().position(|byte| !b", \t".contains(byte))?;
        let (tag, rest) = Tag::take(self.0.get(start..)?)?;
        self.0 = rest;
        Some(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        for good in ["\"\"", "\"a\"", "W/\"a\"", "\"a\\\"", "\"a,b\"", "\"\u{fc}\""] {
            assert!(ETag::parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "",
            "a",
            "\"a",
            "a\"",
            "w/\"a\"",
            "W\"a\"",
            "W\\\"a\"",
            "\"a b\"",
            "\"a\" ",
            "\"a\", \"b\"",
            "W/a",
        ] {
            assert!(ETag::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn comparison() {
        // RFC 9110 §8.8.3.2, table 3.
        let cases = [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ];
        for (a, b, strong, weak) in cases {
            let (x, y) = (ETag::parse(a.as_bytes()).expect(a), ETag::parse(b.as_bytes()).expect(b));
            assert_eq!((x.strong_eq(&y), y.strong_eq(&x)), (strong, strong), "{a} {b}");
            assert_eq!((x.weak_eq(&y), y.weak_eq(&x)), (weak, weak), "{a} {b}");
        }
    }

    #[test]
    fn lists() {
        let tag = ETag::parse(b"\"a\"").expect("valid");
        for list in [
            "\"a\"",
            "W/\"a\"",
            "\"b\", \"a\"",
            "\"b\",\"a\" ,",
            ",, \"a\"",
            "\"b\\\", \"a\"",
            "\"x,y\", \"a\"",
        ] {
            assert!(tag.is_weakly_in(list.as_bytes()), "{list}");
        }
        for list in ["", "a", "\"b\"", "\"aa\"", "\"x, \\\"a\\\"\"", "b, \"a\""] {
            assert!(!tag.is_weakly_in(list.as_bytes()), "{list}");
        }
    }
}
