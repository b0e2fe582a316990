//! `Cache-Control` and `Pragma` (RFC 9111 §5.2, §5.4) as facts.
//!
//! Names are case-insensitive, arguments are tokens or quoted strings, and unknown directives
//! are ignored (§5.2.3). Where a directive is repeated or malformed the most restrictive reading
//! wins (§4.2.1): the least of several lifetimes, and zero for one that is no number.

use std::borrow::Cow;

use crate::http::grammar::{Members, saturating_decimal, trim, unquote};
use crate::http::{FieldName, Fields};

/// RFC 9111 §1.2.2: a value that is too large to represent is 2^31.
pub const DELTA_SECONDS_MAX: u64 = 1 << 31;

/// The directives of a response that a shared cache acts on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ResponseDirectives {
    pub no_store: bool,
    /// Unqualified `no-cache`.
    pub no_cache: bool,
    /// Unqualified `private`.
    pub private: bool,
    pub public: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub must_understand: bool,
    /// RFC 8246.
    pub immutable: bool,
    pub max_age: Option<u64>,
    pub s_maxage: Option<u64>,
    /// RFC 5861 §3, in seconds.
    pub stale_while_revalidate: Option<u64>,
    /// RFC 5861 §4, in seconds.
    pub stale_if_error: Option<u64>,
    /// They are those of a targeted field, which `Expires` says nothing beside (RFC 9213 §2.2).
    pub targeted: bool,
    /// Names of the fields that `no-cache="…"` and `private="…"` keep from being stored.
    pub withheld: Vec<Box<[u8]>>,
}

impl ResponseDirectives {
    /// The directives of a response with these fields.
    pub fn of(fields: &Fields) -> ResponseDirectives {
        let mut found = ResponseDirectives::default();
        for member in fields.members(FieldName::CacheControl) {
            found.read(member);
        }
        found
    }

    fn read(&mut self, member: &[u8]) {
        // A quoted string without an end hides whatever stands behind it, which may have been
        // `no-store`.
        self.no_store |= is_unterminated(member);
        let mut buffer = [0; NAME_MAX];
        let Some((name, argument)) = directive(member, &mut buffer) else {
            return;
        };
        self.apply(name, &argument);
    }

    /// Takes one directive; one that is unknown is ignored (§5.2.3).
    pub(super) fn apply(&mut self, name: &[u8], argument: &Argument<'_>) {
        match name {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache |= self.withhold(argument) == Withheld::All,
            b"private" => self.private |= self.withhold(argument) == Withheld::All,
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"immutable" => self.immutable = true,
            b"max-age" => self.max_age = Some(least(self.max_age, argument)),
            b"s-maxage" => self.s_maxage = Some(least(self.s_maxage, argument)),
            b"stale-while-revalidate" => {
                self.stale_while_revalidate = Some(least(self.stale_while_revalidate, argument));
            }
            b"stale-if-error" => self.stale_if_error = Some(least(self.stale_if_error, argument)),
            _ => {}
        }
    }

    // RFC 9111 §3.1: "The no-cache […] and private […] cache directives can have arguments that
    // prevent storage of header fields by all caches and shared caches, respectively."
    fn withhold(&mut self, argument: &Argument<'_>) -> Withheld {
        let Argument::Text(names) = argument else {
            return Withheld::All;
        };
        let mut listed = Members::of(names).peekable();
        // Without some fields a stored response would be misread or given to the wrong request.
        // The qualified form "is often handled by caches as if an unqualified" one was received
        // (§5.2.2.4), which is the safe reading then.
        if listed.peek().is_none() || listed.clone().any(is_needed_for_reuse) {
            return Withheld::All;
        }
        self.withheld.extend(listed.map(Box::from));
        Withheld::Listed
    }
}

#[derive(PartialEq, Eq)]
enum Withheld {
    All,
    Listed,
}

fn is_needed_for_reuse(name: &[u8]) -> bool {
    matches!(
        FieldName::of(name),
        FieldName::CacheControl
            | FieldName::ContentEncoding
            | FieldName::ContentLength
            | FieldName::ContentRange
            | FieldName::ContentType
            | FieldName::Date
            | FieldName::Expires
            | FieldName::Vary
    )
}

/// The directives of a request (RFC 9111 §5.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestDirectives {
    pub no_cache: bool,
    pub no_store: bool,
    pub only_if_cached: bool,
    pub max_age: Option<u64>,
    /// `u64::MAX` when any staleness is welcome.
    pub max_stale: Option<u64>,
    pub min_fresh: Option<u64>,
    /// RFC 5861 §4, in seconds.
    pub stale_if_error: Option<u64>,
}

impl RequestDirectives {
    /// The directives of a request with these fields.
    pub fn of(fields: &Fields) -> RequestDirectives {
        let mut found = RequestDirectives::default();
        if !fields.contains(FieldName::CacheControl) {
            // RFC 9111 §5.4: Pragma is deprecated, and understood for HTTP/1.0 clients that
            // know no other way to reload.
            found.no_cache =
                fields.members(FieldName::Pragma).any(|member| member.eq_ignore_ascii_case(b"no-cache"));
            return found;
        }
        for member in fields.members(FieldName::CacheControl) {
            found.read(member);
        }
        found
    }

    fn read(&mut self, member: &[u8]) {
        let mut buffer = [0; NAME_MAX];
        let Some((name, argument)) = directive(member, &mut buffer) else {
            return;
        };
        match name {
            b"no-cache" => self.no_cache = true,
            b"no-store" => self.no_store = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => self.max_age = Some(least(self.max_age, &argument)),
            b"max-stale" => {
                let welcome = match &argument {
                    // §5.2.1.2: "If no value is assigned to max-stale, then the client will
                    // accept a stale response of any age."
                    Argument::Absent => u64::MAX,
                    Argument::Text(text) => delta_seconds(text).unwrap_or(0),
                    Argument::Malformed => 0,
                };
                self.max_stale = Some(self.max_stale.map_or(welcome, |known| known.min(welcome)));
            }
            b"min-fresh" => {
                let wanted = argument.seconds().unwrap_or(u64::MAX);
                self.min_fresh = Some(self.min_fresh.map_or(wanted, |known| known.max(wanted)));
            }
            b"stale-if-error" => self.stale_if_error = Some(least(self.stale_if_error, &argument)),
            _ => {}
        }
    }

    /// Whether the client insists on a validation (§5.2.1.1, §5.2.1.4). The age is counted in
    /// whole seconds, and a response is always older than exactly none of them.
    pub fn wants_validation(&self) -> bool {
        self.no_cache || self.max_age == Some(0)
    }
}

/// Longer than every known directive's name.
const NAME_MAX: usize = 24;

pub(super) enum Argument<'a> {
    Absent,
    Text(Cow<'a, [u8]>),
    /// Whitespace around the `=`, or a quoted string that does not end where it should.
    Malformed,
}

impl Argument<'_> {
    fn seconds(&self) -> Option<u64> {
        match self {
            Argument::Text(text) => delta_seconds(text),
            Argument::Absent | Argument::Malformed => None,
        }
    }
}

/// The lower-case name and the argument of one directive; `None` for a name too long to be known.
fn directive<'a, 'b>(member: &'a [u8], buffer: &'b mut [u8; NAME_MAX]) -> Option<(&'b [u8], Argument<'a>)> {
    let end = member.iter().position(|&byte| byte == b'=').unwrap_or(member.len());
    let name = trim(member.get(..end)?);
    let lower = buffer.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    Some((lower, argument_of(member)))
}

fn argument_of(member: &[u8]) -> Argument<'_> {
    let mut parts = member.splitn(2, |&byte| byte == b'=');
    let name = parts.next().unwrap_or_default();
    let Some(text) = parts.next() else {
        return Argument::Absent;
    };
    // RFC 9111 §5.2: `cache-directive = token [ "=" ( token / quoted-string ) ]`, without space.
    if trim(name) != name || trim(text) != text {
        return Argument::Malformed;
    }
    unquote(text).map_or(Argument::Malformed, Argument::Text)
}

/// `delta-seconds` of RFC 9111 §1.2.2.
pub(super) fn delta_seconds(text: &[u8]) -> Option<u64> {
    saturating_decimal(text).map(|seconds| seconds.min(DELTA_SECONDS_MAX))
}

/// Whether the member ends inside a quoted string, and so swallowed all members behind it.
fn is_unterminated(member: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for &byte in member {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    quoted
}

/// The least of the lifetimes of a repeated directive, zero for one that is no number. §4.2.1:
/// "either the first occurrence should be used or the response should be considered stale", and
/// the least one is never longer than the first.
fn least(known: Option<u64>, argument: &Argument<'_>) -> u64 {
    let seconds = argument.seconds().unwrap_or(0);
    known.map_or(seconds, |known| known.min(seconds))
}
