//! Rust sources as far as the style's rules need to understand them: what is code, what is a
//! test, where functions begin and end, and which rooms are named. A lexer, not a parser: it
//! relies on sources that compile and are formatted by rustfmt.

/// A file of the repository.
pub struct Source {
    /// From the repository's root, with `/`.
    pub path: String,
    pub text: String,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// Of its first line, from 1.
    pub line: usize,
    pub lines: usize,
}

/// One name that a `use` brings into a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    pub path: Vec<String>,
    /// What the file calls it.
    pub name: String,
    /// Whether it is a re-export.
    pub is_public: bool,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    /// The room that the file belongs to: the first segment below `src/`.
    pub fn room(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        Some(below.split('/').next()?.trim_end_matches(".rs"))
    }

    /// The modules that lead to this file from the crate's root.
    pub fn modules(&self) -> Vec<&str> {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path).trim_end_matches(".rs");
        below.split('/').filter(|name| *name != "mod" && *name != "lib").collect()
    }

    /// Whether the file is compiled for tests alone.
    pub fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.ends_with("_tests.rs") || self.path.contains("/tests/")
    }

    /// The code alone, without the tests at the file's end; lines stay where they are.
    pub fn code(&self) -> String {
        let mut code = blank(&self.text);
        if self.is_test() {
            code.clear();
        }
        let tests: Vec<usize> = code.match_indices("#[cfg(test)]\n").map(|(at, _)| at).collect();
        for at in tests.into_iter().rev() {
            match module_at(&code[at..]) {
                Some(Module::Declared { length }) => {
                    code.replace_range(at..at + length, &blank_lines(&code[at..at + length]));
                }
                Some(Module::Inline) => code.truncate(at),
                None => {}
            }
        }
        code
    }

    /// What the code imports, and the code without its imports.
    pub fn imports(&self) -> (Vec<Import>, String) {
        let mut code = self.code();
        let mut imports = Vec::new();
        let starts: Vec<usize> = words(&code, "use").collect();
        for start in starts {
            let Some(length) = code[start..].find(';') else { continue };
            let line = code[..start].rfind('\n').map_or(0, |at| at + 1);
            let is_public = code[line..start].trim_start().starts_with("pub");
            let tree = &code[start + "use".len()..start + length];
            imports.extend(leaves(tree).into_iter().map(|(path, name)| Import { path, name, is_public }));
            code.replace_range(line..start + length, &blank_lines(&code[line..start + length]));
        }
        (imports, code)
    }

    /// The names that follow `crate::`, or as many `super::` as lead to the crate's root, each
    /// with its line.
    pub fn rooms_named(&self) -> Vec<(String, usize)> {
        let code = self.code();
        let depth = self.modules().len();
        let mut named = Vec::new();
        let mut add = |at: usize, rest: &str| {
            let line = code[..at].matches('\n').count() + 1;
            named.extend(first_segments(rest).into_iter().map(|name| (name, line)));
        };
        for at in words(&code, "crate") {
            if let Some(rest) = path_separator(&code[at + "crate".len()..]) {
                add(at, rest);
            }
        }
        for at in words(&code, "super") {
            let mut climbed = 0;
            let mut rest = &code[at..];
            while let Some(after) = rest.strip_prefix("super").and_then(path_separator) {
                climbed += 1;
                rest = after;
            }
            // The second `super` of a chain is counted with its first.
            if climbed == depth && !code[..at].ends_with("super::") {
                add(at, rest);
            }
        }
        named
    }

    /// The functions of the code that is no test.
    pub fn functions(&self) -> Vec<Function> {
        let code = self.code();
        let mut functions = Vec::new();
        for at in words(&code, "fn") {
            let name: String = code[at + 2..].trim_start().chars().take_while(|c| is_word(*c)).collect();
            let Some(end) = body_end(&code[at..]).filter(|_| !name.is_empty()) else { continue };
            let line = code[..at].matches('\n').count() + 1;
            let lines = code[at..at + end].matches('\n').count() + 1;
            functions.push(Function { name, line, lines });
        }
        functions
    }
}

/// A module with its attributes.
enum Module {
    /// `mod name;`, with the length up to its end.
    Declared {
        length: usize,
    },
    Inline,
}

/// The module that the code begins with, after its attributes.
fn module_at(code: &str) -> Option<Module> {
    let mut at = 0;
    let line = code.split_inclusive('\n').find(|line| {
        let is_attribute = line.trim_start().starts_with("#[");
        at += if is_attribute { line.len() } else { 0 };
        !is_attribute
    })?;
    let is_module = line.starts_with("mod ") || line.starts_with("pub mod ");
    let end = line.find([';', '{']).filter(|_| is_module)?;
    let is_declared = line[end..].starts_with(';');
    Some(if is_declared { Module::Declared { length: at + end + 1 } } else { Module::Inline })
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Where a word stands as a whole.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(|c| is_word(c) || c == '$') && !after.is_some_and(is_word)
    })
}

fn path_separator(code: &str) -> Option<&str> {
    code.trim_start().strip_prefix("::").map(str::trim_start)
}

/// The first segments of a path: one, or one for each member of a group.
fn first_segments(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return vec![path.chars().take_while(|c| is_word(*c)).collect()];
    };
    let mut depth = 0;
    let mut names = vec![String::new()];
    let mut ended = false;
    for character in group.chars() {
        match character {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(String::new());
                ended = false;
            }
            _ if depth > 0 || ended => {}
            _ if is_word(character) => names.last_mut().expect("one at least").push(character),
            _ => ended = !names.last().expect("one at least").is_empty(),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The paths of a `use` with the names that they get: one, or one for each member of its groups.
fn leaves(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    if let Some((prefix, group)) = tree.split_once('{') {
        let prefix: Vec<String> = segments(prefix);
        let group = group.trim_end().strip_suffix('}').unwrap_or(group);
        let members = members(group).into_iter().flat_map(leaves);
        return members
            .map(|(mut path, mut name)| {
                if path == ["self"] {
                    path.clear();
                    name = if name == "self" { prefix.last().cloned().unwrap_or_default() } else { name };
                }
                (prefix.iter().cloned().chain(path).collect(), name)
            })
            .collect();
    }
    let (path, name) = tree.split_once(" as ").unwrap_or((tree, ""));
    let path = segments(path);
    let last = path.last().cloned().unwrap_or_default();
    if path.is_empty() {
        return Vec::new();
    }
    vec![(path, if name.is_empty() { last } else { name.trim().to_owned() })]
}

fn segments(path: &str) -> Vec<String> {
    path.split("::").map(str::trim).filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

/// The members of a group, whose own groups stay whole.
fn members(group: &str) -> Vec<&str> {
    let mut members = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    members.push(&group[start..]);
    members
}

/// The paths of at least two segments in code.
pub fn paths(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(character) = rest.chars().next() {
        if !is_word(character) {
            rest = &rest[character.len_utf8()..];
            continue;
        }
        let mut path = Vec::new();
        loop {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            path.push(rest[..length].to_owned());
            rest = &rest[length..];
            match path_separator(rest).filter(|next| next.starts_with(is_word)) {
                Some(next) => rest = next,
                None => break,
            }
        }
        if path.len() > 1 {
            paths.push(path);
        }
    }
    paths
}

/// The length of a function from its `fn` to its closing brace; `None` when it has no body.
fn body_end(code: &str) -> Option<usize> {
    let mut brackets = 0;
    let mut braces = 0;
    for (at, character) in code.char_indices() {
        match character {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if brackets == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The text with comments and what stands in literals replaced by spaces, byte for byte.
pub fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(character) = rest.chars().next() {
        let literal = if is_word(before) { 0 } else { literal_length(rest) };
        let (length, is_code) = match literal {
            0 => (character.len_utf8(), true),
            length => (length, false),
        };
        let (token, after) = rest.split_at(length);
        if is_code {
            out.push_str(token);
        } else {
            out.push_str(&blank_lines(token));
        }
        before = if is_code { character } else { ' ' };
        rest = after;
    }
    out
}

/// As many bytes, and the same ends of lines.
fn blank_lines(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// The length of the comment or literal that the text starts with, or 0.
fn literal_length(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment_length(text);
    }
    let prefix =
        ["", "b", "c"].into_iter().find(|p| text.strip_prefix(p).is_some_and(|t| t.starts_with('"')));
    if let Some(prefix) = prefix {
        return prefix.len() + quoted_length(&text[prefix.len()..], '"');
    }
    if let Some(length) = ["r", "br", "cr"].into_iter().find_map(|prefix| raw_length(text, prefix)) {
        return length;
    }
    let quote = usize::from(text.starts_with("b'"));
    if text[quote..].starts_with('\'') && is_character(&text[quote + 1..]) {
        return quote + quoted_length(&text[quote..], '\'');
    }
    0
}

/// Whether a quotation mark before this text begins a character rather than a lifetime.
fn is_character(text: &str) -> bool {
    let mut characters = text.chars();
    match characters.next() {
        Some('\\') => true,
        Some(_) => characters.next() == Some('\''),
        None => false,
    }
}

fn block_comment_length(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        let (step, change) = match rest {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            _ => (1, 0),
        };
        at += step;
        depth += change;
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = true;
    for (at, character) in text.char_indices() {
        if character == quote && !escaped {
            return at + 1;
        }
        // The first character is the opening mark.
        escaped = at > 0 && character == '\\' && !escaped;
    }
    text.len()
}

fn raw_length(text: &str, prefix: &str) -> Option<usize> {
    let behind = text.strip_prefix(prefix)?;
    let hashes = behind.bytes().take_while(|byte| *byte == b'#').count();
    let inner = behind[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inner.find(&end).unwrap_or(inner.len());
    Some(prefix.len() + hashes + 1 + length + end.len())
}
