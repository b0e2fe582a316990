//! `/`: the numbers for people, on one page without scripts.
//!
//! Everything on it is a number, an address or a folder of Larder's own: nothing that a client or an
//! origin has sent is ever shown here. Names of folders, and what the system says of them, are escaped.

use super::numbers::{Grouped, Size, Uptime};
use super::status::{Reading, VERSION};
use crate::proxy::escape;
use crate::server::Listen;

const STYLE: &str = include_str!("page.css");

/// The page.
pub(super) fn html(reading: &Reading, listening: &[Listen]) -> String {
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
         {}\n<h2>Since the start</h2>\n{}{}\
         <footer><a href=/metrics>Metrics</a><a href=/proxy.pac>PAC file</a>\
         <a href=/healthz>Health</a><a href=/readyz>Readiness</a></footer>\n</body></html>\n",
        listening.join(", "),
        Uptime(reading.now.0.saturating_sub(reading.started.0)),
        tiles(reading),
        table(reading),
        folders(reading),
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
        ("Tunnels", "HTTPS that is not decrypted, and switched connections", number(reading.tunnels)),
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

/// Nothing where there is no tier on disk.
fn folders(reading: &Reading) -> String {
    let used = reading.disks.iter().map(|(folder, disk)| {
        let count = |count: u64, what: &str| (count > 0).then(|| format!("{what}: {}", Grouped(count)));
        let failed = count(disk.read_errors, "reads that failed");
        let damaged = count(disk.damaged, "damaged records");
        let read_only = disk.read_only.as_ref().map(|why| format!("read-only: {why}"));
        let notes: Vec<String> = [read_only, failed, damaged].into_iter().flatten().collect();
        (tail_of(folder), notes.join("; "), format!("{} of {}", Size(disk.used_bytes), Size(disk.size)))
    });
    let left_out = reading.left_out.iter().map(|one| {
        (one.folder.display().to_string(), format!("left out at the start: {}", one.why), "–".to_owned())
    });
    let row = |(folder, note, value): (String, String, String)| {
        let note = if note.is_empty() { note } else { format!("<small>{}</small>", escape(&note)) };
        format!("<tr><th scope=row>{}{note}</th><td>{value}</td></tr>\n", escape(&folder))
    };
    let rows: String = used.chain(left_out).map(row).collect();
    if rows.is_empty() { rows } else { format!("<h2>On disk</h2>\n<table>\n{rows}</table>\n") }
}

/// The last two names of a path: whoever has several disks tells them apart by these.
fn tail_of(folder: &str) -> String {
    match folder.rmatch_indices('/').nth(1) {
        Some((at, _)) if at > 0 => format!("…{}", folder.get(at..).unwrap_or_default()),
        _ => folder.to_owned(),
    }
}

/// `None` of nothing.
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_nothing() {
        assert_eq!(percent(1, 4), Some(25.0));
        assert_eq!(percent(0, 0), None);
    }
}
