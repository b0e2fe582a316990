//! List files: patterns one a line, the hosts format (an address, then the names that it would be
//! given), and of the syntax of ad blockers what names a host; mixed as they come. Any other line is
//! counted and reported; it never costs the other lines.
//!
//! Invariant: a line blocks what it says or less, never more. A filter for one element of a page,
//! or for some requests to a site, does not become a block of the site.
//!
//! ```text
//! # a comment            ! another
//! ads.example
//! 0.0.0.0 ads.example tracker.example   # the hosts format
//! 203.0.113.0/24
//! ||ads.example^
//! example.com##.banner                  skipped: it hides an element of a page
//! ||example.com^$third-party            reported: options are not supported
//! ```

use std::net::IpAddr;

use super::Warning;
use super::pattern::Pattern;
use super::pattern_error::PatternError;
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
    #[error("'#' begins a comment only at the start of a line or after a space")]
    AttachedComment,
    #[error("an ad blocker's exception (@@) is not supported")]
    Exception,
    #[error("an ad blocker's options ({0}) are not supported")]
    Options(String),
    #[error("of the filters that begin with '|', only ||host^ is supported")]
    Anchor,
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
    let Some(line) = without_comment(line.trim())? else { return Ok(()) };
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    let mut names = words.peekable();
    if names.peek().is_none() {
        rules.add(pattern(first)?, source, number);
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

/// What of a line is before its comment; `None` where there is nothing to block: in empty lines,
/// comments, headings like `[Adblock Plus 2.0]` and cosmetic filters.
fn without_comment(line: &str) -> Result<Option<&str>, LineError> {
    let is_heading = line.starts_with('[') && line.ends_with(']') && line.parse::<Pattern>().is_err();
    if line.is_empty() || line.starts_with(['!', '#']) || is_heading {
        return Ok(None);
    }
    let (before, rest) = line.split_at(line.find('#').unwrap_or(line.len()));
    let is_attached = !before.ends_with(char::is_whitespace);
    // `##` and a space behind a space is how people draw comments.
    let selects = |marker: usize| {
        is_attached || rest.get(marker..).is_some_and(|text| !text.starts_with(['#', ' ', '\t']))
    };
    if has_html_filter(before) || cosmetic_marker(rest).is_some_and(selects) {
        return Ok(None);
    }
    if !rest.is_empty() && is_attached {
        return Err(LineError::AttachedComment);
    }
    let before = before.trim_end();
    Ok((!before.is_empty()).then_some(before))
}

/// The length of what parts hosts and a selector in filters that change pages: `##`, `#@#`, `#?#`,
/// `#$#`, `#%#` and their combinations.
fn cosmetic_marker(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('#')?;
    let end = rest.find(|character: char| !"@?$%".contains(character))?;
    rest.get(end..)?.starts_with('#').then_some(end + 2)
}

/// `$$` and `$@$` part hosts and an element that is to be cut out of a page.
fn has_html_filter(text: &str) -> bool {
    text.contains("$$") || text.contains("$@$")
}

/// A single word: a pattern, or an ad blocker's filter for a host.
fn pattern(word: &str) -> Result<Pattern, LineError> {
    if word.starts_with("@@") {
        return Err(LineError::Exception);
    }
    if let Some(options) = options(word) {
        return Err(LineError::Options(options.to_owned()));
    }
    let Some(anchored) = word.strip_prefix('|') else { return Ok(word.parse()?) };
    // "||" begins at the host or any name below it, and "^" ends it.
    let host = anchored.strip_prefix('|').and_then(|host| host.strip_suffix('^'));
    match host.filter(|host| !host.contains('/')).map(str::parse::<Pattern>) {
        Some(Ok(pattern)) if !pattern.is_url() => Ok(pattern),
        _ => Err(LineError::Anchor),
    }
}

/// The options of a filter: `$third-party,domain=a.example`. In a regular expression a `$` stands
/// before nothing, `|` or `)`.
fn options(word: &str) -> Option<&str> {
    let (_, options) = word.rsplit_once('$')?;
    let is_name = |character: char| character.is_ascii_lowercase() || "~_".contains(character);
    options.starts_with(is_name).then_some(options)
}

/// Whether a name of the hosts format says something about the machine and not about a site:
/// one of its own names, or an address (`0.0.0.0 0.0.0.0` stands in well-known lists).
fn is_of_the_machine(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    MACHINE_NAMES.iter().any(|machine| machine.eq_ignore_ascii_case(name)) || name.parse::<IpAddr>().is_ok()
}
