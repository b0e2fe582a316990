//! The one failure type: what went wrong, in the words of RFC 9209, and whose fault it is.
//!
//! A decision (a block, a response that may not be stored) is not a failure until it ends a
//! request. The one place that turns a failure into a response is `proxy/refuse.rs`.

use std::borrow::Cow;
use std::fmt;

use crate::budget::Spent;

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Client,
    Origin,
    Policy,
    Proxy,
}

/// Proxy error types (RFC 9209 §2.3), as far as Larder meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    DnsTimeout,
    DnsError,
    DestinationNotFound,
    DestinationUnavailable,
    DestinationIpProhibited,
    ConnectionRefused,
    ConnectionTerminated,
    ConnectionTimeout,
    ConnectionReadTimeout,
    ConnectionLimitReached,
    TlsProtocolError,
    TlsCertificateError,
    TlsAlertReceived,
    HttpRequestError,
    HttpRequestDenied,
    HttpResponseIncomplete,
    HttpResponseHeaderSectionSize,
    HttpResponseHeaderSize,
    HttpResponseTrailerSectionSize,
    HttpResponseTrailerSize,
    HttpResponseTransferCoding,
    HttpProtocolError,
    HttpResponseTimeout,
    HttpUpgradeFailed,
    ProxyInternalResponse,
    ProxyInternalError,
    ProxyLoopDetected,
}

impl ErrorType {
    /// The registered token, as in `Proxy-Status: larder; error=…`.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorType::DnsTimeout => "dns_timeout",
            ErrorType::DnsError => "dns_error",
            ErrorType::DestinationNotFound => "destination_not_found",
            ErrorType::DestinationUnavailable => "destination_unavailable",
            ErrorType::DestinationIpProhibited => "destination_ip_prohibited",
            ErrorType::ConnectionRefused => "connection_refused",
            ErrorType::ConnectionTerminated => "connection_terminated",
            ErrorType::ConnectionTimeout => "connection_timeout",
            ErrorType::ConnectionReadTimeout => "connection_read_timeout",
            ErrorType::ConnectionLimitReached => "connection_limit_reached",
            ErrorType::TlsProtocolError => "tls_protocol_error",
            ErrorType::TlsCertificateError => "tls_certificate_error",
            ErrorType::TlsAlertReceived => "tls_alert_received",
            ErrorType::HttpRequestError => "http_request_error",
            ErrorType::HttpRequestDenied => "http_request_denied",
            ErrorType::HttpResponseIncomplete => "http_response_incomplete",
            ErrorType::HttpResponseHeaderSectionSize => "http_response_header_section_size",
            ErrorType::HttpResponseHeaderSize => "http_response_header_size",
            ErrorType::HttpResponseTrailerSectionSize => "http_response_trailer_section_size",
            ErrorType::HttpResponseTrailerSize => "http_response_trailer_size",
            ErrorType::HttpResponseTransferCoding => "http_response_transfer_coding",
            ErrorType::HttpProtocolError => "http_protocol_error",
            ErrorType::HttpResponseTimeout => "http_response_timeout",
            ErrorType::HttpUpgradeFailed => "http_upgrade_failed",
            ErrorType::ProxyInternalResponse => "proxy_internal_response",
            ErrorType::ProxyInternalError => "proxy_internal_error",
            ErrorType::ProxyLoopDetected => "proxy_loop_detected",
        }
    }
}

/// Why a request got no answer from its origin.
#[derive(Clone, Debug)]
pub struct Failure {
    pub error: ErrorType,
    pub fault: Fault,
    /// The status code of the response that says so.
    pub status: u16,
    /// One sentence for the client; never an internal address or a secret.
    pub public: Cow<'static, str>,
    /// Detail for the log.
    pub internal: Cow<'static, str>,
    /// The name of the rule that decided, when one did.
    pub rule: Option<String>,
    /// A parameter of its type in `Proxy-Status`, beside the type.
    pub parameter: Option<(&'static str, Cow<'static, str>)>,
}

impl Failure {
    /// A failure without further detail for the log.
    pub fn new(error: ErrorType, fault: Fault, status: u16, public: impl Into<Cow<'static, str>>) -> Failure {
        let (public, internal) = (public.into(), Cow::Borrowed(""));
        Failure { error, fault, status, public, internal, rule: None, parameter: None }
    }

    /// Adds detail for the log.
    pub fn with_internal(mut self, internal: impl fmt::Display) -> Failure {
        self.internal = Cow::Owned(internal.to_string());
        self
    }

    /// Adds a parameter of its type (RFC 9209 §2.3).
    pub fn with_parameter(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Failure {
        self.parameter = Some((name, value.into()));
        self
    }

    /// Whether the proxy has too little of something now: asking again later makes sense.
    pub fn is_shortage(&self) -> bool {
        self.fault == Fault::Proxy && self.status == 503
    }

    /// Names the rule that decided.
    pub fn with_rule(mut self, rule: impl Into<String>) -> Failure {
        self.rule = Some(rule.into());
        self
    }
}

impl From<Spent> for Failure {
    fn from(spent: Spent) -> Failure {
        let public = "The proxy has no memory left for this";
        Failure::new(ErrorType::ProxyInternalError, Fault::Proxy, 503, public).with_internal(spent)
    }
}

impl fmt::Display for Failure {
    /// Public and internal: for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public)?;
        if self.internal.is_empty() { Ok(()) } else { write!(f, " ({})", self.internal) }
    }
}

impl std::error::Error for Failure {}
