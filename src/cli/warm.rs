//! `larder cache warm`: URLs are fetched through the running Larder, a few at a time.

use std::io::{self, BufRead as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::args::WarmArgs;
use super::control_client::ask_status;
use super::output::{bad_config, print};
use crate::admin::numbers::Size;
use crate::http::{ChunkLimits, Content, HeadLimits, Method, Reader, Reading, TargetUri};

/// `larder cache warm`: 0 when each URL was answered with a 2xx, 1 when one was not.
pub(super) fn warm(args: &WarmArgs) -> anyhow::Result<ExitCode> {
    let lines = read_lines(&args.file)?;
    let cache_dir = match args.client.cache_dir() {
        Ok(cache_dir) => cache_dir,
        Err(error) => return Ok(bad_config(&error)),
    };
    let status = ask_status(&cache_dir)?;
    let proxy = status.addresses.first().copied().map(reachable).context("it has no listener without TLS")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let summary = runtime.block_on(fetch_all(proxy, lines, args.jobs.into()));
    print(&[format!(
        "{} fetched ({}), {} were stored already, {} failed",
        summary.fetched,
        Size(summary.octets),
        summary.hits,
        summary.failed
    )])?;
    Ok(if summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::disallowed_methods, reason = "a command reads the file that it was given")]
fn read_lines(file: &Path) -> anyhow::Result<Vec<String>> {
    let lines: io::Result<Vec<String>> = if file == Path::new("-") {
        io::stdin().lock().lines().collect()
    } else {
        let text = std::fs::read_to_string(file);
        text.map(|text| text.lines().map(str::to_owned).collect())
    };
    let lines = lines.with_context(|| format!("can't read {}", file.display()))?;
    let lines = lines.into_iter().map(|line| line.trim().to_owned());
    Ok(lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect())
}

/// Where a client of the same machine connects: an unspecified address is none.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[derive(Debug, Default)]
struct Summary {
    fetched: u64,
    hits: u64,
    failed: u64,
    octets: u64,
}

/// What came of one URL.
struct Fetched {
    octets: u64,
    is_hit: bool,
}

async fn fetch_all(proxy: SocketAddr, urls: Vec<String>, jobs: usize) -> Summary {
    let slots = Arc::new(Semaphore::new(jobs));
    let mut fetches = JoinSet::new();
    for url in urls {
        let slots = slots.clone();
        fetches.spawn(async move {
            // Never closed.
            let _slot = slots.acquire().await;
            let fetched = fetch(proxy, &url).await;
            (url, fetched)
        });
    }
    let mut summary = Summary::default();
    while let Some(ended) = fetches.join_next().await {
        match ended {
            Ok((_url, Ok(fetched))) => {
                summary.octets += fetched.octets;
                if fetched.is_hit { summary.hits += 1 } else { summary.fetched += 1 }
            }
            Ok((url, Err(error))) => {
                summary.failed += 1;
                let _unwritable = writeln!(io::stderr(), "{url}: {error:#}");
            }
            Err(_panicked) => summary.failed += 1,
        }
    }
    summary
}

async fn fetch(proxy: SocketAddr, url: &str) -> anyhow::Result<Fetched> {
    let uri: TargetUri = url.parse().context("not a URL")?;
    let (reader, mut writer) = TcpStream::connect(proxy).await?.into_split();
    let request = format!("GET {uri} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", uri.host_field());
    writer.write_all(request.as_bytes()).await?;
    let mut reader = Reader::new(reader);
    let response = loop {
        let response =
            reader.response_head(&Method::Get, &HeadLimits::of_responses(), Reading::Strict).await?;
        if response.status >= 200 {
            break response;
        }
    };
    let mut content = Content::new(response.length, &ChunkLimits::default());
    let (mut octets, mut pieces) = (0, Vec::new());
    while !content.is_done() {
        content.next(&mut reader, &mut pieces).await?;
        octets += pieces.drain(..).map(|piece: Bytes| piece.len() as u64).sum::<u64>();
    }
    if !(200..300).contains(&response.status) {
        bail!("answered with {}", response.status);
    }
    let mut statuses = response.fields.all_named(b"Cache-Status");
    let is_hit = statuses.any(|value| value.windows(5).any(|window| window == b"; hit"));
    Ok(Fetched { octets, is_hit })
}
