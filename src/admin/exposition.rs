//! The two text formats of metrics, and which of them a scraper asks for.
//!
//! `metrics.rs` writes OpenMetrics. The older format, which all tools read, differs in its comments
//! alone: families are called by the names of their samples, and there are no units and no end.

use super::metrics;
use super::status::Reading;
use crate::http::accept::{Offer, weight};

/// A format that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposition {
    /// The text format of Prometheus, version 0.0.4.
    Text,
    OpenMetrics,
}

impl Exposition {
    /// What `Accept` prefers. Who has no preference is a person, or a tool that reads the older one.
    pub(super) fn preferred(accept: &[&[u8]]) -> Exposition {
        let of = |media_type, version| weight(accept.iter().copied(), Offer { media_type, version });
        let open = of("application/openmetrics-text", "1.0.0");
        if open > of("text/plain", "0.0.4") { Exposition::OpenMetrics } else { Exposition::Text }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Exposition::Text => "text/plain; version=0.0.4; charset=utf-8",
            Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The reading in this format.
    pub(super) fn write(self, reading: Reading) -> Result<String, std::fmt::Error> {
        let text = metrics::text(reading)?;
        Ok(match self {
            Exposition::OpenMetrics => text,
            Exposition::Text => plain(&text),
        })
    }
}

/// OpenMetrics as the older format.
fn plain(open: &str) -> String {
    let mut out = String::with_capacity(open.len());
    let mut line = |parts: &[&str]| {
        parts.iter().for_each(|part| out.push_str(part));
        out.push('\n');
    };
    // A family's help comes before its type, by which its name is known.
    let mut help = None;
    for text in open.lines() {
        let Some(comment) = text.strip_prefix("# ") else {
            line(&[text]);
            continue;
        };
        if let Some(of_family) = comment.strip_prefix("HELP ") {
            help = of_family.split_once(' ').map(|(_, help)| help.replace("\\\"", "\""));
        } else if let Some((family, kind)) =
            comment.strip_prefix("TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                kind => ("", kind),
            };
            if let Some(help) = help.take() {
                line(&["# HELP ", family, suffix, " ", &help]);
            }
            line(&["# TYPE ", family, suffix, " ", kind]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrapers_get_what_they_ask_for() {
        use Exposition::{OpenMetrics, Text};
        let cases: &[(&[&str], Exposition)] = &[
            (&[], Text),
            (&["*/*"], Text),
            (&["text/plain;version=0.0.4"], Text),
            (&["text/plain;version=0.0.4;q=1,*/*;q=0.1"], Text),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Text),
            (&["application/openmetrics-text"], OpenMetrics),
            (&["application/openmetrics-text; version=1.0.0; charset=utf-8"], OpenMetrics),
            (&["application/openmetrics-text;q=0.1, text/plain;q=0.2"], Text),
            (&["application/openmetrics-text;version=9.9.9", "text/plain;q=0.1"], Text),
            // Prometheus 2 and 3.
            (
                &[
                    "application/openmetrics-text;version=1.0.0;q=0.75,application/openmetrics-text;version=0.0.1;\
                   q=0.5,text/plain;version=0.0.4;q=0.25,*/*;q=0.1",
                ],
                OpenMetrics,
            ),
            (
                &["application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                   application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;\
                   escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"],
                OpenMetrics,
            ),
            // Prometheus set to the older format.
            (&["text/plain;version=0.0.4;q=0.5,*/*;q=0.1"], Text),
            (
                &[
                    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
                ],
                Text,
            ),
            (&["application/json"], Text),
        ];
        for (fields, expected) in cases {
            let accept: Vec<&[u8]> = fields.iter().map(|field| field.as_bytes()).collect();
            assert_eq!(Exposition::preferred(&accept), *expected, "{fields:?}");
        }
    }

    #[test]
    fn the_older_format_names_families_by_their_samples() {
        let open = "# HELP larder_requests Ended \\\"well\\\".\n# TYPE larder_requests counter\n\
                    larder_requests_total 3\n# HELP larder_build The program.\n# TYPE larder_build info\n\
                    larder_build_info{version=\"1\"} 1\n# HELP larder_size_bytes Size.\n\
                    # TYPE larder_size_bytes gauge\n# UNIT larder_size_bytes bytes\nlarder_size_bytes 5\n# EOF\n";
        let expected = "# HELP larder_requests_total Ended \"well\".\n# TYPE larder_requests_total counter\n\
                        larder_requests_total 3\n# HELP larder_build_info The program.\n\
                        # TYPE larder_build_info gauge\nlarder_build_info{version=\"1\"} 1\n\
                        # HELP larder_size_bytes Size.\n# TYPE larder_size_bytes gauge\nlarder_size_bytes 5\n";
        assert_eq!(plain(open), expected);
    }
}
