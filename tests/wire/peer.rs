//! Peers to probe, each made for one test on a free local port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use firedrill::probe::connect::{Deadline, TlsOptions};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Plenty for what must succeed, on a busy machine.
pub(crate) fn patient() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

/// For what can only end by the deadline.
pub(crate) fn short() -> Deadline {
    Deadline::after(Duration::from_millis(300))
}

/// Serves every connection with `talk`; ends with the test's runtime.
pub(crate) async fn serve<F>(talk: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream));
        }
    });
    address
}

/// A port that nothing listens on.
pub(crate) async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A server's certificate, signed by itself, and the acceptor that shows it.
pub(crate) struct Identity {
    /// What a client must trust.
    pub(crate) ca: Arc<[CertificateDer<'static>]>,
    /// What the server answers with.
    pub(crate) acceptor: TlsAcceptor,
}

impl Identity {
    /// An identity for `names`, offering `alpn`.
    pub(crate) fn new(names: &[&str], alpn: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let chain = vec![made.cert.der().clone()];
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { ca: chain.into(), acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    /// Options that trust this identity alone.
    pub(crate) fn trusted(&self) -> TlsOptions {
        TlsOptions { ca: Some(self.ca.clone()), ..TlsOptions::default() }
    }
}
