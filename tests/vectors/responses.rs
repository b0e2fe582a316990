//! Responses: what an origin answers, and what a client may see and the store may keep.

use crate::forms::{head_is_unambiguous, require, trailers_are_allowed};
use crate::segments::Segments;
use crate::support::{Answer, Client, End, Gate, Head, Origin, Response, World, request};
use crate::vector::Vector;

const PATH: &str = "/vector";

/// Runs one vector in one segmentation.
pub fn check(world: &World, vector: &Vector, how: Segments) -> Result<(), String> {
    let origin = Origin::start();
    let over = Gate::new();
    let result = exchange(world, vector, how, &origin, &over);
    over.open();
    result
}

fn exchange(
    world: &World,
    vector: &Vector,
    how: Segments,
    origin: &Origin,
    over: &Gate,
) -> Result<(), String> {
    let bytes = vector.bytes(origin.address().port());
    origin.otherwise(Answer::ok("answered"));
    origin.on_path(PATH, answer(vector, how, &bytes, over));
    let mut client = world.client();
    let wanted = request(&vector.method, &origin.url(PATH), &[], "");
    if how == Segments::Behind {
        client.send([&request("GET", &origin.url("/before"), &[], "")[..], &wanted].concat());
        let before = client.response();
        require(before.status() == 200, || format!("the one before: {}", before.status()))?;
    } else {
        client.send(wanted);
    }
    let response = response(&mut client, vector, over);
    // What comes behind the response has arrived too before the connection could be used again.
    match vector.end.as_str() {
        "open" => {}
        "fin" | "rst" => origin.requests(PATH).iter().for_each(|seen| origin.has_ended(seen.connection)),
        _ => over.is_reached(),
    }
    let verdict = match &response {
        None => "T",
        Some(response) if !response.is_whole() => "T",
        Some(response) if response.proxy_error().is_empty() => "N",
        Some(response) if response.status() >= 500 => "5",
        Some(_) => "N",
    };
    require(vector.allows(verdict), || {
        format!("{verdict}: {:?}", response.as_ref().map(|it| (&it.head.start, &it.head.fields)))
    })?;
    match response {
        Some(response) if verdict == "N" => normalised(vector, &bytes, &response, origin, &mut client),
        _ => is_not_stored(world, vector, origin),
    }
}

/// The vector as an answer that is cut in one way and ends in another.
fn answer(vector: &Vector, how: Segments, bytes: &[u8], over: &Gate) -> Answer {
    let octets = bytes.to_vec();
    let answer = Answer::nothing().run(move |wire| how.send(wire, &octets));
    match vector.end.as_str() {
        "fin" => answer.close(),
        // A reset overtakes what was not yet delivered: it waits until the head has got through.
        "rst" => answer.wait(over).reset(),
        "open" => answer,
        // The client has to have its response while the origin is silent.
        _ => answer.wait(over).close(),
    }
}

/// The final response; `None` when the connection ended in its head.
fn response(client: &mut Client, vector: &Vector, over: &Gate) -> Option<Response> {
    let mut interim = Vec::new();
    loop {
        let head = client.wire.head().ok()?;
        if head.status() < 200 {
            interim.push(head);
            continue;
        }
        if vector.end == "rst" {
            over.open();
        }
        let empty = vector.method == "HEAD" || matches!(head.status(), 204 | 304);
        let body = if empty { crate::support::Body::none() } else { client.body(&head) };
        return Some(Response { interim, head, body });
    }
}

/// N: one unambiguous response with the origin's status and content, and nothing behind it.
fn normalised(
    vector: &Vector,
    sent: &[u8],
    response: &Response,
    origin: &Origin,
    client: &mut Client,
) -> Result<(), String> {
    head_is_unambiguous(&response.head)?;
    trailers_are_allowed(&response.body)?;
    let said = final_head(sent);
    require(response.status() == said.status(), || format!("the status became {}", response.status()))?;
    let empty = vector.method == "HEAD" || matches!(said.status(), 204 | 304);
    let expected = if empty { Vec::new() } else { vector.content(sent) };
    require(response.body.bytes == expected, || format!("the content became {:?}", response.body.bytes))?;
    if response.field("Connection") == Some("close") {
        let rest = client.wire.until_close();
        return require(rest.bytes.is_empty() && rest.end == End::Clean, || format!("then {rest:?}"));
    }
    let after = client.get(&origin.url("/after"));
    require(after.text() == "answered", || format!("the next request got {:?}", after.head.start))
}

/// The last head of a stream of them, found without a judgement on its lines.
fn final_head(sent: &[u8]) -> Head {
    let head = Head::parse(sent.trim_ascii_start());
    match head.status() {
        100..=199 => {
            let at = sent.windows(4).position(|octets| octets == b"\r\n\r\n").expect("a whole head");
            final_head(&sent[at + 4..])
        }
        _ => head,
    }
}

/// The next request for the same URI has to go to the origin.
fn is_not_stored(world: &World, vector: &Vector, origin: &Origin) -> Result<(), String> {
    origin.now_on_path(PATH, Answer::ok("asked again"));
    let mut client = world.client();
    let again = client.request(&vector.method, &origin.url(PATH), &[], "");
    let asked = vector.method == "HEAD" || again.text() == "asked again";
    require(asked && !again.is_hit(), || "it was stored".into())
}
