//! What an origin does with one request: a script of steps.

use std::fmt::Write as _;
use std::sync::Arc;

use super::message::Head;
use super::{Gate, Wire};

/// An answer under construction, and then a script. Octets go out in the order of the calls; the
/// request's content is read first unless [`Answer::early`] says otherwise.
#[derive(Clone)]
pub struct Answer {
    pub(super) reads_content: bool,
    /// A head that still grows: its start line and fields, without the empty line.
    head: Option<String>,
    steps: Vec<Step>,
}

/// Something an origin runs by itself.
type Act = Arc<dyn Fn(&mut Wire) + Send + Sync>;
/// The octets that answer a request with this head.
type Make = Arc<dyn Fn(&Head) -> Vec<u8> + Send + Sync>;

#[derive(Clone)]
enum Step {
    Send(Vec<u8>),
    Make(Make),
    Pass(Gate),
    Run(Act),
    End(Ending),
}

/// What becomes of the origin's connection behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It waits for the next request.
    Open,
    Close,
    Reset,
    /// It stays open and silent until the peer closes.
    Hold,
}

impl Answer {
    /// A response with this status. [`Answer::field`] adds to its head, [`Answer::body`],
    /// [`Answer::chunked`] and [`Answer::until_close`] end it; without one of them it has no
    /// content and says so.
    pub fn status(status: u16) -> Answer {
        Answer { reads_content: true, head: Some(format!("HTTP/1.1 {status} Said\r\n")), steps: Vec::new() }
    }

    /// A 200 with this content.
    pub fn ok(body: impl AsRef<[u8]>) -> Answer {
        Answer::status(200).body(body)
    }

    /// A 200 with this content that is fresh for so many seconds.
    pub fn fresh(seconds: u64, body: impl AsRef<[u8]>) -> Answer {
        Answer::cached(&format!("max-age={seconds}")).body(body)
    }

    /// A 200 with this `Cache-Control`, its head still open.
    pub fn cached(control: &str) -> Answer {
        Answer::status(200).field("Cache-Control", control)
    }

    /// These octets.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Answer {
        let answer = Answer { reads_content: true, head: None, steps: Vec::new() };
        answer.send(bytes)
    }

    /// Nothing at all, at first.
    pub fn nothing() -> Answer {
        Answer { reads_content: true, head: None, steps: Vec::new() }
    }

    /// Adds a field line to the head.
    pub fn field(mut self, name: &str, value: &str) -> Answer {
        let head = self.head.as_mut().expect("the head is not complete");
        write!(head, "{name}: {value}\r\n").unwrap();
        self
    }

    /// Ends the head and adds content with a Content-Length.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Answer {
        let length = body.as_ref().len().to_string();
        self = self.field("Content-Length", &length).end_of_head();
        self.send(body)
    }

    /// Ends the head and adds content in these chunks, whole.
    pub fn chunked(self, chunks: &[&str]) -> Answer {
        self.chunked_with_trailers(chunks, &[])
    }

    /// As [`Answer::chunked`], with a trailer section.
    pub fn chunked_with_trailers(mut self, chunks: &[&str], trailers: &[(&str, &str)]) -> Answer {
        self = self.field("Transfer-Encoding", "chunked").end_of_head();
        let mut out = String::new();
        for chunk in chunks {
            write!(out, "{:x}\r\n{chunk}\r\n", chunk.len()).unwrap();
        }
        out.push_str("0\r\n");
        for (name, value) in trailers {
            write!(out, "{name}: {value}\r\n").unwrap();
        }
        self.send(out + "\r\n")
    }

    /// Ends the head and adds content that ends with the connection.
    pub fn until_close(self, body: impl AsRef<[u8]>) -> Answer {
        self.end_of_head().send(body).close()
    }

    /// Ends the head as it is.
    pub fn end_of_head(mut self) -> Answer {
        let head = self.head.take().expect("the head is not complete") + "\r\n";
        self.send(head)
    }

    /// Sends more octets.
    pub fn send(mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.steps.push(Step::Send(bytes.as_ref().to_vec()));
        self
    }

    /// Octets that are made of the request's head.
    pub fn made_by(make: impl Fn(&Head) -> Vec<u8> + Send + Sync + 'static) -> Answer {
        Answer { reads_content: true, head: None, steps: vec![Step::Make(Arc::new(make))] }
    }

    /// Waits at a gate before anything else.
    pub fn after(mut self, gate: &Gate) -> Answer {
        self.steps.insert(0, Step::Pass(gate.clone()));
        self
    }

    /// Waits at a gate before what is added next.
    pub fn wait(mut self, gate: &Gate) -> Answer {
        self.steps.push(Step::Pass(gate.clone()));
        self
    }

    /// One without an end that may be stored.
    pub fn endless() -> Answer {
        let chunk = [b"1000\r\n", &vec![b'x'; 0x1000][..], b"\r\n"].concat();
        let head = Answer::cached("max-age=60").field("Transfer-Encoding", "chunked").end_of_head();
        head.run(move |wire| while wire.send(&chunk) {})
    }

    /// Does something by itself with the connection.
    pub fn run(mut self, act: impl Fn(&mut Wire) + Send + Sync + 'static) -> Answer {
        self.steps.push(Step::Run(Arc::new(act)));
        self
    }

    /// Answers as soon as the request's head is there. Its content is not read, unless
    /// [`Answer::run`] does it.
    pub fn early(mut self) -> Answer {
        self.reads_content = false;
        self
    }

    /// Closes the connection behind the answer.
    pub fn close(self) -> Answer {
        self.ending(Ending::Close)
    }

    /// Resets the connection behind the answer.
    pub fn reset(self) -> Answer {
        self.ending(Ending::Reset)
    }

    /// Keeps the connection open and silent behind the answer.
    pub fn hold(self) -> Answer {
        self.ending(Ending::Hold)
    }

    fn ending(mut self, ending: Ending) -> Answer {
        self.steps.push(Step::End(ending));
        self
    }

    /// Plays the script to a request with this head.
    pub(super) fn play(self, request: &Head, wire: &mut Wire) -> Ending {
        let complete = match &self.head {
            None => self,
            Some(_) if request.part(0) == "HEAD" => self.end_of_head(),
            Some(_) => self.body(""),
        };
        for step in complete.steps {
            match step {
                Step::Send(bytes) => drop(wire.send(bytes)),
                Step::Make(make) => drop(wire.send(make(request))),
                Step::Pass(gate) => gate.pass(),
                Step::Run(act) => act(wire),
                Step::End(ending) => return ending,
            }
        }
        Ending::Open
    }
}
