//! Random exchanges, of the pieces that decide about caching. The generator is seeded, so that a
//! failure can be repeated.

use larder::http::Timestamp;

use super::reference::{Asked, Lines, Said};

/// xorshift64*: even enough for choosing pieces.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % end
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// A request for one of three targets.
    pub fn asked(&mut self) -> Asked {
        let method = if self.one_in(12) { self.of(&["HEAD", "POST", "DELETE", "OPTIONS"]) } else { "GET" };
        let mut lines = Lines::new();
        let mut add = |name: &str, value: &str| lines.push((name.to_owned(), value.to_owned()));
        if self.one_in(4) {
            let wishes = [
                "no-cache",
                "no-store",
                "max-age=0",
                "max-age=20",
                "max-age=x",
                "max-stale",
                "max-stale=30",
                "max-stale=x",
                "min-fresh=10",
                "min-fresh=100",
                "min-fresh",
                "stale-if-error=20",
                "MAX-AGE=\"30\"",
                "x=\"no-cache\"",
                "max-stale=1000, max-age=70",
                "max-stale, no-cache",
            ];
            add("Cache-Control", self.of(&wishes));
        }
        if self.one_in(30) {
            add("Pragma", self.of(&["no-cache", "x"]));
        }
        if self.one_in(15) {
            add("Authorization", "Basic eDp5");
        }
        if self.one_in(2) {
            add("X-Kind", self.of(&["a", "b", "a, b", "a,b", ""]));
        }
        if self.one_in(2) {
            add("Accept-Encoding", self.of(&["gzip", "br", "gzip, br", "BR , gzip"]));
        }
        Asked { method, target: self.of(&["/one", "/two", "/three"]).to_owned(), lines }
    }

    /// The fields of a response that is made at `now`.
    pub fn said_lines(&mut self, now: u64, tag: u64) -> Lines {
        let mut lines = Lines::new();
        let mut add = |name: &str, value: &str| lines.push((name.to_owned(), value.to_owned()));
        let at = |seconds: i64| Timestamp(now.checked_add_signed(seconds).unwrap()).to_http_date();
        match self.below(12) {
            0 => {}
            1 => add("Date", &at(-40)),
            2 => add("Date", &at(30)),
            3 => add("Date", "yesterday"),
            _ => add("Date", &at(0)),
        }
        for _ in 0..self.below(3) {
            let controls = [
                "max-age=60",
                "max-age=60",
                "max-age=60",
                "max-age=5",
                "max-age=0",
                "max-age=x",
                "max-age=\"60\"",
                "s-maxage=60",
                "s-maxage=1",
                "public",
                "private",
                "no-store",
                "no-cache",
                "no-cache=\"X-Some\"",
                "private=\"X-Some\"",
                "must-revalidate",
                "proxy-revalidate",
                "must-understand",
                "no-store, must-understand",
                "stale-while-revalidate=30",
                "stale-if-error=40",
                "max-age=60, max-age=10",
                "ext=\"a, no-store, b\", max-age=60",
                "max-age=99999999999",
                "MAX-AGE=60",
            ];
            add("Cache-Control", self.of(&controls));
        }
        match self.below(8) {
            0 => add("Expires", &at(60)),
            1 => add("Expires", &at(-60)),
            2 => add("Expires", "0"),
            _ => {}
        }
        if self.one_in(3) {
            add("Last-Modified", &at(self.of(&[-1000, -100, 10])));
        }
        if self.one_in(2) {
            add("ETag", &format!("{}\"{tag}\"", self.of(&["", "", "W/"])));
        }
        if self.one_in(6) {
            add("Age", self.of(&["0", "10", "100", "x", "30, 0"]));
        }
        if self.one_in(3) {
            add("Vary", self.of(&["X-Kind", "Accept-Encoding", "X-Kind, Accept-Encoding", "*", "Cookie"]));
        }
        lines
    }

    /// A new response, whose content names it.
    pub fn said(&mut self, now: u64, number: u64) -> Said {
        let statuses =
            [200, 200, 200, 200, 200, 200, 203, 301, 302, 404, 405, 410, 414, 501, 400, 403, 500, 503, 599];
        Said {
            status: self.of(&statuses),
            lines: self.said_lines(now, number),
            body: format!("content {number}"),
        }
    }
}
