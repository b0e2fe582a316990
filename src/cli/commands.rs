//! The commands that are not `serve`, one function each.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::admin::messages::{ControlRequest, ControlResponse};
use crate::admin::numbers::Size;
use crate::config::{Admin, CacheSettings, DiskSize, Settings};
use crate::policy::{Pattern, Policy};

use super::args::{ClientArgs, PatternArgs, ServeArgs};
use super::control_client::{UNEXPECTED, ask};
use super::fit::fit;
use super::output::{bad_config, print};

/// `larder check`: whether the configuration can be used, and what it comes to.
pub fn check(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let mut settings = match args.load() {
        Ok(settings) => settings,
        Err(error) => return Ok(bad_config(&error)),
    };
    let (_budget, too_large) = fit(&mut settings);
    let (policy, warnings) = match Policy::build(&settings.access, settings.lists.clone(), &[]) {
        Ok(built) => built,
        Err(error) => return Ok(bad_config(&error)),
    };
    let warnings = warnings.iter().map(ToString::to_string);
    for warning in too_large.into_iter().chain(warnings) {
        writeln!(io::stderr(), "larder: {warning}")?;
    }
    print(&summary(&settings, &policy))
}

/// `larder reload`.
pub fn reload(args: &ClientArgs) -> anyhow::Result<ExitCode> {
    tell(args, &ControlRequest::Reload)
}

/// `larder block`.
pub fn block(args: &PatternArgs) -> anyhow::Result<ExitCode> {
    tell(&args.client, &ControlRequest::Block { patterns: texts(&args.patterns) })
}

/// `larder unblock`.
pub fn unblock(args: &PatternArgs) -> anyhow::Result<ExitCode> {
    tell(&args.client, &ControlRequest::Unblock { patterns: texts(&args.patterns) })
}

/// `larder blocked`: one pattern a line and nothing else, for scripts.
pub fn blocked(args: &ClientArgs) -> anyhow::Result<ExitCode> {
    let cache_dir = match args.cache_dir() {
        Ok(cache_dir) => cache_dir,
        Err(error) => return Ok(bad_config(&error)),
    };
    match ask(&cache_dir, &ControlRequest::Blocked)? {
        ControlResponse::Done { patterns, .. } => print(&patterns),
        ControlResponse::Failed { message } => Err(anyhow::Error::msg(message)),
        _other => Err(anyhow::anyhow!(UNEXPECTED)),
    }
}

pub(super) fn tell(args: &ClientArgs, request: &ControlRequest) -> anyhow::Result<ExitCode> {
    let cache_dir = match args.cache_dir() {
        Ok(cache_dir) => cache_dir,
        Err(error) => return Ok(bad_config(&error)),
    };
    match ask(&cache_dir, request)? {
        ControlResponse::Done { message, .. } => print(&[message]),
        ControlResponse::Failed { message } => Err(anyhow::Error::msg(message)),
        _other => Err(anyhow::anyhow!(UNEXPECTED)),
    }
}

fn texts(patterns: &[Pattern]) -> Vec<String> {
    patterns.iter().map(ToString::to_string).collect()
}

fn summary(settings: &Settings, policy: &Policy) -> Vec<String> {
    let file =
        settings.file.as_ref().map_or("no file, the defaults".to_owned(), |file| file.display().to_string());
    let listen: Vec<String> = settings.server.listen.iter().map(ToString::to_string).collect();
    let admin = match settings.server.admin {
        Admin::Off => "off".to_owned(),
        Admin::At(address) => address.to_string(),
    };
    let disk = match settings.cache.disk {
        DiskSize::Auto => "10 GiB, or 10 % of the free space if less".to_owned(),
        DiskSize::Bytes(bytes) => Size(bytes).to_string(),
        DiskSize::Percent(percent) => format!("{percent} %"),
    };
    vec![
        "ok".to_owned(),
        format!("configuration  {file}"),
        format!("listen         {}", listen.join(", ")),
        format!("admin          {admin}"),
        format!("cache          {}", settings.cache_dir.display()),
        format!("memory, disk   {}, {disk}", Size(settings.cache.memory)),
        format!("block rules    {}", policy.rule_count()),
        format!("cache rules    {}", cache_rules(&settings.cache)),
    ]
}

/// How many rules for caching there are, and whether they matter while offline.
fn cache_rules(cache: &CacheSettings) -> String {
    let offline = if cache.offline { "; offline: no origin is asked" } else { "" };
    format!("{}{offline}", cache.rules.len())
}
