//! `/`: the numbers for people, on one page without scripts.
//!
//! Everything on it is a number or an address of Larder's own: nothing that a client or an origin
//! has sent is ever shown here, so that nothing has to be escaped.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;

use super::status::{Reading, VERSION};

const STYLE: &str = include_str!("page.css");

/// The page.
pub(super) fn html(reading: &Reading, listening: &[SocketAddr]) -> String {
    let listening: Vec<_> = listening.iter().map(ToString::to_string).collect();
    let (class, state) =
        if reading.is_draining { ("state draining", "stopping") } else { ("state", "serving") };
    format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\
         <meta http-equiv=refresh content=5>\
         <meta name=viewport content='width=device-width, initial-scale=1'>\
         <title>Larder</title><style>\n{STYLE}</style></head><body>\n\
         <header><h1>Larder</h1><span class=soft>{VERSION}</span>\
         <span class='{class}'>{state}</span></header>\n\
         <p>Listens on {}, up for {}</p>\n\
         {}\n<h2>Since the start</h2>\n{}\
         <footer><a href=/metrics>Metrics</a><a href=/proxy.pac>PAC file</a>\
         <a href=/healthz>Health</a><a href=/readyz>Readiness</a></footer>\n</body></html>\n",
        listening.join(", "),
        Uptime(reading.now.0.saturating_sub(reading.started.0)),
        tiles(reading),
        table(reading),
    )
}

fn tiles(reading: &Reading) -> String {
    let used = reading.store.stored_bytes + reading.store.filling_bytes;
    let ratio = percent(reading.hits, reading.hits + reading.forwarded)
        .map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.0} %"));
    format!(
        "<section class=tiles>\n\
         <div class=tile><b>{}</b><span>requests</span></div>\n\
         <div class=tile><b>{ratio}</b><span>from the cache</span></div>\n\
         <div class=tile><b>{}</b><span>of {} in use</span>\
         <div class=bar><i style='width:{:.1}%'></i></div></div>\n\
         <div class=tile><b>{}</b><span>open connections</span></div>\n\
         </section>",
        Grouped(reading.requests),
        Size(used),
        Size(reading.memory_bytes_max),
        percent(used, reading.memory_bytes_max).unwrap_or_default().min(100.0),
        Grouped(reading.connections),
    )
}

fn table(reading: &Reading) -> String {
    let number = |number| Grouped(number).to_string();
    let lost = reading.log.dropped + reading.log.failed;
    let mut rows = vec![
        ("Answered from the cache", "", number(reading.hits)),
        ("Asked of the origin", "", number(reading.forwarded)),
        ("Shared another’s fetch", "asked for while it was being fetched", number(reading.collapsed)),
        ("Tunnels", "HTTPS, which is not cached", number(reading.tunnels)),
        ("Denied", "by a rule", number(reading.denied)),
        ("Failed", "no whole response for the client", number(reading.failed)),
        ("Sent to clients", "", Size(reading.bytes_to_clients).to_string()),
        ("Received from origins", "", Size(reading.bytes_from_origins).to_string()),
        ("Stored responses", "now", number(reading.store.objects)),
        ("Evicted", "URLs that made room for others", number(reading.store.evictions)),
    ];
    if reading.log.written + lost > 0 {
        rows.push(("Access log lines", "", number(reading.log.written)));
    }
    if lost > 0 {
        rows.push(("Access log lines lost", "they could not be written, or not fast enough", number(lost)));
    }
    let row = |(name, note, value): &(&str, &str, String)| match *note {
        "" => format!("<tr><th scope=row>{name}</th><td>{value}</td></tr>\n"),
        note => format!("<tr><th scope=row>{name}<small>{note}</small></th><td>{value}</td></tr>\n"),
    };
    format!("<table>\n{}</table>\n", rows.iter().map(row).collect::<String>())
}

/// `None` of nothing.
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

/// A number in groups of three digits, parted by thin spaces.
struct Grouped(u64);

impl Display for Grouped {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str("\u{202f}")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// Bytes in the largest unit that leaves a whole number, with one decimal place.
struct Size(u64);

impl Display for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] =
            [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match UNITS.iter().find(|(unit, _)| self.0 >= *unit) {
            Some((unit, name)) if self.0.is_multiple_of(*unit) => write!(f, "{} {name}", self.0 / unit),
            Some((unit, name)) => write!(f, "{:.1} {name}", self.0 as f64 / *unit as f64),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

/// Seconds, in the two largest units that matter.
struct Uptime(u64);

impl Display for Uptime {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (minutes, hours, days) = (self.0 / 60, self.0 / 3600, self.0 / 86_400);
        match self.0 {
            0..60 => write!(f, "{} s", self.0),
            60..3600 => write!(f, "{minutes} min"),
            3600..86_400 => write!(f, "{hours} h {} min", minutes % 60),
            _ => write!(f, "{days} d {} h", hours % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words() {
        let cases = [
            (Grouped(0).to_string(), "0"),
            (Grouped(999).to_string(), "999"),
            (Grouped(1_234_567).to_string(), "1\u{202f}234\u{202f}567"),
            (Size(0).to_string(), "0 bytes"),
            (Size(1536).to_string(), "1.5 KiB"),
            (Size(256 << 20).to_string(), "256 MiB"),
            (Size(u64::MAX).to_string(), "16777216.0 TiB"),
            (Uptime(59).to_string(), "59 s"),
            (Uptime(119).to_string(), "1 min"),
            (Uptime(3 * 3600 + 125).to_string(), "3 h 2 min"),
            (Uptime(200_000).to_string(), "2 d 7 h"),
        ];
        for (shown, expected) in cases {
            assert_eq!(shown, expected);
        }
        assert_eq!(percent(1, 4), Some(25.0));
        assert_eq!(percent(0, 0), None);
    }
}
