//! The first octets in a tunnel. Neither packets nor records mean anything: however a ClientHello is
//! cut, it says the same, and what follows it changes nothing. One that is made here says what it was
//! made of.

use larder::tls::{ClientHello, Hello};

use super::input::Input;

/// Any octets as they come, and a ClientHello made of the input, cut into records.
pub fn client_hello(data: &[u8]) {
    check_prefixes(data);
    let mut input = Input(data);
    let (cut, order) = (1 + input.below(300), input.number::<1>());
    let (body, expected) = made(&mut input, order);
    let mut octets = records(&body, cut);
    let read = Hello::read(&octets);
    assert_eq!(read, expected, "cut into records of {cut}");
    assert_eq!(Hello::read(&records(&body, 1 << 14)), expected, "in one record");
    octets.extend(data);
    if let Hello::Complete(_) = expected {
        assert_eq!(Hello::read(&octets), expected, "what follows changes it");
        check_prefixes(&octets);
    }
}

/// What is complete was incomplete up to there, and stays what it is; what is refused stays refused.
fn check_prefixes(octets: &[u8]) {
    // Each prefix is read anew: of long ones some are enough.
    let octets = &octets[..octets.len().min(600)];
    let whole = Hello::read(octets);
    let mut before = Hello::Incomplete;
    for end in 0..octets.len() {
        let prefix = Hello::read(&octets[..end]);
        match (&before, &prefix) {
            (Hello::Incomplete, _) => {}
            (Hello::Complete(_), _) => assert_eq!(before, prefix, "another hello after {end}"),
            (Hello::NotTls(_), _) => assert!(matches!(prefix, Hello::NotTls(_)), "TLS after all at {end}"),
        }
        before = prefix;
    }
    match before {
        Hello::Incomplete => {}
        Hello::Complete(_) => assert_eq!(before, whole),
        Hello::NotTls(_) => assert!(matches!(whole, Hello::NotTls(_))),
    }
}

fn with_length8(octets: &[u8]) -> Vec<u8> {
    [&[octets.len() as u8][..], octets].concat()
}

fn with_length16(octets: &[u8]) -> Vec<u8> {
    [&(octets.len() as u16).to_be_bytes()[..], octets].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().to_vec(), with_length16(content)].concat()
}

/// The body of a ClientHello (RFC 8446 §4.1.2), and what it says.
fn made(input: &mut Input<'_>, order: u64) -> (Vec<u8>, Hello) {
    let mut hello = ClientHello::default();
    let mut extensions = Vec::new();
    let shape = input.number::<1>();
    if shape & 1 != 0 {
        let length = input.below(40);
        let name: Vec<u8> =
            input.take(length).iter().copied().filter(|octet| octet.is_ascii_alphanumeric()).collect();
        if !name.is_empty() {
            let entry = [&[0][..], &with_length16(&name)].concat();
            extensions.push(extension(0, &with_length16(&entry)));
            hello.server_name = String::from_utf8(name).ok();
        }
    }
    if shape & 2 != 0 {
        let mut list = Vec::new();
        for _ in 0..1 + input.below(3) {
            let length = 1 + input.below(9);
            let mut protocol = input.take(length).to_vec();
            protocol.push(b'x');
            list.extend(with_length8(&protocol));
            hello.alpn.push(protocol);
        }
        extensions.push(extension(16, &with_length16(&list)));
    }
    hello.has_modern_version = true;
    if shape & 4 != 0 {
        let count = 1 + input.below(4);
        let versions: Vec<u8> = input.take(count * 2).chunks_exact(2).flatten().copied().collect();
        hello.has_modern_version = versions.chunks(2).any(|pair| pair == [3, 3] || pair == [3, 4]);
        extensions.push(extension(43, &with_length8(&versions)));
    }
    if shape & 8 != 0 {
        // RFC 9849 §5: of type outer, with a suite, a number, no key and a payload; or of another type.
        hello.has_ech = order & 0x80 == 0;
        let kind = u8::from(!hello.has_ech);
        extensions.push(extension(0xfe0d, &[kind, 0, 1, 0, 1, 9, 0, 0, 0, 1, 7]));
    }
    // GREASE, which says nothing (RFC 8701).
    extensions.push(extension(0x1a1a, &[0]));
    let at = order as usize % extensions.len();
    extensions.rotate_left(at);
    let is_doubled = shape & 16 != 0;
    if is_doubled {
        extensions.push(extensions[0].clone());
    }
    let session = with_length8(&[7; 32][..(shape >> 5) as usize * 4]);
    let suites = with_length16(&[0x13, 0x01, 0x13, 0x02]);
    let body =
        [&[3, 3][..], &[9; 32], &session, &suites, &[1, 0], &with_length16(&extensions.concat())].concat();
    // RFC 8446 §4.2: no two extensions of one type.
    let expected = if is_doubled { Hello::NotTls("a malformed ClientHello") } else { Hello::Complete(hello) };
    (body, expected)
}

/// The message with this body, in handshake records of so many octets.
fn records(body: &[u8], cut: usize) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    let message = [&[1], &length[1..], body].concat();
    message.chunks(cut).flat_map(|piece| [&[22, 3, 1][..], &with_length16(piece)].concat()).collect()
}

pub fn client_hello_seeds() -> Vec<Vec<u8>> {
    let mut input =
        Input(&[15, 0, 0, 0, 9, b'a', b'b', b'c', b'd', b'e', b'f', b'g', b'h', b'i', 0, 0, 0, 1]);
    let whole = records(&made(&mut input, 0).0, 1 << 14);
    let cut = records(&made(&mut Input(&[1, 0, 0, 0, 3, b'x', b'y', b'z']), 0).0, 11);
    vec![
        whole,
        cut,
        [
            &[0, 0, 0, 30, 2, 31, 0, 0, 0, 9][..],
            b"localhost\0\0\0\x02\0\0\0\x02h2http/1.1\0\0\0\x02\x03\x04\x03\x03",
        ]
        .concat(),
        b"SSH-2.0-OpenSSH\r\n".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ]
}
