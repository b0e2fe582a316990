//! The `[access]` table as typed. Every value in it is valid: patterns, networks and ports parse
//! where they stand, so that an error names its line.

use std::path::PathBuf;

use serde::Deserialize;

use super::typed::{one_or_many, some_or_many};
use super::{Network, Pattern, Ports};

/// Who may use Larder, and what nobody may reach through it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The clients admitted, on every listener. Without it: loopback clients on a loopback
    /// listener, private-network clients on any other.
    #[serde(deserialize_with = "some_or_many")]
    pub clients: Option<Vec<Network>>,
    /// Sites and addresses that nobody may reach.
    #[serde(deserialize_with = "one_or_many")]
    pub block: Vec<Pattern>,
    /// Clients refused even where `clients` admits them.
    #[serde(deserialize_with = "one_or_many")]
    pub block_clients: Vec<Network>,
    /// Destinations opened that a listener for others would refuse as private or reserved.
    #[serde(deserialize_with = "one_or_many")]
    pub allow_destinations: Vec<Network>,
    /// Origins whose malformed heads are repaired.
    #[serde(deserialize_with = "one_or_many")]
    pub lenient_origins: Vec<Pattern>,
    /// Files with more patterns to block.
    #[serde(deserialize_with = "one_or_many")]
    pub lists: Vec<PathBuf>,
    /// The ports that requests other than CONNECT may go to.
    #[serde(deserialize_with = "one_or_many")]
    pub ports: Vec<Ports>,
    /// The ports that CONNECT may go to.
    #[serde(deserialize_with = "one_or_many")]
    pub connect_ports: Vec<Ports>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            clients: None,
            block: Vec::new(),
            block_clients: Vec::new(),
            allow_destinations: Vec::new(),
            lenient_origins: Vec::new(),
            lists: Vec::new(),
            ports: vec![Ports::Default],
            connect_ports: vec![Ports::Default],
        }
    }
}
