//! Row 4.17: files that belong together, of which one has changed.

use crate::support::{Answer, Gate, World, request};
use larder::config::Config;

const FOLDER: &str = "/debian/dists/stable";

fn world() -> World {
    let world = World::new();
    let rule = "[[cache.rule]]\nname = 'apt'\npath = '*/dists/*'\n\
                together = ['Release', 'Release.gpg', 'InRelease']";
    let config: Config = toml::from_str(rule).expect("a valid rule");
    world.shared.rules.replace(config.cache.rules);
    world
}

fn path(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

/// A file without explicit freshness that was old when it came.
fn file(world: &World, tag: &str) -> Answer {
    Answer::status(200).field("Last-Modified", &world.date(-1_000_000)).field("ETag", tag).body(tag)
}

#[test]
fn case_4_17_a_changed_file_takes_its_companions_with_it() {
    let world = world();
    for name in ["Release", "Release.gpg", "InRelease", "Packages"] {
        world.origin.on_path(&path(name), file(&world, "\"1\"")).on_path(&path(name), file(&world, "\"2\""));
        world.get(&path(name));
        assert!(world.get(&path(name)).is_hit());
    }
    world.origin.on_path("/other/Release.gpg", file(&world, "\"1\""));
    world.get("/other/Release.gpg");
    // One of them is asked for again, and is another one by now.
    assert_eq!(world.get_with(&path("Release"), &[("Cache-Control", "max-age=0")]).text(), "\"2\"");
    for name in ["Release.gpg", "InRelease"] {
        let companion = world.get(&path(name));
        assert_eq!((companion.is_hit(), companion.text()), (false, "\"2\""), "{name}");
    }
    for kept in [path("Release"), path("Packages"), "/other/Release.gpg".to_owned()] {
        assert!(world.get(&kept).is_hit(), "{kept}");
    }
    // That they were had anew changes nothing: all are there.
    assert!(world.get(&path("Release.gpg")).is_hit() && world.get(&path("InRelease")).is_hit());
}

#[test]
fn case_4_17_a_file_that_has_not_changed_leaves_them_alone() {
    let world = world();
    for name in ["Release", "Release.gpg"] {
        world.origin.on_path(&path(name), file(&world, "\"1\""));
        world.get(&path(name));
    }
    world.get_with(&path("Release"), &[("Cache-Control", "no-cache")]);
    world.origin.now_on_path(&path("Release"), Answer::status(304).field("ETag", "\"1\"").end_of_head());
    world.get_with(&path("Release"), &[("Cache-Control", "no-cache")]);
    world.origin.now_on_path(&path("Release"), Answer::status(503).body("down"));
    world.get_with(&path("Release"), &[("Cache-Control", "no-cache")]);
    assert!(world.get(&path("Release.gpg")).is_hit());
}

#[test]
fn case_4_17_one_that_is_gone_has_changed_and_what_is_under_way_comes_too_late() {
    let (world, gate) = (world(), Gate::new());
    world.origin.on_path(&path("InRelease"), file(&world, "\"1\""));
    world.origin.on_path(&path("InRelease"), Answer::status(404).body("gone"));
    world.origin.on_path(&path("Release"), file(&world, "\"1\"").after(&gate));
    world.origin.on_path(&path("Release"), file(&world, "\"2\""));
    world.get(&path("InRelease"));
    let mut slow = world.client();
    slow.send(request("GET", &world.url(&path("Release")), &[], ""));
    world.origin.has_requests(2);
    assert_eq!(world.get_with(&path("InRelease"), &[("Cache-Control", "max-age=0")]).status(), 404);
    gate.open();
    assert_eq!(slow.response().text(), "\"1\"");
    assert_eq!(world.get(&path("Release")).text(), "\"2\"");
}
