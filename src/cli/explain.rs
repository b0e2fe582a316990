//! `larder explain`: an explanation laid out for people, or as JSON.

use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::args::ExplainArgs;
use super::commands::{bad_config, print};
use super::control_client::ask;
use crate::admin::control::{ControlRequest, ControlResponse};
use crate::admin::explain::{ExplainRequest, Explained, ExplainedLine, ExplainedStored, Outlook, Past};
use crate::admin::numbers::Size;

/// Where the clauses stand.
const CLAUSE_COLUMN: usize = 86;

/// `larder explain`.
pub fn explain(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let cache_dir = match args.look.client.cache_dir() {
        Ok(cache_dir) => cache_dir,
        Err(error) => return Ok(bad_config(&error)),
    };
    let header = |line: &String| {
        let (name, value) = line.split_once(':').with_context(|| format!("{line:?} is no field line"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    let headers = args.header.iter().map(header).collect::<anyhow::Result<_>>()?;
    let question = ExplainRequest { of: args.of.clone(), method: args.method.clone(), headers };
    match ask(&cache_dir, &ControlRequest::Explain(question))? {
        ControlResponse::Explained(explained) if args.look.json => {
            print(&[serde_json::to_string_pretty(&explained)?])
        }
        ControlResponse::Explained(explained) => print(&laid_out(&explained)),
        ControlResponse::Failed { message } => bail!(message),
        _ => bail!("an answer to another question"),
    }
}

fn laid_out(explained: &Explained) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(past) = &explained.past {
        lines.extend(past_lines(past));
    }
    if let Some(next) = &explained.next {
        if !lines.is_empty() {
            lines.extend([String::new(), "If it came again now:".to_owned()]);
        }
        lines.extend(outlook_lines(next));
    }
    lines
}

fn past_lines(past: &Past) -> Vec<String> {
    let Past { request, method, url, status, client, cache_status, why, .. } = past;
    let status = if *status == 0 { "no response".to_owned() } else { status.to_string() };
    let mut lines = vec![
        format!("request {request}: {method} {url}"),
        format!("  {status} for {client}, Cache-Status: {cache_status}"),
    ];
    lines.extend(why.iter().map(|line| fact("  ", line)));
    lines
}

fn outlook_lines(next: &Outlook) -> Vec<String> {
    let Outlook { method, url, verdict, request, stored, not_stored, .. } = next;
    let mut lines =
        vec![format!("{method} {url}"), fact("", verdict), String::new(), "the request".to_owned()];
    lines.extend(request.iter().map(|line| fact("  ", line)));
    for (number, stored) in (1..).zip(stored) {
        lines.extend([String::new(), stored_title(number, stored)]);
        lines.extend(stored.lines.iter().map(|line| fact("  ", line)));
    }
    if let Some(past) = not_stored {
        lines.extend([String::new(), "the last answer that was not stored".to_owned()]);
        lines.extend(past_lines(past).iter().map(|line| format!("  {line}")));
    }
    lines
}

fn stored_title(number: usize, stored: &ExplainedStored) -> String {
    let ExplainedStored { status, length, in_memory, on_disk, is_selected, .. } = stored;
    let place = match (in_memory, on_disk) {
        (true, true) => "in memory and on disk",
        (true, false) => "in memory",
        _ => "on disk",
    };
    let selected = if *is_selected { "" } else { ", not selected by this request" };
    format!("stored response {number}: {status}, {}, {place}{selected}", Size(*length))
}

/// A fact, and its clause in a column of its own.
fn fact(indent: &str, line: &ExplainedLine) -> String {
    let ExplainedLine { text, clause } = line;
    if clause.is_empty() {
        return format!("{indent}{text}");
    }
    let width = CLAUSE_COLUMN.saturating_sub(indent.len());
    format!("{indent}{text:<width$}  {clause}")
}
