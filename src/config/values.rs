//! The values that a configuration has beyond plain numbers: sizes, durations, addresses and
//! choices. One parser each, for the file, the environment and the command line alike.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::caching::DELTA_SECONDS_MAX;
use crate::http::Scheme;
use crate::policy::one_or_many;
use crate::server::Listen;

/// The port of a listener whose address names none.
pub const DEFAULT_PORT: u16 = 3128;

/// The port of the admin pages when nothing is said of them.
pub(super) const DEFAULT_ADMIN_PORT: u16 = 3129;

/// A value that is not what its key takes; the message says what it takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(pub(super) &'static str);

/// Where the admin pages are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admin {
    Off,
    At(SocketAddr),
}

/// How much of the disk the cache may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskSize {
    /// 10 GiB, or a tenth of the free space where that is less.
    Auto,
    Bytes(u64),
    /// Of the space that is free or already the cache's.
    Percent(u8),
}

/// How much memory all of Larder may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemorySize {
    /// The cache, and about a gigabyte beside it, as far as the machine has that.
    Auto,
    Bytes(u64),
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    Off,
    Stdout,
    File(PathBuf),
}

impl DiskSize {
    /// The size in bytes, where `free` bytes are free or already the cache's.
    pub fn resolve(self, free: u64) -> u64 {
        match self {
            DiskSize::Auto => (10 << 30).min(free / 10),
            DiskSize::Bytes(bytes) => bytes,
            DiskSize::Percent(percent) => free / 100 * u64::from(percent),
        }
    }
}

/// A size: `256MiB`, `1GB`, or a number of bytes. `KiB`, `MiB`, `GiB`, `TiB` and the letters
/// alone are powers of 1024, `kB`, `MB`, `GB`, `TB` of 1000.
pub fn parse_size(text: &str) -> Result<u64, ValueError> {
    const ERROR: ValueError =
        ValueError("a size is written as 512KiB, 256MiB, 10GiB or 1GB, or as a number of bytes");
    let (number, unit) = number_and_unit(text).ok_or(ERROR)?;
    let unit: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err(ERROR),
    };
    number.checked_mul(unit).ok_or(ERROR)
}

/// A duration of at most a day: `10s`, `500ms`, `5m`, `1h`, or a number of seconds.
pub fn parse_duration(text: &str) -> Result<Duration, ValueError> {
    const ERROR: ValueError =
        ValueError("a duration is written as 10s, 500ms, 5m or 1h, or as a number of seconds");
    const DAY: Duration = Duration::from_secs(86_400);
    let (number, unit) = number_and_unit(text).ok_or(ERROR)?;
    let duration = match unit {
        "" | "s" => Duration::from_secs(number),
        "ms" => Duration::from_millis(number),
        "m" | "min" => Duration::from_secs(number.saturating_mul(60)),
        "h" => Duration::from_secs(number.saturating_mul(3600)),
        _ => return Err(ERROR),
    };
    if duration > DAY { Err(ValueError("a duration is at most 24h")) } else { Ok(duration) }
}

/// How long a stored response is good for: as a duration, and `7d` or `2w` beside.
pub fn parse_lifetime(text: &str) -> Result<u64, ValueError> {
    const ERROR: ValueError =
        ValueError("a time is written as 30s, 5m, 1h, 7d or 2w, or as a number of seconds");
    let (number, unit) = number_and_unit(text).ok_or(ERROR)?;
    let unit = match unit {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(ERROR),
    };
    let seconds = number.checked_mul(unit).filter(|&seconds| seconds <= DELTA_SECONDS_MAX);
    seconds.ok_or(ValueError("a time is at most 2147483648 seconds"))
}

/// Where to listen: an address, within TLS where `https://` stands in front of it.
pub fn parse_listen(text: &str) -> Result<Listen, ValueError> {
    let text = text.trim();
    let schemes = [("https://", Scheme::Https), ("http://", Scheme::Http)];
    let found = schemes.into_iter().find_map(|(prefix, scheme)| Some((text.strip_prefix(prefix)?, scheme)));
    let (address, scheme) = found.unwrap_or((text, Scheme::Http));
    parse_address(address).map(|address| Listen { scheme, address })
}

/// An address to listen on: `ADDR:PORT`, `ADDR` (port 3128), or `PORT` (on 127.0.0.1: what is
/// open to others says so).
fn parse_address(text: &str) -> Result<SocketAddr, ValueError> {
    const ERROR: ValueError = ValueError(
        "an address to listen on is written as 127.0.0.1:3128, [::1]:3128, 127.0.0.1 or 3128, with https:// \
         in front for TLS",
    );
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let port = text.parse().map_err(|_too_large| ValueError("a port is at most 65535"))?;
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        return port.parse().map(|port| (Ipv4Addr::LOCALHOST, port).into()).map_err(|_no_port| ERROR);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DEFAULT_PORT)).map_err(|_malformed| ERROR)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

impl FromStr for Admin {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Admin, ValueError> {
        if text == "off" {
            return Ok(Admin::Off);
        }
        let error = ValueError("admin is written as 127.0.0.1:3129, or as \"off\"");
        // A port of its own: 3128 is the proxy's.
        let has_port = text.bytes().all(|byte| byte.is_ascii_digit()) || text.parse::<SocketAddr>().is_ok();
        if has_port { parse_address(text.trim()).map(Admin::At) } else { Err(error) }
    }
}

impl FromStr for DiskSize {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<DiskSize, ValueError> {
        let text = text.trim();
        if text == "auto" {
            return Ok(DiskSize::Auto);
        }
        let Some(percent) = text.strip_suffix('%') else { return parse_size(text).map(DiskSize::Bytes) };
        match percent.trim().parse::<u8>() {
            Ok(percent @ 0..=100) => Ok(DiskSize::Percent(percent)),
            _ => Err(ValueError("a share of the disk is written as 0% to 100%")),
        }
    }
}

impl FromStr for MemorySize {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<MemorySize, ValueError> {
        match text.trim() {
            "auto" => Ok(MemorySize::Auto),
            size => parse_size(size).map(MemorySize::Bytes),
        }
    }
}

impl FromStr for AccessLog {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<AccessLog, ValueError> {
        match text {
            "" => Err(ValueError("the access log is a file, \"-\" for standard output, or \"off\"")),
            "off" => Ok(AccessLog::Off),
            "-" => Ok(AccessLog::Stdout),
            path => Ok(AccessLog::File(path.into())),
        }
    }
}

/// Reads a string or a whole number and parses it where it stands, so that an error names its
/// line.
fn scalar<'de, D, T>(deserializer: D, parse: fn(&str) -> Result<T, ValueError>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    struct Scalar<T>(fn(&str) -> Result<T, ValueError>);

    impl<T> Visitor<'_> for Scalar<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or a whole number")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            (self.0)(text).map_err(|error| E::custom(format_args!("{text:?}: {error}")))
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
            (self.0)(&number.to_string()).map_err(|error| E::custom(format_args!("{number}: {error}")))
        }
    }

    deserializer.deserialize_any(Scalar(parse))
}

/// For `deserialize_with`: a size in bytes.
pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    scalar(deserializer, parse_size)
}

/// For `deserialize_with`: a size in bytes of a key that may be missing.
pub(super) fn some_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    scalar(deserializer, parse_size).map(Some)
}

/// For `deserialize_with`: a duration.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    scalar(deserializer, parse_duration)
}

/// For `deserialize_with`: how long a stored response is good for, in seconds.
pub(super) fn lifetime<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    scalar(deserializer, parse_lifetime)
}

/// For `deserialize_with`: the addresses to listen on.
pub(super) fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Listen>, D::Error> {
    struct Typed(Listen);

    impl<'de> Deserialize<'de> for Typed {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Typed, D::Error> {
            scalar(deserializer, parse_listen).map(Typed)
        }
    }

    let all: Vec<Typed> = one_or_many(deserializer)?;
    Ok(all.into_iter().map(|Typed(listen)| listen).collect())
}

impl<'de> Deserialize<'de> for Admin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Admin, D::Error> {
        scalar(deserializer, str::parse)
    }
}

impl<'de> Deserialize<'de> for DiskSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DiskSize, D::Error> {
        scalar(deserializer, str::parse)
    }
}

impl<'de> Deserialize<'de> for AccessLog {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AccessLog, D::Error> {
        scalar(deserializer, str::parse)
    }
}

impl<'de> Deserialize<'de> for MemorySize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MemorySize, D::Error> {
        scalar(deserializer, str::parse)
    }
}
