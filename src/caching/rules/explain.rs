//! What the rules say of one stored response, for people: which rule, what it wants, and what it
//! overrules.

use super::{Applied, Aspect, Ignorable, Overrides, RuleName};
use crate::caching::directives::RequestDirectives;
use crate::caching::explain::line;
use crate::caching::{CachePolicy, Lifetime, Line, StoredHead};
use crate::http::{FieldName, Request};

impl Applied {
    /// Each aspect that a rule decides, beside what would be without it, which is `base`.
    pub fn explain(&self, request: &Request, head: &StoredHead, base: &CachePolicy) -> Vec<Line> {
        let about = |(aspect, name): &(Aspect, RuleName)| self.aspect(*aspect, *name, request, head, base);
        self.by.iter().flat_map(about).collect()
    }

    fn aspect(
        &self,
        aspect: Aspect,
        name: RuleName,
        request: &Request,
        head: &StoredHead,
        base: &CachePolicy,
    ) -> Vec<Line> {
        let rule = |text: String, clause| vec![line(format!("rule {name}: {text}"), clause)];
        let overrides = &self.overrides;
        match aspect {
            Aspect::Never if overrides.never => {
                rule("neither stored nor reused".to_owned(), "cache.rule.never")
            }
            Aspect::Never => {
                rule("stored and reused, whatever rules behind it say".to_owned(), "cache.rule.never")
            }
            Aspect::Ignore => not_heard(overrides, name, request, head),
            Aspect::Fresh => rule(freshness(overrides, head, base), "cache.rule.fresh"),
            Aspect::Negative if Overrides::is_negative(head.status) => {
                let seconds = overrides.negative.unwrap_or_default();
                let text = match head.freshness_lifetime(base) {
                    Lifetime::Explicit(said) => {
                        format!("the {said} s of the origin go before its {seconds} s")
                    }
                    _ => format!("fresh for {seconds} s, as an error of which the origin says nothing"),
                };
                rule(text, "cache.rule.negative")
            }
            Aspect::Negative => Vec::new(),
            Aspect::StaleIfError => {
                let without = match head.directives.stale_if_error {
                    Some(said) => format!("the {said} s that the origin says"),
                    None => format!("the {} s of the default", base.stale_on_error_seconds),
                };
                let seconds = overrides.stale_if_error.unwrap_or_default();
                rule(
                    format!("{seconds} s stale if the origin fails, in place of {without}"),
                    "cache.rule.stale_if_error",
                )
            }
            Aspect::StaleWhileRevalidate => {
                let without = match head.directives.stale_while_revalidate {
                    Some(said) => format!("the {said} s that the origin says"),
                    None => "nothing that the origin says".to_owned(),
                };
                let seconds = overrides.stale_while_revalidate.unwrap_or_default();
                let text = format!("{seconds} s stale while it is validated, in place of {without}");
                rule(text, "cache.rule.stale_while_revalidate")
            }
            Aspect::ServeStaleAfter => {
                let waits = overrides.serve_stale_after.unwrap_or_default();
                let text = format!("when stale, it answers after {waits} ms without the origin's answer");
                rule(text, "cache.rule.serve_stale_after")
            }
        }
    }
}

/// What is not heard: what is said, and what is not said here.
fn not_heard(overrides: &Overrides, name: RuleName, request: &Request, head: &StoredHead) -> Vec<Line> {
    let ignored = Ignorable::ALL.into_iter().filter(|(_, one)| overrides.ignore.has(*one));
    let (said, unsaid): (Vec<_>, Vec<_>) = ignored.partition(|(_, one)| one.is_said(request, head));
    let told = |what: &str, ones: Vec<(&str, Ignorable)>| {
        let names: Vec<_> = ones.into_iter().map(|(name, _)| name).collect();
        let text = format!("rule {name}: {what}: {}", names.join(", "));
        (!names.is_empty()).then(|| line(text, "cache.rule.ignore"))
    };
    let all = [told("not heard", said), told("would not be heard, and is not said", unsaid)];
    all.into_iter().flatten().collect()
}

/// The bounds, and what they make of the lifetime.
fn freshness(overrides: &Overrides, head: &StoredHead, base: &CachePolicy) -> String {
    let bounds = match (overrides.fresh_min, overrides.fresh_max) {
        (Some(least), Some(most)) if least == most => format!("fresh for {least} s"),
        (Some(least), Some(most)) => format!("fresh for {least} s at least and {most} s at most"),
        (Some(least), None) => format!("fresh for {least} s at least"),
        (None, Some(most)) => format!("fresh for {most} s at most"),
        (None, None) => "no bounds of freshness".to_owned(),
    };
    let without = head.freshness_lifetime(base).seconds();
    let ruled = CachePolicy { overrides: *overrides, ..base.clone() };
    match head.freshness_lifetime(&ruled).seconds() {
        same if same == without => format!("{bounds}, which it is without the rule"),
        _ => format!("{bounds}, in place of {without} s"),
    }
}

impl Ignorable {
    /// Whether the response, or the request, says so.
    fn is_said(self, request: &Request, head: &StoredHead) -> bool {
        let directives = &head.directives;
        let wishes = RequestDirectives::of(&request.fields);
        match self {
            Ignorable::NoStore => directives.no_store,
            Ignorable::NoCache => directives.no_cache,
            Ignorable::Private => directives.private,
            Ignorable::MustRevalidate => {
                directives.must_revalidate || directives.proxy_revalidate || directives.s_maxage.is_some()
            }
            Ignorable::SetCookie => head.fields.contains(FieldName::SetCookie),
            Ignorable::Authorization => request.fields.contains(FieldName::Authorization),
            Ignorable::RequestNoStore => wishes.no_store,
            Ignorable::RequestNoCache => wishes.no_cache || wishes.max_age == Some(0),
        }
    }
}
