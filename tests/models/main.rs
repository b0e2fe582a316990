//! Models of what threads share in the store, each run under many schedules of its threads.
//!
//! Shuttle takes the place of the locks and atomics that `src/store/sync.rs` names, and decides at
//! each use of one who goes on: at random, or by priorities with a few changes, which finds the
//! bugs that need few switches (PCT; Burckhardt et al. 2010). A task that nobody wakes any more is
//! found as a deadlock. A failure prints its schedule, and how to replay it. Shuttle takes all
//! atomics for sequentially consistent: too weak an ordering is not found here.
//!
//! Nothing of this is built without `--cfg shuttle`, which `tests/models/run` sets.
#![cfg(shuttle)]

mod fill;
mod index;
mod tables;

use std::sync::Arc;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

/// Schedules of each kind for each model, if `LARDER_MODEL_SCHEDULES` doesn't say how many: some
/// seconds in all.
const SCHEDULES: usize = 1_000;
/// The same in every run; `SHUTTLE_RANDOM_SEED` sets another. Arbitrary.
const SEED: u64 = 9111;
/// Changes of priority in one schedule, and one more. Arbitrary: most bugs need one or two.
const DEPTH: usize = 3;

/// Runs a model, which panics when something is wrong, under random schedules and under PCT.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    #[expect(clippy::disallowed_methods, reason = "a test is told by its script how long to look")]
    let told = std::env::var("LARDER_MODEL_SCHEDULES").ok();
    let schedules = told.map_or(SCHEDULES, |told| told.parse().expect("LARDER_MODEL_SCHEDULES is a number"));
    let mut config = Config::default();
    config.silence_warnings = true;
    let model = Arc::new(model);
    let again = model.clone();
    Runner::new(RandomScheduler::new_from_seed(SEED, schedules), config.clone()).run(move || again());
    Runner::new(PctScheduler::new_from_seed(SEED, DEPTH, schedules), config).run(move || model());
}
