//! `larder cache`: what the running Larder says about its cache, laid out for people or as JSON.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use serde::Serialize;

use super::args::{CacheCommand, ClientArgs, ListArgs, LookArgs, PurgeArgs, ShowArgs};
use super::commands::tell;
use super::control_client::{UNEXPECTED, ask};
use super::output::{bad_config, print};
use super::{verify, warm};
use crate::admin::messages::{
    CacheAnswer, CacheRequest, ControlRequest, ControlResponse, DiskStats, LeftOutStats, Listed, MemoryStats,
    Scope, ShareStats, Shown,
};
use crate::admin::numbers::{Size, counted};

/// `larder cache`.
pub fn cache(command: &CacheCommand) -> anyhow::Result<ExitCode> {
    match command {
        CacheCommand::Stats(args) => stats(args),
        CacheCommand::Ls(args) => list(args),
        CacheCommand::Show(args) => show(args),
        CacheCommand::Purge(args) => purge(args),
        CacheCommand::Warm(args) => warm::warm(args),
        CacheCommand::Online(args) => tell(args, &ControlRequest::Cache(CacheRequest::Online)),
        CacheCommand::Verify(args) => verify::verify(args),
    }
}

/// Asks, and has `answered` make the lines of the answer; bad configurations end here.
pub(super) fn ask_cache(
    args: &ClientArgs,
    request: CacheRequest,
    answered: impl FnOnce(CacheAnswer) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let cache_dir = match args.cache_dir() {
        Ok(cache_dir) => cache_dir,
        Err(error) => return Ok(bad_config(&error)),
    };
    match ask(&cache_dir, &ControlRequest::Cache(request))? {
        ControlResponse::Cache(answer) => answered(answer),
        ControlResponse::Failed { message } => bail!(message),
        _other => bail!(UNEXPECTED),
    }
}

fn json(value: &impl Serialize) -> anyhow::Result<ExitCode> {
    print(&[serde_json::to_string_pretty(value)?])
}

fn stats(args: &LookArgs) -> anyhow::Result<ExitCode> {
    ask_cache(&args.client, CacheRequest::Stats, |answer| {
        if args.json {
            return json(&answer);
        }
        let CacheAnswer::Stats { memory, disks, left_out } = answer else { bail!(UNEXPECTED) };
        let mut lines = memory_lines(&memory);
        disks.iter().for_each(|disk| lines.extend(disk_lines(disk)));
        let without = |one: &LeftOutStats| format!("disk          {}, left out: {}", one.folder, one.reason);
        lines.extend(left_out.iter().map(without));
        print(&lines)
    })
}

fn memory_lines(memory: &MemoryStats) -> Vec<String> {
    vec![
        "memory".to_owned(),
        row("responses", memory.objects, memory.stored_bytes),
        row("arriving", "", memory.filling_bytes),
        row("in all", "", memory.stored_bytes + memory.filling_bytes),
        row("at most", "", memory.limit_bytes),
        format!("  evicted     {:>12}", memory.evictions),
    ]
}

fn disk_lines(disk: &DiskStats) -> Vec<String> {
    let share = |name: &str, share: &ShareStats| row(name, share.records, share.bytes);
    let why = disk.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    vec![
        format!("disk          {}, {}{why}", disk.folder, disk.state),
        share("content", &disk.responses),
        share("heads", &disk.heads),
        share("removals", &disk.removals),
        share("replaced", &disk.dead),
        row("lists", "", disk.rest_bytes),
        row("in all", counted(disk.segments, "segment"), disk.used_bytes),
        row("at most", "", disk.limit_bytes),
        format!("  purges      {:>12}", disk.purges),
        "since the start".to_owned(),
        row("written", "", disk.written_bytes),
        row("reclaimed", "", disk.reclaimed_bytes),
        format!("  read        {:>12}", disk.reads),
        format!("  failed      {:>12}", disk.read_errors),
        format!("  damaged     {:>12}", disk.damaged),
        format!("  dropped     {:>12}", disk.dropped),
        row("scrubbed", counted(disk.scrub_passes, "pass"), disk.scrubbed_bytes),
        format!("  last pass   {:>12}", scrubbed(disk)),
    ]
}

/// When all was looked at last, and what was found since the start.
fn scrubbed(disk: &DiskStats) -> String {
    match disk.scrubbed {
        Some(seconds) => {
            let when = crate::http::Timestamp(seconds).to_http_date();
            format!("{when}, {} damaged", disk.scrub_damaged)
        }
        None => "none yet".to_owned(),
    }
}

fn row(name: &str, count: impl std::fmt::Display, bytes: u64) -> String {
    format!("  {name:<11} {:>12}  {:>12}", count.to_string(), Size(bytes).to_string())
}

fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let ListArgs { host, prefix, limit, look } = args.clone();
    let of = match (&host, &prefix) {
        (Some(host), None) => format!(" of {host}"),
        (None, Some(prefix)) => format!(" below {prefix}"),
        (Some(host), Some(prefix)) => format!(" of {host} below {prefix}"),
        (None, None) => String::new(),
    };
    ask_cache(&look.client, CacheRequest::List { host, prefix, limit }, |answer| {
        if look.json {
            return json(&answer);
        }
        let CacheAnswer::Listing { responses, total } = answer else { bail!(UNEXPECTED) };
        let mut lines: Vec<String> = responses.iter().map(listed).collect();
        if !lines.is_empty() {
            let columns = ("status", "size", "age", "fresh for", "where");
            let (status, size, age, fresh, place) = columns;
            lines.insert(0, format!("{status:>6} {size:>11} {age:>9} {fresh:>9}  {place:<11} URL"));
        }
        print(&lines)?;
        // Not among the lines, for scripts.
        if total == 0 {
            writeln!(std::io::stderr(), "nothing{of} is stored")?;
        }
        let left = total.saturating_sub(responses.len() as u64);
        if left > 0 {
            writeln!(std::io::stderr(), "{left} more; --limit, --host and --prefix change what is listed")?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn listed(response: &Listed) -> String {
    let Listed { url, status, length, age, ttl, .. } = response;
    let place = place(response);
    format!(
        "{status:>6} {:>11} {:>9} {:>9}  {place:<11} {url}",
        Size(*length).to_string(),
        seconds(i64::try_from(*age).unwrap_or(i64::MAX)),
        seconds(*ttl)
    )
}

fn place(response: &Listed) -> &'static str {
    match (response.in_memory, response.on_disk) {
        (true, true) => "memory+disk",
        (true, false) => "memory",
        _ => "disk",
    }
}

/// Seconds in the largest unit of which there are two.
fn seconds(count: i64) -> String {
    match count.unsigned_abs() {
        0..120 => format!("{count} s"),
        120..7200 => format!("{} min", count / 60),
        7200..172_800 => format!("{} h", count / 3600),
        _ => format!("{} d", count / 86_400),
    }
}

fn show(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let ShowArgs { url, look } = args.clone();
    ask_cache(&look.client, CacheRequest::Show { url: url.clone() }, |answer| {
        if look.json {
            return json(&answer);
        }
        let CacheAnswer::Shown { responses } = answer else { bail!(UNEXPECTED) };
        if responses.is_empty() {
            writeln!(std::io::stderr(), "nothing of {url} is stored")?;
            return Ok(ExitCode::FAILURE);
        }
        let parts: Vec<String> = responses.iter().map(shown).collect();
        print(&[parts.join("\n\n")])
    })
}

fn shown(response: &Shown) -> String {
    let Listed { url, status, length, age, ttl, .. } = &response.listed;
    let mut lines = vec![format!("{url}  {status} {}", response.reason)];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<12} {value}"));
    line("content", format!("{} ({length} bytes)", Size(*length)));
    line("from", response.origin.to_string());
    line("age", format!("{age} s"));
    let by = match response.lifetime_by.as_str() {
        "explicit" => "as the response says",
        "heuristic" => "estimated from Last-Modified",
        _ => "nothing says more",
    };
    line("lifetime", format!("{} s, {by}", response.lifetime));
    line("fresh for", if *ttl < 0 { format!("stale for {} s", -ttl) } else { format!("{ttl} s") });
    for (name, value) in &response.selecting {
        line("selected by", format!("{name}: {}", value.as_deref().unwrap_or("(absent)")));
    }
    if let Some(uses) = response.memory_uses {
        let uses = if uses == 1 { "once".to_owned() } else { counted(uses, "time") };
        line("memory", format!("used {uses} since it was loaded"));
    }
    if let Some(record) = &response.record {
        let place = format!("{} at {}, at most {} bytes", record.segment, record.at, record.bytes_max);
        line("disk", place);
    }
    lines.extend(response.fields.iter().map(|(name, value)| format!("    {name}: {value}")));
    lines.join("\n")
}

fn purge(args: &PurgeArgs) -> anyhow::Result<ExitCode> {
    let PurgeArgs { url, host, prefix, tag, all: _, client } = args.clone();
    let scope = match (url, host, prefix, tag) {
        (Some(url), ..) => Scope::Url(url),
        (_, Some(host), ..) => Scope::Host(host),
        (.., Some(prefix), _) => Scope::Prefix(prefix),
        (.., Some(tag)) => Scope::Tag(tag),
        _ => Scope::All,
    };
    tell(&client, &ControlRequest::Cache(CacheRequest::Purge { scope }))
}
