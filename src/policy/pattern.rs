//! The patterns that `[access] block`, list files and `larder block` share. Four kinds, told
//! apart by their spelling alone:
//!
//! | spelling                                   | kind                                             |
//! |--------------------------------------------|--------------------------------------------------|
//! | `ads.example`                              | a host and every name below it                   |
//! | `*.ads.example`, `ad?.*.example`           | a wildcard over the host                         |
//! | contains `://`                             | a regular expression, searched in the target URI |
//! | `203.0.113.0/24`, `203.0.113.7`, `2001::1` | the addresses of destinations                    |
//!
//! A pattern that parsed is valid: nothing behind this file meets a bad expression or network.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::http::{Host, HostError};

use super::networks::Network;
use super::pattern_error::{LENGTH_MAX, PatternError, parsed};

/// One valid pattern in its canonical spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(pub(super) Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The host and every name below it.
    Host(Host),
    /// `*.domain`: every name below the domain, and not the domain.
    Below(Host),
    /// Any other wildcard, in lower case.
    Glob(String),
    /// A regular expression that was seen to compile.
    Url(String),
    Network(Network),
}

impl Pattern {
    /// Whether it says something of URIs, and so nothing of a host alone.
    pub fn is_url(&self) -> bool {
        matches!(self.0, Kind::Url(_))
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Pattern, PatternError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > LENGTH_MAX {
            return Err(PatternError::TooLong);
        }
        // Patterns are kept one a line; no URI has either.
        if text.contains(|character: char| character == '#' || character.is_control()) {
            return Err(PatternError::BadCharacter);
        }
        if text.contains("://") {
            return expression(text).map(Pattern);
        }
        if text.contains(['*', '?']) {
            return wildcard(text).map(Pattern);
        }
        if text.contains('/') {
            let network = text.parse().map_err(|_not_a_network: PatternError| PatternError::Path)?;
            return Ok(Pattern(Kind::Network(network)));
        }
        // A leading dot is how other proxies write "and every name below".
        let host = Host::parse_text(text.strip_prefix('.').unwrap_or(text))?;
        Ok(Pattern(match host.ip() {
            Some(ip) => Kind::Network(Network::single(ip)),
            None => Kind::Host(host),
        }))
    }
}

fn expression(text: &str) -> Result<Kind, PatternError> {
    match expressions([text]) {
        // `|http://ads.example/` is an ad blocker's spelling, and an expression with an empty branch.
        Ok(valid) if valid.is_match(b"") => Err(PatternError::Everything),
        Ok(_valid) => Ok(Kind::Url(text.to_owned())),
        // The message of `regex` draws the place over several lines; its last line says what is wrong.
        Err(error) => {
            let message = error.to_string();
            let last = message.lines().last().unwrap_or_default();
            Err(PatternError::Expression(last.trim_start_matches("error: ").to_owned()))
        }
    }
}

/// The one way in which expressions are compiled. Byte-wise, since a URI is bytes: Unicode
/// classes would cost memory and match nothing more.
pub(super) fn expressions<'a>(
    patterns: impl IntoIterator<Item = &'a str>,
) -> Result<regex::bytes::RegexSet, regex::Error> {
    /// Room for some ten thousand expressions; the number is arbitrary.
    const COMPILED_SIZE_MAX: usize = 64 << 20;
    regex::bytes::RegexSetBuilder::new(patterns).unicode(false).size_limit(COMPILED_SIZE_MAX).build()
}

fn wildcard(text: &str) -> Result<Kind, PatternError> {
    if let Some(domain) = text.strip_prefix("*.").filter(|domain| !domain.contains(['*', '?'])) {
        let domain = Host::parse_text(domain)?;
        return if domain.ip().is_some() {
            Err(PatternError::AddressWildcard)
        } else {
            Ok(Kind::Below(domain))
        };
    }
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*?".contains(&byte);
    if !text.bytes().all(known) {
        return Err(PatternError::Wildcard);
    }
    if text.starts_with('.') || text.contains("..") {
        return Err(HostError::EmptyLabel.into());
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    let numeric = text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || b".*?".contains(&byte));
    if numeric { Err(PatternError::AddressWildcard) } else { Ok(Kind::Glob(text.to_ascii_lowercase())) }
}

/// The expression that matches the hosts that `glob` matches: `*` is any run of characters, dots
/// included, and `?` one character that is no dot.
pub(super) fn glob_expression(glob: &str) -> String {
    let mut out = String::with_capacity(glob.len() * 2 + 2);
    out.push('^');
    for character in glob.chars() {
        match character {
            '*' => out.push_str(".*"),
            '?' => out.push_str("[^.]"),
            '.' | '-' => {
                out.push('\\');
                out.push(character);
            }
            other => out.push(other),
        }
    }
    out.push('$');
    out
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Host(host) => f.write_str(host.as_str()),
            Kind::Below(domain) => write!(f, "*.{}", domain.as_str()),
            Kind::Glob(text) | Kind::Url(text) => f.write_str(text),
            Kind::Network(network) => network.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
        parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let cases: &[(&str, Result<&str, PatternError>)] = &[
            ("ads.example", Ok("host ads.example")),
            (" Ads.Example. ", Ok("host ads.example")),
            (".ads.example", Ok("host ads.example")),
            ("bücher.example", Ok("host xn--bcher-kva.example")),
            ("*.Ads.example", Ok("below *.ads.example")),
            ("*.bücher.example", Ok("below *.xn--bcher-kva.example")),
            ("ad?.*.Example", Ok("glob ad?.*.example")),
            ("*", Ok("glob *")),
            ("https?://ads\\.example/", Ok("url https?://ads\\.example/")),
            ("203.0.113.7", Ok("network 203.0.113.7")),
            ("203.0.113.7/24", Ok("network 203.0.113.0/24")),
            ("2001:db8::/32", Ok("network 2001:db8::/32")),
            ("[2001:db8::1]", Ok("network 2001:db8::1")),
            ("::ffff:10.0.0.0/104", Ok("network 10.0.0.0/8")),
            ("::ffff:10.0.0.1", Ok("network 10.0.0.1")),
            ("", Err(PatternError::Empty)),
            ("http://a\nb.example", Err(PatternError::BadCharacter)),
            ("#://", Err(PatternError::BadCharacter)),
            ("ads example", Err(PatternError::Host(HostError::BadCharacter))),
            ("0x7f.0.0.1", Err(PatternError::Host(HostError::NonCanonicalIpv4))),
            ("ads..example", Err(PatternError::Host(HostError::EmptyLabel))),
            ("ads..*", Err(PatternError::Host(HostError::EmptyLabel))),
            ("ads*..", Err(PatternError::Host(HostError::EmptyLabel))),
            ("ads*.", Ok("glob ads*")),
            ("*.10.0.0.1", Err(PatternError::AddressWildcard)),
            ("10.*", Err(PatternError::AddressWildcard)),
            ("ads.*/x", Err(PatternError::Wildcard)),
            ("203.0.113.0/33", Err(PatternError::Path)),
            ("ads.example/banner", Err(PatternError::Path)),
            ("http://(", Err(PatternError::Expression("unclosed group".into()))),
            ("|http://ads.example/", Err(PatternError::Everything)),
            ("(http://ads)?", Err(PatternError::Everything)),
        ];
        for (input, expected) in cases {
            let found = input.parse::<Pattern>().map(|pattern| {
                let kind = match &pattern.0 {
                    Kind::Host(_) => "host",
                    Kind::Below(_) => "below",
                    Kind::Glob(_) => "glob",
                    Kind::Url(_) => "url",
                    Kind::Network(_) => "network",
                };
                format!("{kind} {pattern}")
            });
            assert_eq!(found.as_deref(), expected.as_deref(), "{input:?}");
        }
    }

    #[test]
    fn a_canonical_spelling_parses_to_itself() {
        for text in
            ["ads.example", "*.ads.example", "ad?.*.example", "10.0.0.0/8", "10.0.0.1", "::1", "x://y"]
        {
            assert_eq!(text.parse::<Pattern>().map(|pattern| pattern.to_string()).as_deref(), Ok(text));
        }
    }
}
