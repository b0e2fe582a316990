//! The control socket: what `larder block`, `unblock`, `blocked`, `reload`, `cache` and `run` say to a
//! running Larder. One JSON object a line each way, over a unix socket that only its owner can open.
//!
//! ```text
//! > {"command":"block","patterns":["ads.example"]}
//! < {"result":"done","message":"1 pattern blocked","patterns":["ads.example"]}
//! ```

#![expect(clippy::disallowed_methods, reason = "a socket is a file, made and replaced here alone")]

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::messages::{ControlRequest, ControlResponse};
use super::socket::SocketPath;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The socket's name in the cache folder.
pub const SOCKET_NAME: &str = "control.sock";

/// The longest request, in bytes; some two thousand hosts.
pub const REQUEST_LENGTH_MAX: usize = 64 * 1024;

/// What is read of a line that is too long, before its sender is told.
const DISCARDED_MAX: usize = 1 << 20;

/// Connections served at once; the number is arbitrary.
const CONNECTIONS_MAX: usize = 16;

/// How long a connection may take over a line, in either direction.
const LINE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the control socket can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("another larder is running with this cache folder: it answers on {}", path.display())]
    InUse { path: PathBuf },
    #[error("{} exists and is not a socket", path.display())]
    NoSocket { path: PathBuf },
    #[error("the control socket {} can't be opened: {error}", path.display())]
    Open { path: PathBuf, error: io::Error },
}

/// Opens the socket `path` for its owner alone. One that nobody listens on any more is replaced.
/// Must be called on a tokio runtime.
pub fn bind_control(path: &Path) -> Result<UnixListener, ControlError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ControlError::NoSocket { path: path.to_owned() });
        }
        Ok(_) if is_answered(path) => {
            return Err(ControlError::InUse { path: path.to_owned() });
        }
        _ => {}
    }
    open(path).map_err(|error| ControlError::Open { path: path.to_owned(), error })
}

fn is_answered(path: &Path) -> bool {
    SocketPath::of(path).is_ok_and(|path| std::os::unix::net::UnixStream::connect(path.as_path()).is_ok())
}

/// Opens the socket under another name, narrows its mode, and only then gives it its name: who
/// finds it finds it closed to others.
fn open(path: &Path) -> io::Result<UnixListener> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(SocketPath::of(&beside)?.as_path())?;
    fs::set_permissions(&beside, Permissions::from_mode(0o600))?;
    fs::rename(&beside, path)?;
    Ok(listener)
}

/// Answers requests for as long as it is polled; needs a tokio `LocalSet` or `LocalRuntime`.
pub async fn serve_control<Answering: Future<Output = ControlResponse>>(
    listener: UnixListener,
    handler: impl Fn(ControlRequest) -> Answering + Clone + 'static,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // The semaphore is never closed, so that there is always a slot in the end.
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let handler = handler.clone();
                tokio::task::spawn_local(async move {
                    if let Err(error) = serve_connection(stream, handler).await {
                        tracing::debug!(%error, "a control connection ended early");
                    }
                    drop(slot);
                });
            }
            // Out of descriptors, most likely: they come back.
            Err(error) => {
                tracing::warn!(%error, "the control socket can't accept");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn serve_connection<Answering: Future<Output = ControlResponse>>(
    stream: UnixStream,
    handler: impl Fn(ControlRequest) -> Answering,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let line = read_line(&mut stream, REQUEST_LENGTH_MAX).await?;
        let Some(request) = line.strip_suffix(b"\n") else {
            if line.len() < REQUEST_LENGTH_MAX {
                return Ok(());
            }
            // The rest is taken off the socket, so that its sender gets to see the answer.
            read_line(&mut stream, DISCARDED_MAX).await?;
            return answer(&mut stream, &failed(format!("a request is at most {REQUEST_LENGTH_MAX} bytes")))
                .await;
        };
        let response = match serde_json::from_slice(request) {
            Ok(request) => handler(request).await,
            Err(error) => failed(format!("not a request: {error}")),
        };
        answer(&mut stream, &response).await?;
    }
}

/// At most `max` bytes, up to and with a line feed if there is one among them.
async fn read_line(stream: &mut BufReader<UnixStream>, max: usize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX);
    timeout(LINE_TIMEOUT, stream.take(limit).read_until(b'\n', &mut line)).await??;
    Ok(line)
}

fn failed(message: String) -> ControlResponse {
    ControlResponse::Failed { message }
}

async fn answer(stream: &mut BufReader<UnixStream>, response: &ControlResponse) -> io::Result<()> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    timeout(LINE_TIMEOUT, stream.write_all(&line)).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("larder-control-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a temporary folder");
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("the folder is there");
        }
    }

    fn on_a_runtime<T>(story: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, story)
    }

    async fn echo(request: ControlRequest) -> ControlResponse {
        match request {
            ControlRequest::Block { patterns } => ControlResponse::Done { message: "done".into(), patterns },
            other => failed(format!("{other:?}")),
        }
    }

    async fn exchange(path: &Path, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(path).await.expect("a listener");
        stream.write_all(request).await.expect("an open socket");
        stream.shutdown().await.expect("an open socket");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    #[test]
    fn requests_are_answered_line_by_line() {
        let folder = Folder::new("lines");
        let path = folder.0.join(SOCKET_NAME);
        let long = [vec![b'x'; REQUEST_LENGTH_MAX], b"\n".to_vec()].concat();
        let cases: &[(&[u8], &str)] = &[
            (
                b"{\"command\":\"block\",\"patterns\":[\"a.example\"]}\n",
                "{\"result\":\"done\",\"message\":\"done\",\"patterns\":[\"a.example\"]}\n",
            ),
            (
                b"{\"command\":\"blocked\"}\n{\"command\":\"reload\"}\n",
                "{\"result\":\"failed\",\"message\":\"Blocked\"}\n{\"result\":\"failed\",\"message\":\"Reload\"}\n",
            ),
            (b"", ""),
            (b"{\"command\":\"blocked\"}", ""),
            (&long, "{\"result\":\"failed\",\"message\":\"a request is at most 65536 bytes\"}\n"),
        ];
        on_a_runtime(async {
            let listener = bind_control(&path).expect("a free name");
            tokio::task::spawn_local(serve_control(listener, echo));
            for (request, expected) in cases {
                assert_eq!(&exchange(&path, request).await, expected);
            }
            assert!(exchange(&path, b"nonsense\n").await.starts_with("{\"result\":\"failed\""));
        });
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = Folder::new("stale");
        let path = folder.0.join(SOCKET_NAME);
        on_a_runtime(async {
            let first = bind_control(&path).expect("a free name");
            let mode = fs::metadata(&path).expect("the socket").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert!(matches!(bind_control(&path), Err(ControlError::InUse { .. })));
            drop(first);
            assert!(path.exists());
            drop(bind_control(&path).expect("a stale socket"));
            fs::remove_file(&path).expect("the socket");
            fs::write(&path, "precious").expect("a writable folder");
            assert!(matches!(bind_control(&path), Err(ControlError::NoSocket { .. })));
        });
    }
}
