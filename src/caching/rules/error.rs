//! What can be wrong with a rule as typed.

/// Why something is no part of a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("a rule's name has 1 to 31 letters, digits, '-', '_' or '.'")]
    Name,
    #[error("{0}; a host is written as a.example, or as *.a.example for all names below it")]
    Host(String),
    #[error("an address has no names below it")]
    HostBelow,
    #[error("a path is written as a glob, like /docs/*, or as an expression that begins with ^")]
    Path,
    #[error("a media type is written as text/html, or as image/* for all of a type")]
    Type,
    #[error("a status is written as 404, 5xx or 500-504")]
    Status,
    #[error("a pattern can have at most 4096 bytes")]
    TooLong,
    #[error("bad regular expression: {0}")]
    Expression(String),
    #[error(
        "what can be ignored is no-store, no-cache, private, must-revalidate, set-cookie, authorization, request-no-store and request-no-cache"
    )]
    Ignore,
    #[error("parameters are names, or globs like utm_*")]
    DropQuery,
    #[error("files that belong together are 2 to 16 names in one folder, without a slash")]
    Together,
    #[error("a key begins with http:// or https://")]
    KeyTarget,
    #[error(
        "the key speaks of the group {0:?}, which the expression does not have; write ${{1}} where letters or digits follow"
    )]
    KeyGroup(String),
}
