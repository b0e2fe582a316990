//! What rules make of the operator's policy for one response.

use std::str::FromStr;

use super::RuleError;

/// A thing that an origin, or a client, has said and that a rule has Larder not hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignorable {
    NoStore,
    NoCache,
    Private,
    MustRevalidate,
    SetCookie,
    Authorization,
    RequestNoStore,
    RequestNoCache,
}

impl Ignorable {
    /// All of them, by their names in the configuration.
    pub const ALL: [(&'static str, Ignorable); 8] = [
        ("no-store", Ignorable::NoStore),
        ("no-cache", Ignorable::NoCache),
        ("private", Ignorable::Private),
        ("must-revalidate", Ignorable::MustRevalidate),
        ("set-cookie", Ignorable::SetCookie),
        ("authorization", Ignorable::Authorization),
        ("request-no-store", Ignorable::RequestNoStore),
        ("request-no-cache", Ignorable::RequestNoCache),
    ];
}

impl FromStr for Ignorable {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Ignorable, RuleError> {
        let found = Ignorable::ALL.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, ignorable)| ignorable).ok_or(RuleError::Ignore)
    }
}

/// Several of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored(u16);

impl Ignored {
    /// Whether this one is among them.
    pub const fn has(self, one: Ignorable) -> bool {
        self.0 & 1 << one as u16 != 0
    }
}

impl FromIterator<Ignorable> for Ignored {
    fn from_iter<I: IntoIterator<Item = Ignorable>>(all: I) -> Ignored {
        Ignored(all.into_iter().fold(0, |bits, one| bits | 1 << one as u16))
    }
}

/// What rules say of one response; the default says nothing. Times are seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// It is neither stored nor reused.
    pub never: bool,
    pub ignore: Ignored,
    /// The freshness lifetime is at least this, whatever the origin says.
    pub fresh_min: Option<u64>,
    /// It is at most this.
    pub fresh_max: Option<u64>,
    /// The freshness lifetime of an error for which the origin says none.
    pub negative: Option<u64>,
    pub stale_if_error: Option<u64>,
    pub stale_while_revalidate: Option<u64>,
    /// Milliseconds that a request waits for the origin before a stale response answers it.
    pub serve_stale_after: Option<u64>,
}

impl Overrides {
    /// Whether a response with this status is one that [`Overrides::negative`] is about.
    pub const fn is_negative(status: u16) -> bool {
        matches!(status, 404 | 410 | 500..=599)
    }

    /// The lifetime of an error for which the origin says none.
    pub(in crate::caching) fn negative_lifetime(&self, status: u16) -> Option<u64> {
        self.negative.filter(|_| Overrides::is_negative(status))
    }

    /// A freshness lifetime within the bounds; no bounds leave `None` as it is.
    pub(in crate::caching) fn bounded(&self, lifetime: Option<u64>) -> Option<u64> {
        let lifetime = match (lifetime, self.fresh_min) {
            (Some(lifetime), Some(least)) => Some(lifetime.max(least)),
            (lifetime, least) => lifetime.or(least),
        };
        match (lifetime, self.fresh_max) {
            (Some(lifetime), Some(most)) => Some(lifetime.min(most)),
            (lifetime, _) => lifetime,
        }
    }
}
