//! The arguments, their environment variables and their help.

mod ca;
mod cache;
mod leading;
mod run;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::{
    AccessLog, Admin, ConfigError, DiskSize, Folders, LogFormat, LogLevel, Overrides, Settings, load,
    load_without_lists, parse_listen, parse_size,
};
use crate::policy::Pattern;
use crate::server::Listen;

use ca::CA_EXAMPLES;
pub use ca::{CaArgs, CaCommand, ExportArgs, InstallArgs, UninstallArgs};
use cache::{CACHE_EXAMPLES, EXPLAIN_EXAMPLES};
pub use cache::{CacheCommand, ExplainArgs, ListArgs, LookArgs, PurgeArgs, ShowArgs, VerifyArgs, WarmArgs};
use leading::behind_command;
use run::{ENV_EXAMPLES, RUN_EXAMPLES};
pub use run::{EnvArgs, RunArgs};

const EXAMPLES: &str = "\
Examples:
  larder                           listen on 127.0.0.1:3128, unconfigured
  larder --listen 8080 --access-log -
                                   another port; print each request
  larder --listen 192.168.1.5:3128 serve a private network
  larder --listen https://127.0.0.1:3130
                                   clients connect over TLS, with HTTP/2
  larder --config larder.toml      use a configuration file
  larder block ads.example '*.tracker.example' 203.0.113.0/24
  larder run -- npm ci             one command, its HTTPS cached
  curl -x http://127.0.0.1:3128 http://example.com/";

const BLOCK_EXAMPLES: &str = "\
Patterns:
  ads.example               the host and every name below it
  '*.ads.example'           every name below it
  'ad?.*.example'           a wildcard over the host
  'https?://ads\\.example/'  a regular expression, found in the URI
  203.0.113.0/24            destinations with such an address";

/// Terminals are at least this wide; what is wider is read less well.
const HELP_COLUMNS: usize = 80;

/// Larder, a shared caching proxy for HTTP and HTTPS.
#[derive(Clone, Debug, Parser)]
#[command(name = "larder", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
#[command(max_term_width = HELP_COLUMNS)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

impl Args {
    /// Those of this process; on a mistake it ends with a message and 2.
    pub fn of_process() -> Args {
        Args::parse_from(behind_command(std::env::args_os().collect()))
    }

    /// What is to be done; without a command: serve.
    pub fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

/// What Larder can be told to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Serve clients until told to stop (the default)
    #[command(after_help = EXAMPLES)]
    Serve(ServeArgs),
    /// Check the configuration; exit with 0 if it is valid, else 78
    Check(ServeArgs),
    /// Make the running Larder read its configuration and lists again
    Reload(ClientArgs),
    /// Block sites or addresses in the running Larder, at once and across restarts
    #[command(after_help = BLOCK_EXAMPLES)]
    Block(PatternArgs),
    /// Undo `larder block`
    Unblock(PatternArgs),
    /// List what `larder block` has blocked
    Blocked(ClientArgs),
    /// Inspect, purge, fill or verify the cache
    #[command(subcommand, after_help = CACHE_EXAMPLES)]
    Cache(CacheCommand),
    /// Explain why a URL is a hit or a miss, or what happened to a request
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Run a command through a Larder that intercepts HTTPS
    ///
    /// The running Larder of the same cache folder is used if it intercepts HTTPS. Otherwise a Larder is started
    /// for the command, with a cache folder of its own beside it, and ends with the last command that uses it. The
    /// exit code is the command's.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Print environment variables that make programs use Larder and trust it
    #[command(after_help = ENV_EXAMPLES)]
    Env(EnvArgs),
    /// Create, export or install the certificate authority for intercepted HTTPS
    #[command(subcommand, after_help = CA_EXAMPLES)]
    Ca(CaCommand),
}

/// How to serve. What is left out here comes from the environment, then the configuration file.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ServeArgs {
    /// Address to listen on (https:// for TLS); repeatable. A bare port listens on 127.0.0.1 [default: 127.0.0.1:3128]
    #[arg(long, env = "LARDER_LISTEN", hide_env_values = true, value_name = "[https://]ADDR[:PORT]|PORT")]
    #[arg(value_delimiter = ',', value_parser = parse_listen)]
    pub listen: Vec<Listen>,
    /// Address of the admin pages and metrics, or "off" [default: 127.0.0.1:3129]
    #[arg(long, env = "LARDER_ADMIN", hide_env_values = true, value_name = "ADDR:PORT|off")]
    pub admin: Option<Admin>,
    /// Folder of the cache [default: ~/.cache/larder, for root /var/cache/larder]
    #[arg(long, env = "LARDER_CACHE_DIR", hide_env_values = true, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Memory for stored responses, like 512MiB [default: 256MiB]
    #[arg(long, env = "LARDER_MEMORY", hide_env_values = true, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,
    /// Disk for stored responses, like 20GiB or 5%; 0 stores in memory only [default: 10GiB, or 10% of the free space if that is less]
    #[arg(long, env = "LARDER_DISK", hide_env_values = true, value_name = "SIZE")]
    pub disk: Option<DiskSize>,
    /// Configuration file [default: /etc/larder/larder.toml, else ~/.config/larder/larder.toml]
    #[arg(long, env = "LARDER_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// File for the access log, "-" for standard output, or "off" [default: off]
    #[arg(long, env = "LARDER_ACCESS_LOG", hide_env_values = true, value_name = "FILE|-")]
    pub access_log: Option<AccessLog>,
    /// Format of the access log: squid, common, combined or json [default: squid]
    #[arg(long, env = "LARDER_LOG_FORMAT", hide_env_values = true, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Diagnostics on standard error: off, error, warn, info, debug or trace [default: info]
    #[arg(long, env = "LARDER_LOG_LEVEL", hide_env_values = true, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// Answer from the cache only, however old it is; never ask an origin
    #[arg(long)]
    pub offline: bool,
    /// Intercept HTTPS, with a certificate authority that clients must trust
    #[arg(long)]
    pub intercept: bool,
    /// Started by `larder run`
    #[arg(long, hide = true)]
    pub for_run: bool,
    /// Roots that the user of `larder run` trusts
    #[arg(long, hide = true)]
    pub extra_roots: Vec<PathBuf>,
}

/// How to find the running Larder.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClientArgs {
    /// Configuration file of the running Larder
    #[arg(long, env = "LARDER_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Cache folder of the running Larder
    #[arg(long, env = "LARDER_CACHE_DIR", hide_env_values = true, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
}

/// Patterns for the running Larder.
#[derive(Clone, Debug, clap::Args)]
pub struct PatternArgs {
    /// What to block: a host, a wildcard, a regular expression with "://", an address or a network
    #[arg(required = true, value_name = "PATTERN")]
    pub patterns: Vec<Pattern>,
    #[command(flatten)]
    pub client: ClientArgs,
}

impl ServeArgs {
    /// The settings that these arguments lead to, with the list files read.
    pub fn load(&self) -> Result<Settings, ConfigError> {
        load(self.config.as_deref(), &self.overrides(), &Folders::of_process())
    }

    fn overrides(&self) -> Overrides {
        let ServeArgs { listen, admin, cache_dir, memory, disk, config: _, access_log, .. } = self.clone();
        let ServeArgs { log_format, log_level, intercept, offline, .. } = *self;
        Overrides {
            listen,
            admin,
            cache_dir,
            memory,
            disk,
            access_log,
            log_format,
            log_level,
            intercept,
            offline,
            extra_roots: self.extra_roots.clone(),
        }
    }
}

impl ClientArgs {
    /// The settings of the larder that is meant.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let overrides = Overrides { cache_dir: self.cache_dir.clone(), ..Overrides::default() };
        load_without_lists(self.config.as_deref(), &overrides, &Folders::of_process())
    }

    /// The cache folder of the larder that is meant. The configuration is read only where it
    /// has to be: a bad one must not keep anybody from blocking a site.
    pub fn cache_dir(&self) -> Result<PathBuf, ConfigError> {
        if let Some(dir) = &self.cache_dir {
            return Ok(dir.clone());
        }
        let settings =
            load_without_lists(self.config.as_deref(), &Overrides::default(), &Folders::of_process())?;
        Ok(settings.cache_dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Result<Command, clap::error::ErrorKind> {
        let words = std::iter::once("larder").chain(line.split_whitespace());
        Args::try_parse_from(words).map(Args::into_command).map_err(|error| error.kind())
    }

    #[test]
    fn the_definition_is_sound() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn serving_needs_no_command() {
        for line in ["--listen 8080 --listen [::1]:9090", "serve --listen 8080,[::1]:9090"] {
            let Ok(Command::Serve(serve)) = command(line) else { panic!("{line}") };
            let listen: Vec<String> = serve.listen.iter().map(ToString::to_string).collect();
            assert_eq!(listen, ["127.0.0.1:8080", "[::1]:9090"], "{line}");
        }
        let line =
            "--admin off --cache-dir /c --memory 1GiB --disk 5% --config f --access-log - --log-format json";
        let Ok(Command::Serve(serve)) = command(line) else { panic!("{line}") };
        let overrides = serve.overrides();
        assert_eq!((overrides.admin, overrides.memory), (Some(Admin::Off), Some(1 << 30)));
        assert_eq!(
            (overrides.disk, overrides.access_log),
            (Some(DiskSize::Percent(5)), Some(AccessLog::Stdout))
        );
    }

    #[test]
    fn bad_usage() {
        use clap::error::ErrorKind;
        let cases: &[(&str, ErrorKind)] = &[
            ("--listen", ErrorKind::InvalidValue),
            ("--listen a.example:80", ErrorKind::ValueValidation),
            ("--memory 12XB", ErrorKind::ValueValidation),
            ("--log-level loud", ErrorKind::ValueValidation),
            ("--listn 80", ErrorKind::UnknownArgument),
            ("block", ErrorKind::MissingRequiredArgument),
            ("block ads.example/x", ErrorKind::ValueValidation),
            ("blok ads.example", ErrorKind::InvalidSubcommand),
            ("cache", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            ("cache purge", ErrorKind::MissingRequiredArgument),
            ("cache purge --all --host a.example", ErrorKind::ArgumentConflict),
            ("cache warm --jobs 0 urls", ErrorKind::ValueValidation),
            ("--listen 80 reload", ErrorKind::ArgumentConflict),
            ("ca", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            ("ca install --only browsers", ErrorKind::InvalidValue),
        ];
        for (line, expected) in cases {
            assert_eq!(command(line).err(), Some(*expected), "{line}");
        }
    }
}
