//! Raw HTTP/1 messages, each sent through the proxy in four segmentations, and the verdict on
//! each. `requests.json` and `responses.json` came with the specification; `own.json` holds more
//! of the same kinds, each with the reason for what is expected.
#![allow(clippy::disallowed_methods, reason = "clients and origins of tests block, and touch files")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a panic is how a test fails, and print what one looks at"
)]
#![allow(unreachable_pub, reason = "a test has no other crates to be reached from")]

#[path = "../support/mod.rs"]
mod support;

mod forms;
mod requests;
mod responses;
mod segments;
mod vector;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

use larder::clock::Clock;

use segments::Segments;
use support::World;
use vector::Vector;

/// More threads than cores: most of a case's time is waiting for the other end.
const THREADS: usize = 8;

/// What a case does: an error is what was wrong.
type Check = fn(&World, &Vector, Segments) -> Result<(), String>;

#[test]
fn requests_are_judged_as_the_specification_says() {
    run(&vector::load("requests.json"), requests::check);
}

#[test]
fn responses_are_judged_as_the_specification_says() {
    run(&vector::load("responses.json"), responses::check);
}

#[test]
fn more_requests_are_judged_for_the_reasons_given() {
    run(&vector::load_own("requests"), requests::check);
}

#[test]
fn more_responses_are_judged_for_the_reasons_given() {
    run(&vector::load_own("responses"), responses::check);
}

/// Runs every vector in every segmentation through one proxy, and fails with a table of all that
/// went wrong.
fn run(vectors: &[Vector], check: Check) {
    let world = World::with(|setup| {
        setup.clock = Clock::system();
        setup.workers = 2;
        // A proxy that waits for more than there is answers at last, and the case goes on.
        setup.server.header_timeout = Duration::from_secs(20);
        setup.limits.idle = Duration::from_secs(20);
    });
    let cases: Vec<_> = vectors.iter().flat_map(|vector| Segments::ALL.map(|how| (vector, how))).collect();
    let next = Mutex::new(cases.iter());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((vector, how)) = { next.lock().unwrap().next() } {
                    let result = catch_unwind(AssertUnwindSafe(|| check(&world, vector, *how)));
                    let result = result.unwrap_or_else(|panic| Err(text_of(&*panic)));
                    if let Err(wrong) = result {
                        failed.lock().unwrap().push((*vector, *how, wrong));
                    }
                }
            });
        }
    });
    drop(world);
    report(failed.into_inner().unwrap(), cases.len());
}

fn report(mut failed: Vec<(&Vector, Segments, String)>, cases: usize) {
    if failed.is_empty() {
        return;
    }
    failed.sort_by(|a, b| (&a.0.id, a.1).cmp(&(&b.0.id, b.1)));
    let mut table = format!("{:28} {:7} {:9} {:14} wrong\n", "vector", "expect", "segments", "section");
    for (vector, how, wrong) in &failed {
        let Vector { id, expect, section, reason, .. } = vector;
        let how = how.name();
        table += &format!("{id:28} {expect:7} {how:9} {section:14} {wrong}\n");
        if !reason.is_empty() {
            table += &format!("{:28} because {reason}\n", "");
        }
    }
    panic!("{} of {cases} cases failed\n{table}", failed.len());
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}
