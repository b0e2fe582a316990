//! A past request as a line of the access log (format `json`) has it: for `larder explain` when the Larder
//! that served it has ended.

use serde::Deserialize;

use super::explain::{forwarded, in_words};
use super::messages::{ExplainedLine, Past};
use crate::caching::{ForwardReason, NotStored};

/// The members of a line that say what became of the request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    id: String,
    time: String,
    client: String,
    method: String,
    url: String,
    status: u16,
    duration_ms: u64,
    cache_status: String,
    ending: String,
    rule: String,
    error: String,
    detail: String,
}

/// The request of a line, if it is this one.
pub fn of_line(line: &str, request: &str) -> Option<Past> {
    // Nearly all lines are others: they need not be parsed.
    if !line.contains(request) {
        return None;
    }
    let line: Line = serde_json::from_str(line).ok().filter(|line: &Line| line.id == request)?;
    Some(Past {
        why: why(&line),
        request: line.id,
        finished_ms: milliseconds(&line.time).unwrap_or_default(),
        took_ms: line.duration_ms,
        client: line.client,
        method: line.method,
        url: line.url,
        status: line.status,
        cache_status: line.cache_status,
    })
}

fn why(logged: &Line) -> Vec<ExplainedLine> {
    let mut lines = Vec::new();
    let mut line = |text: String, clause: &str| lines.push(ExplainedLine { text, clause: clause.to_owned() });
    if !logged.rule.is_empty() {
        line(format!("blocked by {}", logged.rule), "");
    }
    if !logged.error.is_empty() {
        let detail = if logged.detail.is_empty() { String::new() } else { format!(": {}", logged.detail) };
        line(format!("{}{detail}", logged.error), "RFC 9209 §2.3");
    }
    let said: Vec<&str> = logged.cache_status.split(';').map(str::trim).collect();
    let value = |name: &str| said.iter().find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    if said.contains(&"hit") {
        line("a stored response answered".to_owned(), "RFC 9111 §4");
    }
    if let Some(reason) = value("fwd").and_then(ForwardReason::of_token) {
        let (text, clause) = forwarded(reason);
        line(text.to_owned(), clause);
    }
    if said.contains(&"collapsed") {
        line("another request for it was under way, and its answer was shared".to_owned(), "RFC 9111 §4");
    }
    if said.contains(&"stored") {
        line("the answer was stored".to_owned(), "RFC 9111 §3");
    } else if let Some(detail) = value("detail").map(|detail| detail.trim_matches('"')) {
        match NotStored::of_token(detail) {
            Some(reason) => {
                let (text, clause) = reason.because();
                line(format!("the answer was not stored: {text}"), clause);
            }
            None => line(in_words(detail), ""),
        }
    }
    if !matches!(logged.ending.as_str(), "" | "complete") {
        line(format!("it did not end whole: {}", logged.ending), "");
    }
    line(format!("it ended at {}, after {} ms", logged.time, logged.duration_ms), "");
    lines
}

/// `2026-11-30T20:10:13.045Z` in milliseconds since 1970.
fn milliseconds(time: &str) -> Option<u64> {
    let numbers: Vec<u64> =
        time.split(['-', 'T', ':', '.', 'Z']).map_while(|part| part.parse().ok()).collect();
    let [year, month, day, hour, minute, second, millis] = numbers.as_slice() else { return None };
    // Years begin in March, so that the leap day is the last one.
    let (year, month) = if *month > 2 { (*year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days =
        year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day.checked_sub(1)?;
    let days = days.checked_sub(719_468)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_in_words() {
        let line = r#"{"v":1,"time":"2026-11-30T20:10:13.045Z","id":"2f1c0d9e00000017","client":"127.0.0.1","method":"GET","url":"https://a.test/x","status":200,"duration_ms":7,"cache_status":"larder; fwd=uri-miss; detail=no-store","ending":"complete"}"#;
        let past = of_line(line, "2f1c0d9e00000017").expect("the request");
        assert_eq!((past.url.as_str(), past.status, past.took_ms), ("https://a.test/x", 200, 7));
        assert_eq!(past.finished_ms, 1_796_069_413_045);
        let why: Vec<&str> = past.why.iter().map(|line| line.text.as_str()).collect();
        assert!(
            why[0].contains("nothing was stored for the URI")
                && why[1].starts_with("the answer was not stored")
        );
        assert_eq!(of_line(line, "2f1c0d9e00000018"), None);
        assert_eq!(of_line("2f1c0d9e00000017 damaged", "2f1c0d9e00000017"), None);
        assert_eq!(milliseconds("1970-01-01T00:00:00.001Z"), Some(1));
        assert_eq!(milliseconds("2024-02-29T23:59:59.999Z"), Some(1_709_251_199_999));
        assert_eq!(milliseconds("0000-00-00T00:00:00.000Z"), None);
    }
}
