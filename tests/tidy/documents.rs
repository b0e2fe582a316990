//! Documents as their readers see them: tables are rendered only where their lines fit together.

/// A document's table that no renderer shows as one: a header, a line of dashes, and rows with as many
/// cells, without an empty line among them.
pub fn broken_tables(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut is_code = false;
    let mut cells = None;
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        is_code ^= line.trim_start().starts_with("```");
        if is_code || !line.starts_with('|') {
            cells = None;
            continue;
        }
        let place = format!("{path}:{}", index + 1);
        match cells {
            Some(count) if count != cell_count(line) => {
                wrong.push(format!("{place}: a row of {} cells in a table of {count}", cell_count(line)));
            }
            Some(_) => {}
            None => {
                let dashes = lines.get(index + 1).copied().unwrap_or_default();
                if !is_delimiter(dashes) || cell_count(dashes) != cell_count(line) {
                    wrong.push(format!("{place}: a row outside of a table: an empty line ends one"));
                }
                cells = Some(cell_count(line));
            }
        }
    }
    wrong
}

/// `|---|:--|`
fn is_delimiter(line: &str) -> bool {
    line.starts_with('|') && line.contains('-') && line.chars().all(|character| "|-: ".contains(character))
}

/// A `|` behind a backslash is text, also within code.
fn cell_count(line: &str) -> usize {
    let parts = line.replace("\\|", "").matches('|').count();
    parts.saturating_sub(1)
}
