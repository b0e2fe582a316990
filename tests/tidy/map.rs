//! The code map: each source with what it says of itself in its first sentence, room by room.

use crate::source::Source;

const TITLE: &str = "# Code map\n\nEach file of `src/` with the first sentence of its own header, room by room from the lowest. \
Written by `LARDER_WRITE=1 cargo test --test tidy code_map`; [ARCHITECTURE.md](../ARCHITECTURE.md) says how the rooms stand to each \
other.\n";

/// The map of these sources; `rooms` are in the order of reading.
pub fn code_map(sources: &[Source], rooms: &[(&str, u32)]) -> String {
    let mut map = TITLE.to_owned();
    for (room, number) in rooms {
        let is_of_room = |source: &&Source| source.room() == Some(room) && !source.is_test();
        let files: Vec<&Source> = sources.iter().filter(is_of_room).collect();
        let is_folder = files.iter().any(|source| source.path.starts_with(&format!("src/{room}/")));
        if is_folder {
            map.push_str(&format!("\n## `{room}/` ({number})\n\n| file | what it is |\n|---|---|\n"));
            files.iter().for_each(|source| map.push_str(&row(source, &format!("src/{room}/"))));
        }
    }
    map.push_str("\n## `src/` itself\n\n| file | what it is |\n|---|---|\n");
    for source in sources.iter().filter(|source| source.path.matches('/').count() == 1) {
        map.push_str(&row(source, "src/"));
    }
    map
}

fn row(source: &Source, folder: &str) -> String {
    let name = source.path.strip_prefix(folder).unwrap_or(&source.path);
    format!("| `{name}` | {} |\n", first_sentence(&source.text).replace('|', "\\|"))
}

/// The first sentence of a file's header, without the marks of links.
pub fn first_sentence(text: &str) -> String {
    let header = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let paragraph: Vec<&str> = header.take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    let ends = [". ", "? "].iter().filter_map(|end| paragraph.find(end));
    let end = ends.min().map(|at| at + 1);
    paragraph[..end.unwrap_or(paragraph.len())].replace("[`", "`").replace("`]", "`")
}
