//! Echo requests and replies as bytes, RFC 792 and RFC 4443.

use std::net::IpAddr;

/// The length of an echo's own header.
pub(super) const HEADER: usize = 8;

/// The longest header of IPv4, which raw sockets hand over too.
pub(super) const LONGEST_IP_HEADER: usize = 60;

/// The requests of one attempt, all alike but for their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    /// Whether it is ICMP for IPv6.
    six: bool,
    id: u16,
    /// Comes back as it was sent; its random beginning tells our replies from others.
    payload: Vec<u8>,
}

impl Echo {
    /// Requests to `peer` that carry `size` bytes and are told from others by `token`.
    #[must_use]
    pub fn new(peer: IpAddr, size: u16, token: u64) -> Self {
        let tail = (0..=u8::MAX).cycle();
        let payload = token.to_be_bytes().into_iter().chain(tail).take(usize::from(size)).collect();
        let [_, _, _, _, _, _, high, low] = token.to_be_bytes();
        Self { six: peer.is_ipv6(), id: u16::from_be_bytes([high, low]), payload }
    }

    /// The room a reply takes, and one byte more.
    pub(super) fn room(&self) -> usize {
        LONGEST_IP_HEADER + HEADER + self.payload.len() + 1
    }

    /// The request with this number.
    #[must_use]
    pub fn request(&self, number: u16) -> Vec<u8> {
        let kind = if self.six { 128 } else { 8 };
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(number.to_be_bytes());
        bytes.extend(&self.payload);
        // For IPv6 the kernel does it, over addresses that only it knows.
        if !self.six {
            let sum = checksum(&bytes);
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    /// The number of the request that `bytes` reply to; none if they are something else. A raw socket hands over
    /// more than our own: there the id is looked at, which otherwise the kernel chooses.
    #[must_use]
    pub fn replied(&self, bytes: &[u8], raw: bool) -> Option<u16> {
        let bytes = if raw && !self.six { past_ip_header(bytes)? } else { bytes };
        let (head, payload) = bytes.split_at_checked(HEADER)?;
        let kind = if self.six { 129 } else { 0 };
        let ours = !raw || head[4..6] == self.id.to_be_bytes();
        (head[..2] == [kind, 0] && ours && payload == self.payload)
            .then(|| u16::from_be_bytes([head[6], head[7]]))
    }
}

fn past_ip_header(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(usize::from(bytes.first()? & 0x0f) * 4..)
}

/// The internet checksum, RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum = words.fold(0_u32, u32::wrapping_add);
    // Twice is enough: the first leaves at most one carry.
    for _ in 0..2 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum & 0xffff).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// What a host sends back.
    fn reply(request: &[u8]) -> Vec<u8> {
        let mut bytes = request.to_vec();
        bytes[0] = if bytes[0] == 128 { 129 } else { 0 };
        bytes
    }

    fn echo(peer: &str) -> Echo {
        Echo::new(peer.parse().unwrap(), 10, 0x0102_0304_0506_abcd)
    }

    #[test]
    fn a_request_is_as_the_rfc_has_it() {
        let request = echo("127.0.0.1").request(7);
        assert_eq!(request[..2], [8, 0]);
        assert_eq!(request[4..], [0xab, 0xcd, 0, 7, 1, 2, 3, 4, 5, 6, 0xab, 0xcd, 0, 1]);
        assert_eq!(checksum(&request), 0, "a message with its checksum sums up to nothing");
    }

    #[rstest]
    #[case::four("127.0.0.1")]
    #[case::six("::1")]
    fn a_reply_is_known_by_its_payload(#[case] peer: &str) {
        let echo = echo(peer);
        assert_eq!(echo.replied(&reply(&echo.request(258)), false), Some(258));
        assert_eq!(echo.replied(&echo.request(258), false), None, "a request is no reply");
        let other = Echo::new(peer.parse().unwrap(), 10, 9);
        assert_eq!(echo.replied(&reply(&other.request(258)), false), None, "it is somebody else's");
    }

    #[test]
    fn a_raw_socket_hands_over_the_header_too() {
        let echo = echo("127.0.0.1");
        let mut bytes = vec![0x46; 24];
        bytes.extend(reply(&echo.request(3)));
        assert_eq!(echo.replied(&bytes, true), Some(3));
        bytes[24 + 4] ^= 1;
        assert_eq!(echo.replied(&bytes, true), None, "the id is another");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, raw: bool, six: bool, size in 0..20_u16) {
            let peer = if six { "::1" } else { "127.0.0.1" };
            let _ = Echo::new(peer.parse().unwrap(), size, 1).replied(&bytes, raw);
        }

        #[test]
        fn every_request_sums_up_to_nothing(size in 0..2000_u16, token: u64, number: u16) {
            let request = Echo::new("127.0.0.1".parse().unwrap(), size, token).request(number);
            prop_assert_eq!(checksum(&request), 0);
        }
    }
}
