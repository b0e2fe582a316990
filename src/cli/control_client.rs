//! The client of the control socket: one request, one answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use crate::admin::control::{REQUEST_LENGTH_MAX, SOCKET_NAME};
use crate::admin::messages::{ControlRequest, ControlResponse, RunningStatus};
use crate::admin::socket::SocketPath;

/// Longer than a reload of large lists takes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Longer answers are no answers; a hundred thousand patterns fit.
const ANSWER_LENGTH_MAX: u64 = 64 << 20;

/// Sends `request` to the larder of a cache folder and waits for what it says.
pub(super) fn ask(cache_dir: &Path, request: &ControlRequest) -> anyhow::Result<ControlResponse> {
    let mut line = serde_json::to_vec(request).context("the request can't be written as JSON")?;
    line.push(b'\n');
    if line.len() > REQUEST_LENGTH_MAX {
        bail!("too many patterns for one call; put them into a file and name it in [access] lists");
    }
    let path = cache_dir.join(SOCKET_NAME);
    let connected = SocketPath::of(&path).and_then(|path| UnixStream::connect(path.as_path()));
    let stream = connected.with_context(|| format!("can't open {}", path.display()));
    let stream = stream.map_err(|error| match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            anyhow!("no larder is running with the cache folder {} (see --cache-dir)", cache_dir.display())
        }
        _ => error,
    })?;
    exchange(stream, &line).with_context(|| format!("no answer on {}", path.display()))
}

/// Said of an answer that does not fit its question.
pub(super) const UNEXPECTED: &str = "the running Larder gave an unexpected answer";

/// What the larder of a cache folder says of itself.
pub(super) fn ask_status(cache_dir: &Path) -> anyhow::Result<RunningStatus> {
    match ask(cache_dir, &ControlRequest::Status)? {
        ControlResponse::Status(status) => Ok(status),
        ControlResponse::Failed { message } => bail!(message),
        _other => bail!(UNEXPECTED),
    }
}

fn exchange(mut stream: UnixStream, line: &[u8]) -> anyhow::Result<ControlResponse> {
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_LENGTH_MAX)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the socket needs a folder of its own")]
mod tests {
    use super::*;
    use crate::admin::control::{bind_control, serve_control};

    /// A running larder's side of the socket, for one question.
    fn answering(cache_dir: &Path, question: impl FnOnce() + Send + 'static) {
        let path = cache_dir.join(SOCKET_NAME);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, async move {
            let listener = bind_control(&path).expect("a free name");
            let server = tokio::task::spawn_local(serve_control(listener, async |request| match request {
                ControlRequest::Block { patterns } => {
                    ControlResponse::Done { message: "blocked".into(), patterns }
                }
                _ => ControlResponse::Failed { message: "no".into() },
            }));
            tokio::task::spawn_blocking(question).await.expect("the question's asserts hold");
            server.abort();
        });
    }

    #[test]
    fn one_question_one_answer() {
        let dir = std::env::temp_dir().join(format!("larder-client-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a temporary folder");
        let error = ask(&dir, &ControlRequest::Blocked).expect_err("nothing listens");
        assert!(error.to_string().starts_with("no larder is running"), "{error}");
        let cache_dir = dir.clone();
        answering(&dir, move || {
            let patterns = vec!["ads.example".to_owned()];
            let answer = ask(&cache_dir, &ControlRequest::Block { patterns: patterns.clone() });
            let expected = ControlResponse::Done { message: "blocked".into(), patterns };
            assert_eq!(answer.expect("an answer"), expected);
            let answer = ask(&cache_dir, &ControlRequest::Reload).expect("an answer");
            assert_eq!(answer, ControlResponse::Failed { message: "no".into() });
            let patterns = vec!["a.example".to_owned(); 10_000];
            let error = ask(&cache_dir, &ControlRequest::Block { patterns }).expect_err("too long");
            assert!(error.to_string().starts_with("too many patterns"), "{error}");
        });
        std::fs::remove_dir_all(&dir).expect("the folder is there");
    }
}
