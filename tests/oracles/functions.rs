//! Random exchanges through the functions of `caching/`, with a list in place of a store.

use bytes::Bytes;
use larder::caching::{
    CachePolicy, Decision, ForwardReason, StoredHead, Times, cacheable_request, decide, freshened_by,
    invalidated, is_error_for_stale, may_keep, may_serve_stale_on_error, may_store, validation_fields,
};
use larder::http::{BodyLength, Fields, Method, Request, Response, Target, TargetUri, Timestamp, Version};

use super::random::Random;
use super::reference::{Asked, Lines, Reference, Said, may_be_stored, values};

/// A stored response of the cache under test.
struct Stored {
    target: String,
    head: StoredHead,
    body: String,
}

/// Both caches, and what was counted.
struct Pair {
    random: Random,
    policy: CachePolicy,
    now: u64,
    sent: u64,
    stored: Vec<Stored>,
    reference: Reference,
    hits: u32,
    permitted: u32,
    stale_on_error: u32,
    freshened: u32,
}

fn fields(lines: &Lines) -> Fields {
    lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

pub fn request(asked: &Asked) -> Request {
    let uri = Bytes::from(format!("http://a.example{}", asked.target));
    Request {
        method: Method::of(Bytes::from_static(asked.method.as_bytes())),
        target: Target::Absolute(TargetUri::parse_absolute(&uri).expect("a URI")),
        version: Version::Http11,
        fields: fields(&asked.lines),
        length: BodyLength::None,
        head_bytes: 0,
    }
}

pub fn response(said: &Said) -> Response {
    Response {
        status: said.status,
        reason: Bytes::new(),
        version: Version::Http11,
        fields: fields(&said.lines),
        length: BodyLength::Exact(said.body.len() as u64),
        head_bytes: 0,
        keep_alive: true,
    }
}

impl Pair {
    fn new(seed: u64) -> Pair {
        Pair {
            random: Random::new(seed),
            policy: CachePolicy::default(),
            now: 1_700_000_000,
            sent: 0,
            stored: Vec::new(),
            reference: Reference::default(),
            hits: 0,
            permitted: 0,
            stale_on_error: 0,
            freshened: 0,
        }
    }

    /// One request, and all that comes of it.
    fn step(&mut self) {
        self.now += self.random.of(&[0, 1, 3, 10, 40, 100]);
        let asked = self.random.asked();
        let (request, now) = (request(&asked), Timestamp(self.now));
        let here: Vec<usize> =
            (0..self.stored.len()).filter(|&at| self.stored[at].target == asked.target).collect();
        let heads: Vec<&StoredHead> = here.iter().map(|&at| &self.stored[at].head).collect();
        let decision = decide(&request, &heads, now, &self.policy);
        let permitted = self.reference.permitted(&asked, self.now).len();
        self.permitted += u32::from(permitted > 0);
        if permitted > 0 && !matches!(decision, Decision::Reuse { .. } | Decision::ReuseAndValidate { .. }) {
            explain(&asked, decision, here.len());
        }
        match decision {
            Decision::Reuse { index, age, .. } | Decision::ReuseAndValidate { index, age, .. } => {
                let body = self.stored[here[index]].body.clone();
                let allowed = self.reference.permits(&asked, &body, self.now);
                // Ages saturate, as the RFC lets them.
                assert_eq!(allowed.map(|age| age.min(1 << 31)), Ok(age), "{asked:?} {body}");
                self.hits += 1;
                if matches!(decision, Decision::ReuseAndValidate { .. }) {
                    self.ask(&asked, &request, Some(here[index]));
                }
            }
            Decision::Validate { index, .. } => self.ask(&asked, &request, Some(here[index])),
            Decision::Forward(_) => self.ask(&asked, &request, None),
            Decision::GatewayTimeout => panic!("no request here has only-if-cached"),
        }
    }

    /// The origin is asked, about a stored response or for a new one.
    fn ask(&mut self, asked: &Asked, request: &Request, about: Option<usize>) {
        let asked_at = self.now;
        self.now += self.random.of(&[0, 0, 0, 1, 5]);
        let times = Times { request_time: Timestamp(asked_at), response_time: Timestamp(self.now) };
        let conditional = about.is_some_and(|at| !validation_fields(&[&self.stored[at].head]).is_empty());
        if let Some(at) = about.filter(|_| conditional && self.random.one_in(2)) {
            return self.not_modified(asked, request, at, times);
        }
        self.sent += 1;
        let said = self.random.said(self.now, self.sent);
        let response = response(&said);
        if let Some(at) = about.filter(|_| is_error_for_stale(said.status)) {
            let Stored { head, body, .. } = &self.stored[at];
            if may_serve_stale_on_error(request, head, Timestamp(self.now), &self.policy) {
                assert!(self.reference.permits_on_error(asked, body, self.now), "{asked:?} {body}");
                self.stale_on_error += 1;
                return;
            }
        }
        let Target::Absolute(target) = &request.target else { panic!("absolute") };
        for uri in invalidated(&request.method, target, &response) {
            let path = String::from_utf8(uri.path_and_query.to_vec()).unwrap();
            self.stored.retain(|stored| stored.target != path);
        }
        if ["POST", "DELETE"].contains(&asked.method) && (200..400).contains(&said.status) {
            self.reference.invalidate(&asked.target);
        }
        if cacheable_request(request).is_ok() && may_store(request, &response, times, &self.policy).is_ok() {
            assert_eq!(may_be_stored(asked, &said), Ok(()), "{asked:?} {said:?}");
            self.stored.retain(|other| other.target != asked.target || !other.head.selects(&request.fields));
            let head = StoredHead::new(request, &response, times);
            self.stored.push(Stored { target: asked.target.clone(), head, body: said.body.clone() });
            self.reference.store(asked, &said, asked_at, self.now);
        }
    }

    /// The origin says that the stored response is still good, and perhaps more.
    fn not_modified(&mut self, asked: &Asked, request: &Request, at: usize, times: Times) {
        let tag = self.stored[at].head.etag().map(|tag| String::from_utf8(tag.as_bytes().to_vec()).unwrap());
        let mut lines = self.random.said_lines(self.now, self.sent);
        lines.retain(|line| !["ETag", "Last-Modified", "Vary"].contains(&line.0.as_str()));
        lines.extend(tag.filter(|_| self.random.one_in(2)).map(|tag| ("ETag".to_owned(), tag)));
        if self.random.one_in(3) {
            lines.push(("Content-Length".to_owned(), "3".to_owned()));
        }
        let update = Said { status: 304, lines, body: String::new() };
        let response = response(&update);
        let Stored { head, body, .. } = &self.stored[at];
        let body = body.clone();
        assert_eq!(freshened_by(&response, times.response_time, &[head]), Some(0));
        let fresh = head.freshen(&response, times);
        match may_keep(request, &fresh, &self.policy) {
            Ok(()) => {
                assert!(values(&asked.lines, "Authorization").is_empty() || may_be_shared(&fresh));
                self.stored[at].head = fresh;
                self.reference.freshen(&body, &update, times.request_time.0, times.response_time.0);
                self.freshened += 1;
            }
            Err(reason) if reason.is_about_request() => {}
            Err(_) => {
                self.stored.remove(at);
                self.reference.remove(&body);
            }
        }
    }
}

/// What is permitted and not done has one of these reasons.
fn explain(asked: &Asked, decision: Decision, stored: usize) {
    let wishes = values(&asked.lines, "Cache-Control").join(",");
    // The client wants nothing stored, and a validation behind its back would have to.
    let unstorable = wishes.contains("no-store");
    // `max-age=0` asks for a validation, even of what was made in this second.
    let is_zero = wishes.contains("max-age=0") || wishes.contains("max-age=x");
    // The window of stale-while-revalidate is the origin's, and not for a client that wants more.
    let is_fussy = wishes.contains("min-fresh") || wishes.contains("max-stale");
    // One with Vary goes before one that omits it (§4.1), and may be stale where that is not.
    let another = matches!(decision, Decision::Validate { .. }) && stored > 1;
    // A refusal asks for credentials (RFC 9110 §15.5.2): it is not for who brings some.
    let brings = |name| !values(&asked.lines, name).is_empty();
    let is_known = matches!(decision, Decision::Forward(ForwardReason::Request))
        && (brings("Authorization") || brings("Cookie"));
    assert!(unstorable || is_zero || is_fussy || another || is_known, "{asked:?} {decision:?}");
}

fn may_be_shared(head: &StoredHead) -> bool {
    let control: Vec<_> = head.fields.all_named(b"Cache-Control").map(String::from_utf8_lossy).collect();
    ["public", "s-maxage", "must-revalidate"]
        .iter()
        .any(|word| control.iter().any(|line| line.contains(word)))
}

#[test]
fn everything_served_was_sent_for_that_key_and_is_still_permitted() {
    let (mut hits, mut permitted, mut stale, mut freshened) = (0, 0, 0, 0);
    for seed in 1..=200 {
        let mut pair = Pair::new(seed);
        for _ in 0..150 {
            pair.step();
        }
        hits += pair.hits;
        permitted += pair.permitted;
        stale += pair.stale_on_error;
        freshened += pair.freshened;
    }
    // Enough of it was about what this is for, and nearly all that may be reused is.
    assert!(hits > 1_500 && freshened > 250 && stale > 50, "{hits} {freshened} {stale}");
    assert!(hits * 100 > permitted * 90, "{hits} hits of {permitted} that were permitted");
}
