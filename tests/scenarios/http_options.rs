//! What `Connection` and the names of fields may do, and what not (RFC 9110 §7.6.1).

use crate::support::{Answer, World};

const KIB: usize = 1024;

/// So many options that nobody knows.
fn options(count: usize) -> String {
    (0..count).map(|number| format!("x{number}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_field_that_ends_at_the_proxy_selects_nothing_for_others() {
    let world = World::new();
    let answer = |text| Answer::cached("max-age=60").field("Vary", "Origin").body(text);
    world.origin.on_path("/", answer("to nobody")).on_path("/", answer("to the app"));
    let origin = ("Origin", "https://app.example");
    let hidden = world.get_with("/", &[("Connection", "Origin"), origin]);
    assert_eq!((hidden.text(), hidden.is_hit()), ("to nobody", false));
    let honest = world.get_with("/", &[origin]);
    assert_eq!((honest.text(), honest.is_hit()), ("to the app", false));
    let fields: Vec<_> = world.origin.requests("/").iter().map(|seen| seen.head.has("Origin")).collect();
    assert_eq!(fields, [false, true]);
}

#[test]
fn a_long_name_is_not_taken_for_the_short_one_that_it_begins_with() {
    let world = World::with(|setup| {
        setup.limits.head.head = 256 * KIB;
        setup.limits.head.line = 256 * KIB;
    });
    world.origin.on_path("/", Answer::ok("hello"));
    let long = format!("Content-Length{}", "x".repeat(64 * KIB));
    assert_eq!(world.get_with("/", &[(&long, "5")]).text(), "hello");
    let head = world.origin.request("/").head;
    assert_eq!((head.field("Content-Length"), head.field(&long)), (None, Some("5")));
}

#[test]
fn too_many_options_of_a_client_are_refused() {
    for (count, status) in [(32, 200), (33, 431)] {
        let world = World::new();
        world.origin.on_path("/", Answer::ok("hello"));
        assert_eq!(world.get_with("/", &[("Connection", &options(count))]).status(), status);
        assert_eq!(world.origin.is_not_asked(), status == 431);
    }
}

#[test]
fn too_many_options_of_an_origin_are_a_bad_gateway() {
    for (count, status) in [(32, 200), (33, 502)] {
        let world = World::new();
        world.origin.on_path("/", Answer::status(200).field("Connection", &options(count)).body("hello"));
        assert_eq!(world.get("/").status(), status);
    }
}
