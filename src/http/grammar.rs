//! The small grammars that fields share: tokens, quoted strings, lists, parameters and decimal
//! numbers (RFC 9110 §5.6). Total functions on slices: any input has an answer, none panics, and
//! each takes one pass.

/// `tchar` of RFC 9110 §5.6.2.
pub const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Whether `text` is a token: at least one `tchar` and nothing else.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(is_tchar)
}

/// `text` without surrounding SP and HTAB (OWS, RFC 9110 §5.6.3).
pub fn trim(text: &[u8]) -> &[u8] {
    let mut text = text;
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// A decimal number of digits alone: no sign, no space, no empty text. Saturates at `u64::MAX`,
/// because "too large" is a meaning of its own in freshness arithmetic (RFC 9111 §1.2.2);
/// framing uses [`exact_decimal`].
pub fn saturating_decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |number: u64, &byte: &u8| number.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
    Some(text.iter().fold(0u64, digit))
}

/// A decimal number that fits `u64`, else `None`.
pub fn exact_decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, &byte| {
        if !byte.is_ascii_digit() {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

/// Pieces of `text` between `separator`s that stand outside quoted strings, trimmed; empty
/// pieces included. An unterminated quoted string runs to the end.
#[derive(Clone, Debug)]
pub struct Split<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Split<'a> {
    /// Splits `text` at `separator`.
    pub fn of(text: &'a [u8], separator: u8) -> Split<'a> {
        Split { rest: Some(text), separator }
    }
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.rest?;
        let mut quoted = false;
        let mut bytes = text.iter().enumerate();
        while let Some((at, &byte)) = bytes.next() {
            match byte {
                b'"' => quoted = !quoted,
                b'\\' if quoted => drop(bytes.next()),
                _ if byte == self.separator && !quoted => {
                    self.rest = text.get(at + 1..);
                    return text.get(..at).map(trim);
                }
                _ => {}
            }
        }
        self.rest = None;
        Some(trim(text))
    }
}

/// The members of a list-based field value: [`Split`] at commas without the empty ones.
#[derive(Clone, Debug)]
pub struct Members<'a>(Split<'a>);

impl<'a> Members<'a> {
    /// The members of one field line's value.
    pub fn of(value: &'a [u8]) -> Members<'a> {
        Members(Split::of(value, b','))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.0.find(|member| !member.is_empty())
    }
}

/// The text of a token or of a quoted string (quotes and backslashes removed). `None` for a
/// quoted string that does not end where the text ends.
pub fn unquote(text: &[u8]) -> Option<std::borrow::Cow<'_, [u8]>> {
    let Some(inner) = text.strip_prefix(b"\"") else {
        return Some(text.into());
    };
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    loop {
        match bytes.next()? {
            b'"' => return bytes.as_slice().is_empty().then_some(out.into()),
            b'\\' => out.push(*bytes.next()?),
            &byte => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (",", &[]),
            ("a", &["a"]),
            (" a ,\tb,, c", &["a", "b", "c"]),
            ("a=\"x,y\", b", &["a=\"x,y\"", "b"]),
            ("a=\"x\\\",y\", b", &["a=\"x\\\",y\"", "b"]),
            ("a=\"open, b", &["a=\"open, b"]),
        ];
        for &(input, expected) in cases {
            let found: Vec<_> =
                Members::of(input.as_bytes()).map(|m| String::from_utf8_lossy(m).into_owned()).collect();
            assert_eq!(found, expected, "{input:?}");
        }
    }

    #[test]
    fn numbers() {
        let cases: &[(&str, Option<u64>, Option<u64>)] = &[
            ("0", Some(0), Some(0)),
            ("005", Some(5), Some(5)),
            ("18446744073709551615", Some(u64::MAX), Some(u64::MAX)),
            ("18446744073709551616", Some(u64::MAX), None),
            ("", None, None),
            ("-1", None, None),
            ("+1", None, None),
            ("1 ", None, None),
            ("0x5", None, None),
            ("1_0", None, None),
        ];
        for &(input, saturating, exact) in cases {
            assert_eq!(saturating_decimal(input.as_bytes()), saturating, "{input:?}");
            assert_eq!(exact_decimal(input.as_bytes()), exact, "{input:?}");
        }
    }

    #[test]
    fn quoted_strings() {
        let cases: &[(&str, Option<&str>)] = &[
            ("a", Some("a")),
            ("\"a\"", Some("a")),
            ("\"a\\\"b\"", Some("a\"b")),
            ("\"\"", Some("")),
            ("\"a", None),
            ("\"a\"b", None),
            ("\"a\\", None),
        ];
        for &(input, expected) in cases {
            assert_eq!(unquote(input.as_bytes()).as_deref(), expected.map(str::as_bytes), "{input:?}");
        }
    }
}
