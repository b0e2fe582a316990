//! Makes a trace: the same one for the same seed.
//!
//! What a proxy sees is taken from what is published of web traffic: popularity falls as a power of the rank (zipf),
//! most objects are never asked for again, sizes are log-normal with a long tail and have nothing to do with
//! popularity, and what is popular changes: pages die and are born, rise and sink. The numbers are constants, so that a
//! result names no settings, and none was chosen after a look at the store's results.
//!
//! Not modelled: days and nights, responses that expire, variants, ranges, bursts of one object.

use crate::trace::{Request, link};

/// The exponent of popularity in the core; 0.6 to 1.0 are published for proxies.
const ZIPF_ALPHA: f64 = 0.9;
/// Objects of the core at any time, as a share of the requests.
const CORE_SHARE: f64 = 0.1;
/// Requests for something that nobody asks for again, as a share; with the core's own rare objects about 70 % of all
/// objects are asked for once.
const ONCE_SHARE: f64 = 0.15;
/// How often a place in the core goes to a new object, as a share of the requests: half of the places once in a trace.
const BIRTH_SHARE: f64 = 0.05;
/// How often two places of the core are exchanged.
const EXCHANGE_SHARE: f64 = 0.05;
/// Of the sizes, in octets.
const SIZE_MEDIAN: f64 = 8192.0;
/// Standard deviation of the sizes' natural logarithm: the mean is six times the median.
const SIZE_SIGMA: f64 = 1.9;
/// Sizes beyond these are cut, in octets.
const SIZE_MIN: f64 = 64.0;
const SIZE_MAX: f64 = 64.0 * 1024.0 * 1024.0;
/// What the trace lasts, in seconds: a week.
const SECONDS: u64 = 7 * 24 * 3600;

pub fn generate(requests: usize, seed: u64) -> Vec<Request> {
    let mut random = Random(seed);
    let popularity = Zipf::new((requests as f64 * CORE_SHARE) as usize + 1);
    let mut core: Vec<u64> = (0..popularity.ranks() as u64).collect();
    let mut born = core.len() as u64;
    let mut new_object = || {
        born += 1;
        born
    };
    let mut trace = Vec::with_capacity(requests);
    for at in 0..requests {
        if random.share() < BIRTH_SHARE {
            let place = random.below(core.len());
            if let Some(object) = core.get_mut(place) {
                *object = new_object();
            }
        }
        if random.share() < EXCHANGE_SHARE {
            let (one, other) = (random.below(core.len()), random.below(core.len()));
            core.swap(one, other);
        }
        let once = random.share() < ONCE_SHARE;
        let rank = popularity.rank(random.share());
        let object = if once { new_object() } else { core.get(rank).copied().unwrap_or_default() };
        let second = (at as u64 * SECONDS / requests as u64) as u32;
        trace.push(Request { second, object, size: size(object, seed), next: -1 });
    }
    link(&mut trace);
    trace
}

/// Log-normal, by Box and Muller's transform of two numbers that the object and the seed alone decide.
fn size(object: u64, seed: u64) -> u32 {
    let mut random = Random(seed ^ object.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let (one, other) = (1.0 - random.share(), random.share());
    let normal = (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos();
    (SIZE_MEDIAN * (SIZE_SIGMA * normal).exp()).clamp(SIZE_MIN, SIZE_MAX) as u32
}

/// The chances of ranks, added up.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(ranks: usize) -> Zipf {
        let mut sum = 0.0;
        let chances = (1..=ranks).map(|rank| {
            sum += (rank as f64).powf(-ZIPF_ALPHA);
            sum
        });
        Zipf(chances.collect())
    }

    fn ranks(&self) -> usize {
        self.0.len()
    }

    /// The rank that `share` (0 to 1) of all chances leads to, from 0.
    fn rank(&self, share: f64) -> usize {
        let wanted = share * self.0.last().copied().unwrap_or_default();
        self.0.partition_point(|sum| *sum <= wanted).min(self.0.len() - 1)
    }
}

/// Splitmix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0, 1 excluded.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 to `end`, excluded. The bias of the remainder is far below what a trace shows.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
