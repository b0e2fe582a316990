//! Requests: what a client sends, and what may reach an origin.

use crate::forms::{ends_at_proxy, head_is_unambiguous, require, trailers_are_allowed};
use crate::segments::Segments;
use crate::support::{Answer, Client, Head, Origin, Response, Seen, World};
use crate::vector::Vector;

/// Requests of the test's own around a vector.
const AROUND: [&str; 2] = ["/before", "/after"];

/// Runs one vector in one segmentation.
pub fn check(world: &World, vector: &Vector, how: Segments) -> Result<(), String> {
    let origin = Origin::start();
    origin.otherwise(Answer::ok("answered"));
    let bytes = vector.bytes(origin.address().port());
    let mut client = world.client();
    if how == Segments::Behind {
        let before = crate::support::request("GET", &origin.url(AROUND[0]), &[], "");
        how.send(&mut client.wire, &[&before[..], &bytes].concat());
        let response = client.response();
        require(response.status() == 200, || format!("the one before: {}", response.status()))?;
    } else {
        how.send(&mut client.wire, &bytes);
    }
    let response = client.response_to(first_head(&bytes).part(0));
    let verdict = if response.status() < 400 { None } else { Some(refused(&mut client, &response, &origin)) };
    match verdict {
        Some(result) => {
            require(vector.allows("R"), || format!("refused with {}", response.status()))?;
            result
        }
        None if vector.expect == "R" => Err(format!("answered with {}", response.status())),
        None if vector.allows("L") => answered_locally(&origin, &response, &bytes),
        None => forwarded(vector, &bytes, &origin, &mut client),
    }
}

/// R: an error, the end of the connection, and no complete message at the origin.
fn refused(client: &mut Client, response: &Response, origin: &Origin) -> Result<(), String> {
    require(response.is_whole(), || "the error is cut off".into())?;
    require(client.is_closed(), || "more came behind the error".into())?;
    for seen in around_none(origin) {
        if !seen.is_whole() {
            origin.has_ended(seen.connection);
        }
    }
    let whole = around_none(origin).into_iter().find(Seen::is_whole);
    require(whole.is_none(), || format!("the origin got {:?}", whole.map(|seen| seen.head.start)))
}

/// L: an answer of the proxy's own.
fn answered_locally(origin: &Origin, response: &Response, sent: &[u8]) -> Result<(), String> {
    require(around_none(origin).is_empty(), || "the origin was asked".into())?;
    require(response.status() == 200, || format!("answered with {}", response.status()))?;
    // RFC 9110 §9.3.8: a TRACE must not tell secrets.
    let told = response.body.bytes.windows(8).any(|octets| octets == b"secret=1");
    require(!told, || format!("a secret came back of {}", first_head(sent).start))
}

/// N, N* and F: one unambiguous message at the origin, and a connection that is in step.
fn forwarded(vector: &Vector, sent: &[u8], origin: &Origin, client: &mut Client) -> Result<(), String> {
    in_step(vector, origin, client)?;
    let requests = around_none(origin);
    let [seen] = &requests[..] else {
        return Err(format!("the origin got {} requests", requests.len()));
    };
    let received = first_head(sent);
    require(seen.is_whole(), || format!("the origin got {:?} in part", seen.head.start))?;
    head_is_unambiguous(&seen.head)?;
    let body = seen.body.as_ref().expect("it is whole");
    trailers_are_allowed(body)?;
    let line = if vector.allows("N*") {
        "OPTIONS * HTTP/1.1".to_owned()
    } else {
        format!("{} {} HTTP/1.1", received.part(0), path_of(received.target()))
    };
    require(seen.head.start == line, || format!("the request line became {:?}", seen.head.start))?;
    let hosts = seen.head.all("Host");
    require(hosts == [origin.authority()], || format!("Host became {hosts:?}"))?;
    fields_are_kept(&received, &seen.head)?;
    require(body.bytes == vector.content(sent), || format!("the content became {:?}", body.bytes))
}

/// A further request on the same connection is answered by the origin: both ends agree where
/// the vector ended.
fn in_step(vector: &Vector, origin: &Origin, client: &mut Client) -> Result<(), String> {
    client.send(crate::support::request("GET", &origin.url(AROUND[1]), &[], ""));
    let Ok(head) = client.wire.head() else {
        let close_is_right = vector.id.contains("http10");
        return require(close_is_right, || "the connection was closed".into());
    };
    if vector.id.contains("pipeline-bad") {
        require(head.status() == 400, || format!("the garbage behind it got {}", head.status()))?;
        client.body(&head);
        return require(client.is_closed(), || "garbage left the connection open".into());
    }
    let asked = origin.requests(AROUND[1]).len();
    require(head.status() == 200 && asked == 1, || format!("the next request got {}", head.status()))
}

/// Every field that is meant for the origin arrives as it was, and no other does.
fn fields_are_kept(received: &Head, seen: &Head) -> Result<(), String> {
    for (name, value) in &received.fields {
        let rewritten = ["Host", "Content-Length", "Transfer-Encoding", "Max-Forwards"];
        if rewritten.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            continue;
        }
        if ends_at_proxy(name, received) {
            let gone = !seen.has(name) || (name.eq_ignore_ascii_case("Upgrade") && !is_http(seen, name));
            require(gone, || format!("{name} reached the origin"))?;
        } else {
            let kept = seen.fields.contains(&(name.clone(), value.clone()));
            require(kept, || format!("{name}: {value:?} did not reach the origin"))?;
        }
    }
    Ok(())
}

/// Whether a field offers another version of HTTP, which would leave the proxy behind.
fn is_http(seen: &Head, name: &str) -> bool {
    seen.all(name).iter().any(|value| value.to_ascii_lowercase().contains("h2c"))
}

/// The head that a vector begins with, behind any empty lines.
fn first_head(sent: &[u8]) -> Head {
    let sent = sent.trim_ascii_start();
    let end = sent.windows(4).position(|octets| octets == b"\r\n\r\n").map_or(sent.len(), |at| at + 4);
    Head::parse(&sent[..end])
}

/// Path and query of a target, which has no fragment (RFC 9110 §7.1).
fn path_of(target: &str) -> &str {
    let target = target.split('#').next().unwrap_or_default();
    let behind_scheme = target.split_once("://").map_or(target, |(_, rest)| rest);
    behind_scheme.find('/').map_or("/", |at| &behind_scheme[at..])
}

/// What reached the origin of the vector.
fn around_none(origin: &Origin) -> Vec<Seen> {
    let mut seen = origin.all_requests();
    seen.retain(|seen| !AROUND.contains(&seen.head.target()));
    seen
}
