//! TLS handshakes with certificates that hold and that do not, and with peers that never come to show one.

use std::net::SocketAddr;
use std::sync::Arc;

use firedrill::event::Outcome;
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rstest::rstest;
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::peer::serve;
use super::rehearsal::{Folder, Rehearsed};

/// Certificates as an authority would issue them: a root, one in between, and a shop's.
struct Issued {
    root: Certificate,
    between: Certificate,
    leaf: Certificate,
    key: KeyPair,
}

impl Issued {
    /// For `localhost`, good for the January of these years.
    fn new(from: i32, until: i32) -> Self {
        let authority = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, name);
            (params, KeyPair::generate().unwrap())
        };
        let (root_params, root_key) = authority("Drill Root");
        let (between_params, between_key) = authority("Drill Issuing");
        let root = root_params.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(root_params, root_key);
        let between = between_params.signed_by(&between_key, &root_issuer).unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "shop");
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &Issuer::new(between_params, between_key)).unwrap();
        Self { root, between, leaf, key }
    }

    /// Accepts with the leaf, and with what was issued in between if `whole`.
    fn acceptor(&self, whole: bool) -> TlsAcceptor {
        let mut chain = vec![self.leaf.der().clone()];
        chain.extend(whole.then(|| self.between.der().clone()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der()).into();
        let config = config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A server that shakes hands after it has said and heard what stands in clear.
async fn server(acceptor: TlsAcceptor, in_clear: &'static [(&'static str, &'static str)]) -> SocketAddr {
    serve(move |mut stream| {
        let acceptor = acceptor.clone();
        async move {
            for (heard, said) in in_clear {
                let mut room = vec![0; heard.len()];
                if stream.read_exact(&mut room).await.is_err()
                    || stream.write_all(said.as_bytes()).await.is_err()
                {
                    return;
                }
            }
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read_u8().await;
            }
        }
    })
    .await
}

/// What a step with `rest` of the way to a server at `port` of localhost comes to, with `root` to trust.
async fn shaken(at: SocketAddr, root: &Certificate, rest: &str, expect: &str) -> Rehearsed {
    let steps = format!(
        "- tls: {{ address: 'localhost:{}', ca: ca.pem{rest} }}\n  timeout: 2s\n  expect: {{ {expect} }}",
        at.port()
    );
    Folder::new(&format!("tls_{}", at.port())).with("ca.pem", root.pem()).run(&steps, &[]).await
}

#[tokio::test]
async fn a_certificate_that_holds_is_read_whole() {
    let issued = Issued::new(2026, 2999);
    let at = server(issued.acceptor(true), &[]).await;
    let expect = "version: TLS1.3, phases: { tls: under 2s }, latency: under 2s, certificate: { chain: 2, \
                  days: at least 14, names: contains localhost, subject: contains shop, issuer: contains Issuing }";
    let run = shaken(at, &issued.root, "", expect).await;
    assert_eq!(run.failures(), Vec::<String>::new());
    let (_, evidence) = run.attempts()[0];
    assert_eq!(evidence.certificate_until.as_deref(), Some("2999-01-01T00:00:00Z"));
    assert!(evidence.state.as_deref().unwrap().starts_with("TLS1.3, TLS13_"), "{:?}", evidence.state);
    let body = evidence.body.as_deref().unwrap();
    for part in [
        "CN=shop\n  issued by",
        "CN=Drill Issuing, number",
        "for localhost\n",
        "from 2026-01-01T00:00:00Z until",
    ] {
        assert!(body.contains(part), "`{part}` is not in {body}");
    }
}

#[rstest]
#[case::expired(2020, 2021, "certificate expired", "2021-01-01T00:00:00Z")]
#[case::not_yet_valid(2998, 2999, "certificate not valid yet", "2999-01-01T00:00:00Z")]
#[tokio::test]
async fn a_certificate_out_of_its_time_fails_and_is_read(
    #[case] from: i32,
    #[case] until: i32,
    #[case] why: &str,
    #[case] end: &str,
) {
    let issued = Issued::new(from, until);
    let at = server(issued.acceptor(true), &[]).await;
    let run = shaken(at, &issued.root, "", "certificate: { days: between 0 and 1000 }").await;
    let failures = run.failures();
    assert!(failures[0].starts_with("tls: ") && failures[0].contains(why), "{failures:?}");
    assert!(failures[1].starts_with("tls: the number of days the certificate holds is "), "{failures:?}");
    assert_eq!(run.attempts()[0].1.certificate_until.as_deref(), Some(end));
}

#[tokio::test]
async fn an_expired_certificate_can_be_expected() {
    let issued = Issued::new(2020, 2021);
    let at = server(issued.acceptor(true), &[]).await;
    let run = shaken(at, &issued.root, ", skip_verify: true", "certificate: { days: under 0 }").await;
    assert_eq!(run.outcomes(), [Outcome::Passed]);
}

#[tokio::test]
async fn a_broken_chain_says_who_is_missing() {
    let issued = Issued::new(2026, 2999);
    let at = server(issued.acceptor(false), &[]).await;
    let run = shaken(at, &issued.root, "", "certificate: { chain: 1 }").await;
    assert_eq!(run.failures(), ["tls: invalid peer certificate: UnknownIssuer"]);
    let help = run.attempts()[0].0[0].drawing.help.clone().unwrap();
    assert_eq!(
        help,
        "the chain ends with what `CN=Drill Issuing` has issued, and nobody trusted is called so"
    );
}

#[tokio::test]
async fn a_certificate_signed_by_itself_says_so() {
    let identity = super::peer::Identity::new(&["localhost"], &[]);
    let at = server(identity.acceptor, &[]).await;
    let run = shaken(at, &Issued::new(2026, 2999).root, "", "certificate: { days: at least 14 }").await;
    assert_eq!(run.failures(), ["tls: invalid peer certificate: UnknownIssuer"]);
    let help = run.attempts()[0].0[0].drawing.help.clone().unwrap();
    assert!(help.ends_with("is signed by itself: trust it by `ca`, if it is to be trusted"), "{help}");
}

#[tokio::test]
async fn a_certificate_for_another_name_fails_and_is_read() {
    let issued = Issued::new(2026, 2999);
    let at = server(issued.acceptor(true), &[]).await;
    let run =
        shaken(at, &issued.root, ", server_name: bank.test", "certificate: { names: contains bank.test }")
            .await;
    let failures = run.failures();
    assert!(failures[0].starts_with("tls: ") && failures[0].contains("bank.test"), "{failures:?}");
    assert_eq!(
        failures[1],
        "tls: the list of names of the certificate is [\"localhost\"], expected contains bank.test"
    );
}

/// A step of a kind that speaks over TLS, and trusts what is in `ca.pem`.
fn step(kind: &str, host: &str, port: u16) -> String {
    let tls = "tls: { ca: ca.pem }";
    match kind {
        "http" | "health" | "ready" | "metrics" | "websocket" => {
            let key = if kind == "http" { "get" } else { "url" };
            let scheme = if kind == "websocket" { "wss" } else { "https" };
            format!("- {kind}: {{ {key}: '{scheme}://{host}:{port}/', {tls} }}")
        }
        "tcp" => format!("- tcp: {{ address: '{host}:{port}', {tls} }}"),
        other => panic!("no step is called `{other}`"),
    }
}

#[rstest]
#[case::expired("expired", "certificate expired")]
#[case::not_yet_valid("early", "certificate not valid yet")]
#[case::signed_by_itself("own", "UnknownIssuer")]
#[case::another_name("name", "certificate not valid for name \"127.0.0.1\"")]
#[case::broken_chain("broken", "UnknownIssuer")]
#[tokio::test]
async fn a_bad_certificate_is_one_failure_of_every_kind_of_step(
    #[case] defect: &str,
    #[case] why: &str,
    #[values("http", "health", "ready", "metrics", "websocket", "tcp")] kind: &str,
) {
    let years = match defect {
        "expired" => (2020, 2021),
        "early" => (2998, 2999),
        _ => (2026, 2999),
    };
    let issued = Issued::new(years.0, years.1);
    let acceptor = match defect {
        "own" => super::peer::Identity::new(&["localhost"], &[]).acceptor,
        _ => issued.acceptor(defect != "broken"),
    };
    let at = server(acceptor, &[]).await;
    let host = if defect == "name" { "127.0.0.1" } else { "localhost" };
    let folder = Folder::new(&format!("bad_certificate_{}", at.port())).with("ca.pem", issued.root.pem());
    let run = folder.run(&step(kind, host, at.port()), &[]).await;
    let failures = run.failures();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].starts_with("tls: ") && failures[0].contains(why), "{failures:?}");
    assert!(run.attempts()[0].1.certificate_until.is_some());
}

#[tokio::test]
async fn another_version_is_a_breach() {
    let issued = Issued::new(2026, 2999);
    let at = server(issued.acceptor(true), &[]).await;
    let run = shaken(at, &issued.root, "", "version: TLS1.2").await;
    assert_eq!(run.failures(), ["tls: the version of TLS is \"TLS1.3\", expected \"TLS1.2\""]);
}

/// Reads the beginning of a handshake, says `answer`, and stays or leaves.
async fn half_way(answer: &'static str, stays: bool) -> SocketAddr {
    serve(move |mut stream: TcpStream| async move {
        let mut hello = vec![0; 64];
        let _ = stream.read(&mut hello).await;
        let _ = stream.write_all(answer.as_bytes()).await;
        if stays {
            std::future::pending::<()>().await;
        }
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

#[rstest]
#[case::stops("\x16\x03\x03\x00\x7a\x02\x00", true, "timeout(tls): 2s passed while shaking hands over TLS")]
#[case::leaves("\x16\x03\x03\x00\x7a\x02\x00", false, "tls: tls handshake eof")]
#[case::speaks_http("HTTP/1.1 400 Bad Request\r\n\r\n", true, "tls: received corrupt message")]
#[case::alerts("\x15\x03\x03\x00\x02\x02\x28", true, "tls: received fatal alert: ")]
#[tokio::test]
async fn a_handshake_that_stops_half_way_fails_for_one_reason(
    #[case] answer: &'static str,
    #[case] stays: bool,
    #[case] failure: &str,
) {
    let at = half_way(answer, stays).await;
    let run = shaken(at, &Issued::new(2026, 2999).root, "", "certificate: { days: at least 14 }").await;
    let failures = run.failures();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].starts_with(failure), "{failures:?}");
}

#[rstest]
#[case::smtp("smtp", &[
    ("", "220 mail.test\r\n"),
    ("EHLO localhost\r\n", "250-mail.test\r\n250 STARTTLS\r\n"),
    ("STARTTLS\r\n", "220 go\r\n"),
])]
#[case::imap("imap", &[("", "* OK mail.test\r\n"), ("a1 STARTTLS\r\n", "a1 OK go\r\n")])]
#[case::pop3("pop3", &[("", "+OK mail.test\r\n"), ("STLS\r\n", "+OK go\r\n")])]
#[case::postgres("postgres", &[("........", "S")])]
#[tokio::test]
async fn tls_begins_where_it_is_asked_for(
    #[case] protocol: &str,
    #[case] in_clear: &'static [(&'static str, &'static str)],
) {
    let issued = Issued::new(2026, 2999);
    let at = server(issued.acceptor(true), in_clear).await;
    let run =
        shaken(at, &issued.root, &format!(", starttls: {protocol}"), "certificate: { days: at least 14 }")
            .await;
    assert_eq!(run.failures(), Vec::<String>::new());
    let (_, evidence) = run.attempts()[0];
    assert_eq!(evidence.hops[0].method, format!("TLS after {protocol}"));
    assert!(!evidence.exchange.is_empty());
}

#[rstest]
#[case::refuses(&[("", "220 mail.test\r\n"), ("EHLO localhost\r\n", "250 SIZE\r\n")], "tls: the server does not offer STARTTLS")]
#[case::garbage(&[("", "SSH-2.0-OpenSSH_9\r\n")], "protocol: `SSH-2.0-OpenSSH_9` is no answer of smtp")]
#[case::silent(&[("x", "")], "timeout(exchange): 2s passed while exchanging messages")]
#[case::goes_on_in_clear(
    &[("", "220 a\r\n"), ("EHLO localhost\r\n", "250 STARTTLS\r\n"), ("STARTTLS\r\n", "220 go\r\n250 injected\r\n")],
    "tls: received corrupt message"
)]
#[tokio::test]
async fn a_bad_peer_fails_before_tls_for_one_reason(
    #[case] in_clear: &'static [(&'static str, &'static str)],
    #[case] failure: &str,
) {
    let issued = Issued::new(2026, 2999);
    let at = server(issued.acceptor(true), in_clear).await;
    let run = shaken(at, &issued.root, ", starttls: smtp", "certificate: { days: at least 14 }").await;
    let failures = run.failures();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].starts_with(failure), "{failures:?}");
}
