//! The codec against octets that nobody meant: whatever arrives, and however it is split, no
//! parser panics, and every segmentation gives the same verdict. Seeded, so that a failure comes
//! back.

use bytes::Bytes;

use super::*;

impl Source for tokio::io::DuplexStream {}

const MESSAGES: &[&str] = &[
    "GET http://a.example/x?y=1 HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n",
    "POST http://a.example:8080/ HTTP/1.1\r\nHost: a.example:8080\r\nTransfer-Encoding: chunked\r\n\r\n\
     5;a=\"b\"\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n",
    "PUT http://[::1]:80/ HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 5\r\nConnection: x, close\r\nX: 1\r\n\r\nhello",
    "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a.example\r\nMax-Forwards: 0\r\n\r\n",
    "\r\nHEAD http://xn--bcher-kva.example HTTP/1.0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\nhello",
    "HTTP/1.1 206 Partial\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 0-4/5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.0 304\r\nX : y\r\n\r\n",
];

/// Octets that decide something in HTTP/1, more likely than others to find a gap.
const SPICE: &[u8] = b"\r\n\t :;,=\"\\/@#?*[]%0159aAfF\x00\x01\x7f\xff-+.";

/// Xorshift (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    fn mutate(&mut self, message: &[u8]) -> Vec<u8> {
        let mut out = message.to_vec();
        for _ in 0..=self.next(4) {
            let at = self.next(out.len());
            let spice = SPICE[self.next(SPICE.len())];
            match self.next(5) {
                0 => out[at] = spice,
                1 => out.insert(at, spice),
                2 => drop(out.remove(at)),
                3 => out.truncate(at + 1),
                _ => {
                    let from = self.next(out.len());
                    let piece = out[from..(from + 12).min(out.len())].to_vec();
                    out.splice(at..at, piece);
                }
            }
            if out.is_empty() {
                out.push(spice);
            }
        }
        out
    }
}

/// What became of a stream of octets read as messages.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// A head, and its content if that came to its end.
    Message(String, Option<Vec<u8>>),
    /// For which of its faults depends on which one is seen first.
    Refused,
}

/// Reads one message out of pieces that arrive one by one.
async fn read(pieces: Vec<Vec<u8>>, is_request: bool) -> Verdict {
    // No more than a piece is ever on the way, so that the reader sees the pieces as they are.
    let longest = pieces.iter().map(Vec::len).max().unwrap_or(1);
    let (mut sender, receiver) = tokio::io::duplex(longest.max(1));
    let sending = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        for piece in pieces {
            // The reader may have seen enough.
            if sender.write_all(&piece).await.is_err() {
                return;
            }
        }
    });
    let mut reader = Reader::new(receiver);
    let limits = HeadLimits::default();
    let head = if is_request {
        reader.request_head(&limits).await.map(|request| (format!("{:?}", request.fields), request.length))
    } else {
        reader
            .response_head(&Method::Get, &limits, Reading::Strict)
            .await
            .map(|head| (format!("{:?}", head.fields), head.length))
    };
    let verdict = match head {
        Err(_) => Verdict::Refused,
        Ok((fields, length)) => {
            let mut content = Content::new(length, &ChunkLimits::default());
            let mut pieces = Vec::new();
            let mut clean = true;
            while !content.is_done() && clean {
                clean = content.next(&mut reader, &mut pieces).await.is_ok();
            }
            Verdict::Message(fields, clean.then(|| pieces.concat()))
        }
    };
    drop(reader);
    sending.await.expect("the sender does not panic");
    verdict
}

#[tokio::test]
async fn no_octets_panic_and_no_segmentation_changes_the_verdict() {
    let mut random = Random(0x1a2d_e12a_bcde_f001);
    for round in 0..4000 {
        let message = MESSAGES[random.next(MESSAGES.len())].as_bytes();
        let octets = random.mutate(message);
        let is_request = !message.starts_with(b"HTTP/");
        let split = random.next(octets.len());
        let whole = read(vec![octets.clone()], is_request).await;
        let halves = read(vec![octets[..split].to_vec(), octets[split..].to_vec()], is_request).await;
        let singles = read(octets.chunks(1).map(<[u8]>::to_vec).collect(), is_request).await;
        let shown = String::from_utf8_lossy(&octets);
        assert_eq!(whole, singles, "round {round}: {shown:?}");
        assert_eq!(whole, halves, "round {round}: {shown:?}");
    }
}

#[test]
fn small_grammars_take_anything() {
    let mut random = Random(0x5eed_0fda_7e51);
    let seeds = [
        "bytes=0-1,-5",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "max-age=5, a=\"b\\\"\"",
        "http://a.example:80/../x",
    ];
    for _ in 0..20_000 {
        let seed = seeds[random.next(seeds.len())];
        let octets = random.mutate(seed.as_bytes());
        let bytes = Bytes::from(octets.clone());
        let members: Vec<_> = grammar::Members::of(&octets).collect();
        assert!(members.iter().map(|member| member.len()).sum::<usize>() <= octets.len());
        if let Some(date) = Timestamp::parse_http_date(&octets) {
            assert_eq!(Timestamp::parse_http_date(date.to_http_date().as_bytes()), Some(date));
        }
        if let Ok(host) = Host::parse(&bytes) {
            let again = Host::parse(&Bytes::from(host.to_string())).expect("a canonical host is a host");
            assert_eq!(again, host);
        }
        if let Ok(uri) = TargetUri::parse_absolute(&bytes) {
            let again = TargetUri::parse_absolute(&Bytes::from(uri.to_string()));
            assert!(uri.path_and_query.iter().any(|byte| !byte.is_ascii()) || again == Ok(uri));
        }
        // Total functions: an answer for anything.
        drop((grammar::unquote(&octets), grammar::saturating_decimal(&octets)));
    }
}
