//! What a client begins with inside a tunnel, read before anybody answers: is it TLS at all, for
//! which name, with which protocols (RFC 8446 §4.1.2)? The octets stay where they are, so that they
//! can still go to the origin unchanged.
//!
//! Total: any octets have an answer. A ClientHello may be cut into any number of records and those
//! into any number of packets, as a key share for post-quantum exchange makes it larger than one.

/// The largest ClientHello that is read, with the headers of its records. The largest that
/// browsers send is about 2 KiB.
pub const CLIENT_HELLO_MAX: usize = 16 << 10;

/// What the octets so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// The beginning of one: more octets are needed.
    Incomplete,
    Complete(ClientHello),
    /// Something else: another protocol, or TLS that is malformed or too large. Why, for the log.
    NotTls(&'static str),
}

/// What a client says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The name in SNI as sent, if it is UTF-8 and not empty.
    pub server_name: Option<String>,
    /// The protocols in ALPN, in the client's order.
    pub alpn: Vec<Vec<u8>>,
    /// Whether TLS 1.2 or 1.3 is among the versions that it speaks.
    pub has_modern_version: bool,
    /// Whether it has a well-formed `encrypted_client_hello`: the name that matters is inside, or it
    /// is a dummy; nobody but the origin can tell.
    pub has_ech: bool,
}

const RECORD_HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// RFC 8446 §5.1: a record's plaintext has at most 2^14 octets.
const RECORD_MAX: usize = 1 << 14;

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

impl Hello {
    /// Reads what has arrived so far.
    pub fn read(octets: &[u8]) -> Hello {
        match message(octets) {
            Ok(Some(body)) => match ClientHello::parse(&body) {
                Some(hello) => Hello::Complete(hello),
                None => Hello::NotTls("a malformed ClientHello"),
            },
            Ok(None) if octets.len() >= CLIENT_HELLO_MAX => Hello::NotTls("a ClientHello over 16 KiB"),
            Ok(None) => Hello::Incomplete,
            Err(why) => Hello::NotTls(why),
        }
    }
}

impl ClientHello {
    fn parse(body: &[u8]) -> Option<ClientHello> {
        let mut body = Octets(body);
        let legacy_version = body.u16()?;
        body.take(32)?;
        body.vector8()?; // the session's id
        let suites = body.vector16()?;
        body.vector8()?; // compression
        if suites.is_empty() || suites.len() % 2 != 0 {
            return None;
        }
        let mut hello =
            ClientHello { has_modern_version: legacy_version >= 0x0303, ..ClientHello::default() };
        if body.0.is_empty() {
            // TLS 1.2 has extensions as an option.
            return Some(hello);
        }
        let mut extensions = Octets(body.vector16()?);
        let mut seen = Vec::new();
        while !extensions.0.is_empty() {
            let kind = extensions.u16()?;
            let content = extensions.vector16()?;
            // RFC 8446 §4.2: "There MUST NOT be more than one extension of the same type in a given
            // extension block." Two names would be two destinations.
            if seen.contains(&kind) {
                return None;
            }
            seen.push(kind);
            hello.take_extension(kind, Octets(content))?;
        }
        body.0.is_empty().then_some(hello)
    }

    fn take_extension(&mut self, kind: u16, mut content: Octets<'_>) -> Option<()> {
        match kind {
            SERVER_NAME => self.server_name = host_name(content)?,
            ALPN => {
                let mut list = Octets(content.vector16()?);
                while !list.0.is_empty() {
                    let name = list.vector8()?;
                    // RFC 7301 §3.1: "Empty strings MUST NOT be included".
                    if name.is_empty() {
                        return None;
                    }
                    self.alpn.push(name.to_vec());
                }
            }
            SUPPORTED_VERSIONS => {
                let versions = content.vector8()?;
                let (pairs, []) = versions.as_chunks::<2>() else { return None };
                let modern = |pair: &[u8; 2]| matches!(u16::from_be_bytes(*pair), 0x0303 | 0x0304);
                // RFC 8446 §4.2.1: with this extension, legacy_version says nothing.
                self.has_modern_version = pairs.iter().any(modern);
            }
            ENCRYPTED_CLIENT_HELLO => self.has_ech = is_outer_ech(content),
            _ => {}
        }
        Some(())
    }
}

/// RFC 9849 §5: of type outer, with the suite of HPKE, the configuration's number, the encapsulated
/// key (empty in a second ClientHello), and a payload. In any other form no server finds a name in it.
fn is_outer_ech(mut content: Octets<'_>) -> bool {
    let mut payload = || {
        let is_outer = content.u8()? == 0;
        content.take(5)?;
        content.vector16()?;
        let payload = content.vector16()?;
        Some(is_outer && !payload.is_empty())
    };
    payload().unwrap_or_default() && content.0.is_empty()
}

/// RFC 6066 §3: "The ServerNameList MUST NOT contain more than one name of the same name_type", and
/// there is one type.
fn host_name(mut content: Octets<'_>) -> Option<Option<String>> {
    let mut list = Octets(content.vector16()?);
    if list.u8()? != 0 {
        return None;
    }
    let name = list.vector16()?;
    if !list.0.is_empty() || name.is_empty() {
        return None;
    }
    Some(std::str::from_utf8(name).ok().map(str::to_owned))
}

/// The body of the first handshake message out of its records; `None` while it is incomplete.
fn message(octets: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    let mut records = Octets(octets);
    let mut message = Vec::new();
    loop {
        // What is wrong is said as early as it can be seen.
        match records.0 {
            [] => return Ok(None),
            [kind, ..] if *kind != RECORD_HANDSHAKE => return Err("the first record is not a handshake"),
            [_, major, ..] if *major != 3 => return Err("a record of an unknown version"),
            [_, _, _, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                // RFC 8446 §5.1: "Implementations MUST NOT send zero-length fragments of Handshake
                // types".
                if length == 0 || length > RECORD_MAX {
                    return Err("a record of a wrong length");
                }
            }
            _ => return Ok(None),
        }
        let whole = records.take(3).and_then(|_header| records.partial16());
        let Some((fragment, is_whole)) = whole else { return Ok(None) };
        message.extend_from_slice(fragment);
        if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Err("the first message is not a ClientHello");
        }
        if let [_, a, b, c, body @ ..] = &message[..] {
            let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap_or(usize::MAX);
            if length > CLIENT_HELLO_MAX {
                return Err("a ClientHello over 16 KiB");
            }
            if let Some(body) = body.get(..length) {
                return Ok(Some(body.to_vec()));
            }
        }
        if !is_whole {
            return Ok(None);
        }
    }
}

/// Octets that are read from the front.
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().map(|octets| u16::from_be_bytes(*octets))
    }

    /// A vector with its length in one octet before it.
    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    /// A vector with its length in two octets before it.
    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// As [`Octets::vector16`], or as much of it as there is.
    fn partial16(&mut self) -> Option<(&'a [u8], bool)> {
        let length = usize::from(self.u16()?);
        let there = length.min(self.0.len());
        Some((self.take(there)?, there == length))
    }
}
