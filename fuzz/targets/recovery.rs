//! A small store that is written to, killed, damaged and opened again, beside an oracle: what is
//! read was once stored for that URI, whole, and nothing that was removed before.
//!
//! The oracle knows two sets. *Visible* is what the running store may give. *Kept* is what may be
//! there if the process is killed now: a removal that the store has promised takes from it, and a
//! replacement only when it is known to be written. Damage takes the promises with it, since a
//! removal is a record, too; the octets that are read are still those that were stored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use larder::caching::StoredHead;
use larder::clock::Clock;
use larder::http::{Fields, Method, TargetUri, Timestamp, Version};
use larder::store::disk::{Disk, DiskSettings};
use larder::store::{Generation, Key, Object, PurgeScope, Store, StoreSettings, StoredContent};

use super::input::{Input, NOW, request, response, times};
use super::memory_files::MemoryFiles;

const URIS: [&str; 4] =
    ["http://a.example/0", "http://a.example/10", "http://b.example/0", "https://a.example/0"];
const TAGS: [&str; 2] = ["even", "odd"];
/// Some segments, so that the oldest one goes from time to time.
const SETTINGS: DiskSettings = DiskSettings { size: 64 << 10, segment_size: 16 << 10 };
/// While no more was stored, nothing has had to go.
const OCTETS_SAFE: usize = 24 << 10;
const OPERATIONS_MAX: usize = 100;

/// A response that was stored, or was to be.
#[derive(Debug)]
struct Put {
    uri: usize,
    /// What the request said in `Accept`; 0: the response does not vary.
    variant: u64,
    body: Vec<u8>,
    /// The numbers of its heads: its own, and those of the 304s.
    heads: BTreeSet<usize>,
}

/// What a removal concerns.
#[derive(Clone, Copy, Debug)]
enum Scope {
    Uri(usize),
    Host(&'static str),
    Prefix(&'static str),
    Tag(usize),
    All,
}

impl Scope {
    fn concerns(self, number: usize, put: &Put) -> bool {
        let uri = URIS[put.uri];
        match self {
            Scope::Uri(uri) => put.uri == uri,
            Scope::Host(host) => uri.split('/').nth(2) == Some(host),
            Scope::Prefix(prefix) => uri.starts_with(prefix),
            Scope::Tag(tag) => number % 2 == tag,
            Scope::All => true,
        }
    }

    fn purge(self) -> Option<PurgeScope> {
        match self {
            Scope::Uri(_) => None,
            Scope::Host(host) => Some(PurgeScope::Host(host.to_owned())),
            Scope::Prefix(prefix) => Some(PurgeScope::Prefix(prefix.to_owned())),
            Scope::Tag(tag) => Some(PurgeScope::Tag(Bytes::from_static(TAGS[tag].as_bytes()))),
            Scope::All => Some(PurgeScope::All),
        }
    }
}

#[derive(Default)]
struct Oracle {
    puts: Vec<Put>,
    visible: BTreeSet<usize>,
    kept: BTreeSet<usize>,
    /// What has to be there.
    sure: BTreeSet<usize>,
    octets: usize,
    /// All removals, in order.
    removals: Vec<Scope>,
}

impl Oracle {
    fn of_uri(&self, uri: usize) -> BTreeSet<usize> {
        (0..self.puts.len()).filter(|number| self.puts[*number].uri == uri).collect()
    }

    fn put(&mut self, put: Put, asked: usize) {
        let number = self.puts.len();
        self.octets += put.body.len() + 1024;
        let is_late = self.removals.iter().skip(asked).any(|scope| scope.concerns(number, &put));
        let is_uncertain = asked < self.removals.len();
        let replaced: BTreeSet<usize> = self.of_uri(put.uri);
        self.sure.retain(|other| {
            !replaced.contains(other)
                || put.variant != 0 && ![0, put.variant].contains(&self.puts[*other].variant)
        });
        if !is_uncertain {
            let gone = |other: &usize| {
                replaced.contains(other) && [0, put.variant].contains(&self.puts[*other].variant)
            };
            self.visible.retain(|other| !gone(other));
            self.sure.insert(number);
        }
        if !is_late {
            self.visible.insert(number);
            self.kept.insert(number);
        }
        self.puts.push(put);
    }

    fn remove(&mut self, scope: Scope, is_durable: bool) {
        let (puts, concerned) = (&self.puts, |number: &usize| !scope.concerns(*number, &self.puts[*number]));
        self.visible.retain(concerned);
        self.sure.retain(concerned);
        if is_durable {
            self.kept.retain(|number| !scope.concerns(*number, &puts[*number]));
        }
        self.removals.push(scope);
    }
}

/// The store in a folder, and where the keys stood when the origin was asked.
struct World {
    runtime: tokio::runtime::Runtime,
    files: Arc<MemoryFiles>,
    store: Store,
    uris: Vec<TargetUri>,
    asked: BTreeMap<usize, (Generation, usize)>,
    oracle: Oracle,
}

/// Any operations on a store.
pub fn recovery(data: &[u8]) {
    let mut input = Input(data);
    let files = MemoryFiles::new(&[].into());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let uri = |text: &&'static str| TargetUri::parse_absolute(&Bytes::from_static(text.as_bytes()));
    let mut world = World {
        runtime,
        store: open(&files).expect("an empty folder"),
        files,
        uris: URIS.iter().map(uri).collect::<Result<_, _>>().expect("absolute URIs"),
        asked: BTreeMap::new(),
        oracle: Oracle::default(),
    };
    for _ in 0..OPERATIONS_MAX {
        if input.0.is_empty() {
            break;
        }
        let operation = input.number::<1>();
        let argument = input.number::<1>();
        let uri = argument as usize % URIS.len();
        match operation % 16 {
            0..=4 => world.put(uri, argument / 4 % 3, input.number::<1>() as usize * 8),
            5 => world.remove(Scope::Uri(uri)),
            6 => world.remove([Scope::Host("a.example"), Scope::Host("b.example")][uri % 2]),
            7 => world
                .remove([Scope::Prefix("http://a.example/1"), Scope::Prefix("http://a.example/")][uri % 2]),
            8 => world.remove([Scope::Tag(0), Scope::Tag(1), Scope::All, Scope::Tag(0)][uri]),
            9 => world.freshen(uri),
            10 => world.ask(uri),
            11 | 12 => world.read(uri),
            13 => world.files.end_after(argument % 16, input.number::<1>() as usize * 8),
            14 => {
                if !world.open_again(None, argument) {
                    return;
                }
            }
            _ => {
                let damage = (argument as usize, input.number::<2>() as usize, input.number::<1>() as u8);
                if !world.open_again(Some(damage), 255) {
                    return;
                }
            }
        }
    }
    if world.open_again(None, 255) {
        (0..URIS.len()).for_each(|uri| world.read(uri));
    }
}

fn open(files: &Arc<MemoryFiles>) -> Option<Store> {
    let clock = Clock::manual(Timestamp(NOW));
    let disk = Disk::open(Path::new("/store"), SETTINGS, files.clone(), clock, [1, 2]).ok()?;
    let render = Arc::new(|_head: &StoredHead, _version| Bytes::new());
    let sizes = StoreSettings { memory: 4 << 20, object_max: 1 << 20, ..StoreSettings::default() };
    Some(Store::with_disks(sizes, vec![disk], render, 3))
}

fn accept(variant: u64) -> Fields {
    [("Accept", variant.to_string().as_str())].into_iter().collect()
}

/// The head of the response with this number, as the exchange with that number has left it.
fn head(number: usize, exchange: usize, variant: u64) -> StoredHead {
    let (put, exchange, tag) = (number.to_string(), exchange.to_string(), TAGS[number % 2]);
    let mut fields = vec![("X-Put", put.as_str()), ("X-Exchange", exchange.as_str()), ("Cache-Tag", tag)];
    if variant != 0 {
        fields.push(("Vary", "Accept"));
    }
    let fields = fields.into_iter().collect();
    StoredHead::new(&request(Method::Get, accept(variant)), &response(200, fields), times(0, 0))
}

/// The number in a field.
fn number_in(head: &StoredHead, name: &[u8]) -> usize {
    let value = head.fields.all_named(name).next().expect("each head has it");
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).expect("a number")
}

impl World {
    fn key(&self, uri: usize) -> Key<'_> {
        self.store.key(&self.uris[uri])
    }

    fn ask(&mut self, uri: usize) {
        let asked = (self.store.generation(self.key(uri)), self.oracle.removals.len());
        self.asked.insert(uri, asked);
    }

    fn put(&mut self, uri: usize, variant: u64, length: usize) {
        let number = self.oracle.puts.len();
        let now = (self.store.generation(self.key(uri)), self.oracle.removals.len());
        let (asked, removals) = self.asked.remove(&uri).unwrap_or(now);
        let body: Vec<u8> = (0..length).map(|at| (at * 7 + number) as u8).collect();
        let object = Object {
            head: head(number, number, variant),
            rendered: Bytes::new(),
            content: StoredContent::new(vec![Bytes::from(body.clone())]),
            origin: "192.0.2.1:80".parse().expect("an address"),
            received: Version::Http11,
            generation: asked.seq(),
            head_generation: asked.seq(),
        };
        let fields = accept(variant);
        // Nobody asks the origin without having looked; what is in memory then stays beside this.
        let _found = self.runtime.block_on(self.store.look_up(self.key(uri)));
        self.store.insert(self.key(uri), object, asked, |other| other.head.selects(&fields));
        self.oracle.put(Put { uri, variant, body, heads: [number].into() }, removals);
    }

    fn freshen(&mut self, uri: usize) {
        let key = self.key(uri);
        let Some(variants) = self.runtime.block_on(self.store.look_up(key)) else { return };
        let old = &variants[0];
        let (number, exchange) =
            (number_in(&old.head, b"X-Put"), self.oracle.puts.len() + self.oracle.removals.len());
        let put = &mut self.oracle.puts[number];
        let new = Object {
            head: head(number, exchange, put.variant),
            rendered: Bytes::new(),
            content: old.content.clone(),
            ..**old
        };
        put.heads.insert(exchange);
        self.runtime.block_on(self.store.replace(self.store.key(&self.uris[uri]), old, Arc::new(new)));
    }

    fn remove(&mut self, scope: Scope) {
        let is_written = match (scope, scope.purge()) {
            (_, Some(purge)) => {
                let purged = self.runtime.block_on(self.store.purge(purge)).expect("few and short");
                purged.is_written
            }
            (Scope::Uri(uri), None) => {
                self.runtime.block_on(self.store.invalidate(self.key(uri)));
                true
            }
            _ => false,
        };
        let is_durable = is_written && !self.files.has_ended();
        self.oracle.remove(scope, is_durable);
        // The record of a purge lies behind all that was queued before it.
        if is_durable && scope.purge().is_some() {
            self.oracle.kept = self.oracle.visible.clone();
        }
    }

    fn read(&mut self, uri: usize) {
        let oracle = &self.oracle;
        let variants = self.runtime.block_on(self.store.look_up(self.key(uri)));
        let mut found = BTreeSet::new();
        for object in variants.iter().flat_map(|variants| variants.iter()) {
            let (number, exchange) =
                (number_in(&object.head, b"X-Put"), number_in(&object.head, b"X-Exchange"));
            let put = &oracle.puts[number];
            assert_eq!(put.uri, uri, "another URI's response");
            assert!(oracle.visible.contains(&number), "{number} comes back: {put:?}");
            assert!(put.heads.contains(&exchange), "a head that it never had");
            assert!(object.head.selects(&accept(put.variant)), "another variant");
            let StoredContent::Memory { pieces, .. } = &object.content else { panic!("{object:?} is small") };
            assert_eq!(pieces.concat(), put.body, "{number} has other octets");
            found.insert(number);
        }
        let lost =
            oracle.sure.intersection(&oracle.of_uri(uri)).find(|number| !found.contains(number)).copied();
        // A purge takes all of a URI out of memory, and a disk that fails need not have the others.
        let is_excused = oracle.octets > OCTETS_SAFE || self.files.has_ended();
        assert!(lost.is_none() || is_excused, "{lost:?} is lost");
    }

    /// Closes the store, which a kill may have stopped before, and opens it again; kills that, too,
    /// after so many changes. False: the folder is none any more, which only damage may do.
    fn open_again(&mut self, damage: Option<(usize, usize, u8)>, changes: u64) -> bool {
        self.asked.clear();
        self.store.close();
        let oracle = &mut self.oracle;
        if self.files.has_ended() {
            oracle.sure.clear();
        } else {
            oracle.kept = oracle.visible.clone();
        }
        let mut contents = self.files.contents();
        if let Some((file, at, change)) = damage {
            (oracle.kept, oracle.sure) = ((0..oracle.puts.len()).collect(), BTreeSet::new());
            let file = file % contents.len().max(1);
            if let Some(octets) = contents.values_mut().nth(file) {
                damage_octets(octets, at, change);
            }
        }
        oracle.visible = oracle.kept.clone();
        if changes < 32 {
            self.files = MemoryFiles::new(&contents);
            self.files.end_after(changes, 100);
            drop(open(&self.files));
            contents = self.files.contents();
        }
        self.files = MemoryFiles::new(&contents);
        let Some(store) = open(&self.files) else {
            assert!(damage.is_some(), "a folder that can't be opened");
            return false;
        };
        self.store = store;
        true
    }
}

/// Cuts a file, or flips bits of it.
fn damage_octets(octets: &mut Vec<u8>, at: usize, change: u8) {
    let at = at % (octets.len() + 1);
    match (change, octets.get_mut(at)) {
        (0, _) => octets.truncate(at),
        (_, Some(octet)) => *octet ^= change,
        (_, None) => octets.push(change),
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let put = |uri: u8, variant: u8| [0, uri + 4 * variant, 20];
    let all = [put(0, 0), put(1, 1), put(1, 2), put(2, 0), put(3, 0)].concat();
    let opened = [14, 255];
    vec![
        [&all[..], &[9, 0, 14, 255, 11, 0, 11, 1, 9, 1], &opened[..], &[9, 2, 14, 255, 11, 2]].concat(),
        // Removals of each kind, then what is left.
        [&all[..], &[5, 0, 6, 1, 7, 0, 8, 1], &all[..], &[8, 2], &opened[..], &[11, 0, 11, 1]].concat(),
        // Killed in the third change from here, and again while it is opened.
        [&all[..], &[13, 2, 9], &all[..], &[14, 3], &all[..], &[5, 1, 14, 255, 11, 1]].concat(),
        // A write that meets an invalidation and a failure.
        [&[13, 2, 9][..], &put(0, 1), &[5, 0], &put(1, 0), &put(1, 0), &[11, 0], &opened].concat(),
        // A replacement that a failing disk does not write, and that is purged then.
        [&put(0, 0)[..], &put(1, 1), &[8, 0, 13, 0, 0], &put(1, 1), &[8, 0, 11, 1], &opened].concat(),
        // Asked before a removal.
        [&[10, 0, 5, 0][..], &all[..], &[10, 1, 8, 2], &all[..], &opened[..]].concat(),
        // An octet flipped, a file cut.
        [&all[..], &[15, 2, 0, 70, 1, 11, 0, 15, 1, 0, 30, 0], &all[..], &opened[..]].concat(),
        [0, 1, 255].repeat(60),
    ]
}
