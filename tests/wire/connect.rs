//! The connector against peers that refuse, stall, or show the wrong certificate.

use std::net::SocketAddr;

use crate::peer::{Identity, closed_port, patient, serve, short};
use firedrill::probe::connect::{Authority, Connection, Failure, Options, TlsOptions, open};
use firedrill::sample::{Phase, Reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn at(address: SocketAddr) -> Authority {
    address.to_string().parse().unwrap()
}

async fn over_tls(to: &Authority, tls: TlsOptions) -> Result<Connection, Box<Failure>> {
    open(to, true, &Options { tls, ..Options::default() }, &patient()).await
}

/// A TLS server that says `hi` to whoever completes the handshake.
async fn tls_greeter(names: &[&str], alpn: &[&str]) -> (SocketAddr, Identity) {
    let identity = Identity::new(names, alpn);
    let acceptor = identity.acceptor.clone();
    let address = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.write_all(b"hi").await;
                let _ = stream.shutdown().await;
            }
        }
    })
    .await;
    (address, identity)
}

#[tokio::test]
async fn a_closed_port_is_refused_with_its_connect_time() {
    let address = closed_port().await;
    let failure = open(&at(address), false, &Options::default(), &patient()).await.unwrap_err();
    assert_eq!(failure.cause.reason, Reason::Refused);
    assert_eq!(failure.cause.message, format!("connection refused by {address}"));
    assert_eq!(failure.trail.peer, Some(address));
    assert!(failure.trail.phases.get(Phase::Connect).is_some());
    assert!(failure.trail.phases.get(Phase::Resolve).is_none(), "a literal address is not resolved");
}

#[tokio::test]
async fn a_name_is_resolved_and_every_address_tried() {
    let address = serve(|_| async {}).await;
    let to = format!("localhost:{}", address.port()).parse().unwrap();
    let connection = open(&to, false, &Options::default(), &patient()).await.unwrap();
    assert_eq!(connection.trail.peer, Some(address));
    assert!(connection.trail.phases.get(Phase::Resolve).is_some());
    assert!(connection.stream.session().is_none());
}

#[tokio::test]
async fn a_name_nobody_has_is_a_dns_failure() {
    // A label over 63 octets cannot be asked for, so no resolver can answer it.
    let to = format!("{}.invalid:80", "a".repeat(70)).parse().unwrap();
    let failure = open(&to, false, &Options::default(), &patient()).await.unwrap_err();
    assert_eq!(failure.cause.reason, Reason::Dns);
    assert!(failure.trail.phases.get(Phase::Resolve).is_some());
}

#[tokio::test]
async fn a_pinned_address_is_used_without_resolving() {
    let address = serve(|_| async {}).await;
    let options = Options { address: Some(address), ..Options::default() };
    let connection = open(&"shop.invalid:443".parse().unwrap(), false, &options, &patient()).await.unwrap();
    assert_eq!(connection.trail.peer, Some(address));
    assert!(connection.trail.phases.get(Phase::Resolve).is_none());
}

#[tokio::test]
async fn a_trusted_certificate_opens_a_connection_that_carries_bytes() {
    let (address, identity) = tls_greeter(&["127.0.0.1"], &["http/1.1"]).await;
    let tls = TlsOptions { alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()], ..identity.trusted() };
    let mut connection = over_tls(&at(address), tls).await.unwrap();
    let mut said = String::new();
    connection.stream.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "hi");
    assert_eq!(connection.trail.alpn.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(connection.trail.chain, identity.ca.to_vec());
    assert!(connection.trail.phases.get(Phase::Tls).is_some());
}

#[tokio::test]
async fn an_unknown_authority_is_a_tls_failure_that_keeps_the_certificate() {
    let (address, identity) = tls_greeter(&["127.0.0.1"], &[]).await;
    let stranger = Identity::new(&["127.0.0.1"], &[]);
    let failure = over_tls(&at(address), stranger.trusted()).await.unwrap_err();
    assert_eq!(failure.cause.reason, Reason::Tls);
    assert_eq!(failure.trail.chain, identity.ca.to_vec());
    assert!(failure.trail.phases.get(Phase::Connect).is_some());
    assert!(failure.trail.phases.get(Phase::Tls).is_some());
}

#[tokio::test]
async fn the_machine_does_not_trust_what_signs_itself() {
    let (address, identity) = tls_greeter(&["127.0.0.1"], &[]).await;
    let failure = over_tls(&at(address), TlsOptions::default()).await.unwrap_err();
    assert_eq!(failure.cause.reason, Reason::Tls);
    assert_eq!(failure.trail.chain, identity.ca.to_vec(), "{}", failure.cause);
}

#[tokio::test]
async fn another_name_is_a_tls_failure_unless_it_is_asked_for() {
    let (address, identity) = tls_greeter(&["shop.test"], &[]).await;
    let failure = over_tls(&at(address), identity.trusted()).await.unwrap_err();
    assert_eq!(failure.cause.reason, Reason::Tls);
    let named = TlsOptions { server_name: Some("shop.test".into()), ..identity.trusted() };
    assert!(over_tls(&at(address), named).await.is_ok());
}

#[tokio::test]
async fn verification_can_be_skipped() {
    let (address, identity) = tls_greeter(&["elsewhere.test"], &[]).await;
    let tls = TlsOptions { skip_verify: true, ..TlsOptions::default() };
    let connection = over_tls(&at(address), tls).await.unwrap();
    assert_eq!(connection.trail.chain, identity.ca.to_vec());
}

#[tokio::test]
async fn a_handshake_that_stops_half_way_times_out_in_tls() {
    let address = serve(|mut stream| async move {
        let mut hello = [0; 64];
        let _ = stream.read(&mut hello).await;
        // The head of a TLS record that never comes.
        let _ = stream.write_all(&[22, 3, 3, 1, 0]).await;
        std::future::pending::<()>().await;
    })
    .await;
    let options =
        Options { tls: TlsOptions { skip_verify: true, ..TlsOptions::default() }, ..Options::default() };
    let failure = open(&at(address), true, &options, &short()).await.unwrap_err();
    assert_eq!(failure.cause.reason, Reason::Timeout(Phase::Tls));
    assert!(failure.trail.phases.get(Phase::Tls).is_some());
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_is_a_tls_failure() {
    let address = serve(|mut stream| async move {
        let _ = stream.write_all(b"220 mail.test ESMTP\r\n").await;
        let _ = stream.read(&mut [0; 1024]).await;
    })
    .await;
    let tls = TlsOptions { skip_verify: true, ..TlsOptions::default() };
    let failure = over_tls(&at(address), tls).await.unwrap_err();
    assert_eq!(failure.cause.reason, Reason::Tls);
}

#[tokio::test]
async fn a_name_no_certificate_can_carry_fails_before_connecting() {
    let tls = TlsOptions { server_name: Some("not a name".into()), ..TlsOptions::default() };
    let failure = over_tls(&at(closed_port().await), tls).await.unwrap_err();
    assert_eq!(failure.cause.reason, Reason::Tls);
    assert_eq!(failure.cause.message, "`not a name` is not a name a certificate can carry");
    assert_eq!(failure.trail.peer, None);
}
