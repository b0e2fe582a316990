//! Opening the store that the settings ask for.
//!
//! A folder that another larder uses, or that another format is in, ends the start: going on
//! would surprise. A disk that can't be written to costs the second tier only.

use std::path::Path;
use std::sync::Arc;

use tracing::{info, warn};

use super::commands::in_units;
use crate::clock::Clock;
use crate::config::Settings;
use crate::proxy::renderer;
use crate::store::disk::files::SystemFiles;
use crate::store::disk::{Disk, DiskSettings, OpenError, SEGMENT_SIZE};
use crate::store::{Store, StoreSettings};

/// Smaller segments would end in the middle of too many batches.
const SEGMENT_SIZE_MIN: u64 = 4 << 20;
/// What a disk is cut into, at the least: the oldest of them goes as a whole.
const SEGMENTS_MIN: u64 = 16;

/// The store; `random` seeds eviction and becomes the secret of a new store.
pub(super) fn open_store(settings: &Settings, instance: u32, random: [u64; 3]) -> anyhow::Result<Store> {
    let memory = settings.cache.memory;
    let folder = settings.cache_dir.join("store");
    let size = settings.cache.disk.resolve(free_and_own(&settings.cache_dir, &folder));
    // One object may take a quarter: fewer would turn the store over too often.
    let max_of = |size: u64| settings.cache.max_object.unwrap_or(size / 4).min(size);
    let sizes = StoreSettings { memory, object_max: max_of(memory), object_on_disk_max: max_of(size) };
    if size == 0 {
        return Ok(Store::new(sizes, random));
    }
    let segment_size = (size / SEGMENTS_MIN).clamp(SEGMENT_SIZE_MIN, SEGMENT_SIZE);
    let [k0, k1, seed] = random;
    match Disk::open(
        &folder,
        DiskSettings { size, segment_size },
        Arc::new(SystemFiles),
        Clock::system(),
        [k0, k1],
    ) {
        Ok(disk) => {
            let (usage, size) = (disk.usage(), in_units(size));
            info!("the disk tier takes {size} at most; {} records are kept in it", usage.records);
            Ok(Store::with_disk(sizes, disk, renderer(instance), seed))
        }
        Err(error @ OpenError::Io(..)) => {
            warn!("{error}; the cache is in memory alone");
            Ok(Store::new(sizes, random))
        }
        // Its one line says the cause already; the chain would say it again.
        Err(error) => Err(anyhow::anyhow!("{error}")),
    }
}

/// Octets that are free where `folder` is, and those that the store in it takes already.
#[expect(clippy::disallowed_methods, reason = "before anything is served")]
fn free_and_own(folder: &Path, store: &Path) -> u64 {
    let free = rustix::fs::statvfs(folder).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    let files = std::fs::read_dir(store).into_iter().flatten().flatten();
    free + files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum::<u64>()
}
