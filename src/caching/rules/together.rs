//! Files that belong together, as a rule of the operator names them: one that has changed says that the
//! others have.
//!
//! A signature and what it signs are two resources, each with a freshness of its own: without this, a
//! cache may have one of them from before a change and one from after it.

use super::RuleError;
use crate::http::TargetUri;

/// Names in one rule; arbitrary.
const NAMES_MAX: usize = 16;

/// Names of files in one folder, as they are spelled in URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Together(Vec<String>);

impl Together {
    /// These files, at least two.
    pub fn new(names: Vec<String>) -> Result<Together, RuleError> {
        let is_name = |name: &String| {
            let is_written = |byte: u8| (b'!'..=b'~').contains(&byte) && !b"/?#".contains(&byte);
            !name.is_empty() && name != "." && name != ".." && name.bytes().all(is_written)
        };
        let is_right = (2..=NAMES_MAX).contains(&names.len()) && names.iter().all(is_name);
        if is_right { Ok(Together(names)) } else { Err(RuleError::Together) }
    }

    /// The other files of a URI that is one of them; none for any other URI.
    pub(super) fn companions(&self, uri: &TargetUri) -> Vec<TargetUri> {
        let name = uri.path().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if !self.0.iter().any(|known| known.as_bytes() == name) {
            return Vec::new();
        }
        let others = self.0.iter().filter(|other| other.as_bytes() != name);
        // With a folder in front, so that a colon in the name makes no scheme of it.
        others.filter_map(|other| uri.join(format!("./{other}").as_bytes())).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn companions(names: &[&str], uri: &str) -> Vec<String> {
        let together = Together::new(names.iter().map(|name| (*name).to_owned()).collect()).expect("names");
        let uri = TargetUri::parse_absolute(&Bytes::copy_from_slice(uri.as_bytes())).expect(uri);
        together.companions(&uri).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn files_of_one_folder() {
        let names = ["Release", "Release.gpg", "InRelease"];
        assert_eq!(
            companions(&names, "http://a/d/x/Release"),
            ["http://a/d/x/Release.gpg", "http://a/d/x/InRelease"]
        );
        assert_eq!(companions(&names, "http://a/InRelease"), ["http://a/Release", "http://a/Release.gpg"]);
        assert_eq!(companions(&["a:1", "b"], "http://a/x/b?q"), ["http://a/x/a:1"]);
        assert!(companions(&names, "http://a/d/x/Packages").is_empty());
        assert!(companions(&names, "http://a/Release/").is_empty());
    }

    #[test]
    fn names_that_are_none() {
        for names in
            [&[][..], &["one"], &["a", ""], &["a", "b/c"], &["a", "b?c"], &["a", ".."], &["a", "b c"]]
        {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(Together::new(names), Err(RuleError::Together));
        }
    }
}
