//! Sound bytes, changed.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// One change.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    Cut(Index),
    /// What stands at one place is put at another.
    Move(Index, Index, usize),
}

/// What means something to one parser or another.
const PIECES: [&[u8]; 32] = [
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b"=",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b"0",
    b"-1",
    b"99999999999999999999",
    b"1e999",
    b"NaN",
    b"+Inf",
    b"null",
    b"\xc0\x0c",
    b"\xe2\x82",
    b"\x1b[31m",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\0\0\0\x04\0\0\0\0\0",
];

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let piece = prop_oneof![
        3 => select(&PIECES[..]).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 1..8),
    ];
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, bits)| Change::Flip(at, bits)),
        4 => (at(), piece).prop_map(|(at, piece)| Change::Insert(at, piece)),
        3 => (at(), 1..16_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (at(), 1..32_usize, 2..200_usize).prop_map(|(at, count, times)| Change::Repeat(at, count, times)),
        1 => at().prop_map(Change::Cut),
        2 => (at(), at(), 1..32_usize).prop_map(|(from, to, count)| Change::Move(from, to, count)),
    ]
}

fn apply(mut bytes: Vec<u8>, change: &Change) -> Vec<u8> {
    // One place more than there are bytes: the end is one, too.
    let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
    match change {
        Change::Flip(at, bits) => {
            let at = place(at, &bytes);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bits;
            }
        }
        Change::Insert(at, piece) => {
            let at = place(at, &bytes);
            bytes.splice(at..at, piece.iter().copied());
        }
        Change::Remove(at, count) => {
            let at = place(at, &bytes);
            bytes.drain(at..(at + count).min(bytes.len()));
        }
        Change::Repeat(at, count, times) => {
            let at = place(at, &bytes);
            let piece = bytes[at..(at + count).min(bytes.len())].repeat(*times);
            bytes.splice(at..at, piece);
        }
        Change::Cut(at) => bytes.truncate(place(at, &bytes)),
        Change::Move(from, to, count) => {
            let from = place(from, &bytes);
            let piece: Vec<u8> = bytes.drain(from..(from + count).min(bytes.len())).collect();
            let to = place(to, &bytes);
            bytes.splice(to..to, piece);
        }
    }
    bytes
}

/// One of `sound`, with a few changes or none.
pub(crate) fn mutated(sound: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (select(sound), vec(change(), 0..8)).prop_map(|(sound, changes)| changes.iter().fold(sound, apply))
}

/// Texts, likewise; what is no UTF-8 any more is replaced.
pub(crate) fn mutated_text(sound: &[&str]) -> impl Strategy<Value = String> + use<> {
    let sound = sound.iter().map(|text| text.as_bytes().to_vec()).collect();
    mutated(sound).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
