//! ClientHellos written by hand: with whatever a library would not send.

fn vector16(content: &[u8]) -> Vec<u8> {
    let mut vector = u16::try_from(content.len()).unwrap().to_be_bytes().to_vec();
    vector.extend_from_slice(content);
    vector
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(content)].concat()
}

/// The extension with this name.
pub fn sni(name: &str) -> Vec<u8> {
    extension(0, &vector16(&[&[0][..], &vector16(name.as_bytes())].concat()))
}

/// An encrypted ClientHello, or what looks like one.
pub fn ech() -> Vec<u8> {
    extension(0xfe0d, &[&[0, 0, 1, 0, 1, 9][..], &vector16(&[7; 32]), &vector16(&[7; 144])].concat())
}

/// The extension of ECH with other content.
pub fn ech_with(content: &[u8]) -> Vec<u8> {
    extension(0xfe0d, content)
}

/// The message of TLS 1.2 with these extensions beside those that every server needs.
pub fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    let groups = extension(10, &vector16(&[0, 29, 0, 23]));
    let signatures = extension(13, &vector16(&[4, 3, 8, 4, 4, 1]));
    let all = [&groups[..], &signatures, &extensions.concat()].concat();
    let suites = vector16(&[0xc0, 0x2b, 0xc0, 0x2f]);
    let body = [&[3, 3][..], &[7; 32], &[0], &suites, &[1, 0], &vector16(&all)].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1][..], &length[1..], &body].concat()
}

/// One record of the handshake, of TLS 1.`minor`.
pub fn record(minor: u8, fragment: &[u8]) -> Vec<u8> {
    [&[22, 3, minor][..], &vector16(fragment)].concat()
}

/// The whole in one record.
pub fn hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    record(1, &message(extensions))
}
