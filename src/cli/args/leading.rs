//! Flags in front of a command. `larder --config X reload` is what people type who started
//! `larder --config X`: the flags that say which Larder is meant belong to the command behind them.

use std::ffi::OsString;

use clap::CommandFactory as _;

use super::Args;

/// The flags that all commands share, each with a value.
const SHARED: [&str; 2] = ["--config", "--cache-dir"];

/// The arguments with shared flags moved behind the command that follows them. Anything else stays
/// as it was typed.
pub(super) fn behind_command(typed: Vec<OsString>) -> Vec<OsString> {
    let Some((program, rest)) = typed.split_first() else { return typed };
    let (flags, rest) = rest.split_at(leading(rest));
    let (command, rest) = rest.split_at(command_words(rest));
    if command.is_empty() {
        return typed;
    }
    [std::slice::from_ref(program), command, flags, rest].concat()
}

/// How many words at the start are shared flags and their values.
fn leading(words: &[OsString]) -> usize {
    let mut count = 0;
    while let Some(word) = words.get(count).and_then(|word| word.to_str()) {
        count += match word.split_once('=') {
            Some((name, _value)) if SHARED.contains(&name) => 1,
            None if SHARED.contains(&word) => 2,
            _ => break,
        };
    }
    count.min(words.len())
}

/// How many words at the start name a command, like `cache ls`.
fn command_words(words: &[OsString]) -> usize {
    let whole = Args::command();
    let mut command = &whole;
    words
        .iter()
        .take_while(|word| match command.find_subcommand(word) {
            Some(found) => {
                command = found;
                true
            }
            None => false,
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_flags_go_to_their_command() {
        let cases = [
            ("larder --config f reload", "larder reload --config f"),
            (
                "larder --cache-dir=c --config f cache ls --host a",
                "larder cache ls --cache-dir=c --config f --host a",
            ),
            ("larder --config f run -- make reload", "larder run --config f -- make reload"),
            ("larder --config f", "larder --config f"),
            ("larder --config reload", "larder --config reload"),
            ("larder --config f --listen 80", "larder --config f --listen 80"),
            ("larder --config f --listen 80 reload", "larder --config f --listen 80 reload"),
            ("larder --config f relod", "larder --config f relod"),
            ("larder reload --config f", "larder reload --config f"),
            ("larder", "larder"),
        ];
        for (typed, expected) in cases {
            let words = typed.split(' ').map(OsString::from).collect();
            let found: Vec<_> = behind_command(words).iter().map(|word| word.display().to_string()).collect();
            assert_eq!(found.join(" "), expected);
        }
    }
}
