//! The two messages of the health checking protocol, in the frames that gRPC sends them in.

use std::fmt;

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::scenario::grpc::Serving;

/// Bytes before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The key of the first field where it holds text, and where it holds a number.
const FIRST_AS_TEXT: u8 = 0x0a;
const FIRST_AS_NUMBER: u64 = 0x08;

/// `HealthCheckRequest { service }`.
pub(super) fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    // What is empty is left out.
    if !service.is_empty() {
        message.put_u8(FIRST_AS_TEXT);
        let mut length = service.len();
        while length >= 0x80 {
            message.put_u8(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
            length >>= 7;
        }
        message.put_u8(u8::try_from(length).unwrap_or_default());
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put(message);
    framed.freeze()
}

/// What a `HealthCheckResponse` says; a number that the protocol does not know is itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said(pub u64);

impl Said {
    /// The word for it, where the protocol has one.
    #[must_use]
    pub fn word(self) -> Option<Serving> {
        Serving::of(self.0)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.word() {
            Some(word) => word.fmt(f),
            None => write!(f, "status {}", self.0),
        }
    }
}

/// Reads the one message of an answer.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn answer(body: &[u8]) -> Result<Said, &'static str> {
    let Some((prefix, message)) = body.split_first_chunk::<PREFIX>() else {
        return Err(if body.is_empty() { "there is no message in it" } else { "its message is cut off" });
    };
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 {
        return Err("its message is compressed, which was not asked for");
    }
    match usize::try_from(u32::from_be_bytes(length)).map(|length| message.len().cmp(&length)) {
        Ok(std::cmp::Ordering::Equal) => read(message).ok_or("its message is no HealthCheckResponse"),
        Ok(std::cmp::Ordering::Greater) => Err("there is more than one message in it"),
        Ok(std::cmp::Ordering::Less) | Err(_) => Err("its message is cut off"),
    }
}

/// The first field, the last of its kind counting; fields that a later version may have are passed over.
fn read(mut rest: &[u8]) -> Option<Said> {
    let mut said = Said(0);
    while !rest.is_empty() {
        let key = number(&mut rest)?;
        match key & 7 {
            0 => {
                let value = number(&mut rest)?;
                if key == FIRST_AS_NUMBER {
                    said = Said(value);
                }
            }
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(number(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            5 => rest = rest.get(4..)?,
            // Groups are older than gRPC.
            _ => return None,
        }
    }
    Some(said)
}

/// A number of up to ten bytes, the lowest seven bits first.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::the_server("", b"\0\0\0\0\0".as_slice())]
    #[case::a_service("shop.Cart", b"\0\0\0\0\x0b\x0a\x09shop.Cart")]
    fn a_question_is_encoded(#[case] service: &str, #[case] bytes: &[u8]) {
        assert_eq!(question(service), bytes);
    }

    #[test]
    fn a_long_name_has_a_length_of_two_bytes() {
        assert_eq!(question(&"s".repeat(300))[..8], *b"\0\0\0\x01\x2f\x0a\xac\x02");
    }

    #[rstest]
    #[case::unknown(b"\0\0\0\0\0".as_slice(), "UNKNOWN")]
    #[case::serving(b"\0\0\0\0\x02\x08\x01", "SERVING")]
    #[case::not_serving(b"\0\0\0\0\x02\x08\x02", "NOT_SERVING")]
    #[case::no_word(b"\0\0\0\0\x02\x08\x07", "status 7")]
    #[case::the_last_counts(b"\0\0\0\0\x04\x08\x01\x08\x02", "NOT_SERVING")]
    #[case::other_fields(b"\0\0\0\0\x13\x12\x01a\x19aaaaaaaa\x25aaaa\x08\x01", "SERVING")]
    fn an_answer_is_read(#[case] body: &[u8], #[case] said: &str) {
        assert_eq!(answer(body).unwrap().to_string(), said);
    }

    #[rstest]
    #[case::nothing(b"".as_slice(), "there is no message in it")]
    #[case::half_a_prefix(b"\0\0\0", "its message is cut off")]
    #[case::half_a_message(b"\0\0\0\0\x02\x08", "its message is cut off")]
    #[case::endless(b"\0\xff\xff\xff\xff\x08\x01", "its message is cut off")]
    #[case::two(b"\0\0\0\0\0\0\0\0\0\0", "there is more than one message in it")]
    #[case::compressed(b"\x01\0\0\0\0", "its message is compressed, which was not asked for")]
    #[case::half_a_number(b"\0\0\0\0\x01\x88", "its message is no HealthCheckResponse")]
    #[case::too_long_a_number(
        b"\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        "its message is no HealthCheckResponse"
    )]
    #[case::beyond_its_end(b"\0\0\0\0\x02\x12\x7f", "its message is no HealthCheckResponse")]
    #[case::a_group(b"\0\0\0\0\x01\x0b", "its message is no HealthCheckResponse")]
    fn what_is_no_answer_is_said(#[case] body: &[u8], #[case] why: &str) {
        assert_eq!(answer(body), Err(why));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body: Vec<u8>, message: Vec<u8>) {
            let _ = answer(&body);
            let mut framed = vec![0];
            framed.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
            framed.extend_from_slice(&message);
            let _ = answer(&framed);
        }

        #[test]
        fn a_service_is_asked_about_as_it_is_called(service: String) {
            let framed = question(&service);
            let length = u32::from_be_bytes(framed[1..5].try_into().unwrap());
            prop_assert_eq!(usize::try_from(length).unwrap(), framed.len() - 5);
            prop_assert!(framed.ends_with(service.as_bytes()));
        }
    }
}
