//! The values of `[intercept]` that are neither words nor patterns, read where they stand, so that
//! an error names their line.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::http::Host;
use crate::tls::{NameConstraints, Pin};

/// For `deserialize_with`: hosts with the pin of each.
pub(super) fn pins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HashMap<Host, Pin>, D::Error> {
    struct Pins;

    impl<'de> Visitor<'de> for Pins {
        type Value = HashMap<Host, Pin>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table of hosts with a pin each")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HashMap<Host, Pin>, A::Error> {
            let mut pins = HashMap::new();
            while let Some((name, pin)) = map.next_entry::<String, String>()? {
                let host = Host::parse_text(&name)
                    .map_err(|error| A::Error::custom(format_args!("{name:?}: {error}")))?;
                let pin = pin.parse().map_err(|error| A::Error::custom(format_args!("{name:?}: {error}")))?;
                if pins.insert(host, pin).is_some() {
                    return Err(A::Error::custom(format_args!("{name:?} is listed twice")));
                }
            }
            Ok(pins)
        }
    }

    deserializer.deserialize_map(Pins)
}

/// For `deserialize_with`: hosts, addresses and networks that the authority may sign for.
pub(super) fn name_constraints<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<NameConstraints, D::Error> {
    struct Constraints;

    impl<'de> Visitor<'de> for Constraints {
        type Value = NameConstraints;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of hosts, addresses and networks")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<NameConstraints, E> {
            let mut constraints = NameConstraints::default();
            constraints.add(text).map_err(|error| E::custom(format_args!("{text:?}: {error}")))?;
            Ok(constraints)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<NameConstraints, A::Error> {
            let mut constraints = NameConstraints::default();
            while let Some(text) = list.next_element::<String>()? {
                constraints
                    .add(&text)
                    .map_err(|error| A::Error::custom(format_args!("{text:?}: {error}")))?;
            }
            Ok(constraints)
        }
    }

    deserializer.deserialize_any(Constraints)
}
