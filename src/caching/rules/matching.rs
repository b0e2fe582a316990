//! What a rule of the operator is about: hosts, paths, media types, statuses, methods.
//!
//! A pattern that parsed is valid: nothing behind this file meets a bad expression.

use std::str::FromStr;

use regex::bytes::{Regex, RegexBuilder};

use super::{Facts, RuleError};
use crate::http::grammar::trim;
use crate::http::{Host, Method, TargetUri};

/// Octets of one pattern; a longer one is a mistake. Arbitrary.
const PATTERN_MAX: usize = 4096;
/// Octets that one compiled expression may take. Arbitrary.
const COMPILED_SIZE_MAX: usize = 1 << 20;

/// What a rule is about. A condition that is not there holds always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    pub hosts: Vec<HostPattern>,
    pub paths: Vec<PathPattern>,
    pub types: Vec<TypePattern>,
    pub statuses: Vec<StatusRange>,
    /// In capital letters, as a method stands in a request.
    pub methods: Vec<String>,
}

/// `a.example`, that host alone; or `*.a.example`, every name below it and not the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    Exact(Host),
    Below(Host),
}

/// `/docs/*`, a glob over the whole path; or `^/docs/[0-9]+`, an expression found in it. The
/// query is no part of the path.
#[derive(Clone, Debug)]
pub struct PathPattern {
    text: String,
    expression: Option<Regex>,
}

/// `text/html`, or all of a type, like `image/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypePattern(String);

/// `404`, `5xx` or `500-504`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl Conditions {
    /// Whether some condition is about the response, which a request alone does not tell.
    pub fn are_about_response(&self) -> bool {
        !self.types.is_empty() || !self.statuses.is_empty()
    }

    /// Whether this host is among those that are named.
    pub(super) fn name(&self, host: &Host) -> bool {
        self.hosts.iter().any(|pattern| pattern.matches(host))
    }

    pub(super) fn hold_for_uri(&self, uri: &TargetUri) -> bool {
        (self.hosts.is_empty() || self.name(&uri.authority.host))
            && (self.paths.is_empty() || self.paths.iter().any(|pattern| pattern.matches(uri.path())))
    }

    pub(super) fn hold_for_request(&self, uri: &TargetUri, method: &Method) -> bool {
        let is_method = self.methods.is_empty() || self.methods.iter().any(|name| name == method.as_str());
        is_method && self.hold_for_uri(uri)
    }

    pub(super) fn hold(&self, facts: &Facts<'_>) -> bool {
        let content_type = facts.content_type.unwrap_or_default();
        (self.statuses.is_empty() || self.statuses.iter().any(|range| range.contains(facts.status)))
            && (self.types.is_empty() || self.types.iter().any(|pattern| pattern.matches(content_type)))
            && self.hold_for_request(facts.uri, facts.method)
    }
}

impl HostPattern {
    fn matches(&self, host: &Host) -> bool {
        match self {
            HostPattern::Exact(exact) => exact == host,
            HostPattern::Below(domain) => host
                .as_str()
                .strip_suffix(domain.as_str())
                .is_some_and(|below| below.len() > 1 && below.ends_with('.')),
        }
    }
}

impl FromStr for HostPattern {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<HostPattern, RuleError> {
        let parse = |text: &str| Host::parse_text(text).map_err(|error| RuleError::Host(error.to_string()));
        match text.strip_prefix("*.") {
            Some(domain) => {
                let domain = parse(domain)?;
                if domain.ip().is_some() { Err(RuleError::HostBelow) } else { Ok(HostPattern::Below(domain)) }
            }
            None => parse(text).map(HostPattern::Exact),
        }
    }
}

impl PathPattern {
    fn matches(&self, path: &[u8]) -> bool {
        match &self.expression {
            Some(expression) => expression.is_match(path),
            None => glob_matches(self.text.as_bytes(), path),
        }
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &PathPattern) -> bool {
        self.text == other.text
    }
}

impl Eq for PathPattern {}

impl FromStr for PathPattern {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<PathPattern, RuleError> {
        let expression = match text.as_bytes().first() {
            Some(b'^') => Some(expression(text)?),
            Some(b'/' | b'*') if text.len() <= PATTERN_MAX => None,
            _ => return Err(RuleError::Path),
        };
        Ok(PathPattern { text: text.to_owned(), expression })
    }
}

impl TypePattern {
    fn matches(&self, content_type: &[u8]) -> bool {
        // RFC 9110 §8.3.1: parameters stand behind a semicolon, and case means nothing.
        let essence = content_type.split(|&byte| byte == b';').next().map(trim).unwrap_or_default();
        match self.0.strip_suffix('*') {
            Some(whole) => {
                essence.get(..whole.len()).is_some_and(|start| start.eq_ignore_ascii_case(whole.as_bytes()))
            }
            None => essence.eq_ignore_ascii_case(self.0.as_bytes()),
        }
    }
}

impl FromStr for TypePattern {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<TypePattern, RuleError> {
        let is_token = |part: &str| crate::http::grammar::is_token(part.as_bytes());
        let (kind, subtype) = text.split_once('/').ok_or(RuleError::Type)?;
        let is_whole = subtype == "*" || !subtype.contains('*') && is_token(subtype);
        if is_token(kind) && !kind.contains('*') && is_whole {
            Ok(TypePattern(text.to_owned()))
        } else {
            Err(RuleError::Type)
        }
    }
}

impl StatusRange {
    fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

impl FromStr for StatusRange {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<StatusRange, RuleError> {
        let code = |text: &str| {
            let code = text.parse::<u16>().ok().filter(|code| (200..=599).contains(code));
            code.filter(|_| text.len() == 3).ok_or(RuleError::Status)
        };
        let (first, last) = match (text.strip_suffix("xx"), text.split_once('-')) {
            (Some(class), _) => (code(&format!("{class}00"))?, code(&format!("{class}99"))?),
            (None, Some((first, last))) => (code(first)?, code(last)?),
            (None, None) => (code(text)?, code(text)?),
        };
        if first > last { Err(RuleError::Status) } else { Ok(StatusRange { first, last }) }
    }
}

/// Compiles an expression over octets.
pub(super) fn expression(text: &str) -> Result<Regex, RuleError> {
    if text.len() > PATTERN_MAX {
        return Err(RuleError::TooLong);
    }
    let compiled = RegexBuilder::new(text).unicode(false).size_limit(COMPILED_SIZE_MAX).build();
    // The message of `regex` draws the place over several lines; its last line says what is wrong.
    compiled.map_err(|error| {
        let message = error.to_string();
        let last = message.lines().last().unwrap_or_default();
        RuleError::Expression(last.trim_start_matches("error: ").to_owned())
    })
}

/// Whether `glob`, in which `*` is any run of octets, is the whole of `text`. Two pointers, and
/// one step back to the last `*`: no recursion, and no more than the product of both lengths.
pub(super) fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star = None;
    while read < text.len() {
        match glob.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(octet) if Some(octet) == text.get(read) => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((star_at, from)) => {
                    at = star_at + 1;
                    read = from + 1;
                    star = Some((star_at, read));
                }
                None => return false,
            },
        }
    }
    glob.get(at..).unwrap_or_default().iter().all(|&octet| octet == b'*')
}
