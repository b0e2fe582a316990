//! Random exchanges through the whole proxy, over sockets. What it says in `Cache-Status` of what it
//! stored tells the reference what to keep; what it serves as a hit the reference has to permit.

use crate::support::{Answer, Response, World, eventually};

use super::random::Random;
use super::reference::{Asked, Reference, Said, may_be_stored};

/// A proxy, its origin, and the reference beside it.
struct Walk {
    world: World,
    random: Random,
    reference: Reference,
    sent: u64,
    hits: u32,
    freshened: u32,
}

fn answer(said: &Said) -> Answer {
    let answer = said
        .lines
        .iter()
        .fold(Answer::status(said.status), |answer, (name, value)| answer.field(name, value));
    if said.status == 304 { answer.end_of_head() } else { answer.body(&said.body) }
}

fn says(response: &Response, word: &str) -> bool {
    response.cache_status().split("; ").any(|parameter| parameter == word)
}

impl Walk {
    fn new(seed: u64) -> Walk {
        let (world, random) = (World::new(), Random::new(seed));
        Walk { world, random, reference: Reference::default(), sent: 0, hits: 0, freshened: 0 }
    }

    fn now(&self) -> u64 {
        self.world.clock.now().0
    }

    /// What the origin would answer next: a new response, or 304, which it may say at any time.
    fn said(&mut self) -> Said {
        self.sent += 1;
        let (now, number) = (self.now(), self.sent);
        let mut said = self.random.said(now, number);
        // Followers of a validation in the background would hide who was answered with what.
        said.lines.retain(|line| !line.1.contains("stale-while-revalidate"));
        if self.random.one_in(3) {
            let unsaid = ["ETag", "Last-Modified", "Vary"];
            said.lines.retain(|line| !unsaid.contains(&line.0.as_str()));
            (said.status, said.body) = (304, String::new());
        }
        said
    }

    fn step(&mut self) {
        self.world.advance(self.random.of(&[0, 1, 3, 10, 40, 100]));
        let (asked, said, now) = (self.random.asked(), self.said(), self.now());
        self.world.origin.now_on_path(&asked.target, answer(&said));
        let lines: Vec<_> = asked.lines.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let before = self.world.origin.request_count();
        let response = self.world.request(asked.method, &asked.target, &lines, "");
        // What is stored is there when the fill has ended.
        self.world.catch_up();
        eventually("the fill's end", || self.world.shared.store.usage().filling_bytes == 0);
        let about = format!("{asked:?}: {} {:?}", response.cache_status(), response.text());
        let was_asked = self.world.origin.request_count() > before;
        assert_eq!(was_asked, !says(&response, "hit"), "{about}");
        if !was_asked {
            self.check_hit(&asked, &response, now, &about);
        } else {
            self.learn(&asked, &said, &response, now, &about);
        }
    }

    fn check_hit(&mut self, asked: &Asked, response: &Response, now: u64, about: &str) {
        self.hits += 1;
        let age = response.field("Age").and_then(|age| age.parse().ok()).unwrap_or(0);
        if asked.method == "HEAD" {
            let permitted = self.reference.permitted(asked, now);
            let lengths: Vec<_> = permitted.iter().map(|body| body.len().to_string()).collect();
            assert!(
                lengths.iter().any(|length| Some(length.as_str()) == response.field("Content-Length")),
                "{about}"
            );
        } else {
            let allowed = self.reference.permits(asked, response.text(), now);
            assert_eq!(allowed.map(|age| age.min(1 << 31)), Ok(age), "{about}");
        }
    }

    /// The origin was asked: what the answer leaves in the store.
    fn learn(&mut self, asked: &Asked, said: &Said, response: &Response, now: u64, about: &str) {
        let is_unsafe = ["POST", "DELETE"].contains(&asked.method);
        if is_unsafe && (200..400).contains(&said.status) {
            self.reference.invalidate(&asked.target);
        }
        if says(response, "detail=stale-if-error") {
            assert!(self.reference.permits_on_error(asked, response.text(), now), "{about}");
        } else if says(response, "fwd-status=304") {
            self.validated(asked, said, response, now, about);
        } else if asked.method == "GET" {
            assert_eq!(response.text(), said.body, "{about}");
            if says(response, "stored") {
                assert_eq!(may_be_stored(asked, said), Ok(()), "{about}");
                self.reference.store(asked, said, now, now);
            }
        } else {
            // A response to HEAD may freshen what is stored, or end its use.
            self.forget(asked);
        }
    }

    fn validated(&mut self, asked: &Asked, said: &Said, response: &Response, now: u64, about: &str) {
        assert_eq!(said.status, 304, "{about}");
        if asked.method == "HEAD" {
            return self.forget(asked);
        }
        if says(response, "stored") {
            self.freshened += 1;
            self.reference.freshen(response.text(), said, now, now);
        } else if !["request-no-store", "authorization"]
            .iter()
            .any(|reason| says(response, &format!("detail={reason}")))
        {
            self.reference.remove(response.text());
        }
    }

    /// Empties both caches of a target of which it can't be seen what is stored.
    fn forget(&mut self, asked: &Asked) {
        self.world.origin.now_on_path(&asked.target, Answer::status(204).end_of_head());
        self.world.request("DELETE", &asked.target, &[], "");
        self.reference.invalidate(&asked.target);
    }
}

#[test]
fn the_whole_proxy_serves_only_what_is_permitted() {
    let (mut hits, mut freshened) = (0, 0);
    for seed in 1..=12 {
        let mut walk = Walk::new(seed);
        for _ in 0..80 {
            walk.step();
        }
        hits += walk.hits;
        freshened += walk.freshened;
    }
    assert!(hits > 100 && freshened > 10, "{hits} {freshened}");
}
