//! List files: patterns one a line, and the hosts format (an address, then the names that it
//! would be given), mixed as they come. A line that is neither is counted and reported; it never
//! costs the other lines.
//!
//! ```text
//! # a comment            ! another
//! ads.example
//! 0.0.0.0 ads.example tracker.example   # the hosts format
//! 203.0.113.0/24
//! ```

use std::net::IpAddr;

use super::Warning;
use super::pattern::{Pattern, PatternError};
use super::rules::Rules;

/// Names that a hosts file gives the machine itself.
const MACHINE_NAMES: &[&str] = &[
    "localhost",
    "localhost.localdomain",
    "local",
    "broadcasthost",
    "ip6-localhost",
    "ip6-loopback",
    "ip6-localnet",
    "ip6-mcastprefix",
    "ip6-allnodes",
    "ip6-allrouters",
    "ip6-allhosts",
];

/// Bad lines that are reported one by one; the others of a list are a number.
const REPORTED_MAX: usize = 10;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum LineError {
    #[error("{0}")]
    Pattern(#[from] PatternError),
    #[error("more than one pattern on the line, and no address before them")]
    SeveralPatterns,
}

/// Adds the patterns of the list `name` to `rules`.
pub(super) fn add_list(rules: &mut Rules, name: &str, text: &str, warnings: &mut Vec<Warning>) {
    let source = rules.add_source(name);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut bad_lines = 0usize;
    for (line, number) in text.lines().zip(1usize..) {
        if let Err(error) = add_line(rules, line, source, number) {
            bad_lines += 1;
            if bad_lines <= REPORTED_MAX {
                warnings.push(Warning { place: format!("{name}:{number}"), message: error.to_string() });
            }
        }
    }
    if let Some(more) = bad_lines.checked_sub(REPORTED_MAX).filter(|&more| more > 0) {
        warnings.push(Warning { place: name.to_owned(), message: format!("{more} more bad lines") });
    }
}

fn add_line(rules: &mut Rules, line: &str, source: usize, number: usize) -> Result<(), LineError> {
    // No URI has a "#", so that it ends a URL pattern too.
    let line = line.split('#').next().unwrap_or_default().trim();
    if line.is_empty() || line.starts_with('!') {
        return Ok(());
    }
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    let mut names = words.peekable();
    if names.peek().is_none() {
        rules.add(first.parse()?, source, number);
        return Ok(());
    }
    if first.parse::<IpAddr>().is_err() {
        return Err(LineError::SeveralPatterns);
    }
    for name in names.filter(|name| !is_of_the_machine(name)) {
        rules.add(name.parse::<Pattern>()?, source, number);
    }
    Ok(())
}

/// Whether a name of the hosts format says something about the machine and not about a site:
/// one of its own names, or an address (`0.0.0.0 0.0.0.0` stands in well-known lists).
fn is_of_the_machine(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    MACHINE_NAMES.iter().any(|machine| machine.eq_ignore_ascii_case(name)) || name.parse::<IpAddr>().is_ok()
}
