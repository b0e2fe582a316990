//! Many patterns, compiled so that judging costs next to nothing: a hash lookup for each name
//! above the host, one pass for all wildcards, one for all expressions, and one lookup for each
//! length of network that occurs. Immutable once built.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::OnceLock;

use regex::bytes::RegexSet;

use crate::http::{Authority, Host, Scheme, TargetUri};

use super::networks::Networks;
use super::pattern::{Kind, Pattern, expressions, glob_expression};
use super::reach::Reach;
use super::refusal::{Refusal, RefusalReason};

/// The rules of one origin in time: those of the configuration and its lists, or those added at
/// run time.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    sources: Vec<String>,
    /// These names and all below them.
    hosts: HashMap<Box<str>, Place>,
    /// All names below these.
    below: HashMap<Box<str>, Place>,
    globs: Expressions,
    urls: Expressions,
    /// Which hosts `urls` are about; made when it is first asked.
    reach: OnceLock<Reach>,
    networks: Networks<Place>,
}

/// Where a rule stands: an index into the sources, and a line there (0: it has no lines).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    source: u32,
    line: u32,
}

/// Expressions in one automaton, and the patterns that they came from.
#[derive(Clone, Debug, Default)]
struct Expressions {
    set: Option<RegexSet>,
    patterns: Vec<(String, Place)>,
}

/// All patterns of a policy together are more than what an automaton may take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the wildcards and URL patterns are too many or too large together: {0}")]
pub struct PolicyError(String);

impl Rules {
    /// Names a place that patterns come from: a file, or a key of the configuration.
    pub(super) fn add_source(&mut self, name: impl Into<String>) -> usize {
        self.sources.push(name.into());
        self.sources.len() - 1
    }

    /// Adds a pattern; of two equal ones the first is the one that refusals name.
    pub(super) fn add(&mut self, pattern: Pattern, source: usize, line: usize) {
        let place = Place { source: saturated(source), line: saturated(line) };
        match pattern.0 {
            Kind::Host(host) => {
                self.hosts.entry(host.as_str().into()).or_insert(place);
            }
            Kind::Below(domain) => {
                self.below.entry(domain.as_str().into()).or_insert(place);
            }
            Kind::Glob(glob) => self.globs.patterns.push((glob, place)),
            Kind::Url(expression) => self.urls.patterns.push((expression, place)),
            Kind::Network(network) => self.networks.insert(network, place),
        }
    }

    /// Compiles what has been added.
    pub(super) fn compile(mut self) -> Result<Rules, PolicyError> {
        self.globs.compile(glob_expression)?;
        self.urls.compile(str::to_owned)?;
        self.hosts.shrink_to_fit();
        Ok(self)
    }

    /// The number of rules; equal hosts and equal networks count once.
    pub(super) fn len(&self) -> usize {
        let expressions = self.globs.patterns.len() + self.urls.patterns.len();
        self.hosts.len() + self.below.len() + expressions + self.networks.len()
    }

    pub(super) fn judge_host(&self, host: &Host) -> Result<(), Refusal> {
        if host.ip().is_none() {
            self.judge_name(host.as_str())?;
        }
        match self.globs.find(host.as_str().as_bytes()) {
            Some((glob, place)) => Err(self.refusal(glob.to_owned(), RefusalReason::BlockedHost, place)),
            None => Ok(()),
        }
    }

    pub(super) fn judge_url(&self, target: &TargetUri) -> Result<(), Refusal> {
        if self.urls.is_empty() {
            return Ok(());
        }
        let text = uri_bytes(target);
        let found = self.urls.find(&text).or_else(|| self.urls.find(&uri_bytes(&normalized(target, &text)?)));
        match found {
            Some((expression, place)) => {
                Err(self.refusal(expression.to_owned(), RefusalReason::BlockedUrl, place))
            }
            None => Ok(()),
        }
    }

    pub(super) fn judge_address(&self, ip: IpAddr) -> Result<(), Refusal> {
        match self.networks.find(ip) {
            Some((network, place)) => {
                Err(self.refusal(network.to_string(), RefusalReason::BlockedAddress, place))
            }
            None => Ok(()),
        }
    }

    /// The rule that blocks all that `pattern` says. Of two expressions nobody can tell, so that they
    /// are compared as they are spelled.
    pub(super) fn covering(&self, pattern: &Pattern) -> Option<Refusal> {
        let spelled = |all: &Expressions, text: &str, reason| {
            let (_, place) = all.patterns.iter().find(|(known, _)| known == text)?;
            Some(self.refusal(text.to_owned(), reason, *place))
        };
        match &pattern.0 {
            Kind::Host(host) => self.judge_host(host).err(),
            Kind::Below(domain) => match self.below.get(domain.as_str()) {
                Some(&place) => Some(self.refusal(pattern.to_string(), RefusalReason::BlockedHost, place)),
                None => self.judge_name(domain.as_str()).err(),
            },
            Kind::Glob(glob) => spelled(&self.globs, glob, RefusalReason::BlockedHost),
            Kind::Url(expression) => spelled(&self.urls, expression, RefusalReason::BlockedUrl),
            Kind::Network(network) => {
                let (found, place) = self.networks.covering(*network)?;
                Some(self.refusal(found.to_string(), RefusalReason::BlockedAddress, place))
            }
        }
    }

    /// Whether some pattern for URLs could match a URL of this host and port.
    pub(super) fn has_url_about(&self, authority: &Authority) -> bool {
        if self.urls.is_empty() {
            return false;
        }
        let reach = self.reach.get_or_init(|| Reach::of(self.urls.patterns.iter().map(|(text, _)| text)));
        [Scheme::Https, Scheme::Http].into_iter().any(|scheme| {
            let path_and_query = bytes::Bytes::from_static(b"/");
            reach.may_match(&uri_bytes(&TargetUri { scheme, authority: authority.clone(), path_and_query }))
        })
    }

    pub(super) fn has_networks(&self) -> bool {
        !self.networks.is_empty()
    }

    /// Looks up the name and each name above it, shortest last.
    fn judge_name(&self, name: &str) -> Result<(), Refusal> {
        if self.hosts.is_empty() && self.below.is_empty() {
            return Ok(());
        }
        let mut name = name;
        loop {
            if let Some(&place) = self.hosts.get(name) {
                return Err(self.refusal(name.to_owned(), RefusalReason::BlockedHost, place));
            }
            let Some((_, parent)) = name.split_once('.') else { return Ok(()) };
            if let Some(&place) = self.below.get(parent) {
                return Err(self.refusal(format!("*.{parent}"), RefusalReason::BlockedHost, place));
            }
            name = parent;
        }
    }

    fn refusal(&self, rule: String, reason: RefusalReason, place: Place) -> Refusal {
        let source = usize::try_from(place.source).ok().and_then(|source| self.sources.get(source));
        let list = source.map(|name| match place.line {
            0 => name.clone(),
            line => format!("{name}:{line}"),
        });
        Refusal { rule, reason, list }
    }
}

impl Expressions {
    fn compile(&mut self, expression: impl Fn(&str) -> String) -> Result<(), PolicyError> {
        if self.patterns.is_empty() {
            return Ok(());
        }
        let sources: Vec<String> = self.patterns.iter().map(|(pattern, _)| expression(pattern)).collect();
        let set = expressions(sources.iter().map(String::as_str));
        self.set = Some(set.map_err(|error| PolicyError(error.to_string()))?);
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The first pattern, in the order they were added, that is found in `text`.
    fn find(&self, text: &[u8]) -> Option<(&str, Place)> {
        let set = self.set.as_ref()?;
        if !set.is_match(text) {
            return None;
        }
        let index = set.matches(text).iter().next()?;
        self.patterns.get(index).map(|(pattern, place)| (pattern.as_str(), *place))
    }
}

fn saturated(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The canonical absolute URI, with the path's bytes as they are.
fn uri_bytes(target: &TargetUri) -> Vec<u8> {
    let mut text = format!("{}://{}", target.scheme.as_str(), target.host_field()).into_bytes();
    if !target.path_and_query.starts_with(b"*") {
        text.extend_from_slice(&target.path_and_query);
    }
    text
}

/// The URI that an origin may take `target` for: unreserved characters decoded and dot segments
/// removed (RFC 3986 §6.2.2), so that `/%61ds` and `/x/../ads` don't walk around a rule for
/// `/ads`. `None` when there is nothing to normalise. What is forwarded stays as it is.
fn normalized(target: &TargetUri, text: &[u8]) -> Option<TargetUri> {
    let path = &target.path_and_query;
    if !path.contains(&b'%') && !path.windows(2).any(|pair| pair == b"/.") {
        return None;
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let (byte, next) = match rest {
            [b'%', high, low, tail @ ..] => match unreserved(*high, *low) {
                Some(byte) => (byte, tail),
                None => (b'%', rest.get(1..).unwrap_or_default()),
            },
            _ => (*first, tail),
        };
        decoded.push(byte);
        rest = next;
    }
    // An absolute reference, and no path: one that begins with "//" would read as an authority.
    target.join(&decoded)
}

/// The unreserved character (RFC 3986 §2.3) that two hexadecimal digits encode.
fn unreserved(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = digit(high)? << 4 | digit(low)?;
    (byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)).then_some(byte)
}
