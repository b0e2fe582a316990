//! An origin server over raw TCP that follows a script and remembers all it was asked.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use super::answer::Ending;
use super::message::{Body, End, Framing, Head};
use super::{Answer, HANG_GUARD, Wire};
use rustls::ServerConfig;

/// A request as an origin got it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// On which connection, counted from 0.
    pub connection: usize,
    pub head: Head,
    /// `None` while it is being read, or when the answer did not want it.
    pub body: Option<Body>,
}

impl Seen {
    /// Whether it arrived from its first octet to its last.
    pub fn is_whole(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.end == End::Clean)
    }

    /// The content as text.
    pub fn text(&self) -> String {
        let bytes = self.body.as_ref().map(|body| body.bytes.clone()).unwrap_or_default();
        String::from_utf8(bytes).expect("the content is text")
    }
}

/// A running origin.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    tls: Option<Arc<ServerConfig>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stopped: bool,
    /// By path and query; the last answer of a list stays.
    script: HashMap<String, VecDeque<Answer>>,
    otherwise: Option<Answer>,
    greeting: Vec<u8>,
    seen: Vec<Seen>,
    connections: Vec<Connection>,
}

struct Connection {
    /// For cutting it when the test ends.
    stream: TcpStream,
    thread: Option<JoinHandle<()>>,
    ended: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Origin {
    /// Starts on a port of its own on 127.0.0.1.
    pub fn start() -> Origin {
        Origin::on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
    }

    /// As [`Origin::start`], but it speaks TLS.
    pub fn start_tls(config: Arc<ServerConfig>) -> Origin {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Origin::with(listener, Shared { tls: Some(config), ..Shared::default() })
    }

    /// Starts on a listener.
    pub fn on(listener: TcpListener) -> Origin {
        Origin::with(listener, Shared::default())
    }

    fn with(listener: TcpListener, shared: Shared) -> Origin {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(shared);
        let accepting = std::thread::spawn({
            let shared = shared.clone();
            move || shared.accept(&listener)
        });
        Origin { address, shared, accepting: Some(accepting) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Host and port as in a URI.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The URI of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The URI of a path at an origin that speaks TLS under this name.
    pub fn https_url(&self, name: &str, path: &str) -> String {
        format!("https://{name}:{}{path}", self.address.port())
    }

    /// Answers requests for a path (and query). Called again for the same path it adds the
    /// answer to the next request; the last one is repeated.
    pub fn on_path(&self, path: &str, answer: Answer) -> &Origin {
        self.lock().script.entry(path.to_owned()).or_default().push_back(answer);
        self
    }

    /// Replaces what a path is answered with.
    pub fn now_on_path(&self, path: &str, answer: Answer) -> &Origin {
        self.lock().script.insert(path.to_owned(), [answer].into());
        self
    }

    /// Answers requests for every other path; without it they get a 404.
    pub fn otherwise(&self, answer: Answer) -> &Origin {
        self.lock().otherwise = Some(answer);
        self
    }

    /// All requests so far whose head has arrived.
    pub fn all_requests(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// The requests for a path so far.
    pub fn requests(&self, path: &str) -> Vec<Seen> {
        self.lock().seen.iter().filter(|seen| seen.head.target() == path).cloned().collect()
    }

    /// The one request for a path, once its content has ended one way or the other.
    pub fn request(&self, path: &str) -> Seen {
        let is_there =
            |state: &State| state.seen.iter().any(|seen| seen.head.target() == path && seen.body.is_some());
        self.wait(&format!("a whole request for {path}"), is_there);
        let [only] = <[Seen; 1]>::try_from(self.requests(path)).expect("one request for the path");
        only
    }

    /// Whether no request has arrived. True at once: ask when the client has its answer.
    pub fn is_not_asked(&self) -> bool {
        self.lock().seen.is_empty()
    }

    /// How many requests have arrived.
    pub fn request_count(&self) -> usize {
        self.lock().seen.len()
    }

    /// How many connections were made.
    pub fn connection_count(&self) -> usize {
        self.lock().connections.len()
    }

    /// Waits until so many requests have arrived.
    pub fn has_requests(&self, count: usize) {
        self.wait(&format!("{count} requests"), |state| state.seen.len() >= count);
    }

    /// Waits until the connection with this number has ended.
    pub fn has_ended(&self, connection: usize) {
        self.wait("the end of a connection", |state| {
            state.connections.get(connection).is_some_and(|connection| connection.ended)
        });
    }

    /// Sends octets on a connection as long as it is open; false when it has ended.
    pub fn drip(&self, connection: usize, bytes: &[u8]) -> bool {
        use std::io::Write as _;
        let state = self.lock();
        let connection = &state.connections[connection];
        !connection.ended && (&connection.stream).write_all(bytes).is_ok()
    }

    /// Sends octets that nobody asked for on a connection.
    pub fn blurt(&self, connection: usize, bytes: &[u8]) {
        use std::io::Write as _;
        (&self.lock().connections[connection].stream).write_all(bytes).unwrap();
    }

    /// Closes a connection from this side.
    pub fn hang_up(&self, connection: usize) {
        self.lock().connections[connection].stream.shutdown(Shutdown::Both).unwrap();
        self.has_ended(connection);
    }

    fn wait(&self, what: &str, done: impl Fn(&State) -> bool) {
        let state = self.lock();
        let waiting = |state: &mut State| !done(state);
        let (state, guard) = self.shared.changed.wait_timeout_while(state, HANG_GUARD, waiting).unwrap();
        assert!(!guard.timed_out(), "the origin waited for {what} and saw {:#?}", state.seen);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// Cuts all connections and waits for every thread; a panic in one of them goes on here.
    pub fn stop(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        self.lock().stopped = true;
        drop(TcpStream::connect(self.address));
        let accepted = accepting.join();
        let connections = std::mem::take(&mut self.lock().connections);
        let mut ends = vec![accepted];
        for connection in connections {
            // It may have ended before.
            drop(connection.stream.shutdown(Shutdown::Both));
            ends.extend(connection.thread.map(JoinHandle::join));
        }
        if std::thread::panicking() {
            return;
        }
        for end in ends {
            end.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn accept(self: Arc<Shared>, listener: &TcpListener) {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut state = self.state.lock().unwrap();
            if state.stopped {
                return;
            }
            let number = state.connections.len();
            let kept = stream.try_clone().unwrap();
            let serving = self.clone();
            let thread = std::thread::spawn(move || serving.serve(number, stream));
            state.connections.push(Connection { stream: kept, thread: Some(thread), ended: false });
        }
    }

    fn serve(&self, connection: usize, stream: TcpStream) {
        let mut wire = Wire::patient(stream);
        if let Some(config) = &self.tls {
            wire = wire.accept_tls(config.clone());
        }
        while let Ok(head) = wire.head() {
            let number = self.change(|state| {
                state.seen.push(Seen { connection, head: head.clone(), body: None });
                state.seen.len() - 1
            });
            let answer = self.answer(head.target());
            if answer.reads_content {
                let body = wire.body(head.framing());
                let whole = body.end == End::Clean;
                self.change(|state| state.seen[number].body = Some(body));
                if !whole {
                    break;
                }
            } else if head.framing() == Framing::None {
                self.change(|state| state.seen[number].body = Some(Body::none()));
            }
            match answer.play(&head, &mut wire) {
                Ending::Open => {}
                Ending::Close => {
                    wire.half_close();
                    break;
                }
                Ending::Reset => {
                    wire.reset_on_drop();
                    break;
                }
                Ending::Hold => {
                    wire.until_close();
                    break;
                }
            }
        }
        self.end(connection, wire);
    }

    fn end(&self, connection: usize, wire: Wire) {
        // The copy kept for cutting the connection must not keep it open.
        let nowhere = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        drop(self.change(|state| {
            let kept = state.connections.get_mut(connection)?;
            Some(std::mem::replace(&mut kept.stream, nowhere.into()))
        }));
        drop(wire);
        self.change(|state| {
            if let Some(connection) = state.connections.get_mut(connection) {
                connection.ended = true;
            }
        });
    }

    fn answer(&self, path: &str) -> Answer {
        let mut state = self.state.lock().unwrap();
        match state.script.get_mut(path) {
            Some(answers) if answers.len() > 1 => answers.pop_front().expect("there are several"),
            Some(answers) => answers.front().cloned().expect("there is one"),
            None => state.otherwise.clone().unwrap_or_else(|| Answer::status(404)),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
        changed
    }
}
