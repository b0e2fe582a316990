//! Why a text is not a pattern or a network, and where it was typed.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use crate::http::HostError;

/// Longer patterns are a mistake; the number is arbitrary.
pub(super) const LENGTH_MAX: usize = 4096;

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("the pattern is empty")]
    Empty,
    #[error("the pattern is longer than {LENGTH_MAX} bytes")]
    TooLong,
    #[error("a pattern can't contain control characters, or '#', which begins a comment")]
    BadCharacter,
    #[error("{0}")]
    Host(#[from] HostError),
    #[error("a wildcard can contain only letters, digits, '-', '_', '.', '*' and '?'")]
    Wildcard,
    #[error("addresses are written as a network, like 203.0.113.0/24, not with '*' or '?'")]
    AddressWildcard,
    #[error("not an address or a network like 203.0.113.0/24")]
    Network,
    #[error("not a network; a pattern for URLs contains '://', like 'https?://ads\\.example/banner'")]
    Path,
    #[error("bad regular expression: {0}")]
    Expression(String),
    #[error("the regular expression matches an empty text, and so every URI")]
    Everything,
}

/// A string parsed while it is visited, so that an error carries the place of this very string.
pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: FromStr<Err = PatternError>,
{
    struct Visitor<T>(PhantomData<T>);

    impl<T: FromStr<Err = PatternError>> serde::de::Visitor<'_> for Visitor<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(|error| E::custom(format_args!("{text:?}: {error}")))
        }
    }

    deserializer.deserialize_str(Visitor(PhantomData))
}
