//! The way to a target: through proxies, by another's name server, with a certificate of our own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use firedrill::sample::Reason;
use rcgen::{CertificateParams, KeyPair};
use rstest::rstest;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::http::{noting, scenario, titles};
use crate::peer::{answer, hear, identity, json, secure, serve};
use crate::support::Ended;

/// What a proxy was asked for.
type Asked = Arc<Mutex<Vec<String>>>;

/// Hands bytes on, both ways, until either end is gone.
fn hand_on(near: TcpStream, far: TcpStream) {
    let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    let up = thread::spawn(move || drop(std::io::copy(&mut from, &mut to)));
    let (mut from, mut to) = (far, near);
    drop(std::io::copy(&mut from, &mut to));
    drop(to.shutdown(std::net::Shutdown::Both));
    drop(up.join());
}

/// A proxy by HTTP: tunnels lead to `target`, whole addresses are answered in its stead.
fn http_proxy(target: SocketAddr) -> (SocketAddr, Asked) {
    let asked = Asked::default();
    let book = Arc::clone(&asked);
    let proxy = serve(move |mut stream, _| {
        let Some(heard) = hear(&mut stream) else { return };
        book.lock()
            .unwrap()
            .push(format!("{} {}", heard.line, heard.header("proxy-authorization")).trim_end().to_owned());
        if !heard.line.starts_with("CONNECT ") {
            drop(stream.write_all(&answer(200, "", "by the proxy")));
            return;
        }
        drop(stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n"));
        hand_on(stream, TcpStream::connect(target).unwrap());
    });
    (proxy, asked)
}

/// A proxy by SOCKS5, which wants a user and a password where these are given; everything leads to `target`.
fn socks_proxy(target: SocketAddr, known: Option<(&'static str, &'static str)>) -> (SocketAddr, Asked) {
    let asked = Asked::default();
    let book = Arc::clone(&asked);
    let proxy = serve(move |mut stream, _| {
        let mut read = |count: usize| {
            let mut bytes = vec![0; count];
            stream.read_exact(&mut bytes).map(|()| bytes).unwrap_or_default()
        };
        let methods = usize::from(read(2).get(1).copied().unwrap_or_default());
        read(methods);
        let mut near = stream.try_clone().unwrap();
        if let Some((user, password)) = known {
            near.write_all(&[5, 2]).unwrap();
            let read = |stream: &mut TcpStream| {
                let mut length = [0];
                stream.read_exact(&mut length).unwrap();
                let mut text = vec![0; usize::from(length[0])];
                stream.read_exact(&mut text).unwrap();
                String::from_utf8(text).unwrap()
            };
            stream.read_exact(&mut [0]).unwrap();
            let said = (read(&mut stream), read(&mut stream));
            let taken = (said.0.as_str(), said.1.as_str()) == (user, password);
            near.write_all(&[1, u8::from(!taken)]).unwrap();
            if !taken {
                return;
            }
        } else {
            near.write_all(&[5, 0]).unwrap();
        }
        let mut head = [0; 4];
        stream.read_exact(&mut head).unwrap();
        let host = if head[3] == 1 {
            let mut address = [0; 4];
            stream.read_exact(&mut address).unwrap();
            std::net::Ipv4Addr::from(address).to_string()
        } else {
            let mut length = [0];
            stream.read_exact(&mut length).unwrap();
            let mut name = vec![0; usize::from(length[0])];
            stream.read_exact(&mut name).unwrap();
            String::from_utf8(name).unwrap()
        };
        let mut port = [0; 2];
        stream.read_exact(&mut port).unwrap();
        book.lock().unwrap().push(format!("{host}:{}", u16::from_be_bytes(port)));
        near.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).unwrap();
        hand_on(stream, TcpStream::connect(target).unwrap());
    });
    (proxy, asked)
}

/// A request for `url` through a proxy.
fn through(url: &str, proxy: &str, more: &str) -> Ended {
    let step =
        format!("  - {{ name: ask, http: {{ get: '{url}', network: {{ proxy: '{proxy}' }}{more} }} }}");
    scenario(&step).go()
}

#[rstest]
#[case::nobody("", "")]
#[case::with_a_password("me:w%3Ard@", "Basic bWU6dzpyZA==")]
fn an_http_proxy_is_asked_for_whole_addresses(#[case] who: &str, #[case] proof: &str) {
    let (target, noted) = noting(|_| json("{}"));
    let (proxy, asked) = http_proxy(target);
    through("http://shop.test/a?b=c", &format!("http://{who}{proxy}"), "").exits(0);
    let wanted = format!("GET http://shop.test/a?b=c {proof}");
    assert_eq!(*asked.lock().unwrap(), [wanted.trim_end()]);
    assert!(noted.lock().unwrap().is_empty(), "the target is the proxy's to ask");
}

#[test]
fn an_http_proxy_is_asked_for_a_tunnel_where_tls_is_spoken() {
    let (pem, server) = identity();
    let target = serve(move |stream, _| {
        let mut stream = secure(stream, &server);
        if hear(&mut stream).is_some() {
            drop(stream.write_all(&answer(200, "", "")));
        }
    });
    let (proxy, asked) = http_proxy(target);
    let step = format!(
        "  - http: {{ get: 'https://shop.test/', tls: {{ ca: ca.pem, server_name: 127.0.0.1 }}, network: {{ proxy: 'http://me:word@{proxy}' }} }}"
    );
    scenario(&step).file("ca.pem", pem).go().exits(0);
    let proof = BASE64_STANDARD.encode("me:word");
    assert_eq!(*asked.lock().unwrap(), [format!("CONNECT shop.test:443 Basic {proof}")]);
}

#[rstest]
#[case::the_name("socks5h://", "http://shop.test/", "shop.test:80")]
#[case::an_address("socks5://", "http://127.0.0.1:8080/", "127.0.0.1:8080")]
fn a_socks_proxy_is_told_where_to_connect(#[case] kind: &str, #[case] url: &str, #[case] told: &str) {
    let (target, noted) = noting(|_| json("{}"));
    let (proxy, asked) = socks_proxy(target, None);
    through(url, &format!("{kind}{proxy}"), "").exits(0);
    assert_eq!(asked.lock().unwrap().last().map(String::as_str), Some(told));
    assert_eq!(noted.lock().unwrap().len(), 1);
}

#[rstest]
#[case::known("me:word@", 0, &[])]
#[case::unknown("me:other@", 1, &["does not accept our user and password"])]
fn a_socks_proxy_knows_who_asks(#[case] who: &str, #[case] exit: i32, #[case] why: &[&str]) {
    let (target, _) = noting(|_| json("{}"));
    let (proxy, _) = socks_proxy(target, Some(("me", "word")));
    let ended = through("http://shop.test/", &format!("socks5h://{who}{proxy}"), "");
    ended.exits(exit);
    let wanted: Vec<_> = why.iter().map(|why| format!("the proxy socks5h://{proxy} {why}")).collect();
    assert_eq!(titles(&ended, "ask"), wanted);
    assert!(!ended.stdout().contains("other"), "{}", ended.stdout());
}

#[rstest]
#[case::refuses(b"HTTP/1.1 403 Forbidden\r\n\r\n", "http", Reason::Connect)]
#[case::is_none(b"220 mail.test ESMTP\r\n\r\n", "http", Reason::Protocol)]
#[case::leaves(b"", "http", Reason::Closed)]
#[case::no_socks(b"HTTP/1.1 400 Bad Request\r\n\r\n", "socks5h", Reason::Protocol)]
#[case::wants_to_know(b"\x05\xff", "socks5h", Reason::Connect)]
#[case::finds_nobody(b"\x05\x00\x05\x05\x00\x01\0\0\0\0\0\0", "socks5h", Reason::Refused)]
#[case::leaves_half_way(b"\x05\x00\x05", "socks5h", Reason::Closed)]
fn a_proxy_that_does_not_connect_gives_one_reason(
    #[case] says: &'static [u8],
    #[case] kind: &str,
    #[case] reason: Reason,
) {
    let proxy = serve(move |mut stream, _| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(says);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        crate::peer::hold(stream);
    });
    let ended = through("https://shop.test/", &format!("{kind}://{proxy}"), "");
    ended.exits(1);
    assert_eq!(ended.reasons("ask"), [reason]);
}

/// A server that lets in only who shows the client's certificate, which it trusts: it and its own as PEM.
fn demanding() -> (Arc<ServerConfig>, String, [String; 2]) {
    let names = || CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let (key, client_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let (own, client) = (names().self_signed(&key).unwrap(), names().self_signed(&client_key).unwrap());
    let mut roots = RootCertStore::empty();
    roots.add(client.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_client_cert_verifier(verifier.build().unwrap());
    let der = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = config.with_single_cert(vec![own.der().clone()], der).unwrap();
    (Arc::new(config), own.pem(), [client.pem(), client_key.serialize_pem()])
}

#[rstest]
#[case::with_its_key("certificate: me.pem, key: key.pem", 0)]
#[case::in_one_file("certificate: both.pem", 0)]
#[case::with_none("skip_verify: false", 1)]
fn a_target_that_asks_who_we_are_is_shown_a_certificate(#[case] tls: &str, #[case] exit: i32) {
    let (server, ca, [certificate, key]) = demanding();
    let target = serve(move |stream, _| {
        let mut stream = secure(stream, &server);
        if hear(&mut stream).is_some() {
            drop(stream.write_all(&answer(200, "", "")));
        }
    });
    let step =
        format!("  - {{ name: ask, http: {{ get: 'https://{target}/', tls: {{ ca: ca.pem, {tls} }} }} }}");
    let drill = scenario(&step).file("ca.pem", ca).file("both.pem", format!("{certificate}{key}"));
    let ended = drill.file("me.pem", certificate).file("key.pem", key).go();
    ended.exits(exit);
    // By TLS 1.3 it is refused only after the handshake: what breaks off then is the connection.
    assert_eq!(ended.reasons("ask").len(), usize::try_from(exit).unwrap());
}
