//! What is wrong with a configuration, said so that it can be put right: the file, the line with
//! a mark under the place, the key, and what was probably meant.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::rules::RULE_KEYS;
use super::settings::KNOWN_KEYS;

/// A configuration that can't be used; Larder exits with 78 (`EX_CONFIG`).
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{}: larger than {max} bytes", path.display())]
    TooLarge { path: PathBuf, max: u64 },
    /// Something at a place of the file.
    #[error("{0}")]
    Place(Box<Diagnosis>),
    /// A value that did not come from the file.
    #[error("{key}: {message}")]
    Value { key: &'static str, message: String },
    #[error("there is no folder for the cache: neither XDG_CACHE_HOME nor HOME is set; use --cache-dir DIR")]
    NoCacheDir,
    #[error(
        "there is no folder for the authority: neither XDG_DATA_HOME nor HOME is set; set intercept.ca_dir"
    )]
    NoCaDir,
}

/// An error at a place of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The text of the line.
    pub text: String,
    /// How many characters the mark spans.
    pub width: usize,
    /// The key with its table, like `cache.memory`.
    pub key: Option<String>,
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl Diagnosis {
    /// Places an error of the TOML parser or of a value's own parser.
    pub(super) fn of(file: &Path, text: &str, error: &toml::de::Error) -> Diagnosis {
        let span = error.span().unwrap_or(0..0);
        let key = key_at(text, &span);
        let unknown = error.message().starts_with("unknown field").then_some(key.as_deref()).flatten();
        let (message, suggestion) = match unknown {
            Some(key) => (unknown_key(key), suggestion(key)),
            None => (error.message().lines().next().unwrap_or_default().to_owned(), None),
        };
        Diagnosis { suggestion, ..Diagnosis::at(file, text, &span, key, message) }
    }

    /// Places an error that was found when the values were compared; `None` where the key does
    /// not stand in the file.
    pub(super) fn of_key(file: &Path, text: &str, key: &str, message: &str) -> Option<Diagnosis> {
        let span = value_of_key(text, key)?;
        Some(Diagnosis::at(file, text, &span, Some(key.to_owned()), message.to_owned()))
    }

    fn at(file: &Path, text: &str, span: &Range<usize>, key: Option<String>, message: String) -> Diagnosis {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_text = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        // The parser may point between the two octets of a line end, which the line's text lacks.
        let column =
            before.get(line_start..).unwrap_or_default().chars().count().min(line_text.chars().count()) + 1;
        let marked = text.get(span.clone()).and_then(|marked| marked.lines().next()).unwrap_or_default();
        Diagnosis {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column,
            text: line_text.to_owned(),
            width: marked.chars().count().max(1),
            key,
            message,
            suggestion: None,
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file.display(), self.line, self.column)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        writeln!(f, "{}", self.message)?;
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, "  {number} | {}", self.text)?;
        // A tab is as wide here as it is above.
        let before = self.text.chars().take(self.column - 1);
        let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        write!(f, "  {gutter} | {indent}{}", "^".repeat(self.width))?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "\n  did you mean {suggestion}?"),
            None => Ok(()),
        }
    }
}

fn unknown_key(key: &str) -> String {
    // They were named by a unit that "5m" does not have.
    if let Some(named) = key.strip_suffix("_s").filter(|named| KNOWN_KEYS.contains(named)) {
        return format!("this key is now called {named}, and takes a duration like \"10s\" or \"5m\"");
    }
    match key.split_once('.') {
        Some(_) => "there is no such key".to_owned(),
        None => "there is no such table".to_owned(),
    }
}

/// The known key or table that `key` is most likely a misspelling of.
fn suggestion(key: &str) -> Option<String> {
    let Some((table, name)) = key.rsplit_once('.') else {
        let tables = known_keys().map(|(table, _)| table).filter(|table| !table.contains('.'));
        if let Some(table) = nearest(key, tables) {
            return Some(format!("[{table}]"));
        }
        return other_table(key);
    };
    let names = known_keys().filter(|(in_table, _)| *in_table == table);
    match nearest(name, names.map(|(_, name)| name)) {
        Some(name) => Some(format!("`{name}`")),
        None => other_table(name),
    }
}

/// A key of this name that belongs to another table.
fn other_table(name: &str) -> Option<String> {
    let named = known_keys().filter(|(_, known)| *known == name);
    // Who says only `memory` means the cache.
    let (table, name) = named.min_by_key(|(table, _)| *table == "limits")?;
    Some(match (table, name) {
        // Tables of an array have a heading each, and a name for all.
        ("cache", "rule") => "[[cache.rule]]".to_owned(),
        ("cache.rule", name) => format!("`{name}` in a table [[cache.rule]]"),
        (table, name) => format!("`{name}` in the table [{table}]"),
    })
}

/// Every key as its table and its name.
fn known_keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    KNOWN_KEYS.iter().chain(RULE_KEYS).filter_map(|known| known.rsplit_once('.'))
}

/// The candidate that is fewest edits away, if that is near enough to be a slip.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = |candidate: &'a str| (edit_distance(word, candidate), candidate);
    let (distance, best) = candidates.map(near).min_by_key(|(distance, _)| *distance)?;
    let is_slip = distance <= word.len().max(best.len()).div_ceil(3);
    // A key whose unit was left out, or a plural: long, but no guess.
    let is_part = word.len() >= 4 && (best.starts_with(word) || word.starts_with(best));
    (is_slip || is_part).then_some(best)
}

/// How many characters must be inserted, removed or replaced to turn `from` into `to`, with an
/// exchange of neighbours counted as two.
fn edit_distance(from: &str, to: &str) -> usize {
    // One row of the table: the distances of `from`'s prefix to each prefix of `to`.
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, left) in from.chars().enumerate() {
        let mut diagonal = index;
        let mut last = index + 1;
        let mut next = vec![last];
        for (right, &above) in to.chars().zip(row.iter().skip(1)) {
            last = (diagonal + usize::from(left != right)).min(above + 1).min(last + 1);
            diagonal = above;
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// The key, with its table, whose name or value is at `span`.
fn key_at(text: &str, span: &Range<usize>) -> Option<String> {
    let document = DeTable::parse(text).ok()?;
    let mut path = Vec::new();
    descend(document.get_ref(), span, &mut path);
    (!path.is_empty()).then(|| path.join("."))
}

fn descend(table: &DeTable<'_>, span: &Range<usize>, path: &mut Vec<String>) {
    let holds = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    for (name, value) in table {
        // A table's own span is its header alone, so that what it holds is asked in any case.
        let found = path.len();
        path.push(name.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => descend(inner, span, path),
            DeValue::Array(tables) => descend_into_all(tables, span, path),
            _ => {}
        }
        if path.len() > found + 1 {
            return;
        }
        if holds(name.span()) || holds(value.span()) {
            return;
        }
        path.truncate(found);
    }
}

/// The tables of an array have one name.
fn descend_into_all(tables: &DeArray<'_>, span: &Range<usize>, path: &mut Vec<String>) {
    let length = path.len();
    for table in tables.iter().filter_map(|table| table.get_ref().as_table()) {
        descend(table, span, path);
        if path.len() > length {
            return;
        }
    }
}

/// Where the value of `table.key` stands.
fn value_of_key(text: &str, key: &str) -> Option<Range<usize>> {
    let document = DeTable::parse(text).ok()?;
    let (table, name) = key.split_once('.')?;
    let find = |table: &DeTable<'_>, name: &str| table.get(name).map(Spanned::span);
    let inner = document.get_ref().get(table)?;
    inner.get_ref().as_table().and_then(|inner| find(inner, name))
}
