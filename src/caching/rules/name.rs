//! Names of rules, small enough to travel with an outcome.

use std::fmt;
use std::str::FromStr;

use super::RuleError;

/// Octets of a name; it stands in `Cache-Status` and in a metric's label.
const NAME_MAX: usize = 31;

/// The name of a rule: letters, digits, `-`, `_` and `.`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleName {
    length: u8,
    octets: [u8; NAME_MAX],
}

impl RuleName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        let octets = self.octets.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(octets).unwrap_or_default()
    }

    /// The name of the rule at this place, counted from 0, when it has none of its own.
    pub fn of_place(place: usize) -> RuleName {
        let text = format!("rule-{}", place.saturating_add(1));
        // At most 25 characters.
        text.parse().unwrap_or(RuleName { length: 0, octets: [0; NAME_MAX] })
    }
}

impl FromStr for RuleName {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<RuleName, RuleError> {
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.is_empty() || !text.bytes().all(is_known) {
            return Err(RuleError::Name);
        }
        let mut octets = [0; NAME_MAX];
        octets.get_mut(..text.len()).ok_or(RuleError::Name)?.copy_from_slice(text.as_bytes());
        let length = u8::try_from(text.len()).map_err(|_too_long| RuleError::Name)?;
        Ok(RuleName { length, octets })
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}
