//! The arguments, their environment variables and their help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::{
    AccessLog, Admin, ConfigError, DiskSize, Folders, LogFormat, LogLevel, Overrides, Settings, load,
    load_without_lists, parse_listen, parse_size,
};
use crate::policy::Pattern;
use crate::server::Listen;

use super::environment::EnvFormat;
use super::trust::StoreKind;

const EXAMPLES: &str = "\
Examples:
  larder                                    listen on 127.0.0.1:3128, with no configuration at all
  larder --listen 8080 --access-log -       another port, and each request on the standard output
  larder --listen 192.168.1.5:3128          serve a private network
  larder --listen https://127.0.0.1:3130    clients connect within TLS, and speak HTTP/2
  larder --config /etc/larder/larder.toml   with a configuration file
  larder block ads.example '*.tracker.example' 203.0.113.0/24
  curl -x http://127.0.0.1:3128 http://example.com/";

const BLOCK_EXAMPLES: &str = "\
Patterns:
  ads.example               the host and every name below it
  '*.ads.example'           every name below it
  'ad?.*.example'           a wildcard over the host
  'https?://ads\\.example/'  a regular expression, found in the URI
  203.0.113.0/24            destinations with such an address";

const CACHE_EXAMPLES: &str = "\
Examples:
  larder cache stats
  larder cache ls --host a.example
  larder cache show http://a.example/
  larder cache purge --prefix http://a.example/docs/
  larder cache warm urls.txt
  larder cache verify /var/cache/larder";

const CA_EXAMPLES: &str = "\
Examples:
  larder ca init
  larder ca install --dry-run
  larder ca install --only nss,java
  larder ca export --out larder.pem
  larder ca rotate";

const RUN_EXAMPLES: &str = "\
Examples:
  larder run -- npm ci
  larder run -- cargo build
  larder run --no-proxy registry.internal -- ./build.sh";

const ENV_EXAMPLES: &str = "\
Examples:
  eval \"$(larder env)\"
  larder env --format fish | source
  larder env --format github >> \"$GITHUB_ENV\"
  larder env --format apt > /etc/apt/apt.conf.d/80larder";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  larder explain http://a.example/
  larder explain --header 'Accept-Language: de' --header 'Cache-Control: max-age=60' http://a.example/
  larder explain 2f1c0d9e00000017       a request, by the number that error pages and the JSON log show";

/// Larder, a shared caching proxy for HTTP and HTTPS.
#[derive(Clone, Debug, Parser)]
#[command(name = "larder", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

impl Args {
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
    /// Say whether the configuration can be used: 0 if it can, 78 and what is wrong if not
    Check(ServeArgs),
    /// Let the running larder read its configuration and lists again
    Reload(ClientArgs),
    /// Block sites or addresses in the running larder, at once and over restarts
    #[command(after_help = BLOCK_EXAMPLES)]
    Block(PatternArgs),
    /// Undo `larder block`
    Unblock(PatternArgs),
    /// List what `larder block` has blocked
    Blocked(ClientArgs),
    /// Look at what the running larder has stored, and purge some of it
    #[command(subcommand, after_help = CACHE_EXAMPLES)]
    Cache(CacheCommand),
    /// Say why a URL is a hit or a miss, or what became of a request, with the clauses of the RFCs
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Run a command with its requests going through a larder that looks into HTTPS
    ///
    /// A running larder of the same cache folder is used if it looks into HTTPS; else one is started, and ends with
    /// the last command. The exit code is the command's.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Print the variables that have programs use the running larder, and trust its authority
    #[command(after_help = ENV_EXAMPLES)]
    Env(EnvArgs),
    /// The authority that signs for intercepted hosts, and who trusts it
    #[command(subcommand, after_help = CA_EXAMPLES)]
    Ca(CaCommand),
}

/// What can be done with the authority.
#[derive(Clone, Debug, Subcommand)]
pub enum CaCommand {
    /// Make the authority, unless it is there, and say which it is
    Init(CaArgs),
    /// Print its certificate in PEM, or write it to a file
    Export(ExportArgs),
    /// Tell the clients of this machine to trust it: system, Firefox, Chromium, Java
    Install(InstallArgs),
    /// Undo `larder ca install`, for this authority and those before it
    Uninstall(UninstallArgs),
    /// Print the path of its certificate
    Path(CaArgs),
    /// Make another authority in its place
    Rotate(CaArgs),
}

/// Which authority.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CaArgs {
    /// The configuration file, for its ca_dir and name_constraints
    #[arg(long, env = "LARDER_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What to export.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportArgs {
    /// The file to write [default: the standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// All that this machine trusts as well, for clients that read one file and nothing else
    #[arg(long)]
    pub bundle: bool,
    #[command(flatten)]
    pub ca: CaArgs,
}

/// Where to install.
#[derive(Clone, Debug, clap::Args)]
pub struct InstallArgs {
    /// These stores only [default: all that are found]
    #[arg(long, value_name = "STORE", value_delimiter = ',')]
    pub only: Vec<StoreKind>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub ca: CaArgs,
}

/// What to uninstall, and where.
#[derive(Clone, Debug, clap::Args)]
pub struct UninstallArgs {
    /// Only authorities that were replaced
    #[arg(long)]
    pub previous: bool,
    #[command(flatten)]
    pub install: InstallArgs,
}

/// What can be done with a cache.
#[derive(Clone, Debug, Subcommand)]
pub enum CacheCommand {
    /// Sizes and counts of both tiers
    Stats(LookArgs),
    /// List stored responses, by URL
    Ls(ListArgs),
    /// Show all that is known of the stored responses of a URL
    Show(ShowArgs),
    /// Remove stored responses, at once and over restarts
    Purge(PurgeArgs),
    /// Fetch URLs through the running larder, so that they are stored
    Warm(WarmArgs),
    /// Write to a disk again that could not be written to
    Online(ClientArgs),
    /// Read all of a cache folder and compare each checksum; no larder may be using it
    Verify(VerifyArgs),
}

/// How to look.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LookArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// What to explain.
#[derive(Clone, Debug, clap::Args)]
pub struct ExplainArgs {
    /// A URL, or the number of a past request
    #[arg(value_name = "URL|REQUEST")]
    pub of: String,
    /// The method of the request that is imagined
    #[arg(long, default_value = "GET")]
    pub method: String,
    /// A field line that it would have; repeat it for more
    #[arg(long, short = 'H', value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    #[command(flatten)]
    pub look: LookArgs,
}

/// What to list.
#[derive(Clone, Debug, clap::Args)]
pub struct ListArgs {
    /// Of this host only
    #[arg(long)]
    pub host: Option<String>,
    /// Below this URL only, like http://a.example/docs/
    #[arg(long, value_name = "URL")]
    pub prefix: Option<String>,
    /// Lines, at most
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub limit: usize,
    #[command(flatten)]
    pub look: LookArgs,
}

/// What to show.
#[derive(Clone, Debug, clap::Args)]
pub struct ShowArgs {
    pub url: String,
    #[command(flatten)]
    pub look: LookArgs,
}

/// What to purge: exactly one of these.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("scope").required(true))]
pub struct PurgeArgs {
    /// The responses of one URL
    #[arg(group = "scope")]
    pub url: Option<String>,
    /// All of a host
    #[arg(long, group = "scope")]
    pub host: Option<String>,
    /// All below a URL, like http://a.example/docs/
    #[arg(long, group = "scope", value_name = "URL")]
    pub prefix: Option<String>,
    /// All that the origin has marked with this word in Cache-Tag or Surrogate-Key
    #[arg(long, group = "scope")]
    pub tag: Option<String>,
    /// Everything
    #[arg(long, group = "scope")]
    pub all: bool,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// What to fetch.
#[derive(Clone, Debug, clap::Args)]
pub struct WarmArgs {
    /// URLs, one a line; lines that begin with # are skipped; - is the standard input
    pub file: PathBuf,
    /// Requests at a time
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub jobs: u8,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// What to verify.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    /// The cache folders
    #[arg(required = true)]
    pub dir: Vec<PathBuf>,
}

/// How to serve. What is left out here comes from the environment, then the configuration file.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ServeArgs {
    /// Where clients connect, within TLS behind https://; repeat it for more. A port alone is one of 127.0.0.1 [default: 127.0.0.1:3128]
    #[arg(long, env = "LARDER_LISTEN", hide_env_values = true, value_name = "[https://]ADDR[:PORT]|PORT")]
    #[arg(value_delimiter = ',', value_parser = parse_listen)]
    pub listen: Vec<Listen>,
    /// Where the admin pages and metrics are served, or "off" [default: 127.0.0.1:3129]
    #[arg(long, env = "LARDER_ADMIN", hide_env_values = true, value_name = "ADDR:PORT|off")]
    pub admin: Option<Admin>,
    /// Where the cache is kept [default: the user's folder for caches]
    #[arg(long, env = "LARDER_CACHE_DIR", hide_env_values = true, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Memory for stored responses, like 512MiB [default: 256MiB]
    #[arg(long, env = "LARDER_MEMORY", hide_env_values = true, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,
    /// Disk for stored responses, like 20GiB or 5%; 0 keeps them in memory alone [default: 10GiB, or a tenth of what is free]
    #[arg(long, env = "LARDER_DISK", hide_env_values = true, value_name = "SIZE")]
    pub disk: Option<DiskSize>,
    /// The configuration file [default: /etc/larder/larder.toml, else ~/.config/larder/larder.toml]
    #[arg(long, env = "LARDER_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where each request is written down; - is the standard output, "off" is nowhere [default: off]
    #[arg(long, env = "LARDER_ACCESS_LOG", hide_env_values = true, value_name = "FILE|-")]
    pub access_log: Option<AccessLog>,
    /// How: squid, common, combined or json [default: squid]
    #[arg(long, env = "LARDER_LOG_FORMAT", hide_env_values = true, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Diagnostics on the standard error: off, error, warn, info, debug or trace [default: info]
    #[arg(long, env = "LARDER_LOG_LEVEL", hide_env_values = true, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// Answer from the cache alone, however old it is, and ask no origin
    #[arg(long)]
    pub offline: bool,
    /// Look into HTTPS, with an authority that clients have to trust
    #[arg(long)]
    pub intercept: bool,
    /// Started by `larder run`
    #[arg(long, hide = true)]
    pub for_run: bool,
}

/// How to find the running larder.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClientArgs {
    /// The configuration file that it runs with
    #[arg(long, env = "LARDER_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The cache folder that it runs with
    #[arg(long, env = "LARDER_CACHE_DIR", hide_env_values = true, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
}

/// What to run.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// Hosts that are asked without the proxy, with commas [default: NO_PROXY, else this machine]
    #[arg(long, value_name = "HOSTS")]
    pub no_proxy: Option<String>,
    /// Say nothing at the end
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub client: ClientArgs,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// For whom to print variables.
#[derive(Clone, Debug, clap::Args)]
pub struct EnvArgs {
    /// Who reads them
    #[arg(long, value_name = "FORMAT", default_value = "sh")]
    pub format: EnvFormat,
    /// Hosts that are asked without the proxy, with commas [default: NO_PROXY, else this machine]
    #[arg(long, value_name = "HOSTS")]
    pub no_proxy: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Patterns for the running larder.
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
        }
    }
}

impl CaArgs {
    /// The settings that say where the authority is.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        load_without_lists(self.config.as_deref(), &Overrides::default(), &Folders::of_process())
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
