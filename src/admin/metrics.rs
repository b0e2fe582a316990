//! `/metrics`: the numbers for machines, in the OpenMetrics text format, which `exposition.rs` turns
//! into the older one for those who ask for it.
//!
//! Invariant: what is called `_total` never goes down before a restart, so nothing here is
//! calculated from two counters. Names and labels are documented in `docs/admin.md`.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::status::{PlaceReading, Reading, VERSION};
use crate::store::disk::DiskUsage;

/// The reading as OpenMetrics text.
pub(super) fn text(reading: Reading) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("larder");
    registry.register_collector(Box::new(reading));
    let mut text = String::with_capacity(4096);
    encode(&mut text, &registry)?;
    Ok(text)
}

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(&mut encoder);
        self.encode_process(&mut out)?;
        self.encode_requests(&mut out)?;
        self.encode_limits(&mut out)?;
        self.encode_store(&mut out)?;
        self.encode_disks(&mut out)?;
        self.encode_rules(&mut out)?;
        out.counters(
            "access_log_lines",
            None,
            "Access log lines: written, dropped because the queue was full, failed to be written.",
            "result",
            &[("written", self.log.written), ("dropped", self.log.dropped), ("failed", self.log.failed)],
        )
    }
}

impl Reading {
    fn encode_process(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        out.info("build", "The program that runs.", "version", VERSION)?;
        let help = "When it was started, in seconds since 1970.";
        out.gauge("start_time", Some(&Unit::Seconds), help, self.started.0)?;
        let help = "1 while it drains: no new connections, and those there finish. Else 0.";
        out.gauge("draining", None, help, u64::from(self.is_draining))?;
        out.gauge("connections", None, "Client connections that are open.", self.connections)
    }

    fn encode_requests(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        out.counter("requests", None, "Requests that have ended, tunnels among them.", self.requests)?;
        out.counters(
            "request_outcomes",
            None,
            "Requests that have ended, by outcome. Those in none of them Larder answered itself.",
            "outcome",
            &[
                ("hit", self.hits),
                ("forwarded", self.forwarded),
                ("denied", self.denied),
                ("failed", self.failed),
                ("tunnel", self.tunnels),
            ],
        )?;
        let help = "Requests that shared the fetch of another one; their outcomes are counted, too.";
        out.counter("collapsed_requests", None, help, self.collapsed)?;
        let help = "Bytes sent to clients in responses and tunnels that have ended, heads among them.";
        out.counter("client_sent", Some(&Unit::Bytes), help, self.bytes_to_clients)?;
        let help = "Bytes received from origins for requests that have ended, tunnels among them.";
        out.counter("origin_received", Some(&Unit::Bytes), help, self.bytes_from_origins)
    }

    fn encode_limits(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let used: Vec<_> = self.memory.iter().map(|&(name, used, _)| (name, used)).collect();
        let help = "Bytes of memory that are taken, by use.";
        out.gauges("memory", Some(&Unit::Bytes), help, "use", &used)?;
        let help = "Bytes of memory that all uses together may take.";
        out.gauge("memory_limit", Some(&Unit::Bytes), help, self.budget_bytes_max)?;
        let refused: Vec<_> = self.memory.iter().map(|&(name, _, refused)| (name, refused)).collect();
        let help = "How often work was refused because memory was spent, by what the memory was for.";
        out.counters("memory_refusals", None, help, "use", &refused)?;
        let help = "Slow readers that were cut off because memory was short.";
        out.counter("slow_readers_cut", None, help, self.readers_cut)?;
        let help = "Tunnels and messages of unknown length that were cut off because places were short.";
        out.counter("open_ended_cut", None, help, self.open_ended_cut)?;
        let of = |number: fn(&PlaceReading) -> u64| -> Vec<(&str, u64)> {
            self.places.iter().map(|place| (place.name, number(place))).collect()
        };
        let help = "Places that are taken, by what they are for.";
        out.gauges("places_used", None, help, "of", &of(|place| place.used))?;
        out.gauges(
            "places_limit",
            None,
            "Places there are, by what they are for.",
            "of",
            &of(|place| place.max),
        )?;
        let help = "How often there was no place, because all were taken or one peer had its share.";
        out.counters("places_refused", None, help, "of", &of(|place| place.refused))
    }

    fn encode_store(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let help = "Bytes of memory that stored responses take.";
        out.gauge("store_stored", Some(&Unit::Bytes), help, self.store.stored_bytes)?;
        let help = "Bytes of memory that responses take which are still arriving.";
        out.gauge("store_filling", Some(&Unit::Bytes), help, self.store.filling_bytes)?;
        let help = "Bytes of memory that both together may take.";
        out.gauge("store_limit", Some(&Unit::Bytes), help, self.memory_bytes_max)?;
        out.gauge("store_objects", None, "Stored responses.", self.store.objects)?;
        let help = "URLs whose stored responses were removed to make room.";
        out.counter("store_evictions", None, help, self.store.evictions)
    }

    /// Nothing where there are no rules.
    fn encode_rules(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let help = "1 while no origin is asked. Else 0.";
        out.gauge("offline", None, help, u64::from(self.is_offline))?;
        if self.rules.is_empty() {
            return Ok(());
        }
        let counts: Vec<(&str, u64)> =
            self.rules.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        let help = "Requests for which a rule for caching made the difference, by rule.";
        out.counters("cache_rule_overrides", None, help, "rule", &counts)
    }

    /// Nothing where there is no tier on disk.
    fn encode_disks(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        if self.disks.is_empty() && self.left_out.is_empty() {
            return Ok(());
        }
        let of = |number: fn(&DiskUsage) -> u64| -> Vec<(&str, u64)> {
            self.disks.iter().map(|(folder, usage)| (folder.as_str(), number(usage))).collect()
        };
        let left_out: Vec<String> =
            self.left_out.iter().map(|one| one.folder.display().to_string()).collect();
        let mut is_left_out = of(|_used| 0);
        is_left_out.extend(left_out.iter().map(|folder| (folder.as_str(), 1)));
        let help = "1 for a folder that could not be used at the start. Else 0.";
        out.gauges("disk_left_out", None, help, "folder", &is_left_out)?;
        let help = "1 after a disk has failed: nothing is written there until it is online again. Else 0.";
        let values = of(|disk| u64::from(disk.read_only.is_some()));
        out.gauges("disk_read_only", None, help, "folder", &values)?;
        let help = "Bytes of disk that the store takes.";
        out.gauges("disk_used", Some(&Unit::Bytes), help, "folder", &of(|disk| disk.used_bytes))?;
        let help = "Bytes of disk that it may take.";
        out.gauges("disk_limit", Some(&Unit::Bytes), help, "folder", &of(|disk| disk.size))?;
        let help = "Files that the store on disk consists of.";
        out.gauges("disk_segments", None, help, "folder", &of(|disk| disk.segments))?;
        let help = "Records on disk that are in force.";
        out.gauges("disk_records", None, help, "folder", &of(|disk| disk.records))?;
        let help = "Bytes written to disk since the start.";
        out.counters("disk_written", Some(&Unit::Bytes), help, "folder", &of(|disk| disk.written_bytes))?;
        let help = "Reads that the device or the file system has failed.";
        out.counters("disk_read_errors", None, help, "folder", &of(|disk| disk.read_errors))?;
        let help = "Records on disk that were found damaged.";
        out.counters("disk_damaged_records", None, help, "folder", &of(|disk| disk.damaged))?;
        let help =
            "Removals that a client was answered before they were on disk, because the disk was behind.";
        out.counters("disk_late_removals", None, help, "folder", &of(|disk| disk.late_removals))?;
        let help = "Bytes on disk that were read in the background and compared with their checksums.";
        out.counters("disk_scrubbed", Some(&Unit::Bytes), help, "folder", &of(|disk| disk.scrub.read_bytes))?;
        let help = "Times that all in the folder was looked at.";
        out.counters("disk_scrub_passes", None, help, "folder", &of(|disk| disk.scrub.passes))
    }
}

/// Where metrics of each kind go.
struct Out<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Out<'_, '_> {
    fn counter(&mut self, name: &str, unit: Option<&Unit>, help: &str, value: u64) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)
    }

    fn counters(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        values.iter().try_for_each(|&(name, value)| {
            ConstCounter::new(value).encode(metric.encode_family(&[(label, name)])?)
        })
    }

    fn gauge(&mut self, name: &str, unit: Option<&Unit>, help: &str, value: u64) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        ConstGauge::new(signed(value)).encode(metric)
    }

    fn gauges(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        values.iter().try_for_each(|&(name, value)| {
            ConstGauge::new(signed(value)).encode(metric.encode_family(&[(label, name)])?)
        })
    }

    fn info(&mut self, name: &str, help: &str, label: &str, value: &str) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Info)?;
        Info::new([(label.to_owned(), value.to_owned())]).encode(metric)
    }
}

/// The library's gauges are signed. Nothing real comes near the end.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
