//! The `[access]` table as typed. Every value in it is valid: patterns, networks and ports parse
//! where they stand, so that an error names its line.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Network, Pattern, Ports};

/// Who may use Larder, and what nobody may reach through it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The clients admitted, on every listener. Without it: loopback clients on a loopback
    /// listener, private-network clients on any other.
    pub clients: Option<Vec<Network>>,
    /// Sites and addresses that nobody may reach.
    pub block: Vec<Pattern>,
    /// Clients refused even where `clients` admits them.
    pub block_clients: Vec<Network>,
    /// Destinations opened that a listener for others would refuse as private or reserved.
    pub allow_destinations: Vec<Network>,
    /// Files with more patterns to block.
    pub lists: Vec<PathBuf>,
    /// The ports that CONNECT may go to.
    pub connect_ports: Vec<Ports>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            clients: None,
            block: Vec::new(),
            block_clients: Vec::new(),
            allow_destinations: Vec::new(),
            lists: Vec::new(),
            connect_ports: vec![Ports::Default],
        }
    }
}
