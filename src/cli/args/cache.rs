//! The arguments of `larder cache` and `larder explain`.

use std::path::PathBuf;

use clap::Subcommand;

use super::ClientArgs;

pub(super) const CACHE_EXAMPLES: &str = "\
Examples:
  larder cache stats
  larder cache ls --host a.example
  larder cache show http://a.example/
  larder cache purge --prefix http://a.example/docs/
  larder cache warm urls.txt
  larder cache verify /var/cache/larder";

pub(super) const EXPLAIN_EXAMPLES: &str = "\
Examples:
  larder explain http://a.example/
  larder explain -H 'Accept-Language: de' -H 'Cache-Control: no-cache' \\
    http://a.example/
  larder explain 2f1c0d9e00000017
    a past request, by its ID on the error page or in the log (format json)";

/// What can be done with a cache.
#[derive(Clone, Debug, Subcommand)]
pub enum CacheCommand {
    /// Show sizes and counts of memory and disk
    Stats(LookArgs),
    /// List stored responses, by URL
    Ls(ListArgs),
    /// Show the stored responses of a URL in full
    Show(ShowArgs),
    /// Remove stored responses, at once and across restarts
    Purge(PurgeArgs),
    /// Fetch URLs through the running Larder to store them
    Warm(WarmArgs),
    /// Write to disks again that had failed
    Online(ClientArgs),
    /// Check each checksum of a cache folder that no Larder is using
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
    /// A URL, or the ID of a past request
    #[arg(value_name = "URL|REQUEST")]
    pub of: String,
    /// Method of the imagined request
    #[arg(long, default_value = "GET")]
    pub method: String,
    /// Field line of the imagined request; repeatable
    #[arg(long, short = 'H', value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    #[command(flatten)]
    pub look: LookArgs,
}

/// What to list.
#[derive(Clone, Debug, clap::Args)]
pub struct ListArgs {
    /// Only this host
    #[arg(long)]
    pub host: Option<String>,
    /// Only URLs that begin with this one, like http://a.example/docs/
    #[arg(long, value_name = "URL")]
    pub prefix: Option<String>,
    /// List at most this many
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
#[command(override_usage = "larder cache purge [OPTIONS] <URL>
       larder cache purge [OPTIONS] --host <HOST> | --prefix <URL>
       larder cache purge [OPTIONS] --tag <TAG> | --all")]
pub struct PurgeArgs {
    /// Everything stored for this URL
    #[arg(group = "scope")]
    pub url: Option<String>,
    /// Everything of this host
    #[arg(long, group = "scope")]
    pub host: Option<String>,
    /// Everything below this URL, like http://a.example/docs/
    #[arg(long, group = "scope", value_name = "URL")]
    pub prefix: Option<String>,
    /// Everything its origin marked with this tag in Cache-Tag or Surrogate-Key
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
    /// File with one URL per line (# begins a comment), or - for standard input
    pub file: PathBuf,
    /// Number of requests at a time
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
