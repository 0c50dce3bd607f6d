//! Targets that are slow at one thing, a byte at a time: an end within the deadline, and the phase that it was.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use firedrill::sample::{Phase, Reason};
use rstest::rstest;

use crate::hostile::{probe_for, with_usher};
use crate::peer::{closed_port, drip, serve};
use crate::support::Drill;

/// Hears something, says the beginning of an answer, and then a byte now and then.
fn dripping(beginning: &'static [u8], byte: u8) -> SocketAddr {
    serve(move |mut stream, _| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(beginning);
        drip(stream, byte);
    })
}

/// Takes what is sent, a byte now and then.
fn sipping() -> SocketAddr {
    serve(|mut stream, _| {
        while stream.read(&mut [0]).is_ok_and(|count| count > 0) {
            thread::sleep(Duration::from_millis(100));
        }
    })
}

/// What asks a target that is slow at this.
fn step(what: &str) -> String {
    let get = |target: SocketAddr| format!("http: {{ get: 'http://{target}/' }}");
    match what {
        "resolving" => {
            let names = dripping(&[0x40, 0], 0);
            format!(
                "http: {{ get: 'http://shop.test/', network: {{ resolver: 'tcp://{names}', family: ipv4 }} }}"
            )
        }
        "proxying" => {
            let proxy = dripping(b"HTTP/1.1 200 OK\r\nx-slow: ", b'x');
            format!("http: {{ get: 'https://shop.test/', network: {{ proxy: 'http://{proxy}' }} }}")
        }
        "shaking hands" => {
            // A record of 16 KiB with a server's part of the handshake in it.
            let target = dripping(&[22, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc], 3);
            format!("http: {{ get: 'https://{target}/', tls: {{ skip_verify: true }} }}")
        }
        "hearing" => format!("http: {{ post: 'http://{}/', file: large.bin }}", sipping()),
        "saying the status" => get(dripping(b"HTTP/1.1 200 O", b'K')),
        "saying a header" => get(dripping(b"HTTP/1.1 200 OK\r\nx-slow: ", b'x')),
        "saying the body" => get(dripping(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", b'x')),
        "cutting the body" => get(dripping(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", b'x')),
        "giving a token" => {
            let giver = dripping(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n", b'{');
            let auth = "client_id: shop, client_secret: s3cret-word";
            let target = closed_port();
            format!("http: {{ get: 'http://{target}/', oauth2: {{ token_url: 'http://{giver}/', {auth} }} }}")
        }
        other => panic!("nothing is called `{other}`"),
    }
}

#[rstest]
#[case::resolving("resolving", Phase::Resolve)]
#[case::proxying("proxying", Phase::Connect)]
#[case::shaking_hands("shaking hands", Phase::Tls)]
#[case::hearing("hearing", Phase::Send)]
#[case::saying_the_status("saying the status", Phase::Transfer)]
#[case::saying_a_header("saying a header", Phase::Transfer)]
#[case::saying_the_body("saying the body", Phase::Transfer)]
#[case::cutting_the_body("cutting the body", Phase::Transfer)]
#[case::giving_a_token("giving a token", Phase::Transfer)]
fn whatever_is_slow_ends_at_the_deadline(#[case] what: &str, #[case] phase: Phase) {
    let drill = Drill::run(with_usher("1s", &step(what))).file("large.bin", vec![b'x'; 16 << 20]);
    let ended = probe_for(Duration::from_secs(1), drill);
    assert_eq!(ended.exits(1).reasons("probe"), [Reason::Timeout(phase)]);
}
