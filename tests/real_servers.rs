//! firedrill against the servers its users have: nginx, Redis, Prometheus and Alertmanager, as they come from `PATH`.
#![cfg(test)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;

use rstest::rstest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use support::{Nginx, PATIENCE, Prometheus, Redis};

mod alertmanager;
mod audit;
mod names;
mod phases;
mod sent;
mod support;

#[rstest]
#[case::page("/", &["HTTP/1.1 200 OK", "Content-Type: text/html", "Welcome to the shop"])]
#[case::json("/status.json", &["HTTP/1.1 200 OK", "Content-Type: application/json", "{\"status\": \"healthy\""])]
#[case::zipped("/text.txt", &["HTTP/1.1 200 OK", "Content-Encoding: gzip"])]
#[case::redirected("/r1", &["HTTP/1.1 302", "Location: /r2\r\n"])]
#[case::redirected_again("/r2", &["HTTP/1.1 302", "Location: /final\r\n"])]
#[case::arrived("/final", &["HTTP/1.1 200 OK", "Content-Type: text/html", "You have arrived"])]
#[case::absent("/nowhere", &["HTTP/1.1 404"])]
#[ignore = "needs nginx"]
fn nginx_serves_its_pages_plain_and_over_tls(#[case] path: &str, #[case] parts: &[&str]) {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = Nginx::start(upstream.local_addr().unwrap()).unwrap();
    let plain = get(&mut connect(nginx.http).unwrap(), path).unwrap();
    let tls = get(&mut secure(&nginx).unwrap(), path).unwrap();
    for part in parts {
        assert!(plain.contains(part), "`{part}` is not in {plain}");
        assert!(tls.contains(part), "`{part}` is not in {tls}");
    }
}

#[rstest]
#[case::real("scenarios/real")]
#[case::stack("scenarios/shop.yaml")]
#[case::names("scenarios/probes/dns.yaml")]
#[case::certificates("scenarios/probes/tls.yaml")]
#[case::queries("scenarios/probes/promql.yaml")]
#[case::etcd("scenarios/probes/grpc.yaml")]
#[case::logs_of_a_service("scenarios/probes/service-logs.yaml")]
#[ignore = "needs nginx, redis-server, prometheus, prometheus-alertmanager, dnsmasq, openssl and etcd"]
fn a_scenario_starts_its_own_servers(#[case] scenario: &str) {
    let run = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["run", "--no-save", "--runtime", "processes", scenario])
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert_eq!(run.status.code(), Some(0), "{out}\n{err}");
    assert!(out.lines().any(|line| line.starts_with("PASS")), "{out}");
}

#[test]
#[ignore = "needs nginx"]
fn nginx_hands_websockets_on() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let nginx = Nginx::start(upstream.local_addr().unwrap()).unwrap();
    let mut client = connect(nginx.http).unwrap();
    let request = "GET /ws HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();

    let (mut server, _) = upstream.accept().unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = read_until(&mut server, "\r\n\r\n").unwrap();
    assert!(head.contains("Upgrade: websocket\r\n"), "{head}");
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    server.write_all(answer.as_bytes()).unwrap();
    let head = read_until(&mut client, "\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");

    client.write_all(b"ping.").unwrap();
    assert_eq!(read_until(&mut server, ".").unwrap(), "ping.");
    server.write_all(b"pong.").unwrap();
    assert_eq!(read_until(&mut client, ".").unwrap(), "pong.");
}

#[test]
#[ignore = "needs redis-server"]
fn redis_answers_a_ping() {
    let redis = Redis::start().unwrap();
    let mut stream = connect(redis.address).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    assert_eq!(read_until(&mut stream, "\r\n").unwrap(), "+PONG\r\n");
}

#[test]
#[ignore = "needs prometheus"]
fn prometheus_is_ready() {
    let prometheus = Prometheus::start().unwrap();
    let answer = get(&mut connect(prometheus.address).unwrap(), "/-/ready").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[test]
#[ignore = "needs redis-server"]
fn a_server_ends_with_its_guard() {
    let redis = Redis::start().unwrap();
    let mut stream = connect(redis.address).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    assert_eq!(read_until(&mut stream, "\r\n").unwrap(), "+PONG\r\n");
    drop(redis);
    assert_eq!(read_until(&mut stream, "\r\n").unwrap(), "", "the connection closes");
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A connection by TLS that trusts nothing but the certificate nginx was given.
fn secure(nginx: &Nginx) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(nginx.certificate()).map_err(io::Error::other)?;
    roots.add(certificate).map_err(io::Error::other)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::from(nginx.https.ip());
    let session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(session, connect(nginx.https)?))
}

/// All that is answered to a request for `path`, unzipped or not.
fn get(stream: &mut (impl Read + Write), path: &str) -> io::Result<String> {
    let head = "Host: localhost\r\nAccept-Encoding: gzip\r\nConnection: close";
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// What is sent up to and with `end`, or until the connection closes.
fn read_until(stream: &mut impl Read, end: &str) -> io::Result<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(end.as_bytes()) && stream.read(&mut byte)? > 0 {
        text.extend(byte);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
