//! Random messages made of the pieces that parsers trip over: nothing panics, and what must hold
//! for every message holds. The generator is seeded, so that a failure can be repeated.

use super::*;

const NAMES: &str = "Cache-Control~Pragma~Age~Date~Expires~Last-Modified~ETag~Vary~Connection~\
    Content-Length~Content-Language~Accept-Language~Accept-Encoding~If-None-Match~\
    If-Modified-Since~If-Range~Range~X";

const PIECES: &str = "max-age~s-maxage~no-cache~private~public~must-revalidate~max-stale~min-fresh~\
    only-if-cached~stale-if-error~stale-while-revalidate~=~=~\"~\"~\\~,~,~ ~;~q=~0~1~60~2147483648~\
    18446744073709551616~-~-~.~*~W/~bytes=~en~de~gzip~X~Vary~max-age=60~\"a\"~{-60}~{+60}~\u{fc}~\t";

/// xorshift64: even enough for choosing pieces.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("below a usize")
    }

    fn of<'a>(&mut self, choices: &'a str) -> &'a str {
        let at = self.below(choices.split('~').count());
        choices.split('~').nth(at).unwrap_or_default()
    }

    fn lines(&mut self) -> String {
        // Every other message starts from something that is cached.
        let mut lines = self.of("~Cache-Control: max-age=60\n").to_owned();
        for _ in 0..self.below(6) {
            let value: String = (0..self.below(9)).map(|_| self.of(PIECES)).collect();
            lines += &format!("{}: {value}\n", self.of(NAMES));
        }
        lines
    }
}

#[test]
fn whatever_comes() {
    let (mut random, policy) = (Random(0x9E37_79B9_7F4A_7C15), CachePolicy::default());
    let mut reused = 0;
    for _ in 0..5_000 {
        let (asked, came, update) = (random.lines(), random.lines(), random.lines());
        let about = format!("{asked:?} {came:?} {update:?}");
        let request = request(&format!("GET\n{asked}"));
        let came = response(200, &came);
        let storable = may_store(&request, &came, TIMES, &policy);
        let first = StoredHead::new(&request, &came, TIMES);
        let later = Times { request_time: NOW, response_time: NOW.plus(5) };
        let heads = [first.freshen(&response(304, &update), later), first];
        for head in &heads {
            let now = NOW.plus(random.below(100) as u64);
            assert!(head.current_age(now) <= DELTA_SECONDS_MAX, "{about}");
            assert!(head.fields.only(crate::http::FieldName::Date).is_some(), "{about}");
            let restored = StoredHead::from_parts(head.to_parts());
            assert_eq!(restored.current_age(now), head.current_age(now), "{about}");
            assert_eq!(restored.freshness_lifetime(&policy), head.freshness_lifetime(&policy), "{about}");
            let decision = decide(&request, &[head], now, &policy);
            // One whose selecting fields nobody knows is never written down.
            if !head.varies_by_unknown() {
                assert_eq!(decision, decide(&request, &[&restored], now, &policy), "{about}");
            }
            if let Decision::Reuse { age, ttl, .. } = decision {
                assert!(ttl > 0 || asked.contains("max-stale"), "{about}");
                assert_eq!(age, head.current_age(now), "{about}");
                reused += u32::from(storable.is_ok());
            }
            check_ranges(&answer(&request, head, 10), &about);
        }
    }
    // Enough of it was about responses that are really reused.
    assert!(reused > 100, "only {reused} were reused");
}

fn check_ranges(found: &Answer, about: &str) {
    let ranges: &[ByteRange] = match found {
        Answer::Range(range) => std::slice::from_ref(range),
        Answer::MultiRange(ranges) => ranges,
        _ => &[],
    };
    assert!(ranges.iter().all(|range| range.first <= range.last && range.last < 10), "{about}");
}
