//! Circles of files within a room: files that use each other, directly or through others. Whoever
//! reads one of them has to read all of them, and none can be tested without the rest.
//!
//! A file uses another when a path in its code leads there, in a `use` or where it is needed; a
//! re-export is followed to the file that defines the name. A module may use the modules within
//! it, which may use what it defines: the two are one thing to Rust. Methods are not seen.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Import, Source, paths};

/// Files that still use each other, with the reason. None of these circles is meant to stay.
pub const ALLOWED: &[(&[&str], &str)] = &[
    (&["http/http2/asking.rs", "http/http2/halves.rs"], "the two halves of a stream know each other's kinds"),
    (&["proxy/connect.rs", "proxy/within_tls.rs"], "a tunnel's content may hold a CONNECT"),
    (&["server/connection.rs", "server/http2.rs"], "a stream of HTTP/2 is served like a connection"),
    (
        &["store/disk/direct.rs", "store/disk/files.rs"],
        "the seam to the file system offers both ways to read",
    ),
    (
        &["store/fill/writer.rs", "store/on_disk.rs", "store/purging.rs", "store/tiers.rs"],
        "a fill writes to the tiers, which make fills",
    ),
];

/// Circles that are not allowed, and allowed ones that no longer exist.
pub fn wrong_circles(sources: &[Source], allowed: &[(&[&str], &str)]) -> Vec<String> {
    let uses = uses(sources);
    let found = circles(&uses);
    let is_allowed =
        |circle: &[&str]| allowed.iter().any(|(files, reason)| *files == circle && !reason.is_empty());
    let new = found.iter().filter(|circle| !is_allowed(circle));
    let new = new.map(|circle| {
        let links = circle.iter().flat_map(|file| {
            let used = uses[file].iter().filter(|used| circle.contains(used));
            used.map(move |used| format!("\n    {file} uses {used}"))
        });
        format!("these files use each other: {}{}", circle.join(", "), links.collect::<String>())
    });
    let gone = allowed.iter().filter(|(files, _)| !found.iter().any(|circle| circle == files));
    let gone = gone.map(|(files, _)| format!("not a circle, remove it from the list: {}", files.join(", ")));
    new.chain(gone).collect()
}

/// The largest sets of files of which each reaches all others, in the order of their paths.
fn circles<'a>(uses: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<Vec<&'a str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        uses.keys().map(|file| (*file, reached_from(file, uses))).collect();
    let mut circles = BTreeSet::new();
    for (file, others) in &reached {
        if others.contains(file) {
            circles.insert(
                others.iter().filter(|other| reached[*other].contains(file)).copied().collect::<Vec<_>>(),
            );
        }
    }
    circles.into_iter().collect()
}

fn reached_from<'a>(file: &str, uses: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = uses[file].iter().copied().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(&uses[next]);
        }
    }
    reached
}

fn path_in_src(source: &Source) -> &str {
    source.path.strip_prefix("src/").unwrap_or(&source.path)
}

/// For each file the others of its room that it uses.
fn uses(sources: &[Source]) -> BTreeMap<&str, BTreeSet<&str>> {
    let files = sources.iter().filter(|source| !source.is_test());
    let files: BTreeMap<Vec<String>, File<'_>> = files
        .map(|source| (source.modules().into_iter().map(str::to_owned).collect(), File::new(source)))
        .collect();
    files.iter().map(|(module, file)| (path_in_src(file.source), used_by(module, file, &files))).collect()
}

/// A file with what its code says about others.
struct File<'a> {
    source: &'a Source,
    imports: Vec<Import>,
    /// Paths of at least two segments outside of imports.
    paths: Vec<Vec<String>>,
}

impl File<'_> {
    fn new(source: &Source) -> File<'_> {
        let (imports, rest) = source.imports();
        File { source, imports, paths: paths(&rest) }
    }
}

fn used_by<'a>(
    module: &[String],
    file: &File<'_>,
    files: &BTreeMap<Vec<String>, File<'a>>,
) -> BTreeSet<&'a str> {
    // The import of a module is used by the paths that begin with it, which say what of it.
    let is_module = |import: &Import| {
        absolute(module, &import.path, files).is_some_and(|path| files.contains_key(&path))
            && file.paths.iter().any(|path| path[0] == import.name)
    };
    let imports = file.imports.iter().filter(|import| !is_module(import)).map(|import| &import.path);
    let targets = imports.chain(&file.paths).filter_map(|path| target(module, path, files, 8));
    targets
        .filter(|(target, _)| !target.starts_with(module) && target.first() == module.first())
        .map(|(_, source)| path_in_src(source))
        .collect()
}

/// The module that defines what a path names, with its file: re-exports on the way are followed.
fn target<'a>(
    module: &[String],
    path: &[String],
    files: &BTreeMap<Vec<String>, File<'a>>,
    steps_max: u32,
) -> Option<(Vec<String>, &'a Source)> {
    let absolute = absolute(module, path, files)?;
    let length = (1..=absolute.len()).rev().find(|length| files.contains_key(&absolute[..*length]))?;
    let (defining, rest) = absolute.split_at(length);
    let file = &files[defining];
    let import = rest.first().and_then(|name| file.imports.iter().find(|import| import.name == *name));
    match import.filter(|_| steps_max > 0) {
        Some(import) => {
            let path: Vec<String> = import.path.iter().chain(&rest[1..]).cloned().collect();
            target(defining, &path, files, steps_max - 1)
        }
        None => Some((defining.to_owned(), file.source)),
    }
}

/// A path from the crate's root; `None` for paths into other crates.
fn absolute(
    module: &[String],
    path: &[String],
    files: &BTreeMap<Vec<String>, File<'_>>,
) -> Option<Vec<String>> {
    let join = |start: &[String], rest: &[String]| Some([start, rest].concat());
    match path[0].as_str() {
        "crate" => join(&[], &path[1..]),
        "self" => join(module, &path[1..]),
        "super" => {
            let climbed = path.iter().take_while(|segment| *segment == "super").count();
            join(module.get(..module.len().checked_sub(climbed)?)?, &path[climbed..])
        }
        first => {
            let child = [module, &path[..1]].concat();
            if files.contains_key(&child) {
                return join(module, path);
            }
            let imports = &files.get(module)?.imports;
            let import = imports.iter().find(|import| import.name == first && import.path[0] != first)?;
            join(&absolute(module, &import.path, files)?, &path[1..])
        }
    }
}

#[test]
fn a_circle_is_found() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("a", "use super::b::B;"), ("b", "use super::a::A;")], "a b"),
        (&[("a", "use super::b::B;"), ("b", "use super::c;\nfn f() { c::g() }"), ("c", "")], ""),
        (
            &[
                ("a", "use crate::r::b;"),
                ("b", "fn f() -> super::c::C {}"),
                ("c", "use super::{x, a::{A, Z}};"),
            ],
            "a b c",
        ),
        // Two circles that share a file are one.
        (&[("a", "use super::b::B;"), ("b", "use super::{a::A, c::C};"), ("c", "use super::b::B;")], "a b c"),
        // A re-export leads to the definition.
        (
            &[
                ("mod", "pub(crate) use a::{A as X};\npub use b::B;"),
                ("a", "use super::B;"),
                ("b", "use crate::r::X;"),
            ],
            "a b",
        ),
        (
            &[
                ("mod", "#[cfg(test)]\nmod tests;\npub use b::B;"),
                ("a", "use super::B;"),
                ("b", "use super::a::A;"),
            ],
            "a b",
        ),
        // A module and those within it are one.
        (&[("mod", "mod a;\nuse a::A;\nfn f() { a::g() }\npub struct M;"), ("a", "use super::M;")], ""),
        (
            &[("b", "use c::C;\nuse super::a::A;"), ("b/c", "use super::B;"), ("a", "use super::b::c::C;")],
            "a b b/c",
        ),
        // Tests may use everything.
        (
            &[
                ("a", "use super::b::B;\n#[cfg(test)]\nmod tests {}"),
                ("b", "#[cfg(test)]\n#[allow(x)]\nmod tests {\nuse super::a::A;\n}"),
            ],
            "",
        ),
        (&[("a", "use super::tests::B;"), ("tests", "use super::a::A;")], ""),
        // Comments, other rooms and other crates are not files of the room.
        (&[("a", "use super::b::B;"), ("b", "// super::a::A\nuse crate::a::A;\nuse a::A;")], ""),
    ];
    for (files, expected) in cases {
        let sources = files.iter().map(|(name, text)| Source::new(&format!("src/r/{name}.rs"), text));
        let sources: Vec<Source> = sources.collect();
        let found: Vec<String> = circles(&uses(&sources)).iter().map(|circle| circle.join(" ")).collect();
        assert_eq!(found.join("; ").replace("r/", "").replace(".rs", ""), *expected, "{files:?}");
    }
}

#[test]
fn the_list_of_circles_is_exact() {
    let sources =
        [Source::new("src/r/a.rs", "use super::b::B;"), Source::new("src/r/b.rs", "use super::a::A;")];
    let files: &[&str] = &["r/a.rs", "r/b.rs"];
    let gone: &[&str] = &["r/b.rs", "r/c.rs"];
    assert_eq!(wrong_circles(&sources, &[(files, "why")]).len(), 0);
    assert_eq!(wrong_circles(&sources, &[]).len(), 1);
    assert_eq!(wrong_circles(&sources, &[(files, "")]).len(), 1, "without a reason");
    assert_eq!(wrong_circles(&sources, &[(files, "why"), (gone, "why")]).len(), 1);
}
