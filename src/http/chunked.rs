//! The chunked transfer coding (RFC 9112 §7.1), decoded iteratively and strictly.
//!
//! No leniency: a bare LF, a sign, a space or a missing digit in a size line is how two
//! recipients come to disagree about where a message ends. Extensions are checked and dropped;
//! their octets have a budget per body, so that a stream of tiny chunks with long extensions
//! costs its sender and not Larder.

use bytes::{Buf, Bytes, BytesMut};

use super::grammar::{Split, is_token, unquote};
use super::head::parse_trailers;
use super::scan::HeadScanner;
use super::{Fields, HeadError, HeadLimits};

/// Limits on the parts of a chunked body that are not content, in octets.
#[derive(Clone, Copy, Debug)]
pub struct ChunkLimits {
    /// Chunk extensions over the whole body; default 4 KiB.
    pub extensions: usize,
    /// The trailer section; default 8 KiB.
    pub trailers: usize,
}

impl Default for ChunkLimits {
    fn default() -> ChunkLimits {
        ChunkLimits { extensions: 4 * 1024, trailers: 8 * 1024 }
    }
}

/// Why a chunked body was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    #[error("a chunk size is malformed or too large")]
    Size,
    #[error("a chunk extension is malformed")]
    Extension,
    #[error("the chunk extensions are too large")]
    ExtensionsTooLarge,
    #[error("a chunk does not end where its size says")]
    DataEnd,
    #[error("the trailer section is refused: {0}")]
    Trailers(HeadError),
}

/// What a step of decoding found.
#[derive(Debug)]
pub enum Chunk {
    /// Content; never empty.
    Data(Bytes),
    /// The end of the message, with its trailer fields.
    End(Fields),
    /// More octets are needed.
    NeedMore,
}

#[derive(Debug)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers(HeadScanner),
    Done,
}

/// A decoder for one body.
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    extensions_left: usize,
    trailers_max: usize,
}

/// Sixteen digits hold every 64-bit size.
const SIZE_DIGITS_MAX: usize = 16;

impl ChunkedDecoder {
    /// A decoder at the start of a body.
    pub fn new(limits: &ChunkLimits) -> ChunkedDecoder {
        ChunkedDecoder {
            state: State::Size,
            extensions_left: limits.extensions,
            trailers_max: limits.trailers,
        }
    }

    /// Takes from `buffer` what can be decoded now.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Chunk, ChunkError> {
        loop {
            match &mut self.state {
                State::Size => match self.size_line(buffer)? {
                    None => return Ok(Chunk::NeedMore),
                    Some(0) => self.state = State::Trailers(HeadScanner::trailers()),
                    Some(size) => self.state = State::Data(size),
                },
                State::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(Chunk::NeedMore);
                    }
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                    *left -= length as u64;
                    if *left == 0 {
                        self.state = State::DataEnd;
                    }
                    return Ok(Chunk::Data(buffer.split_to(length).freeze()));
                }
                State::DataEnd => match buffer.get(..2.min(buffer.len())) {
                    Some(b"\r\n") => {
                        buffer.advance(2);
                        self.state = State::Size;
                    }
                    Some(b"" | b"\r") => return Ok(Chunk::NeedMore),
                    _ => return Err(ChunkError::DataEnd),
                },
                State::Trailers(scanner) => {
                    let max = self.trailers_max;
                    let limits = HeadLimits { head: max, line: max, ..HeadLimits::default() };
                    let Some(span) = scanner.scan(buffer, &limits).map_err(ChunkError::Trailers)? else {
                        return Ok(Chunk::NeedMore);
                    };
                    self.state = State::Done;
                    let section = buffer.split_to(span.end).freeze();
                    return parse_trailers(&section, span.fields)
                        .map(Chunk::End)
                        .map_err(ChunkError::Trailers);
                }
                State::Done => return Ok(Chunk::End(Fields::default())),
            }
        }
    }

    fn size_line(&mut self, buffer: &mut BytesMut) -> Result<Option<u64>, ChunkError> {
        let window =
            buffer.get(..buffer.len().min(SIZE_DIGITS_MAX + self.extensions_left + 2)).unwrap_or_default();
        let Some(at) = window.iter().position(|&byte| byte == b'\n') else {
            return match window.len() < buffer.len()
                || window.len() >= SIZE_DIGITS_MAX + self.extensions_left + 2
            {
                true => Err(ChunkError::ExtensionsTooLarge),
                false => self.check_open_size_line(window).map(|()| None),
            };
        };
        let line = window.get(..at).and_then(|line| line.strip_suffix(b"\r")).ok_or(ChunkError::Size)?;
        let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
        let (size, extensions) = line.split_at(digits);
        let size = parse_size(size)?;
        self.extensions_left =
            self.extensions_left.checked_sub(extensions.len()).ok_or(ChunkError::ExtensionsTooLarge)?;
        check_extensions(extensions)?;
        buffer.advance(at + 1);
        Ok(Some(size))
    }

    /// Refuses a size line that can't become valid without waiting for its end.
    fn check_open_size_line(&self, line: &[u8]) -> Result<(), ChunkError> {
        match line.iter().position(|byte| !byte.is_ascii_hexdigit()) {
            Some(0) => Err(ChunkError::Size),
            Some(at) if !matches!(line.get(at), Some(b'\r' | b';')) => Err(ChunkError::Size),
            None if line.len() > SIZE_DIGITS_MAX => Err(ChunkError::Size),
            // The LF would be in the window: what follows the CR is something else.
            _ if memchr::memchr(b'\r', line).is_some_and(|at| at + 1 < line.len()) => Err(ChunkError::Size),
            _ => Ok(()),
        }
    }
}

fn parse_size(digits: &[u8]) -> Result<u64, ChunkError> {
    if digits.is_empty() || digits.len() > SIZE_DIGITS_MAX {
        return Err(ChunkError::Size);
    }
    // Checked above: 1 to 16 hexadecimal digits, which are ASCII and fit.
    let text = std::str::from_utf8(digits).map_err(|_not_ascii| ChunkError::Size)?;
    u64::from_str_radix(text, 16).map_err(|_too_large| ChunkError::Size)
}

/// `*( ";" name [ "=" ( token / quoted-string ) ] )`, without the whitespace that only bad
/// senders generate.
fn check_extensions(text: &[u8]) -> Result<(), ChunkError> {
    if text.is_empty() {
        return Ok(());
    }
    let list = text.strip_prefix(b";").ok_or(ChunkError::Size)?;
    let well_formed = Split::of(list, b';').all(|extension| {
        let mut parts = extension.splitn(2, |&byte| byte == b'=');
        let name = parts.next().unwrap_or_default();
        is_token(name) && parts.next().is_none_or(is_extension_value)
    });
    let printable = text.iter().all(|&byte| byte >= b' ' && byte != 0x7f || byte == b'\t');
    if well_formed && printable { Ok(()) } else { Err(ChunkError::Extension) }
}

fn is_extension_value(value: &[u8]) -> bool {
    if value.starts_with(b"\"") { unquote(value).is_some() } else { is_token(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` in one piece and octet by octet; both must agree.
    fn decode(input: &[u8]) -> Result<(Vec<u8>, bool), ChunkError> {
        let whole = run(&[input]);
        let single: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(whole, run(&single), "{:?}", String::from_utf8_lossy(input));
        whole
    }

    fn run(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool), ChunkError> {
        let mut decoder = ChunkedDecoder::new(&ChunkLimits::default());
        let (mut buffer, mut content) = (BytesMut::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                match decoder.decode(&mut buffer)? {
                    Chunk::Data(data) => content.extend_from_slice(&data),
                    Chunk::End(_) => return Ok((content, true)),
                    Chunk::NeedMore => break,
                }
            }
        }
        Ok((content, false))
    }

    #[test]
    fn accepted() {
        let cases: &[(&str, &str)] = &[
            ("0\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("05\r\nhello\r\n00\r\n\r\n", "hello"),
            ("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"),
            ("5;a=b\r\nhello\r\n0;c\r\n\r\n", "hello"),
            ("5;a=\"b;c\"\r\nhello\r\n0\r\nX: 1\r\n\r\n", "hello"),
        ];
        for (input, content) in cases {
            assert_eq!(decode(input.as_bytes()), Ok((content.as_bytes().to_vec(), true)), "{input:?}");
        }
    }

    #[test]
    fn refused() {
        let cases = [
            "+5\r\n",
            "-5\r\n",
            "0x5\r\n",
            "5 \r\n",
            " 5\r\n",
            "\r\n",
            "10000000000000005\r\n",
            "5;\r\n",
            "5;\n",
            "5\n",
            "5\r\nhelloX\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\r\n\r\n",
            "0\n\n",
            "5;=b\r\n",
            "5;a=\r\n",
            "5;a=\"b\r\n",
            "0\r\nbad\r\n\r\n",
            "0\r\nX : 1\r\n\r\n",
            "0\r\nX: 1\n\r\n",
            "5;a b\r\n",
            "g\r\n",
            "5\rhello",
            "0\r\n X: folded\r\n\r\n",
        ];
        for input in cases {
            assert!(decode(input.as_bytes()).is_err(), "{input:?}");
        }
    }

    #[test]
    fn limits() {
        let long = format!("5;a={}\r\nhello\r\n0\r\n\r\n", "b".repeat(8 * 1024));
        assert_eq!(decode(long.as_bytes()), Err(ChunkError::ExtensionsTooLarge));
        let many = "1;a=bbbbbbb\r\nx\r\n".repeat(1000) + "0\r\n\r\n";
        assert_eq!(decode(many.as_bytes()), Err(ChunkError::ExtensionsTooLarge));
        let trailers = format!("0\r\n{}\r\n", "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(500));
        assert!(matches!(decode(trailers.as_bytes()), Err(ChunkError::Trailers(_))));
    }
}
