//! What is told about one finished request.
//!
//! A record borrows: it lives for one call of `AccessLog::write`. URLs are taken as parsed types
//! wherever there is one, so that user information can't even be in them; text that was refused
//! as a target has it cut out when the line is written.

use std::net::{IpAddr, SocketAddr};

use crate::error::ErrorType;
use crate::http::{Authority, TargetUri, Timestamp, Version};

/// One finished request.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'a> {
    /// When the last byte was sent, or the exchange was given up.
    pub finished: Timestamp,
    /// The milliseconds of `finished` beyond its second, 0 to 999.
    pub finished_millis: u16,
    /// From the first byte of the request to `finished`.
    pub duration_ms: u64,
    /// The peer of the connection.
    pub client: SocketAddr,
    /// Whom the client authenticated as.
    pub user: Option<&'a str>,
    /// Empty when no request could be read.
    pub method: &'a str,
    /// What the request was for.
    pub url: LoggedUrl<'a>,
    /// The version of the request; `None` when none could be read.
    pub version: Option<Version>,
    /// The status code sent; 0 when no response was.
    pub status: u16,
    /// To the client, head and framing included; through a tunnel, what it carried that way.
    pub bytes_to_client: u64,
    /// From the client, head and framing included.
    pub bytes_from_client: u64,
    /// From the origin, head and framing included; 0 when it was not asked.
    pub bytes_from_origin: u64,
    /// The value of `Cache-Status` (RFC 9211); empty when there is none.
    pub cache_status: &'a str,
    /// How the cache took part.
    pub code: CacheCode,
    /// How the exchange with the client ended.
    pub ending: Ending,
    /// Where the response came from, beyond the cache.
    pub hierarchy: Hierarchy,
    /// `Content-Type` of the response.
    pub content_type: Option<&'a [u8]>,
    /// `Referer` of the request.
    pub referer: Option<&'a [u8]>,
    /// `User-Agent` of the request.
    pub user_agent: Option<&'a [u8]>,
    /// The number under which the diagnostics tell this request's story.
    pub request_id: u64,
    /// The name of the rule that decided.
    pub rule: Option<&'a str>,
    /// Why the request failed, when it did.
    pub error: Option<ErrorType>,
    /// More about `error`, for the operator. The caller keeps secrets out of it.
    pub detail: Option<&'a str>,
}

/// What the request was for.
#[derive(Clone, Copy, Debug)]
pub enum LoggedUrl<'a> {
    /// The target URI.
    Uri(&'a TargetUri),
    /// The host and port of a CONNECT.
    Authority(&'a Authority),
    /// A target that was refused or has another form, as received.
    Text(&'a [u8]),
    /// Nothing that could be read.
    Unknown,
}

/// How the cache took part, in the words that analysers of Squid's log know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheCode {
    /// Reused from memory.
    MemHit,
    /// Reused from disk.
    Hit,
    /// A stored response answered the client's own condition with 304.
    ImsHit,
    /// A stored error response was reused.
    NegativeHit,
    /// Another client's fetch, under way, answered this request too.
    CollapsedHit,
    /// Fetched from the origin.
    Miss,
    /// Validated: the stored response was still good.
    RefreshUnmodified,
    /// Validated: the origin sent another response.
    RefreshModified,
    /// Validation failed, and the stale response was reused.
    RefreshFailOld,
    /// Validation failed, and the client got the failure.
    RefreshFailErr,
    /// The client asked for a response from the origin, as by `Cache-Control: no-cache`.
    ClientRefresh,
    /// Refused by policy.
    Denied,
    /// Answered with a redirect by policy.
    Redirect,
    /// A tunnel.
    Tunnel,
    /// The cache had no part: an error of the client, or Larder's own pages.
    None,
}

impl CacheCode {
    /// The code as it stands in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            CacheCode::MemHit => "TCP_MEM_HIT",
            CacheCode::Hit => "TCP_HIT",
            CacheCode::ImsHit => "TCP_IMS_HIT",
            CacheCode::NegativeHit => "TCP_NEGATIVE_HIT",
            CacheCode::CollapsedHit => "TCP_CF_HIT",
            CacheCode::Miss => "TCP_MISS",
            CacheCode::RefreshUnmodified => "TCP_REFRESH_UNMODIFIED",
            CacheCode::RefreshModified => "TCP_REFRESH_MODIFIED",
            CacheCode::RefreshFailOld => "TCP_REFRESH_FAIL_OLD",
            CacheCode::RefreshFailErr => "TCP_REFRESH_FAIL_ERR",
            CacheCode::ClientRefresh => "TCP_CLIENT_REFRESH_MISS",
            CacheCode::Denied => "TCP_DENIED",
            CacheCode::Redirect => "TCP_REDIRECT",
            CacheCode::Tunnel => "TCP_TUNNEL",
            CacheCode::None => "NONE_NONE",
        }
    }
}

/// How the exchange with the client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// All was sent.
    Complete,
    /// The connection was gone before.
    Aborted,
    /// A deadline passed before.
    TimedOut,
}

impl Ending {
    /// What is appended to the cache code.
    pub const fn suffix(self) -> &'static str {
        match self {
            Ending::Complete => "",
            Ending::Aborted => "_ABORTED",
            Ending::TimedOut => "_TIMEDOUT",
        }
    }

    /// The word in the JSON format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Ending::Complete => "complete",
            Ending::Aborted => "aborted",
            Ending::TimedOut => "timed_out",
        }
    }
}

/// Where the response came from, beyond the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hierarchy {
    /// From nowhere else: nobody was connected to.
    None,
    /// From the origin at this address.
    Direct(IpAddr),
}

impl Hierarchy {
    /// The code in the log, before the `/`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Hierarchy::None => "HIER_NONE",
            Hierarchy::Direct(_) => "HIER_DIRECT",
        }
    }
}
