//! `larder explain`: an explanation laid out for people, or as JSON.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::args::ExplainArgs;
use super::control_client::{UNEXPECTED, ask};
use super::output::{bad_config, print};
use super::run::{self, Larder};
use crate::admin::logged::of_line;
use crate::admin::messages::{
    ControlRequest, ControlResponse, ExplainRequest, Explained, ExplainedLine, ExplainedStored, Outlook, Past,
};
use crate::admin::numbers::Size;
use crate::config::{Environment, Settings};

/// Where the clauses stand.
const CLAUSE_COLUMN: usize = 86;

/// `larder explain`.
pub fn explain(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let settings = match args.look.client.settings() {
        Ok(settings) => settings,
        Err(error) => return Ok(bad_config(&error)),
    };
    let header = |line: &String| {
        let (name, value) = line
            .split_once(':')
            .with_context(|| format!("{line:?} is not a field line like \"Name: value\""))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    let headers = args.header.iter().map(header).collect::<anyhow::Result<_>>()?;
    let question = ExplainRequest { of: args.of.clone(), method: args.method.clone(), headers };
    match answered(&settings, args.look.client.config.as_deref(), question)? {
        ControlResponse::Explained(explained) if args.look.json => {
            print(&[serde_json::to_string_pretty(&explained)?])
        }
        ControlResponse::Explained(explained) => print(&laid_out(&explained)),
        ControlResponse::Failed { message } => bail!(message),
        _ => bail!(UNEXPECTED),
    }
}

/// The answer of the running Larder; of what `larder run` has left behind where it knows nothing.
fn answered(
    settings: &Settings,
    config: Option<&Path>,
    question: ExplainRequest,
) -> anyhow::Result<ControlResponse> {
    let of = question.of.clone();
    let request = ControlRequest::Explain(question);
    let response = ask(&settings.cache_dir, &request);
    if matches!(response, Ok(ControlResponse::Explained(_))) {
        return response;
    }
    if let Some(past) = logged(settings, &of) {
        return Ok(ControlResponse::Explained(Box::new(Explained { past: Some(past), next: None })));
    }
    // A running Larder has answered for itself.
    if response.is_ok() || !run::has_left(&settings.cache_dir) {
        return response;
    }
    // What the last command has stored is on disk.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let larder = Larder::find_or_start(settings, config, &Environment::of_process()).await?;
        let response = ask(&larder.folder, &request);
        larder.release().await?;
        response
    })
}

/// A request in the access logs of `larder run`, the latest first.
#[expect(clippy::disallowed_methods, reason = "a command reads a log")]
fn logged(settings: &Settings, request: &str) -> Option<Past> {
    if request.len() != 16 {
        return None;
    }
    let texts = run::logs(settings).into_iter().filter_map(|log| std::fs::read_to_string(log).ok());
    texts.into_iter().find_map(|text| text.lines().rev().find_map(|line| of_line(line, request)))
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
