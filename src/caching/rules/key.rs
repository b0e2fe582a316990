//! Cache keys as the operator wants them: parameters that don't count, mirrors that are one.
//!
//! Only the key is rewritten. The request goes to the URI that was asked for, which is judged as
//! ever; and what is stored is compared with the whole key, as ever.

use bytes::Bytes;
use regex::bytes::Regex;

use super::RuleError;
use super::matching::{expression, glob_matches};
use crate::http::TargetUri;

/// A key longer than this is not rewritten; as long as the longest URI may be.
const KEY_OCTETS_MAX: usize = 64 * 1024;

/// The names of query parameters that are left out of the key: globs over the octets as they
/// stand in the URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropQuery(Vec<String>);

/// URIs that an expression matches whole have the key that it makes of them.
#[derive(Clone, Debug)]
pub struct KeyRewrite {
    from: String,
    to: String,
    expression: Regex,
}

impl DropQuery {
    /// Leaves out the parameters with these names.
    pub fn new(names: Vec<String>) -> Result<DropQuery, RuleError> {
        let is_name = |name: &String| {
            !name.is_empty()
                && name.bytes().all(|byte| (b'!'..=b'~').contains(&byte) && !b"&=#?".contains(&byte))
        };
        if names.is_empty() || !names.iter().all(is_name) {
            Err(RuleError::DropQuery)
        } else {
            Ok(DropQuery(names))
        }
    }

    /// The key; `None` when nothing is left out.
    pub(super) fn key(&self, uri: &TargetUri) -> Option<TargetUri> {
        let at = uri.path_and_query.iter().position(|&byte| byte == b'?')?;
        let (path, query) = uri.path_and_query.split_at_checked(at)?;
        let parameters = || query.get(1..).unwrap_or_default().split(|&byte| byte == b'&');
        let is_dropped = |parameter: &&[u8]| {
            let name = parameter.split(|&byte| byte == b'=').next().unwrap_or_default();
            self.0.iter().any(|glob| glob_matches(glob.as_bytes(), name))
        };
        if !parameters().any(|parameter| is_dropped(&parameter)) {
            return None;
        }
        let kept: Vec<&[u8]> = parameters().filter(|parameter| !is_dropped(parameter)).collect();
        let mut key = path.to_vec();
        if !kept.is_empty() {
            key.push(b'?');
            key.extend_from_slice(&kept.join(&b'&'));
        }
        Some(TargetUri { path_and_query: Bytes::from(key), ..uri.clone() })
    }
}

impl KeyRewrite {
    /// Keys of URIs that `from` matches from the first octet to the last; `$1` or `${name}` in `to`
    /// is what a group of it has matched.
    pub fn new(from: &str, to: &str) -> Result<KeyRewrite, RuleError> {
        if !to.starts_with("http://") && !to.starts_with("https://") {
            return Err(RuleError::KeyTarget);
        }
        // The groups keep their numbers: this one captures nothing.
        let expression = expression(&format!("^(?:{from})$"))?;
        let known = |name: &str| match name.parse::<usize>() {
            Ok(number) => number < expression.captures_len(),
            Err(_named) => expression.capture_names().flatten().any(|group| group == name),
        };
        match groups(to).find(|name| !known(name)) {
            Some(name) => Err(RuleError::KeyGroup(name.to_owned())),
            None => Ok(KeyRewrite { from: from.to_owned(), to: to.to_owned(), expression }),
        }
    }

    /// The key; `None` when the expression does not match, or makes no URI.
    pub(super) fn key(&self, uri: &TargetUri) -> Option<TargetUri> {
        let mut text = format!("{}://{}", uri.scheme.as_str(), uri.host_field()).into_bytes();
        text.extend_from_slice(&uri.path_and_query);
        let captures = self.expression.captures(&text)?;
        let mut key = Vec::new();
        captures.expand(self.to.as_bytes(), &mut key);
        if key.len() > KEY_OCTETS_MAX || key.iter().any(|&byte| byte <= b' ' || byte >= 0x7f || byte == b'#')
        {
            return None;
        }
        let mut key = TargetUri::parse_absolute(&Bytes::from(key)).ok()?;
        // What came without TLS never answers a request that asks for it.
        if key.authority.port == key.scheme.default_port() {
            key.authority.port = uri.scheme.default_port();
        }
        key.scheme = uri.scheme;
        Some(key)
    }
}

impl PartialEq for KeyRewrite {
    fn eq(&self, other: &KeyRewrite) -> bool {
        self.from == other.from && self.to == other.to
    }
}

impl Eq for KeyRewrite {}

/// The names of groups in a replacement; `$$` is a dollar sign.
fn groups(to: &str) -> impl Iterator<Item = &str> {
    let mut rest = to;
    std::iter::from_fn(move || {
        loop {
            let (_, behind) = rest.split_once('$')?;
            if let Some(escaped) = behind.strip_prefix('$') {
                rest = escaped;
                continue;
            }
            if let Some((name, after)) = behind.strip_prefix('{').and_then(|braced| braced.split_once('}')) {
                rest = after;
                return Some(name);
            }
            let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
            let end = behind.find(|character| !is_name(character)).unwrap_or(behind.len());
            let (name, after) = behind.split_at_checked(end)?;
            rest = after;
            return Some(name);
        }
    })
}
