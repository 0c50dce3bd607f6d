//! Where every connection comes together: what vendors remember, who misbehaves, what was delivered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use super::book::Book;
use super::delivery::Delivery;
use super::line::Line;
use super::message::Message;
use super::trouble::Troubles;
use super::vendor::Memory;

/// The largest body that is taken, in bytes.
pub(super) const LARGEST: usize = 1 << 20;

/// What a parsed payload weighs, at most, for each of its bytes.
const SPREAD: usize = 4;

/// What all connections share.
pub(super) struct Desk {
    pub(super) book: Book,
    pub(super) troubles: Troubles,
    pub(super) memory: Memory,
    pub(super) tls: TlsAcceptor,
    number: AtomicU64,
}

impl Desk {
    /// A fresh one, with a certificate that nobody else has.
    pub(super) fn new() -> std::io::Result<Self> {
        let tls = TlsAcceptor::from(Arc::new(certified().map_err(std::io::Error::other)?));
        Ok(Self {
            book: Book::default(),
            troubles: Troubles::default(),
            memory: Memory::default(),
            tls,
            number: AtomicU64::new(0),
        })
    }

    /// Another number for each request.
    pub(super) fn number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// `message` was delivered over `line`.
    pub(super) fn deliver(&self, line: &Line, message: Message, raw: &[u8]) {
        self.book.enter(Delivery::new(line, message, raw), raw.len() * SPREAD);
    }
}

/// TLS as anybody whose certificate is not looked at: names are not checked where it is used.
fn certified() -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
    let own = rcgen::generate_simple_self_signed(["firedrill.invalid".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key.into())?;
    Ok(config)
}
