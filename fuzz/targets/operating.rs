//! What operators write: messages of the control socket and configuration files. Any text has an
//! answer; what is understood means the same when it is written again, and what is wrong is shown at
//! its place.

use std::path::Path;
use std::time::Duration;

use larder::admin::messages::{ControlRequest, ControlResponse};
use larder::config::{ConfigError, parse, parse_duration, parse_listen, parse_size};

use super::input::seed;

/// A line of the control socket, in either direction.
pub fn control(data: &[u8]) {
    if let Ok(request) = serde_json::from_slice::<ControlRequest>(data) {
        let line = serde_json::to_vec(&request).expect("a request can be written");
        assert!(!line.contains(&b'\n'), "a message is one line");
        assert_eq!(serde_json::from_slice::<ControlRequest>(&line).ok(), Some(request));
    }
    if let Ok(response) = serde_json::from_slice::<ControlResponse>(data) {
        let line = serde_json::to_vec(&response).expect("a response can be written");
        assert!(!line.contains(&b'\n'), "a message is one line");
        let again = serde_json::from_slice::<ControlResponse>(&line).expect("what was written is read");
        assert_eq!(format!("{again:?}"), format!("{response:?}"));
    }
}

pub fn control_seeds() -> Vec<Vec<u8>> {
    let patterns = vec!["ads.example".to_owned(), "*.x\n\"\u{fc}".to_owned()];
    let requests = [
        ControlRequest::Block { patterns: patterns.clone() },
        ControlRequest::Unblock { patterns: patterns.clone() },
        ControlRequest::Blocked,
        ControlRequest::Reload,
        ControlRequest::Status,
    ];
    let done = ControlResponse::Done { message: "1 pattern blocked".to_owned(), patterns };
    let failed = ControlResponse::Failed { message: "not a request".to_owned() };
    let requests = requests.iter().map(|request| serde_json::to_vec(request).expect("it can be written"));
    let responses = [done, failed];
    requests.chain(responses.iter().map(|response| serde_json::to_vec(response).expect("likewise"))).collect()
}

/// A configuration file.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let file = Path::new("/etc/larder/larder.toml");
    let parsed = parse(file, text);
    match &parsed {
        Ok(_) => assert!(parse(file, &format!("{text}\n# a comment\n")).is_ok()),
        Err(ConfigError::Place(diagnosis)) => {
            assert!((1..=text.matches('\n').count() + 1).contains(&diagnosis.line), "{diagnosis:?}");
            // Behind the last line end there is an empty line.
            let line = text.lines().nth(diagnosis.line - 1).unwrap_or_default();
            assert_eq!(diagnosis.text, line);
            assert!(diagnosis.column >= 1 && diagnosis.column <= line.chars().count() + 1, "{diagnosis:?}");
            assert!(diagnosis.width >= 1 && !diagnosis.message.is_empty());
            assert!(
                diagnosis.to_string().starts_with(&format!("/etc/larder/larder.toml:{}:", diagnosis.line))
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if !text.starts_with('\u{feff}') {
        // A comment in front moves everything by a line, and means nothing.
        match (parsed, parse(file, &format!("# a comment\n{text}"))) {
            (Ok(one), Ok(other)) => assert_eq!(one, other),
            (Err(ConfigError::Place(one)), Err(ConfigError::Place(other))) => {
                assert_eq!((one.line + 1, &one.message, &one.key), (other.line, &other.message, &other.key));
            }
            (one, other) => assert_eq!(one.err().map(|e| e.to_string()), other.err().map(|e| e.to_string())),
        }
    }
    for word in text.split([' ', '\n', '"', '=', ',']) {
        check_value(word);
    }
}

/// Sizes, durations and addresses: what is read is the same when it is written canonically.
fn check_value(word: &str) {
    if let Ok(size) = parse_size(word) {
        assert_eq!(parse_size(&size.to_string()), Ok(size));
    }
    if let Ok(duration) = parse_duration(word) {
        assert!(duration <= Duration::from_secs(86_400));
        assert_eq!(parse_duration(&format!("{}ms", duration.as_millis())), Ok(duration));
    }
    if let Ok(listen) = parse_listen(word) {
        let again = parse_listen(&format!("{}://{}", listen.scheme.as_str(), listen.address));
        assert_eq!(again, Ok(listen));
    }
}

pub fn configuration_seeds() -> Vec<Vec<u8>> {
    [
        "[server]\nlisten = [\"192.168.1.5:3128\", \"https://[::1]\"]\n[cache]\nmemory = \"1GiB\"\ndisk = \"20%\"\n",
        "[access]\nblock = [\"ads.example\", \"*.b.example\"]\nconnect_ports = [443, \"8000-8100\", \"default\"]\n",
        "[[cache.rule]]\nname = \"builds\"\nhost = [\"*.builds.example\"]\npath = \"/a/*\"\nfresh = { min = \"1d\" }\n",
        "[log]\naccess = \"-\"\nformat = \"json\"\n[intercept]\nenabled = true\nexcept = [\"*.bank.example\"]\n",
        "[server]\nidle_timeout_s = \"5m\"\nheader_timeout_s = 10\nlisten = \"3128\"\n[cach]\nmemroy = 1\n",
    ]
    .map(|text| seed(&[], text))
    .to_vec()
}
