//! Ports that nobody listens at.

use std::io;
use std::net::{IpAddr, TcpListener};

/// Below those that systems hand out for outgoing connections, any of which could take a port between our asking
/// for it and a service's listening there.
const RANGE: std::ops::Range<u16> = 10_240..32_000;

/// How many are tried.
const TRIES: u32 = 200;

/// A port of `host` that was free just now.
pub(crate) fn free(host: IpAddr) -> io::Result<u16> {
    let mut last = None;
    for _ in 0..TRIES {
        let port = rand::random_range(RANGE);
        match TcpListener::bind((host, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrInUse)))
}

/// Whether somebody listens there.
pub(crate) fn is_taken(address: std::net::SocketAddr) -> bool {
    matches!(TcpListener::bind(address), Err(error) if error.kind() == io::ErrorKind::AddrInUse)
}
