//! The questions of `caching/` as the operator's rules would have them answered, and the cache keys
//! that rules rewrite.
//!
//! Invariant: without rules each question goes straight on, after one look at an atomic. With
//! them, whoever asks learns which rule made the difference.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::{Proxy, Shared};
use crate::caching::{
    Applied, CachePolicy, Decision, Facts, Lifetime, Line, NotStored, Rule, RuleName, RuleSet, StoredHead,
    Times, decide, decide_collapsed, groups_of, may_serve_stale_on_error, may_share_unstored, may_store,
    selected, stale_use_forbidden,
};
use crate::http::{Host, Request, Response, Target, TargetUri};
use crate::store::{Key, Object};

/// The rules in force, swapped whole.
#[derive(Debug, Default)]
pub struct Rules {
    any: AtomicBool,
    set: ArcSwap<RuleSet>,
}

impl Rules {
    /// Puts other rules in force.
    pub fn replace(&self, rules: Vec<Rule>) {
        let set = RuleSet::new(rules, &self.set.load());
        self.any.store(!set.is_empty(), Ordering::Release);
        self.set.store(Arc::new(set));
    }

    /// How often each rule made the difference.
    pub fn counts(&self) -> Vec<(RuleName, u64)> {
        self.set.load().counts()
    }

    /// Counts that this rule made the difference.
    pub(super) fn count(&self, name: RuleName) {
        self.set.load().count(name);
    }

    fn load(&self) -> Option<arc_swap::Guard<Arc<RuleSet>>> {
        self.any.load(Ordering::Acquire).then(|| self.set.load())
    }
}

/// The URI that the origin is asked with: what the client has asked for, whatever the cache key is.
pub(super) fn target<'a>(request: &'a Request, key: Key<'a>) -> &'a TargetUri {
    asked_for(request).unwrap_or(key.uri)
}

fn asked_for(request: &Request) -> Option<&TargetUri> {
    match &request.target {
        Target::Absolute(uri) => Some(uri),
        _ => None,
    }
}

impl Shared {
    /// The URI that a response to a request for `uri` is stored under.
    pub fn key_uri<'a>(&self, uri: &'a TargetUri) -> Cow<'a, TargetUri> {
        match self.rules.load().and_then(|rules| rules.key(uri)) {
            Some(key) => Cow::Owned(key),
            None => Cow::Borrowed(uri),
        }
    }

    /// Removes all that is stored for these URIs, and what answers requests for them (RFC 9111 §4.4),
    /// with all that is in one group with it (RFC 9875 §2.2.1).
    pub async fn invalidate(&self, uris: &[TargetUri]) {
        let mut all_groups = Vec::new();
        for uri in uris {
            let key_uri = self.key_uri(uri);
            let variants = self.store.look_up(self.store.key(&key_uri)).await;
            let heads = variants.iter().flat_map(|variants| variants.iter()).map(|object| &object.head);
            let groups = groups_of(&key_uri, heads);
            all_groups.push((key_uri, groups));
        }
        self.remove_all(uris).await;
        for (key_uri, groups) in all_groups {
            self.store.purge_groups(&key_uri, groups).await;
        }
    }

    /// Removes all that is stored for a URI, and what answers requests for it.
    pub async fn remove(&self, uri: &TargetUri) {
        self.remove_all(std::slice::from_ref(uri)).await;
    }

    /// The same for several, with one wait for the disk.
    async fn remove_all(&self, uris: &[TargetUri]) {
        let mut all = Vec::new();
        for uri in uris {
            let key_uri = self.key_uri(uri);
            // Before the store: what comes in meanwhile sees one or the other.
            let since = self.store.generation(self.store.key(&key_uri)).seq();
            all.extend(self.searches.invalidate(&key_uri, since));
            all.push(key_uri.into_owned());
        }
        let keys: Vec<_> = all.iter().map(|uri| self.store.key(uri)).collect();
        self.store.invalidate_all(&keys).await;
    }

    /// Whether a rule names files that belong together with this one.
    pub(super) fn has_companions(&self, uri: &TargetUri) -> bool {
        self.rules.load().is_some_and(|rules| rules.companions(uri).is_some())
    }

    /// A file has changed: what is stored of those that a rule names with it counts no more. The rule,
    /// and which they are.
    pub(super) async fn invalidate_companions(&self, uri: &TargetUri) -> Option<(RuleName, Vec<TargetUri>)> {
        let (companions, rule) = self.rules.load()?.companions(uri)?;
        self.remove_all(&companions).await;
        self.rules.count(rule);
        Some((rule, companions))
    }

    /// The rules that make another key of this URI.
    pub fn keyed_by(&self, uri: &TargetUri) -> Vec<RuleName> {
        let keyed = self.rules.load().and_then(|rules| rules.keyed(uri));
        keyed.map(|(_key, by)| by.into_iter().flatten().collect()).unwrap_or_default()
    }

    /// The rules about a request, as far as that tells; and whether the response must be of some kind,
    /// too.
    pub fn rules_about(&self, request: &Request) -> Vec<(RuleName, bool)> {
        let uri = asked_for(request);
        let about = self.rules.load().zip(uri).map(|(rules, uri)| rules.about(uri, &request.method));
        about.unwrap_or_default()
    }

    /// What the rules say of a stored response, for people.
    pub fn explain_rules(&self, request: &Request, head: &StoredHead) -> Vec<Line> {
        let applied = self.rules.load().and_then(|rules| self.applied(&rules, request, head));
        applied.map(|applied| applied.explain(request, head, &self.cache_policy)).unwrap_or_default()
    }

    /// Whether some rule is about certain paths or methods of this host.
    pub(super) fn has_path_rule_about(&self, host: &Host) -> bool {
        self.rules.load().is_some_and(|rules| rules.is_about_paths_of(host))
    }

    /// The rule by which a request is not for the cache.
    pub fn never(&self, request: &Request) -> Option<RuleName> {
        self.rules.load()?.never(asked_for(request)?, &request.method)
    }

    /// As [`decide`].
    pub fn decide(&self, request: &Request, stored: &[&StoredHead]) -> (Decision, Option<RuleName>) {
        let now = self.clock.now();
        let ask = |policy: &CachePolicy| decide(request, stored, now, policy);
        let rules = self.rules.load();
        let concerned = rules.zip(asked_for(request)).is_some_and(|(rules, uri)| rules.concerns(uri));
        if !concerned {
            return (ask(&self.cache_policy), None);
        }
        match selected(request, stored).and_then(|index| stored.get(index)) {
            Some(head) => self.ruled(request, head, ask),
            None => (ask(&self.cache_policy), None),
        }
    }

    /// As [`decide_collapsed`].
    pub(super) fn decide_collapsed(
        &self,
        request: &Request,
        head: &StoredHead,
    ) -> (Option<i64>, Option<RuleName>) {
        let now = self.clock.now();
        self.ruled(request, head, |policy| decide_collapsed(request, head, now, policy))
    }

    /// As [`stale_use_forbidden`].
    pub(super) fn stale_use_forbidden(&self, request: &Request, head: &StoredHead) -> Option<&'static str> {
        stale_use_forbidden(head, self.clock.now(), &self.policy_for(request, head))
    }

    /// As [`may_share_unstored`].
    pub(super) fn may_share_unstored(
        &self,
        request: &Request,
        response: &Response,
        reason: NotStored,
        times: Times,
    ) -> bool {
        !self.is_of_somebody(request)
            && may_share_unstored(request, response, reason, times, &self.cache_policy)
    }

    /// Whether a request says whose it is, in any of the fields that are known to.
    pub(super) fn is_of_somebody(&self, request: &Request) -> bool {
        request.fields.iter().any(|field| self.store.secrets().has(field.name))
    }

    /// As [`may_serve_stale_on_error`].
    pub(super) fn may_serve_stale(&self, request: &Request, stored: &StoredHead) -> (bool, Option<RuleName>) {
        let now = self.clock.now();
        self.ruled(request, stored, |policy| may_serve_stale_on_error(request, stored, now, policy))
    }

    /// As [`may_store`]; and, where it may, the rule by which it is fresh for another time.
    pub(super) fn may_store(
        &self,
        request: &Request,
        response: &Response,
        head: &StoredHead,
        times: Times,
    ) -> (Result<(), NotStored>, Option<RuleName>) {
        let ask = |policy: &CachePolicy| {
            let stored = may_store(request, response, times, policy);
            stored.map(|()| head.freshness_lifetime(policy))
        };
        let (answer, by) = self.ruled(request, head, ask);
        (answer.map(|_lifetime| ()), by)
    }

    /// The policy for a stored response that answers this request.
    pub fn policy_for(&self, request: &Request, head: &StoredHead) -> Cow<'_, CachePolicy> {
        let applied = self.rules.load().and_then(|rules| self.applied(&rules, request, head));
        match applied {
            Some(applied) => Cow::Owned(applied.policy(&self.cache_policy)),
            None => Cow::Borrowed(&self.cache_policy),
        }
    }

    /// The policy for a stored response of a key, whoever asks.
    pub fn policy_of(&self, uri: &TargetUri, head: &StoredHead) -> Cow<'_, CachePolicy> {
        let facts = Facts::new(uri, &head.method, head.status, &head.fields);
        match self.rules.load().and_then(|rules| rules.applied(&facts)) {
            Some(applied) => Cow::Owned(applied.policy(&self.cache_policy)),
            None => Cow::Borrowed(&self.cache_policy),
        }
    }

    /// How long a request waits for the origin before a stale response answers; and by which rule.
    pub(super) fn stale_after(&self, request: &Request, head: &StoredHead) -> Option<(Duration, RuleName)> {
        let applied = self.rules.load().and_then(|rules| self.applied(&rules, request, head))?;
        applied.stale_after()
    }

    fn ruled<T: PartialEq>(
        &self,
        request: &Request,
        head: &StoredHead,
        ask: impl Fn(&CachePolicy) -> T,
    ) -> (T, Option<RuleName>) {
        match self.rules.load().and_then(|rules| self.applied(&rules, request, head)) {
            Some(applied) => applied.decide(&self.cache_policy, ask),
            None => (ask(&self.cache_policy), None),
        }
    }

    fn applied(&self, rules: &RuleSet, request: &Request, head: &StoredHead) -> Option<Applied> {
        let uri = asked_for(request)?;
        rules.applied(&Facts::new(uri, &request.method, head.status, &head.fields))
    }
}

/// Seconds of freshness left, for `Cache-Status`.
pub(super) fn ttl(proxy: &Proxy, request: &Request, head: &StoredHead) -> Option<i64> {
    let policy = proxy.shared.policy_for(request, head);
    // What is validated for each use has no freshness that would be of use.
    let has_none = head.freshness_lifetime(&policy) == Lifetime::None || head.is_always_validated(&policy);
    (!has_none).then(|| head.ttl(proxy.shared.clock.now(), &policy))
}

/// What to do with a request, given the responses that are stored under one key.
pub(super) fn decide_among(
    shared: &Shared,
    request: &Request,
    objects: &[Arc<Object>],
) -> (Decision, Option<RuleName>) {
    let ask = |heads: &[&StoredHead]| match shared.is_offline() {
        true => (shared.decide_offline(request, heads), None),
        false => shared.decide(request, heads),
    };
    match objects {
        [only] => ask(&[&only.head]),
        _ => ask(&objects.iter().map(|object| &object.head).collect::<Vec<_>>()),
    }
}
