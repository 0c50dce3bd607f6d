//! Peers to probe, each made for one test on a free local port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use firedrill::probe::connect::{Deadline, TlsOptions};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::{ServerConfig, WantsServerCert, WebPkiClientVerifier};
use rustls::{ConfigBuilder, RootCertStore, WantsVerifier};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
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

/// Serves every connection with `bytes` after a request's head, then closes it.
pub(crate) async fn answering(bytes: impl Into<Vec<u8>>) -> SocketAddr {
    let bytes = bytes.into();
    serve(move |mut stream| {
        let bytes = bytes.clone();
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            // Closing with something unread would reset the connection under the answer.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await
}

/// Reads a request's head, up to and with its empty line; empty if the peer is gone.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return String::new(),
        }
    }
    String::from_utf8(head).unwrap()
}

/// A port that nothing listens on.
pub(crate) async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Speaks HTTP/2 over `io`: answers with the path asked for, after taking in the whole request.
pub(crate) async fn speak_http2<I>(io: I)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = |request: http::Request<Incoming>| async move {
        let path = request.uri().path().to_owned();
        let length = request.into_body().collect().await?.to_bytes().len();
        let mut answer = http::Response::new(Full::new(Bytes::from(format!("{path} {length}"))));
        match path.as_str() {
            "/many" => fill(answer.headers_mut(), 200, 1),
            "/large" => fill(answer.headers_mut(), 20, 4_000),
            "/bomb" => *answer.body_mut() = Full::new(vec![0; 2 << 20].into()),
            _ => {}
        }
        Ok::<_, hyper::Error>(answer)
    };
    let builder = http2::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(io), service_fn(answer)).await;
}

fn fill(headers: &mut HeaderMap, count: usize, size: usize) {
    for number in 0..count {
        let name = HeaderName::try_from(format!("x-{number}")).unwrap();
        headers.insert(name, HeaderValue::try_from("v".repeat(size)).unwrap());
    }
}

/// A server's certificate, signed by itself, and the acceptor that shows it.
pub(crate) struct Identity {
    /// What a client must trust.
    pub(crate) ca: Arc<[CertificateDer<'static>]>,
    /// The same, as a file.
    pub(crate) pem: String,
    /// What the server answers with.
    pub(crate) acceptor: TlsAcceptor,
}

impl Identity {
    /// An identity for `names`, offering `alpn`.
    pub(crate) fn new(names: &[&str], alpn: &[&str]) -> Self {
        Self::made(&for_names(names), alpn, |config, _| config.with_no_client_auth())
    }

    /// An identity whose certificate is made of `params`.
    pub(crate) fn of(params: &CertificateParams) -> Self {
        Self::made(params, &[], |config, _| config.with_no_client_auth())
    }

    /// An identity whose server wants a certificate of the client.
    pub(crate) fn demanding(names: &[&str]) -> Self {
        Self::made(&for_names(names), &[], |config, own| {
            let mut roots = RootCertStore::empty();
            roots.add(own.clone()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.with_client_cert_verifier(verifier.build().unwrap())
        })
    }

    fn made(
        params: &CertificateParams,
        alpn: &[&str],
        verify: impl FnOnce(
            ConfigBuilder<ServerConfig, WantsVerifier>,
            &CertificateDer<'static>,
        ) -> ConfigBuilder<ServerConfig, WantsServerCert>,
    ) -> Self {
        let key = KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        let own = made.der().clone();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = verify(config.unwrap(), &own).with_single_cert(vec![own.clone()], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { ca: [own].into(), pem: made.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    /// Options that trust this identity alone.
    pub(crate) fn trusted(&self) -> TlsOptions {
        TlsOptions { ca: Some(self.ca.clone()), ..TlsOptions::default() }
    }
}

fn for_names(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}
