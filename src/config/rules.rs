//! `[[cache.rule]]`: the operator's rules for caching, as typed. A rule that is here is valid; the
//! error of one that is not names its line.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::values::{duration, lifetime};
use crate::caching::{
    Actions, Conditions, DropQuery, HostPattern, Ignorable, KeyRewrite, PathPattern, Rule, RuleError,
    RuleName, StatusRange, Together, TypePattern, UnkeyedField,
};
use crate::http::FieldName;

/// Rules of one configuration; each is asked about each response of its hosts. Arbitrary.
pub(super) const RULES_MAX: usize = 1024;

/// Fields in `cache.unkeyed_fields`: each is compared with each field of a request whose response may be
/// stored. Arbitrary.
const UNKEYED_MAX: usize = 64;

/// Every key of a rule, for suggestions and for the tests of its documentation.
pub const RULE_KEYS: &[&str] = &[
    "cache.rule.name",
    "cache.rule.host",
    "cache.rule.path",
    "cache.rule.type",
    "cache.rule.status",
    "cache.rule.method",
    "cache.rule.never",
    "cache.rule.fresh",
    "cache.rule.fresh_for",
    "cache.rule.negative",
    "cache.rule.stale_if_error",
    "cache.rule.stale_while_revalidate",
    "cache.rule.serve_stale_after",
    "cache.rule.ignore",
    "cache.rule.drop_query",
    "cache.rule.key",
    "cache.rule.together",
];

/// One table as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Typed {
    name: Option<Parsed<RuleName>>,
    host: OneOrMany<HostPattern>,
    path: OneOrMany<PathPattern>,
    r#type: OneOrMany<TypePattern>,
    status: OneOrMany<StatusRange>,
    method: OneOrMany<MethodName>,
    never: Option<bool>,
    fresh: Option<Bounds>,
    fresh_for: Option<Seconds>,
    negative: Option<Seconds>,
    stale_if_error: Option<Seconds>,
    stale_while_revalidate: Option<Seconds>,
    serve_stale_after: Option<Patience>,
    ignore: Option<OneOrMany<Ignorable>>,
    drop_query: Option<OneOrMany<String>>,
    key: Option<Mirrors>,
    together: Option<OneOrMany<String>>,
}

/// `fresh = { min = "1h", max = "7d" }`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Bounds {
    min: Option<Seconds>,
    max: Option<Seconds>,
}

/// `key = { from = "…", to = "…" }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mirrors {
    from: String,
    to: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
struct Seconds(#[serde(deserialize_with = "lifetime")] u64);

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
struct Patience(#[serde(deserialize_with = "duration")] Duration);

/// A method that the cache has responses for.
#[derive(Debug)]
struct MethodName(String);

impl FromStr for MethodName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<MethodName, &'static str> {
        match text {
            "GET" | "HEAD" => Ok(MethodName(text.to_owned())),
            _ => Err("a method is GET or HEAD: the cache answers no other"),
        }
    }
}

/// A rule and whether its name is its own.
#[derive(Debug)]
struct Read {
    rule: Rule,
    has_name: bool,
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Read, D::Error> {
        let typed = Typed::deserialize(deserializer)?;
        let has_name = typed.name.is_some();
        typed.meant().map(|rule| Read { rule, has_name }).map_err(D::Error::custom)
    }
}

/// For `deserialize_with`: the rules in order.
pub(super) fn rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Rule>, D::Error> {
    let read = Vec::<Read>::deserialize(deserializer)?;
    let named = |(place, Read { rule, has_name })| match has_name {
        true => rule,
        false => Rule { name: RuleName::of_place(place), ..rule },
    };
    Ok(read.into_iter().enumerate().map(named).collect())
}

impl Typed {
    fn meant(self) -> Result<Rule, String> {
        let when = Conditions {
            hosts: self.host.0,
            paths: self.path.0,
            types: self.r#type.0,
            statuses: self.status.0,
            methods: self.method.0.into_iter().map(|MethodName(name)| name).collect(),
        };
        let seconds = |value: Option<Seconds>| value.map(|Seconds(seconds)| seconds);
        let fresh = match (self.fresh, self.fresh_for) {
            (Some(_), Some(_)) => return Err("fresh and fresh_for say the same thing twice".to_owned()),
            (Some(bounds), None) => Some((seconds(bounds.min), seconds(bounds.max))),
            (None, Some(Seconds(exactly))) => Some((Some(exactly), Some(exactly))),
            (None, None) => None,
        };
        if let Some((Some(least), Some(most))) = fresh
            && least > most
        {
            return Err("the least freshness is longer than the longest".to_owned());
        }
        let text = |error: RuleError| error.to_string();
        let then = Actions {
            never: self.never,
            ignore: self.ignore.map(|OneOrMany(all)| all.into_iter().collect()),
            fresh,
            negative: seconds(self.negative),
            stale_if_error: seconds(self.stale_if_error),
            stale_while_revalidate: seconds(self.stale_while_revalidate),
            serve_stale_after: self.serve_stale_after.map(|Patience(after)| after.as_millis() as u64),
            drop_query: self
                .drop_query
                .map(|OneOrMany(names)| DropQuery::new(names))
                .transpose()
                .map_err(|error| format!("drop_query: {error}"))?,
            key: self
                .key
                .map(|Mirrors { from, to }| KeyRewrite::new(&from, &to))
                .transpose()
                .map_err(|error| format!("key: {error}"))?,
            together: self
                .together
                .map(|OneOrMany(names)| Together::new(names))
                .transpose()
                .map_err(|error| format!("together: {error}"))?,
        };
        if then == Actions::default() {
            return Err(
                "the rule does nothing: it has no never, fresh, ignore, key, together or the like".to_owned()
            );
        }
        let has_key = then.key.is_some() || then.drop_query.is_some();
        if has_key && (when.are_about_response() || !when.methods.is_empty()) {
            return Err("key and drop_query depend on host and path alone: what one request has stored, \
                        another has to find"
                .to_owned());
        }
        if then.together.is_some() && (when.are_about_response() || !when.methods.is_empty()) {
            return Err("together depends on host and path alone".to_owned());
        }
        let name = match self.name {
            Some(Parsed(name)) => name,
            None => "rule".parse().map_err(text)?,
        };
        Ok(Rule { name, when, then })
    }
}

/// What is wrong with the rules taken together.
pub(super) fn check(rules: &[Rule]) -> Result<(), String> {
    if rules.len() > RULES_MAX {
        return Err(format!("at most {RULES_MAX} rules"));
    }
    for (place, rule) in rules.iter().enumerate() {
        if rules.iter().skip(place + 1).any(|other| other.name == rule.name) {
            return Err(format!("two rules have the name {:?}", rule.name.as_str()));
        }
    }
    Ok(())
}

/// For `deserialize_with`: fields that origins build responses from.
pub(super) fn unkeyed_fields<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<UnkeyedField>, D::Error> {
    let read = Vec::<Parsed<UnkeyedField>>::deserialize(deserializer)?;
    if read.len() > UNKEYED_MAX {
        return Err(D::Error::custom(format_args!("at most {UNKEYED_MAX} fields")));
    }
    Ok(read.into_iter().map(|Parsed(field)| field).collect())
}

/// What is wrong with a list of targeted fields.
pub(super) fn check_targeted(names: &[String]) -> Result<(), String> {
    for name in names {
        let is_targeted = name.len() > "-Cache-Control".len()
            && name.to_ascii_lowercase().ends_with("-cache-control")
            && crate::http::grammar::is_token(name.as_bytes())
            && FieldName::of(name.as_bytes()) == FieldName::Other;
        if !is_targeted {
            return Err(format!("{name:?}: a targeted field is written as Larder-Cache-Control"));
        }
    }
    Ok(())
}

/// What is wrong with a list of names of fields.
pub(super) fn check_field_names(names: &[String]) -> Result<(), String> {
    match names.iter().find(|name| !crate::http::grammar::is_token(name.as_bytes())) {
        Some(name) => Err(format!("{name:?} is not the name of a field, which is written as X-Api-Key")),
        None => Ok(()),
    }
}

/// A value that is parsed where it stands, so that an error names its line.
#[derive(Debug)]
struct Parsed<T>(T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Parsed<T>, D::Error> {
        deserializer.deserialize_any(Scalar(PhantomData)).map(Parsed)
    }
}

struct Scalar<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a whole number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|error| E::custom(format_args!("{text:?}: {error}")))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

/// One value, or a list of them.
#[derive(Debug)]
struct OneOrMany<T>(Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> OneOrMany<T> {
        OneOrMany(Vec::new())
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMany<T>, D::Error> {
        struct List<T>(PhantomData<T>);

        impl<'de, T: FromStr<Err: fmt::Display>> Visitor<'de> for List<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a whole number or a list of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
                Scalar(PhantomData).visit_str(text).map(|one| vec![one])
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Vec<T>, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(Parsed(one)) = list.next_element()? {
                    all.push(one);
                }
                // An empty list would hold always, which is hardly what was meant.
                if all.is_empty() { Err(A::Error::custom("the list is empty")) } else { Ok(all) }
            }
        }

        deserializer.deserialize_any(List(PhantomData)).map(OneOrMany)
    }
}
