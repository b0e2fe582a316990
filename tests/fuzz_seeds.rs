//! The bodies of the fuzz targets with their seeds and some hundred mutations of them, so that no
//! target rots. `fuzz/run` lets libFuzzer choose the inputs; here a generator with a fixed seed does.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a panic is how a test fails, and the corpus is read from the disk"
)]
#![allow(unreachable_pub, reason = "a test has no other crates to be reached from")]

#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::path::{Path, PathBuf};

use targets::{ALL, Target};

/// Inputs for each target beside its seeds.
const MUTATIONS: u64 = 500;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)
}

/// The seeds that are checked in.
fn files(target: &Target) -> Vec<Vec<u8>> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(corpus(target.name))
        .into_iter()
        .flatten()
        .flatten()
        .map(|file| file.path())
        .collect();
    names.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seed-")));
    names.sort();
    names.iter().map(|path| std::fs::read(path).expect("readable")).collect()
}

/// Knuth's generator.
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

/// Changes some octets: flips, cuts, copies, and pieces of other seeds.
fn mutated(seeds: &[Vec<u8>], state: &mut u64) -> Vec<u8> {
    let mut octets = seeds[next(state) % seeds.len()].clone();
    for _ in 0..=next(state) % 4 {
        let at = next(state) % (octets.len() + 1);
        match next(state) % 5 {
            0 if at < octets.len() => octets[at] ^= 1 << (next(state) % 8),
            1 if at < octets.len() => octets[at] = next(state) as u8,
            2 => octets.truncate(at),
            3 => {
                let other = &seeds[next(state) % seeds.len()];
                let from = next(state) % (other.len() + 1);
                octets.splice(at..at, other[from..].iter().copied());
            }
            _ => octets.insert(at, b" ,;=\"-0\r\n\t\0\xff"[next(state) % 12]),
        }
    }
    octets.truncate(4096);
    octets
}

#[test]
fn every_target_holds_for_its_seeds_and_mutations_of_them() {
    for target in ALL {
        let seeds = files(target);
        assert!(!seeds.is_empty(), "fuzz/corpus/{} has no seeds", target.name);
        let mut state = 1;
        let made = (0..MUTATIONS).map(|_| mutated(&seeds, &mut state)).collect::<Vec<_>>();
        for input in [Vec::new()].iter().chain(&seeds).chain(&made) {
            let ended = std::panic::catch_unwind(|| targets::run(target.name, input));
            assert!(ended.is_ok(), "{} fails for {:?}", target.name, input.escape_ascii().to_string());
        }
    }
}

#[test]
fn the_seeds_are_those_of_the_targets() {
    for target in ALL {
        assert_eq!(files(target), (target.seeds)(), "write them again: see CONTRIBUTING.md, fuzzing");
    }
}

/// Writes the seeds: `cargo test --test fuzz_seeds -- --ignored`.
#[test]
#[ignore = "it writes into the checkout"]
fn write_the_seeds() {
    for target in ALL {
        std::fs::create_dir_all(corpus(target.name)).expect("writable");
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(corpus(target.name).join(format!("seed-{number}")), seed).expect("writable");
        }
    }
}
