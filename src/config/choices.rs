//! The values that are one of a few words.

use std::str::FromStr;

use serde::Deserialize;

use super::ValueError;

/// How a line of the access log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Squid,
    Common,
    Combined,
    Json,
}

/// How much the diagnostics say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Which responses with `Set-Cookie` may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SetCookie {
    /// Those that are marked for shared caches.
    Shared,
    /// All that RFC 9111 allows.
    Rfc,
    Never,
}

/// What a client gets that asks for a tunnel to a blocked host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockPage {
    /// A refusal of the CONNECT, of which browsers show no page.
    #[default]
    Tunnel,
    /// The page itself, inside TLS that Larder ends.
    Intercept,
}

/// What becomes of tunnels that can't be inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unreadable {
    /// Their octets pass unseen, except to hosts that a rule for URLs, paths or methods is about.
    #[default]
    Tunnel,
    Refuse,
}

impl LogFormat {
    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogFormat::Squid => "squid",
            LogFormat::Common => "common",
            LogFormat::Combined => "combined",
            LogFormat::Json => "json",
        }
    }
}

impl LogLevel {
    /// The name in the configuration, which is also a filter directive.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogLevel::Off => "off",
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

impl FromStr for LogFormat {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<LogFormat, ValueError> {
        let all = [LogFormat::Squid, LogFormat::Common, LogFormat::Combined, LogFormat::Json];
        let found = all.into_iter().find(|format| format.as_str() == text);
        found.ok_or(ValueError("a format is one of squid, common, combined and json"))
    }
}

impl FromStr for LogLevel {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<LogLevel, ValueError> {
        use LogLevel::{Debug, Error, Info, Off, Trace, Warn};
        let found = [Off, Error, Warn, Info, Debug, Trace].into_iter().find(|level| level.as_str() == text);
        found.ok_or(ValueError("a level is one of off, error, warn, info, debug and trace"))
    }
}
