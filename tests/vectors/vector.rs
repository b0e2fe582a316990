//! The vectors as they stand in the files.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

/// One message, and what is to become of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Vector {
    pub id: String,
    /// Of RFC 9112 and 9110, or of what is named.
    pub section: String,
    /// Verdicts, any of which is right, joined by `|`; see [`Vector::allows`].
    pub expect: String,
    /// Why that is expected; in our own vectors only.
    #[serde(default)]
    pub reason: String,
    /// The octets.
    #[serde(default)]
    base64: String,
    /// The octets as characters, U+0000 to U+00FF, with `{CHARACTERS*COUNT}` for repetitions.
    #[serde(default)]
    octets: String,
    /// The content, where it does not stand in the octets as it is.
    #[serde(default)]
    content: Option<String>,
    /// Of the request that a response is for.
    #[serde(default)]
    pub method: String,
    /// What the origin does behind its response: `fin`, `rst`, `hold …` for staying silent, or
    /// `open` for serving on.
    #[serde(default)]
    pub end: String,
}

/// Vectors of the specification that expect what is not right, with what is, and why.
const CORRECTED: &[(&str, &str, &str)] = &[(
    "L14-fragment",
    "N",
    "PHP and Python's urllib send the fragment to a proxy; RFC 9110 §7.1 excludes it from the target URI",
)];

/// Vectors that came with the specification.
pub fn load(file: &str) -> Vec<Vector> {
    let mut vectors: Vec<Vector> = serde_json::from_str(&text(file)).expect("a list of vectors");
    for vector in &mut vectors {
        if let Some((_, expect, reason)) = CORRECTED.iter().find(|(id, ..)| *id == vector.id) {
            (vector.expect, vector.reason) = ((*expect).to_owned(), (*reason).to_owned());
        }
    }
    vectors
}

/// A list of vectors of our own.
pub fn load_own(list: &str) -> Vec<Vector> {
    let mut lists: serde_json::Value = serde_json::from_str(&text("own.json")).expect("lists of vectors");
    serde_json::from_value(lists[list].take()).expect("a list of vectors")
}

fn text(file: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/");
    std::fs::read_to_string(format!("{folder}{file}")).expect("a file of vectors")
}

impl Vector {
    /// Whether a verdict is among those expected.
    pub fn allows(&self, verdict: &str) -> bool {
        self.expect.split('|').any(|expected| expected == verdict)
    }

    /// The content that has to arrive: all that have any say hello, but for one that says x.
    pub fn content(&self, sent: &[u8]) -> Vec<u8> {
        let says_hello = sent.windows(5).any(|octets| octets == b"hello");
        let said = match says_hello {
            true => "hello",
            false if sent.ends_with(b"\r\n\r\nx") => "x",
            false => "",
        };
        self.content.as_deref().unwrap_or(said).as_bytes().to_vec()
    }

    /// The octets, with placeholders filled in for an origin on this port.
    pub fn bytes(&self, port: u16) -> Vec<u8> {
        let bytes = match self.octets.is_empty() {
            true => BASE64_STANDARD.decode(&self.base64).expect("base64"),
            false => self.repeated().chars().map(|c| u8::try_from(c).expect("one octet")).collect(),
        };
        let authority = format!("127.0.0.1:{port}");
        let placeholders = [
            ("{A}", format!("http://{authority}")),
            ("{H}", authority),
            ("{PT}", port.to_string()),
            ("{PW}", (u32::from(port) + 65_536).to_string()),
        ];
        placeholders.iter().fold(bytes, |bytes, (name, value)| replace(&bytes, name, value))
    }

    fn repeated(&self) -> String {
        let mut out = String::new();
        let mut parts = self.octets.split('{');
        out.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let repetition = part.split_once('}').and_then(|(inner, rest)| {
                let (what, count) = inner.rsplit_once('*')?;
                Some((what.repeat(count.parse().ok()?), rest))
            });
            match repetition {
                Some((repeated, rest)) => out.extend([&repeated, rest]),
                None => out.extend(["{", part]),
            }
        }
        out
    }
}

fn replace(bytes: &[u8], name: &str, value: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, behind)) = rest.split_first() {
        if let Some(behind) = rest.strip_prefix(name.as_bytes()) {
            out.extend_from_slice(value.as_bytes());
            rest = behind;
        } else {
            out.push(first);
            rest = behind;
        }
    }
    out
}
