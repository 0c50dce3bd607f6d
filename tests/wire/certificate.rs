use firedrill::event::Outcome;
use tokio::io::AsyncWriteExt;

use super::peer::{Identity, read_head, serve};
use super::rehearsal::Folder;

/// A page over TLS behind a certificate that holds from and until January of these years; its port and its PEM.
async fn page(from: i32, until: i32) -> (u16, String) {
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let identity = Identity::of(&params);
    let (acceptor, pem) = (identity.acceptor, identity.pem);
    let address = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            read_head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    (address.port(), pem)
}

#[tokio::test]
async fn a_certificate_that_holds_is_as_expected() {
    let (port, pem) = page(2026, 2999).await;
    let steps = format!(
        "- http: {{ get: 'https://localhost:{port}', tls: {{ ca: ca.pem }} }}
  expect: {{ certificate: {{ days: at least 14, names: contains localhost, issuer: contains rcgen }} }}
- tcp: {{ address: 'localhost:{port}', tls: {{ ca: ca.pem }} }}
  expect: {{ certificate: {{ days: under 14 }} }}"
    );
    let run = Folder::new("certificate_holds").with("ca.pem", pem).run(&steps, &[]).await;
    assert_eq!(run.outcomes(), [Outcome::Passed, Outcome::Failed]);
    assert!(run.failures()[0].starts_with("tls: the number of days the certificate holds is "));
    for (_, evidence) in run.attempts() {
        assert_eq!(evidence.certificate_until.as_deref(), Some("2999-01-01T00:00:00Z"));
    }
}

#[tokio::test]
async fn an_expired_certificate_fails_the_handshake_and_still_says_since_when() {
    let (port, pem) = page(2020, 2021).await;
    let steps = format!(
        "- http: {{ get: 'https://localhost:{port}', tls: {{ ca: ca.pem }} }}
  expect: {{ certificate: {{ days: at least 14 }} }}"
    );
    let run = Folder::new("certificate_expired").with("ca.pem", pem).run(&steps, &[]).await;
    let failures = run.failures();
    assert!(failures[0].contains("certificate expired"), "{failures:?}");
    assert!(failures[1].starts_with("tls: the number of days the certificate holds is -"), "{failures:?}");
    assert_eq!(run.attempts()[0].1.certificate_until.as_deref(), Some("2021-01-01T00:00:00Z"));
}

#[tokio::test]
async fn an_answer_in_clear_has_no_certificate_to_expect() {
    let address = super::peer::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let steps = format!(
        "- http: {{ get: 'http://{address}' }}\n  expect: {{ certificate: {{ days: at least 14 }} }}"
    );
    let run = Folder::new("certificate_absent").run(&steps, &[]).await;
    assert_eq!(
        run.failures(),
        [
            "tls: the peer has shown no certificate: the connection is not over TLS, or ended before one was shown"
        ]
    );
}
