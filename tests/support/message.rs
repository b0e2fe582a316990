//! HTTP/1 messages as a test sees them: read from the octets by a parser that shares nothing
//! with Larder's, and that is as simple as the messages it has to read.

/// Field lines, in order.
pub type Fields = Vec<(String, String)>;

/// A start line and field lines. Octets stand as the characters U+0000 to U+00FF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The request line or status line.
    pub start: String,
    /// The field lines, in order, names as they were written.
    pub fields: Fields,
    /// Every octet, the empty line included.
    pub raw: Vec<u8>,
}

impl Head {
    /// Takes a head apart; `raw` ends with the empty line.
    pub fn parse(raw: &[u8]) -> Head {
        let text = latin1(raw);
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        Head { start, fields: lines.map(field).collect(), raw: raw.to_vec() }
    }

    /// The value of a field's first line.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The values of all lines of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether the field is there.
    pub fn has(&self, name: &str) -> bool {
        self.field(name).is_some()
    }

    /// The names of the field lines in order, as they were written.
    pub fn names(&self) -> Vec<&str> {
        self.fields.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The part of the start line with this number, from 0.
    pub fn part(&self, number: usize) -> &str {
        self.start.split(' ').nth(number).unwrap_or_default()
    }

    /// A request's target.
    pub fn target(&self) -> &str {
        self.part(1)
    }

    /// A response's status code; 0 for what has none.
    pub fn status(&self) -> u16 {
        self.part(1).parse().unwrap_or(0)
    }

    /// How the content behind this head is framed, if it has any.
    pub fn framing(&self) -> Framing {
        if self.field("Transfer-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Framing::Chunked;
        }
        match self.field("Content-Length") {
            Some(length) => Framing::Length(length.parse().expect("Content-Length is a number")),
            None => Framing::None,
        }
    }
}

/// What a head says of the content behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(usize),
    Chunked,
}

/// Content that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    pub bytes: Vec<u8>,
    pub trailers: Fields,
    /// The size of every chunk, when there were any.
    pub chunks: Vec<usize>,
    pub end: End,
}

impl Body {
    /// Content that was not there, and ended as it should.
    pub fn none() -> Body {
        Body { bytes: Vec::new(), trailers: Vec::new(), chunks: Vec::new(), end: End::Clean }
    }
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its framing says that it is whole.
    Clean,
    /// The connection was closed before the framing's end, or what was there is no framing.
    Short,
    /// The connection was reset.
    Reset,
}

/// A field line as name and value.
pub fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
}

/// Octets as characters, one for one.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}
