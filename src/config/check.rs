//! What two values of a configuration must be to each other, and the bounds of the plain
//! numbers. Each finding names the key that is best changed.

use crate::http::{FIELDS_MAX, RESPONSE_FIELDS_MAX, Scheme};
use crate::server::Listen;
use crate::store::disk::superblock::MEMBERS_MAX;

use super::settings::Config;
use super::{BlockPage, DiskSize};

/// A value that is well-formed and can't be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) key: &'static str,
    pub(super) message: String,
}

impl Config {
    /// Whether this configuration is of no use without the authority.
    pub(super) fn needs_authority(&self) -> bool {
        let is_within_tls = |listen: &Listen| listen.scheme == Scheme::Https;
        let signs_for_listeners = self.tls.certificate.is_none();
        let shows_blocks = self.intercept.block_page == BlockPage::Intercept;
        let intercepts = self.intercept.enabled || shows_blocks;
        intercepts || (signs_for_listeners && self.server.listen.iter().any(is_within_tls))
    }

    /// The first thing that is wrong, in the order of the file's tables.
    pub(super) fn check(&self) -> Result<(), Finding> {
        self.check_server()?;
        self.check_limits()?;
        self.check_disks()?;
        self.check_cache()?;
        if let Some(url) = self.intercept.except.iter().find(|pattern| pattern.is_url()) {
            return refuse("intercept.except", format!("{url}: a tunnel has a host and no URL"));
        }
        match (&self.tls.certificate, &self.tls.key) {
            (Some(_), None) => refuse("tls.certificate", "its key is missing: tls.key"),
            (None, Some(_)) => refuse("tls.key", "its certificate is missing: tls.certificate"),
            _ => Ok(()),
        }
    }

    fn check_server(&self) -> Result<(), Finding> {
        let server = &self.server;
        if server.listen.is_empty() {
            return refuse("server.listen", "there is no address to listen on");
        }
        let listening: Vec<_> = server.listen.iter().map(|listen| listen.address).collect();
        for (index, address) in listening.iter().enumerate() {
            if address.port() != 0 && listening.iter().skip(index + 1).any(|other| other == address) {
                return refuse("server.listen", format!("{address} is listed twice"));
            }
        }
        if let super::Admin::At(admin) = server.admin
            && admin.port() != 0
            && listening.contains(&admin)
        {
            return refuse("server.admin", format!("{admin} is an address of [server] listen too"));
        }
        if server.workers > 1024 {
            return refuse("server.workers", "at most 1024");
        }
        let numbers = [
            ("server.connections_max", server.connections_max),
            ("server.connections_per_client_max", server.connections_per_client_max),
            ("server.streams_max", server.streams_max),
            ("server.streams_per_client_max", server.streams_per_client_max),
            ("server.exchanges_max", server.exchanges_max),
            ("server.exchanges_per_client_max", server.exchanges_per_client_max),
            ("server.origin_connections_max", server.origin_connections_max),
            ("server.origin_connections_per_origin_max", server.origin_connections_per_origin_max),
        ];
        if let Some((key, _)) = numbers.into_iter().find(|(_, number)| *number == 0) {
            return refuse(key, "at least 1");
        }
        let waits = [
            ("server.header_timeout", server.header_timeout),
            ("server.idle_timeout", server.idle_timeout),
            ("server.dns_timeout", server.dns_timeout),
            ("server.connect_timeout", server.connect_timeout),
            ("server.origin_timeout", server.origin_timeout),
            ("server.tunnel_idle_timeout", server.tunnel_idle_timeout),
            ("limits.behind_max", self.limits.behind_max),
            ("limits.stream_behind_max", self.limits.stream_behind_max),
        ];
        match waits.into_iter().find(|(_, wait)| wait.is_zero()) {
            Some((key, _)) => refuse(key, "longer than 0"),
            None => Ok(()),
        }
    }

    fn check_disks(&self) -> Result<(), Finding> {
        let disks = &self.cache.disks;
        if disks.len() > MEMBERS_MAX {
            return refuse("cache.disks", format!("at most {MEMBERS_MAX}"));
        }
        if !disks.is_empty() && self.cache.disk != DiskSize::Auto {
            return refuse("cache.disk", "not together with cache.disks, where each folder has its size");
        }
        for (at, disk) in disks.iter().enumerate() {
            let dir = disk.dir.display();
            if disks.iter().skip(at + 1).any(|other| other.dir == disk.dir) {
                return refuse("cache.disks", format!("{dir} is listed twice"));
            }
            if self.cache.dir.as_ref() == Some(&disk.dir) {
                return refuse("cache.disks", format!("{dir} is [cache] dir too"));
            }
            if disk.size == DiskSize::Bytes(0) || disk.size == DiskSize::Percent(0) {
                return refuse("cache.disks", format!("the size of {dir} is more than 0"));
            }
        }
        Ok(())
    }

    fn check_cache(&self) -> Result<(), Finding> {
        let found = [
            ("cache.targeted", super::rules::check_targeted(&self.cache.targeted)),
            ("cache.secret_fields", super::rules::check_field_names(&self.cache.secret_fields)),
            ("cache.rule", super::rules::check(&self.cache.rules)),
        ];
        let wrong = found.into_iter().find_map(|(key, result)| Some((key, result.err()?)));
        wrong.map_or(Ok(()), |(key, message)| refuse(key, message))
    }

    fn check_limits(&self) -> Result<(), Finding> {
        const HEAD_MIN: u64 = 1 << 10;
        const HEAD_MAX: u64 = 1 << 20;
        let limits = &self.limits;
        if !(HEAD_MIN..=HEAD_MAX).contains(&limits.head) {
            return refuse("limits.head", "from 1KiB to 1MiB");
        }
        if limits.line == 0 || limits.line > limits.head {
            return refuse("limits.line", format!("from 1 to {}, the limit of the whole head", limits.head));
        }
        if limits.uri == 0 || limits.uri > limits.line {
            return refuse("limits.uri", format!("from 1 to {}, the limit of a line", limits.line));
        }
        if !(1..=FIELDS_MAX).contains(&limits.fields) {
            return refuse("limits.fields", format!("from 1 to {FIELDS_MAX}"));
        }
        if !(HEAD_MIN..=HEAD_MAX).contains(&limits.response_head) {
            return refuse("limits.response_head", "from 1KiB to 1MiB");
        }
        if limits.response_line == 0 || limits.response_line > limits.response_head {
            let head = limits.response_head;
            return refuse("limits.response_line", format!("from 1 to {head}, the limit of the whole head"));
        }
        if !(1..=RESPONSE_FIELDS_MAX).contains(&limits.response_fields) {
            return refuse("limits.response_fields", format!("from 1 to {RESPONSE_FIELDS_MAX}"));
        }
        if limits.trailers > HEAD_MAX {
            return refuse("limits.trailers", "at most 1MiB");
        }
        if limits.chunk_extensions > HEAD_MAX {
            return refuse("limits.chunk_extensions", "at most 1MiB");
        }
        if limits.interim > 1000 {
            return refuse("limits.interim", "at most 1000");
        }
        Ok(())
    }
}

fn refuse(key: &'static str, message: impl Into<String>) -> Result<(), Finding> {
    Err(Finding { key, message: message.into() })
}
