//! Rules of the operator: what is stored, for how long and under which key, where the answer shall
//! differ from what RFC 9111 and the origin say.
//!
//! Of each aspect the first rule decides that speaks of it and whose conditions hold. Rules are
//! made once and swapped whole; for a host that no rule names, asking is one look into a table for
//! each name above it. Who asks learns which rule made the difference, so that it can be told.

mod error;
mod explain;
mod key;
mod matching;
mod name;
mod overrides;
mod together;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use error::RuleError;
pub use key::{DropQuery, KeyRewrite};
pub use matching::{Conditions, HostPattern, PathPattern, StatusRange, TypePattern};
pub use name::RuleName;
pub use overrides::{Ignorable, Ignored, Overrides};
pub use together::Together;

use super::CachePolicy;
use crate::http::{FieldName, Fields, Host, Method, TargetUri};

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub name: RuleName,
    pub when: Conditions,
    pub then: Actions,
}

/// What a rule does; an aspect that is not there is left to the rules behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    pub never: Option<bool>,
    pub ignore: Option<Ignored>,
    /// The least and the longest freshness lifetime, in seconds.
    pub fresh: Option<(Option<u64>, Option<u64>)>,
    pub negative: Option<u64>,
    pub stale_if_error: Option<u64>,
    pub stale_while_revalidate: Option<u64>,
    /// In milliseconds.
    pub serve_stale_after: Option<u64>,
    pub drop_query: Option<DropQuery>,
    pub key: Option<KeyRewrite>,
    /// Files of which one that has changed says that the others have.
    pub together: Option<Together>,
}

/// What rules look at, of a request and its response.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub uri: &'a TargetUri,
    pub method: &'a Method,
    pub status: u16,
    pub content_type: Option<&'a [u8]>,
}

impl<'a> Facts<'a> {
    /// Of a response with these fields.
    pub fn new(uri: &'a TargetUri, method: &'a Method, status: u16, fields: &'a Fields) -> Facts<'a> {
        Facts { uri, method, status, content_type: fields.only(FieldName::ContentType) }
    }
}

/// All rules, in order.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Counted>,
    /// Whether some rule is about all hosts.
    any_host: bool,
    exact: Names,
    below: Names,
    /// Whether some rule rewrites keys.
    has_keys: bool,
    /// Whether some rule keeps requests from the cache.
    has_never: bool,
    /// Whether some rule names files that belong together.
    has_together: bool,
}

/// Names of hosts. Most hosts that are asked about are not among them, and most of those have a length
/// that none of them has.
#[derive(Debug, Default)]
struct Names {
    names: HashSet<Box<str>>,
    /// A bit for each length; the last one for all that are longer.
    lengths: u128,
}

impl Names {
    fn insert(&mut self, name: &str) {
        self.lengths |= Names::bit(name);
        self.names.insert(name.into());
    }

    fn has(&self, name: &str) -> bool {
        self.lengths & Names::bit(name) != 0 && self.names.contains(name)
    }

    fn bit(name: &str) -> u128 {
        1 << name.len().min(127)
    }
}

#[derive(Debug)]
struct Counted {
    rule: Rule,
    /// Requests for which it made the difference.
    decided: Arc<AtomicU64>,
}

impl RuleSet {
    /// These rules, in order. A rule that `before` has by the same name goes on counting.
    pub fn new(rules: Vec<Rule>, before: &RuleSet) -> RuleSet {
        let mut set = RuleSet::default();
        for rule in rules {
            set.any_host |= rule.when.hosts.is_empty();
            for host in &rule.when.hosts {
                match host {
                    HostPattern::Exact(host) => set.exact.insert(host.as_str()),
                    HostPattern::Below(domain) => set.below.insert(domain.as_str()),
                }
            }
            set.has_keys |= rule.then.key.is_some() || rule.then.drop_query.is_some();
            set.has_never |= rule.then.never.is_some();
            set.has_together |= rule.then.together.is_some();
            let known = before.rules.iter().find(|known| known.rule.name == rule.name);
            let decided = known.map(|known| known.decided.clone()).unwrap_or_default();
            set.rules.push(Counted { rule, decided });
        }
        set
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// The cache key of a target URI, where it is not the URI itself.
    pub fn key(&self, uri: &TargetUri) -> Option<TargetUri> {
        self.keyed(uri).map(|(key, _by)| key)
    }

    /// The cache key of a target URI, where it is not the URI itself, and the rules that made it: the
    /// one that left out parameters, and the one whose expression matched.
    pub fn keyed(&self, uri: &TargetUri) -> Option<(TargetUri, [Option<RuleName>; 2])> {
        if !self.has_keys || !self.concerns(uri) {
            return None;
        }
        let holding = || self.rules().filter(|rule| rule.when.hold_for_uri(uri));
        let named = |rule: &Rule, key: Option<TargetUri>| key.map(|key| (key, rule.name));
        let dropped = holding().find_map(|rule| rule.then.drop_query.as_ref().map(|drop| (rule, drop)));
        let dropped = dropped.and_then(|(rule, drop)| named(rule, drop.key(uri)));
        let so_far = dropped.as_ref().map_or(uri, |(key, _)| key);
        // The first one that makes a key of it: several may each know some of the mirrors.
        let rewritten = holding().find_map(|rule| named(rule, rule.then.key.as_ref()?.key(so_far)));
        let by = [&dropped, &rewritten].map(|made| made.as_ref().map(|(_, name)| *name));
        let (key, _) = rewritten.or(dropped).filter(|(key, _)| key != uri)?;
        Some((key, by))
    }

    /// Whether some rule that names this host is about certain paths or methods of it.
    pub fn is_about_paths_of(&self, host: &Host) -> bool {
        self.rules().any(|rule| {
            let when = &rule.when;
            (!when.paths.is_empty() || !when.methods.is_empty()) && when.name(host)
        })
    }

    /// The rules about a request, as far as that tells; and whether the response must be of some kind,
    /// too.
    pub fn about(&self, uri: &TargetUri, method: &Method) -> Vec<(RuleName, bool)> {
        let about = self.rules().filter(|rule| rule.when.hold_for_request(uri, method));
        about.map(|rule| (rule.name, rule.when.are_about_response())).collect()
    }

    /// The rule by which a request is not for the cache at all, as far as the request tells.
    pub fn never(&self, uri: &TargetUri, method: &Method) -> Option<RuleName> {
        if !self.has_never || !self.concerns(uri) {
            return None;
        }
        let speaks = |rule: &&Rule| rule.then.never.is_some() && rule.when.hold_for_request(uri, method);
        let first = self.rules().find(speaks)?;
        let decides = first.then.never == Some(true) && !first.when.are_about_response();
        decides.then_some(first.name)
    }

    /// The files that belong together with this one, by the first rule that says so.
    pub fn companions(&self, uri: &TargetUri) -> Option<(Vec<TargetUri>, RuleName)> {
        if !self.has_together || !self.concerns(uri) {
            return None;
        }
        let holding = self.rules().filter(|rule| rule.when.hold_for_uri(uri));
        let named = |rule: &Rule| Some((rule.then.together.as_ref()?.companions(uri), rule.name));
        holding.filter_map(named).find(|(companions, _)| !companions.is_empty())
    }

    /// What the rules say of a response; `None` when nothing.
    pub fn applied(&self, facts: &Facts<'_>) -> Option<Applied> {
        if !self.concerns(facts.uri) {
            return None;
        }
        let mut applied = Applied { overrides: Overrides::default(), by: Vec::new() };
        for rule in self.rules().filter(|rule| rule.when.hold(facts)) {
            let actions = &rule.then;
            let said = [
                (Aspect::Never, actions.never.is_some()),
                (Aspect::Ignore, actions.ignore.is_some()),
                (Aspect::Fresh, actions.fresh.is_some()),
                (Aspect::Negative, actions.negative.is_some()),
                (Aspect::StaleIfError, actions.stale_if_error.is_some()),
                (Aspect::StaleWhileRevalidate, actions.stale_while_revalidate.is_some()),
                (Aspect::ServeStaleAfter, actions.serve_stale_after.is_some()),
            ];
            for (aspect, _) in said.into_iter().filter(|(_, is_said)| *is_said) {
                if applied.by.iter().all(|(known, _)| *known != aspect) {
                    aspect.take(&mut applied.overrides, actions);
                    applied.by.push((aspect, rule.name));
                }
            }
        }
        (!applied.by.is_empty()).then_some(applied)
    }

    /// Counts that a rule made the difference.
    pub fn count(&self, name: RuleName) {
        if let Some(counted) = self.rules.iter().find(|counted| counted.rule.name == name) {
            counted.decided.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often each rule made the difference, in their order.
    pub fn counts(&self) -> Vec<(RuleName, u64)> {
        let count = |counted: &Counted| (counted.rule.name, counted.decided.load(Ordering::Relaxed));
        self.rules.iter().map(count).collect()
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|counted| &counted.rule)
    }

    /// Whether some rule may be about this host.
    pub fn concerns(&self, uri: &TargetUri) -> bool {
        if self.any_host || self.rules.is_empty() {
            return self.any_host;
        }
        let host = uri.authority.host.as_str();
        if self.exact.has(host) {
            return true;
        }
        let mut name = host;
        while let Some((_, parent)) = name.split_once('.') {
            if self.below.has(parent) {
                return true;
            }
            name = parent;
        }
        false
    }
}

/// One thing that rules speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aspect {
    Never,
    Ignore,
    Fresh,
    Negative,
    StaleIfError,
    StaleWhileRevalidate,
    ServeStaleAfter,
}

impl Aspect {
    fn take(self, overrides: &mut Overrides, actions: &Actions) {
        match self {
            Aspect::Never => overrides.never = actions.never.unwrap_or_default(),
            Aspect::Ignore => overrides.ignore = actions.ignore.unwrap_or_default(),
            Aspect::Fresh => (overrides.fresh_min, overrides.fresh_max) = actions.fresh.unwrap_or_default(),
            Aspect::Negative => overrides.negative = actions.negative,
            Aspect::StaleIfError => overrides.stale_if_error = actions.stale_if_error,
            Aspect::StaleWhileRevalidate => overrides.stale_while_revalidate = actions.stale_while_revalidate,
            Aspect::ServeStaleAfter => overrides.serve_stale_after = actions.serve_stale_after,
        }
    }
}

/// What the rules say of one response, and which of them said it.
#[derive(Clone, Debug)]
pub struct Applied {
    overrides: Overrides,
    by: Vec<(Aspect, RuleName)>,
}

impl Applied {
    /// The policy that these rules make of `base`.
    pub fn policy(&self, base: &CachePolicy) -> CachePolicy {
        CachePolicy { overrides: self.overrides, ..base.clone() }
    }

    /// How long a request waits for the origin before a stale response answers it, and by which rule.
    pub fn stale_after(&self) -> Option<(Duration, RuleName)> {
        let after = Duration::from_millis(self.overrides.serve_stale_after?);
        let (_, name) = self.by.iter().find(|(aspect, _)| *aspect == Aspect::ServeStaleAfter)?;
        Some((after, *name))
    }

    /// What `ask` answers under these rules; and the rule that makes the difference: the first one
    /// without which the answer would be another.
    pub fn decide<T: PartialEq>(
        &self,
        base: &CachePolicy,
        ask: impl Fn(&CachePolicy) -> T,
    ) -> (T, Option<RuleName>) {
        let answer = ask(&self.policy(base));
        if ask(base) == answer {
            return (answer, None);
        }
        let decides = |(aspect, _): &&(Aspect, RuleName)| {
            let mut without = self.policy(base);
            aspect.take(&mut without.overrides, &Actions::default());
            ask(&without) != answer
        };
        // Where each of two would do alone, the first one is named.
        let by = self.by.iter().find(decides).or(self.by.first()).map(|(_, name)| *name);
        (answer, by)
    }
}
