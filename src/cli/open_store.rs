//! Opening the store that the settings ask for.
//!
//! A folder that another larder uses, or that another format is in, ends the start: going on
//! would surprise. A disk that can't be written to costs the second tier only.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::cache_folder::make_folder;
use crate::admin::numbers::Size;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::{DiskSize, Settings};
use crate::proxy::renderer;
use crate::store::disk::files::{Files, SystemFiles};
use crate::store::disk::set::LeftOut;
use crate::store::disk::{Disk, DiskSettings, SEGMENT_SIZE, set};
use crate::store::{Store, StoreSettings};

/// Smaller segments would end in the middle of too many batches.
const SEGMENT_SIZE_MIN: u64 = 4 << 20;
/// What a disk is cut into, at the least: the oldest of them goes as a whole.
const SEGMENTS_MIN: u64 = 16;

/// The store, whose memory is of `budget`; `random` gives a new store its secret, each new folder its number, and eviction its seed.
pub(super) fn open_store(
    settings: &Settings,
    budget: Budget,
    instance: u32,
    mut random: impl FnMut() -> anyhow::Result<[u64; 2]>,
) -> anyhow::Result<Store> {
    let cache = &settings.cache;
    let mut left_out = Vec::new();
    let folders = folders(settings, &mut left_out)?;
    let object_max = cache.max_object.unwrap_or(cache.memory / 4).min(cache.memory);
    let sizes =
        StoreSettings { memory: cache.memory, object_max, object_on_disk_max: cache.max_object, budget };
    let [k0, k1] = random()?;
    let [seed, _] = random()?;
    let numbers = folders.iter().map(|_| random()).collect::<anyhow::Result<Vec<_>>>()?;
    let mut numbers = numbers.into_iter();
    let files: Arc<dyn Files> = Arc::new(SystemFiles);
    let opened = set::open(&folders, &files, &Clock::system(), || numbers.next().unwrap_or([k0, k1]));
    // Its one line says the cause already; the chain would say it again.
    let set::Opened { disks, left_out: failed } = opened.map_err(|error| anyhow::anyhow!("{error}"))?;
    left_out.extend(failed);
    if disks.is_empty() {
        if !left_out.is_empty() {
            warn!("the cache is only in memory");
        }
        return Ok(Store::new(sizes, [k0, k1, seed]).hiding(&cache.secret_fields).without(left_out));
    }
    for disk in &disks {
        let (usage, folder) = (disk.usage(), disk.folder().display());
        let size = Size(usage.size);
        info!("the disk tier in {folder} takes {size} at most; {} records are kept in it", usage.records);
        scrub(disk, cache.scrub_days);
    }
    let render = renderer(instance);
    Ok(Store::with_disks_hiding(sizes, disks, render, seed, &cache.secret_fields).without(left_out))
}

fn scrub(disk: &Disk, days: u16) {
    let period = Duration::from_secs(u64::from(days) * 86_400);
    if !period.is_zero()
        && let Err(error) = disk.scrub_every(period)
    {
        warn!("{} is not checked in the background: {error}", disk.folder().display());
    }
}

/// The folders of the second tier with their sizes, none where it is off; and those that can't be made.
fn folders(settings: &Settings, left_out: &mut Vec<LeftOut>) -> anyhow::Result<Vec<(PathBuf, DiskSettings)>> {
    let cache = &settings.cache;
    if cache.disks.is_empty() {
        let folder = settings.cache_dir.join("store");
        return Ok(sized(&settings.cache_dir, folder, cache.disk).into_iter().collect());
    }
    let mut found: Vec<(PathBuf, DiskSettings)> = Vec::new();
    for disk in &cache.disks {
        let folder = disk.dir.join("store");
        if let Err(error) = make_folder(&disk.dir) {
            if error.is_unsafe() {
                anyhow::bail!("{} can't be part of the cache: {error}", disk.dir.display());
            }
            warn!("{} can't be used: {error}; the cache works without it", disk.dir.display());
            left_out.push(LeftOut { folder: disk.dir.join("store"), why: error.to_string() });
            continue;
        }
        // Two names of one folder would be two disks that are one.
        let same = found.iter().find(|(other, _)| is_same(other, &disk.dir.join("store")));
        if let Some((other, _)) = same {
            anyhow::bail!("{} and {} are the same folder", other.display(), folder.display());
        }
        found.extend(sized(&disk.dir, folder, disk.size));
    }
    Ok(found)
}

fn sized(dir: &Path, folder: PathBuf, size: DiskSize) -> Option<(PathBuf, DiskSettings)> {
    let size = size.resolve(free_and_own(dir, &folder));
    let segment_size = (size / SEGMENTS_MIN).clamp(SEGMENT_SIZE_MIN, SEGMENT_SIZE);
    (size > 0).then_some((folder, DiskSettings { size, segment_size }))
}

#[expect(clippy::disallowed_methods, reason = "before anything is served")]
fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.parent().and_then(|dir| std::fs::canonicalize(dir).ok());
    real(one).is_some_and(|one| Some(one) == real(other))
}

/// Octets that are free where `folder` is, and those that the store in it takes already.
#[expect(clippy::disallowed_methods, reason = "before anything is served")]
fn free_and_own(folder: &Path, store: &Path) -> u64 {
    let free = rustix::fs::statvfs(folder).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    let files = std::fs::read_dir(store).into_iter().flatten().flatten();
    free + files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum::<u64>()
}
