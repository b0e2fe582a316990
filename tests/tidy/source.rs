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
    fn modules(&self) -> Vec<&str> {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path).trim_end_matches(".rs");
        below.split('/').filter(|name| *name != "mod" && *name != "lib").collect()
    }

    /// The code alone, without the tests at the file's end; lines stay where they are.
    pub fn code(&self) -> String {
        let mut code = blank(&self.text);
        if self.path.ends_with("/tests.rs") || self.path.contains("/tests/") {
            code.clear();
        }
        let tests = code.match_indices("\n#[cfg(test)]\n").map(|(at, _)| at + 1);
        let end = tests.filter(|&at| starts_module(&code[at..])).last();
        code.truncate(end.unwrap_or(code.len()));
        code
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

fn starts_module(code: &str) -> bool {
    let below = code.lines().find(|line| !line.trim_start().starts_with("#[")).unwrap_or_default();
    below.starts_with("mod ") || below.starts_with("pub mod ")
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
            out.extend(token.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        }
        before = if is_code { character } else { ' ' };
        rest = after;
    }
    out
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
