//! Text from the network, made harmless for a place in a line.
//!
//! Whatever goes in, what comes out is printable ASCII, holds no character that ends its place,
//! and is at most [`TEXT_BYTES_MAX`] of the input long: nobody outside can forge a line, a column
//! or an escape sequence of a terminal.

/// The longest text that a line takes in one place, in bytes before escaping; what is beyond is
/// cut. As long as the longest URL that is admitted.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// The place that a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Between spaces: other bytes become `%XX`, and `%` is left alone, as URLs have it.
    Column,
    /// Between quotation marks: other bytes become `\xhh`, as Apache writes them.
    Quoted,
    /// A JSON string: other characters become `\uhhhh`, bytes that are no UTF-8 `\ufffd`.
    Json,
}

impl Place {
    /// Appends the text.
    pub(super) fn put(self, line: &mut Vec<u8>, text: &[u8]) {
        let text = text.get(..TEXT_BYTES_MAX).unwrap_or(text);
        // No early exit, so that the compiler makes vector code of it; nearly all texts are clean.
        if text.iter().fold(true, |clean, &byte| clean & self.is_clean(byte)) {
            line.extend_from_slice(text);
            return;
        }
        match self {
            Place::Json => put_json_text(line, text),
            Place::Column | Place::Quoted => {
                for &byte in text {
                    self.put_byte(line, byte);
                }
            }
        }
    }

    const fn is_clean(self, byte: u8) -> bool {
        let space = byte == b' ' && !matches!(self, Place::Column);
        (byte.is_ascii_graphic() || space) & (byte != b'"') & (byte != b'\\')
    }

    fn put_byte(self, line: &mut Vec<u8>, byte: u8) {
        if self.is_clean(byte) {
            line.push(byte);
            return;
        }
        match (self, byte) {
            (Place::Column, _) => {
                line.push(b'%');
                put_hex(line, byte.into(), 2, Case::Upper);
            }
            (_, b'"' | b'\\') => line.extend_from_slice(&[b'\\', byte]),
            _ => {
                line.extend_from_slice(b"\\x");
                put_hex(line, byte.into(), 2, Case::Lower);
            }
        }
    }
}

/// The case of hexadecimal digits.
#[derive(Clone, Copy, Debug)]
enum Case {
    Lower,
    Upper,
}

/// Appends 16 hexadecimal digits.
pub(super) fn put_id(line: &mut Vec<u8>, id: u64) {
    put_hex(line, id, 16, Case::Lower);
}

/// The text of a URL without the user information of its authority (RFC 3986 §3.2.1), in two
/// parts to be written one after the other.
///
/// The text may be anything, and the question is what some client might have meant by it: slashes
/// of both kinds begin an authority, and what looks like a password with a slash in it goes too.
pub(super) fn without_user_information(url: &[u8]) -> (&[u8], &[u8]) {
    if !url.contains(&b'@') || is_path(url) {
        return (url, b"");
    }
    let start = authority_start(url);
    let (before, rest) = url.split_at_checked(start).unwrap_or((url, b""));
    let authority = rest.split(|byte| matches!(byte, b'/' | b'\\' | b'?' | b'#')).next().unwrap_or_default();
    // In `user:pass/word@host` the authority has no `@`, but what stands for its port is none.
    let port = authority.iter().rposition(|&byte| byte == b':').and_then(|at| authority.get(at + 1..));
    let port_is_none =
        port.is_some_and(|port| !port.iter().all(|byte| byte.is_ascii_digit() || *byte == b']'));
    let searched = if !authority.contains(&b'@') && port_is_none { rest } else { authority };
    match searched.iter().rposition(|&byte| byte == b'@') {
        Some(at) => (before, rest.get(at + 1..).unwrap_or_default()),
        None => (url, b""),
    }
}

/// Whether the text is an absolute path, which has no authority.
fn is_path(url: &[u8]) -> bool {
    url.first() == Some(&b'/') && !matches!(url.get(1), Some(b'/' | b'\\'))
}

/// Where an authority begins: behind the scheme's colon and the slashes, or those in front.
fn authority_start(url: &[u8]) -> usize {
    let mark = |pair: &[u8]| matches!(pair, [b':', b'/' | b'\\'] | [b'?' | b'#', _]);
    let scheme = url.windows(2).position(mark).filter(|&at| url.get(at) == Some(&b':'));
    let start = match url.first() {
        Some(b'/' | b'\\') => 0,
        _ => scheme.map_or(0, |colon| colon + 1),
    };
    let behind = url.get(start..).unwrap_or_default();
    start + behind.iter().take_while(|byte| matches!(byte, b'/' | b'\\')).count()
}

fn put_json_text(line: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => line.extend_from_slice(&[b'\\', character as u8]),
                ' '..='~' => line.push(character as u8),
                _ => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        line.extend_from_slice(b"\\u");
                        put_hex(line, u64::from(*unit), 4, Case::Lower);
                    }
                }
            }
        }
        if !chunk.invalid().is_empty() {
            line.extend_from_slice(b"\\ufffd");
        }
    }
}

fn put_hex(line: &mut Vec<u8>, value: u64, digits: u32, case: Case) {
    for shift in (0..digits).rev() {
        let digit = (value >> (shift * 4) & 0xf) as u8;
        line.push(match (digit, case) {
            (0..=9, _) => b'0' + digit,
            (_, Case::Lower) => b'a' + digit - 10,
            (_, Case::Upper) => b'A' + digit - 10,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(place: Place, text: &[u8]) -> String {
        let mut line = Vec::new();
        place.put(&mut line, text);
        String::from_utf8(line).expect("ASCII")
    }

    #[test]
    fn escapes() {
        let cases: &[(&[u8], &str, &str, &str)] = &[
            (b"plain", "plain", "plain", "plain"),
            (b"", "", "", ""),
            (b"a b", "a%20b", "a b", "a b"),
            (b"a\r\nb", "a%0D%0Ab", "a\\x0d\\x0ab", "a\\u000d\\u000ab"),
            (b"\"\\", "%22%5C", "\\\"\\\\", "\\\"\\\\"),
            (b"\x1b[31m", "%1B[31m", "\\x1b[31m", "\\u001b[31m"),
            (b"\x00\x7f", "%00%7F", "\\x00\\x7f", "\\u0000\\u007f"),
            (b"100%25", "100%25", "100%25", "100%25"),
            (
                "é😀".as_bytes(),
                "%C3%A9%F0%9F%98%80",
                "\\xc3\\xa9\\xf0\\x9f\\x98\\x80",
                "\\u00e9\\ud83d\\ude00",
            ),
            (b"a\xffb", "a%FFb", "a\\xffb", "a\\ufffdb"),
            // Separators of lines to some viewers: U+0085, U+2028.
            (b"\xc2\x85\xe2\x80\xa8", "%C2%85%E2%80%A8", "\\xc2\\x85\\xe2\\x80\\xa8", "\\u0085\\u2028"),
        ];
        for (text, column, quoted, json) in cases {
            assert_eq!(put(Place::Column, text), *column);
            assert_eq!(put(Place::Quoted, text), *quoted);
            assert_eq!(put(Place::Json, text), *json);
        }
    }

    #[test]
    fn every_byte_comes_out_harmless() {
        for byte in 0..=255 {
            for place in [Place::Column, Place::Quoted, Place::Json] {
                let out = put(place, &[byte]);
                assert!(out.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{byte} in {place:?}: {out:?}");
                assert!(out != "\"" && out != "\\", "{byte} in {place:?}");
                assert!(place != Place::Column || !out.contains(' '), "{byte}");
            }
        }
    }

    #[test]
    fn long_text_is_cut() {
        for place in [Place::Column, Place::Quoted, Place::Json] {
            assert_eq!(put(place, &[b'a'; 100_000]).len(), TEXT_BYTES_MAX);
        }
        assert_eq!(put(Place::Json, &[7; 100_000]).len(), TEXT_BYTES_MAX * 6);
    }

    #[test]
    fn user_information_is_cut_out() {
        let cases = [
            ("http://a.example/", "http://a.example/"),
            ("http://u:secret@a.example/x", "http://a.example/x"),
            ("http://u@a.example", "http://a.example"),
            ("http://u:sec@ret@a.example:8/x@y", "http://a.example:8/x@y"),
            ("http://u:sec/ret@a.example/x", "http://a.example/x"),
            ("http://u:80@a.example/x@y", "http://a.example/x@y"),
            ("http://u:secret@[::1]:8/x", "http://[::1]:8/x"),
            ("http://[::1]/x@y", "http://[::1]/x@y"),
            ("http://a.example/@scope/x", "http://a.example/@scope/x"),
            ("http://a.example:80/@scope/x", "http://a.example:80/@scope/x"),
            ("http://a.example?mail=u@b", "http://a.example?mail=u@b"),
            ("http://u:secret@a.example?mail=u@b", "http://a.example?mail=u@b"),
            ("http://u:sec?ret@a.example/", "http://a.example/"),
            ("//u:secret@a.example/x", "//a.example/x"),
            ("/\\u:secret@a.example/x", "/\\a.example/x"),
            ("a.example/?next=http://u@b", "a.example/?next=http://u@b"),
            ("http:/u:secret@a.example/x", "http:/a.example/x"),
            ("http:\\\\u:secret@a.example\\x", "http:\\\\a.example\\x"),
            ("http:////u:secret@a.example", "http:////a.example"),
            ("\thttp://u:secret@a.example", "\thttp://a.example"),
            ("u:secret@a.example:443", "a.example:443"),
            ("/path/u@x", "/path/u@x"),
            ("@", ""),
            ("", ""),
        ];
        for (url, expected) in cases {
            let (front, back) = without_user_information(url.as_bytes());
            assert_eq!(String::from_utf8_lossy(&[front, back].concat()), expected, "{url}");
        }
    }
}
