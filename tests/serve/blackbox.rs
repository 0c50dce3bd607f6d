//! `/probe` beside the real `blackbox_exporter`: the same modules on the same targets.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use firedrill::exposition::{Family, Labels};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

use super::*;

/// A program, killed with its guard.
pub(super) struct Running(Child, pub(super) SocketAddr);

impl Running {
    /// `blackbox_exporter` with this configuration.
    fn blackbox(folder: &Path) -> Self {
        let address = free();
        let mut command = Command::new("prometheus-blackbox-exporter");
        command.arg("--config.file=blackbox.yml").arg(format!("--web.listen-address={address}"));
        Self::start(command.current_dir(folder), address)
    }

    pub(super) fn start(command: &mut Command, address: SocketAddr) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (running, began) = (Self(child, address), Instant::now());
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < PATIENCE, "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address that nobody listens at now.
pub(super) fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A server's own certificate, by an authority whose certificate is in `ca.pem`.
pub(super) fn certified(folder: &Path) -> Arc<ServerConfig> {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "Test authority, of firedrill");
    authority.distinguished_name.push(DnType::OrganizationName, "Fire \"drill\" + friends");
    authority.not_after = rcgen::date_time_ymd(2037, 1, 2);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    let names = ["shop.test".to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut own = CertificateParams::new(names).unwrap();
    own.distinguished_name.push(DnType::CommonName, "shop.test");
    own.distinguished_name.push(DnType::OrganizationalUnitName, "Till");
    own.distinguished_name.push(DnType::CountryName, "UA");
    own.not_after = rcgen::date_time_ymd(2036, 3, 4);
    let key = KeyPair::generate().unwrap();
    let certificate = own.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap())
}

/// Serves each connection by itself, until the test ends.
pub(super) fn serve(answer: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(PATIENCE));
                let _ = answer(stream);
            });
        }
    });
    address
}

/// Answers a request over TLS.
pub(super) fn secured(config: Arc<ServerConfig>, answer: &'static str) -> SocketAddr {
    serve(move |mut stream| {
        let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut tls = rustls::Stream::new(&mut session, &mut stream);
        let _ = tls.read(&mut [0; 4096])?;
        tls.write_all(answer.as_bytes())?;
        tls.conn.send_close_notify();
        tls.flush()
    })
}

/// A mail server: greets, begins TLS when asked to, and greets again.
fn mail(config: Arc<ServerConfig>) -> SocketAddr {
    serve(move |mut stream| {
        stream.write_all(b"220 mail.test ESMTP\r\n")?;
        let mut lines = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        stream.write_all(b"250-mail.test\r\n250 STARTTLS\r\n")?;
        lines.read_line(&mut line)?;
        stream.write_all(b"220 go ahead\r\n")?;
        let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut tls = rustls::Stream::new(&mut session, &mut stream);
        let _ = tls.read(&mut [0; 4096])?;
        tls.write_all(b"250 hello again\r\n")?;
        let _ = tls.read(&mut [0; 4096])?;
        Ok(())
    })
}

/// Says what it is, answers a ping with what it carried, and waits.
fn chat() -> SocketAddr {
    serve(|mut stream| {
        stream.write_all(b"hello\nPING 4711 x\n")?;
        let mut lines = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        stream.write_all(if line == "PONG 4711\n" { b"well\n" } else { b"ill\n" })?;
        lines.read_line(&mut line).map(drop)
    })
}

/// Every series of a page, with its value where that does not depend on the time it took. What newer versions than
/// Debian's have is left out: the cipher, and the certificate's number; and the hops of an echo, which we do not see.
fn series(families: &[Family]) -> Vec<(String, Labels, Option<String>)> {
    let newer = ["probe_tls_cipher_info", "probe_icmp_reply_hop_limit"];
    let samples = families.iter().flat_map(|family| &family.samples);
    let mut all: Vec<_> = samples
        .filter(|sample| !newer.contains(&sample.name.as_str()))
        .map(|sample| {
            let timed = sample.name.contains("duration") || sample.name.contains("lookup_time");
            let mut labels = sample.labels.clone();
            labels.remove("serialnumber");
            (sample.name.clone(), labels, (!timed).then(|| sample.value.to_string()))
        })
        .collect();
    all.sort();
    all
}

const MODULES: &str = r#"
modules:
  http_2xx: { prober: http }
  http_post_2xx: { prober: http, http: { method: POST } }
  tcp_connect: { prober: tcp }
  four: { prober: http, http: { preferred_ip_protocol: ip4, ip_protocol_fallback: no } }
  teapot: { prober: http, http: { valid_status_codes: [418, 500] } }
  still: { prober: http, http: { follow_redirects: false, valid_status_codes: [302] } }
  older: { prober: http, http: { no_follow_redirects: true } }
  http2: { prober: http, http: { valid_http_versions: ["HTTP/2.0"] } }
  http11: { prober: http, http: { valid_http_versions: ["HTTP/1.1"] } }
  not_ssl: { prober: http, http: { fail_if_not_ssl: true } }
  ok: { prober: http, http: { fail_if_body_not_matches_regexp: ["^ok$"] } }
  not_ok: { prober: http, http: { fail_if_body_matches_regexp: ['o\w'] } }
  length: { prober: http, http: { fail_if_header_not_matches: [{ header: content-length, regexp: "^2$" }] } }
  no_length: { prober: http, http: { fail_if_header_matches: [{ header: Content-Length, regexp: '\d' }] } }
  missing: { prober: http, http: { fail_if_header_matches: [{ header: X-None, regexp: 'a' }] } }
  may_miss: { prober: http, http: { fail_if_header_matches: [{ header: X-None, regexp: 'a', allow_missing: true }] } }
  echo_host:
    prober: http
    http:
      headers: { Host: shop.test, X-Number: 007 }
      basic_auth: { username: a, password: b }
      fail_if_body_not_matches_regexp: ['(?i)\nhost: shop\.test\r\n', '(?i)x-number: 007', 'Basic YTpi']
  post_body: { prober: http, http: { method: PUT, body: '{"a":1}', fail_if_body_not_matches_regexp: ['{"a":1}$'] } }
  ssl: { prober: http, http: { tls_config: { ca_file: ca.pem } } }
  ssl_never: { prober: http, http: { fail_if_ssl: true, tls_config: { ca_file: ca.pem } } }
  ssl_any: { prober: http, http: { tls_config: { insecure_skip_verify: true } } }
  tcp_tls: { prober: tcp, tcp: { tls: true, tls_config: { ca_file: ca.pem } } }
  chat:
    prober: tcp
    tcp:
      query_response:
        - expect: "^PING ([0-9]+)"
          send: "PONG ${1}"
        - expect: "^well$"
  chat_ill: { prober: tcp, tcp: { query_response: [{ expect: "^220" }] }, timeout: 2s }
  starttls:
    prober: tcp
    tcp:
      tls_config: { ca_file: ca.pem, server_name: shop.test }
      query_response:
        - expect: "^220 ([^ ]+) ESMTP"
        - send: "EHLO prober"
        - expect: "^250 STARTTLS"
        - send: STARTTLS
        - expect: "^220"
        - starttls: true
        - send: "EHLO prober"
        - expect: "^250"
  icmp: { prober: icmp, icmp: { preferred_ip_protocol: ip4 } }
  dns_a: { prober: dns, dns: { query_name: shop.test, query_type: A, preferred_ip_protocol: ip4 } }
  dns_tcp: { prober: dns, dns: { query_name: shop.test, query_type: A, transport_protocol: tcp } }
  dns_none: { prober: dns, dns: { query_name: none.shop.test, query_type: A } }
  dns_valid: { prober: dns, dns: { query_name: none.shop.test, query_type: A, valid_rcodes: [NXDOMAIN] } }
  dns_soa: { prober: dns, dns: { query_name: shop.test, query_type: SOA } }
  dns_records:
    prober: dns
    dns:
      query_name: shop.test
      query_type: A
      validate_answer_rrs:
        fail_if_not_matches_regexp: ['^shop\.test\.\t[0-9]+\tIN\tA\t']
        fail_if_none_matches_regexp: ['\t10\.0\.0\.1$']
  dns_bad: { prober: dns, dns: { query_name: shop.test, query_type: A, validate_answer_rrs: { fail_if_matches_regexp: ['10\.'] } } }
  dns_udp_tls: { prober: dns, dns: { query_name: shop.test, dns_over_tls: true } }
  grpc: { prober: grpc, grpc: { preferred_ip_protocol: ip4 } }
  grpc_none: { prober: grpc, grpc: { service: shop.Cart } }
"#;

/// Both, with the same modules.
fn both(name: &str) -> (Folder, Serving, Running, Arc<ServerConfig>) {
    let folder = Folder::new(name);
    fs::write(folder.0.join("blackbox.yml"), MODULES).unwrap();
    let config = certified(&folder.0);
    let allow = ["--probe-allow-net", "127.0.0.0/8", "--blackbox-config", "blackbox.yml"];
    let ours = serving_one(&folder, &allow);
    let theirs = Running::blackbox(&folder.0);
    (folder, ours, theirs, config)
}

/// Both are asked the same, and say the same.
fn compare(ours: &Serving, theirs: &Running, asked: &[(String, &str, bool)]) {
    for (target, module, succeeds) in asked {
        let (ours, theirs) = (probe(ours.address, target, module), probe(theirs.1, target, module));
        assert_eq!(series(&ours), series(&theirs), "{module} {target}: ours, theirs");
        assert_eq!(
            value(&ours, "probe_success", &[]),
            Some(f64::from(u8::from(*succeeds))),
            "{module} {target}"
        );
    }
}

#[test]
#[ignore = "needs prometheus-blackbox-exporter"]
fn requests_give_the_series_that_blackbox_exporter_gives() {
    let (_folder, ours, theirs, config) = both("blackbox-http");
    let well = target(WELL).to_string();
    let closed = free().to_string();
    let modified =
        "HTTP/1.1 200 OK\r\nlast-modified: Tue, 24 Nov 2026 23:38:30 GMT\r\nconnection: close\r\n\r\nendless";
    let echo = serve(|mut stream| {
        let mut head = [0; 4096];
        let mut read = stream.read(&mut head)?;
        if head.starts_with(b"PUT") && head[..read].ends_with(b"\r\n\r\n") {
            read += stream.read(&mut head[read..])?;
        }
        // As long as it may be, whatever the asker calls itself.
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 4096\r\nconnection: close\r\n\r\n")?;
        stream.write_all(&vec![b' '; 4096 - read])?;
        stream.write_all(&head[..read])
    });
    let tls = secured(config, WELL).to_string();
    let asked = [
        (well.clone(), "http_2xx", true),
        (format!("http://{well}/path?a=b"), "http_2xx", true),
        (well.clone(), "http_post_2xx", true),
        (well.clone(), "four", true),
        ("[::1]:1".to_owned(), "four", false),
        (target(HOSTILE).to_string(), "http_2xx", false),
        (target(HOSTILE).to_string(), "teapot", true),
        (target(modified).to_string(), "http_2xx", true),
        (redirecting(&format!("http://{well}/")).to_string(), "http_2xx", true),
        (redirecting(&format!("http://{well}/")).to_string(), "still", true),
        (redirecting(&format!("http://{well}/")).to_string(), "older", false),
        (redirecting("/again").to_string(), "http_2xx", false),
        (redirecting(&format!("http://{closed}/")).to_string(), "http_2xx", false),
        (closed.clone(), "http_2xx", false),
        (target("SSH-2.0-x\r\n").to_string(), "http_2xx", false),
        (well.clone(), "http2", false),
        (well.clone(), "http11", true),
        (well.clone(), "not_ssl", false),
        (well.clone(), "ok", true),
        (well.clone(), "not_ok", false),
        (well.clone(), "length", true),
        (well.clone(), "no_length", false),
        (well.clone(), "missing", false),
        (well.clone(), "may_miss", true),
        (echo.to_string(), "echo_host", true),
        (echo.to_string(), "post_body", true),
        (format!("https://{tls}/"), "ssl", true),
        (format!("https://{tls}/"), "ssl_never", false),
        (format!("https://{tls}/"), "ssl_any", true),
    ];
    compare(&ours, &theirs, &asked);
    let named = |target: &str, name: &str| {
        let query =
            format!("GET /probe?module=ssl&hostname={name}&target=https://{target}/ HTTP/1.0\r\n\r\n");
        [ours.address, theirs.1].map(|address| parse(&ask(address, &query).1, Dialect::Text).unwrap())
    };
    for (name, succeeds) in [("shop.test", 1.0), ("other.test", 0.0)] {
        let [ours, theirs] = named(&tls, name);
        assert_eq!(value(&ours, "probe_success", &[]), Some(succeeds), "{name}");
        assert_eq!(value(&theirs, "probe_success", &[]), Some(succeeds), "{name}");
    }
}

#[test]
#[ignore = "needs prometheus-blackbox-exporter"]
fn connections_give_the_series_that_blackbox_exporter_gives() {
    let (_folder, ours, theirs, config) = both("blackbox-tcp");
    let asked = [
        (target(WELL).to_string(), "tcp_connect", true),
        (free().to_string(), "tcp_connect", false),
        ("no-port".to_owned(), "tcp_connect", false),
        (chat().to_string(), "chat", true),
        (serve(|mut stream| stream.write_all(b"hello\n")).to_string(), "chat", false),
        (chat().to_string(), "chat_ill", false),
        (secured(Arc::clone(&config), WELL).to_string(), "tcp_tls", true),
        (mail(config).to_string(), "starttls", true),
        ("127.0.0.1".to_owned(), "icmp", true),
    ];
    compare(&ours, &theirs, &asked);
}

#[test]
#[ignore = "needs prometheus-blackbox-exporter and dnsmasq"]
fn questions_to_name_servers_give_the_series_that_blackbox_exporter_gives() {
    let (_folder, ours, theirs, _) = both("blackbox-dns");
    let server = free();
    let mut command = Command::new("dnsmasq");
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--bind-interfaces",
    ]);
    command.args([
        "--listen-address=127.0.0.1",
        "--host-record=shop.test,10.0.0.1",
        "--local=/test/",
        "--pid-file=",
    ]);
    let _dnsmasq = Running::start(command.arg(format!("--port={}", server.port())), server);
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let asked = [
        (server.to_string(), "dns_a", true),
        (server.to_string(), "dns_tcp", true),
        (server.to_string(), "dns_none", false),
        (server.to_string(), "dns_valid", true),
        (server.to_string(), "dns_soa", true),
        (server.to_string(), "dns_records", true),
        (server.to_string(), "dns_bad", false),
        (server.to_string(), "dns_udp_tls", false),
        (free().to_string(), "dns_tcp", false),
    ];
    compare(&ours, &theirs, &asked);
    drop(silent);
}

#[test]
#[ignore = "needs prometheus-blackbox-exporter and etcd"]
fn calls_of_grpc_give_the_series_that_blackbox_exporter_gives() {
    let (folder, ours, theirs, _) = both("blackbox-grpc");
    let (client, peer) = (free(), free());
    let mut command = Command::new("etcd");
    command.current_dir(&folder.0).args(["--name", "one", "--data-dir", "etcd"]);
    command.args(["--listen-client-urls", &format!("http://{client}")]);
    command.args(["--advertise-client-urls", &format!("http://{client}")]);
    command.args(["--listen-peer-urls", &format!("http://{peer}")]);
    command.args(["--initial-advertise-peer-urls", &format!("http://{peer}")]);
    let _etcd = Running::start(command.args(["--initial-cluster", &format!("one=http://{peer}")]), client);
    let began = Instant::now();
    while value(&probe(ours.address, &client.to_string(), "grpc"), "probe_success", &[]) != Some(1.0) {
        assert!(began.elapsed() < PATIENCE, "etcd does not serve");
        std::thread::sleep(Duration::from_millis(100));
    }
    let asked = [(client.to_string(), "grpc", true), (client.to_string(), "grpc_none", false)];
    compare(&ours, &theirs, &asked);
}

/// Configurations, and what of ours says where it is wrong; nothing where it is right.
const CONFIGURATIONS: &[(&str, &str)] = &[
    ("", "is empty"),
    ("modules:\n", ""),
    ("modules: {}\n", ""),
    ("modules: { a: { prober: http, timeout: 1m30s, http: { fail_if_ssl: yes, headers: { A: 1 } } } }\n", ""),
    ("modules:\n  a:\n    prober: http\n    http:\n", ""),
    ("modules: { a: { prober: http, http: { body_size_limit: 10MB, compression: gzip } } }\n", ""),
    ("modules: { a: { prober: http, http: { authorization: { type: Token, credentials: x } } } }\n", ""),
    ("modules: { a: { prober: icmp, icmp: { ttl: 5, payload_size: 100 } } }\n", ""),
    ("modules: { a: { prober: dns, dns: { query_name: a, query_type: SRV, query_class: CH } } }\n", ""),
    ("modules: { a: { prober: http, http: { fail_if_body_matches_regexp: ['{\"a\": [0-9]{2,}}'] } } }\n", ""),
    ("module: {}\n", "1:1"),
    ("modules:\n  a:\n    prober: http\n    htp: {}\n", "4:5"),
    ("modules:\n  a:\n    prober: http\n    http:\n      methd: GET\n", "5:7"),
    ("modules:\n  a: { prober: tcp, tcp: { query_response: [{ expect: a, sent: b }] } }\n", "2:58"),
    ("modules:\n  a: { prober: http }\n  a: { prober: tcp }\n", "3:3"),
    ("modules:\n  a: { prober: http, timeout: 5 }\n", "2:31"),
    ("modules:\n  a: { prober: http, timeout: soon }\n", "2:31"),
    ("modules:\n  a: { prober: http, http: { valid_status_codes: [ok] } }\n", "2:51"),
    ("modules:\n  a: { prober: http, http: { valid_status_codes: 200 } }\n", "2:50"),
    ("modules:\n  a: { prober: http, http: { fail_if_body_matches_regexp: ['('] } }\n", "2:60"),
    ("modules:\n  a: { prober: http, http: { fail_if_header_matches: [{ header: a }] } }\n", "2:55"),
    ("modules:\n  a: { prober: http, http: { fail_if_header_matches: [{ regexp: a }] } }\n", "2:55"),
    ("modules:\n  a: { prober: http, http: { bearer_token: a, bearer_token_file: b } }\n", "2:66"),
    ("modules:\n  a: { prober: http, http: { basic_auth: { username: a }, bearer_token: b } }\n", "2:73"),
    (
        "modules:\n  a: { prober: http, http: { compression: gzip, headers: { Accept-Encoding: br } } }\n",
        "2:77",
    ),
    ("modules:\n  a: { prober: http, http: { tls_config: { ca: 1, ca_filed: a } } }\n", "2:"),
    ("modules:\n  a: { prober: dns, dns: { query_type: A } }\n", "2:"),
    ("modules:\n  a: { prober: dns, dns: { query_name: a, query_type: AB } }\n", "2:55"),
    ("modules:\n  a: { prober: dns, dns: { query_name: a, query_class: AB } }\n", "2:56"),
    ("modules:\n  a: { prober: icmp, icmp: { ttl: -1 } }\n", "2:"),
    ("modules:\n  a: { prober: icmp, icmp: { ttl: 256 } }\n", "2:"),
    ("modules: [\n", "2:1"),
    ("- a\n", "1:1"),
];

#[test]
#[ignore = "needs prometheus-blackbox-exporter"]
fn configurations_are_taken_and_refused_as_by_blackbox_exporter() {
    let folder = Folder::new("blackbox-configurations");
    fs::write(folder.0.join("blackbox.yml"), "modules: {}\n").unwrap();
    let ours = serving_one(&folder, &["--blackbox-config", "blackbox.yml"]);
    for (text, place) in CONFIGURATIONS {
        fs::write(folder.0.join("blackbox.yml"), text).unwrap();
        let theirs = Command::new("prometheus-blackbox-exporter")
            .args(["--config.check", "--config.file=blackbox.yml"])
            .current_dir(&folder.0)
            .output()
            .unwrap();
        let (status, said) = ours.ask("POST /-/reload HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let why = String::from_utf8_lossy(&theirs.stderr);
        assert_eq!(status == 200, theirs.status.success(), "{text}\nours: {said}\ntheirs: {why}");
        assert_eq!(status == 200, place.is_empty(), "{text}\n{said}");
        let wanted = if text.is_empty() { (*place).to_owned() } else { format!("blackbox.yml:{place}") };
        assert!(said.contains(&wanted) || place.is_empty(), "{text}\n{said}");
    }
}

#[test]
fn modules_change_with_their_file_and_a_broken_one_changes_nothing() {
    let folder = Folder::new("blackbox-reload");
    let file = folder.0.join("blackbox.yml");
    fs::write(&file, "modules: { mine: { prober: tcp } }\n").unwrap();
    let allow = ["--probe-allow-net", "127.0.0.0/8", "--blackbox-config", "blackbox.yml"];
    let serving = serving_one(&folder, &allow);
    let well = target(WELL).to_string();
    assert_eq!(value(&probe(serving.address, &well, "mine"), "probe_success", &[]), Some(1.0));
    let unknown = serving.ask(&format!("GET /probe?target={well} HTTP/1.0\r\n\r\n"));
    assert_eq!(unknown, (400, "Unknown module \"http_2xx\"\n".to_owned()));

    fs::write(&file, "modules: { mine: { prober: tcpp } }\n").unwrap();
    let broken = serving.logged("broken");
    assert_eq!(broken["file"], "blackbox.yml");
    assert_eq!(serving.logged("reloaded")["broken"], 1);
    assert!(broken["what"].as_str().unwrap().contains("did you mean `tcp`?"), "{broken}");
    assert_eq!(serving.value("firedrill_config_last_reload_successful", &[]), Some(0.0));
    assert_eq!(value(&probe(serving.address, &well, "mine"), "probe_success", &[]), Some(1.0));

    let secret = "modules: { mine: { prober: http, http: { bearer_token: hunter2 } } }\n";
    fs::write(&file, secret).unwrap();
    assert_eq!(serving.logged("reloaded")["broken"], 0);
    let told = serving.ask(&format!("GET /probe?target={well}&module=mine&debug=true HTTP/1.0\r\n\r\n")).1;
    assert!(told.contains("probe_success 1") && told.contains("\"bearer_token\": \"<secret>\""), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn a_module_talks_to_a_socket_among_files_and_over_websockets() {
    let folder = Folder::new("blackbox-newer");
    let modules = "modules:\n  unix: { prober: unix, unix: { query_response: [{ expect: '^PING (.*)$', send: 'PONG $1' }, { expect: '^well$' }] } }\n  \
                   socket: { prober: websocket, websocket: { query_response: [{ send: hi }, { expect: '^h(.)$', send: '${1}o' }, { expect: '^io$' }] } }\n";
    fs::write(folder.0.join("blackbox.yml"), modules).unwrap();
    let allow = ["--probe-allow-net", "127.0.0.0/8", "--blackbox-config", "blackbox.yml"];
    let serving = serving_one(&folder, &allow);
    let path = folder.0.join("s");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"PING 1\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        stream.write_all(if line == "PONG 1\n" { b"well\n" } else { b"ill\n" }).unwrap();
    });
    let unix = probe(serving.address, path.to_str().unwrap(), "unix");
    assert_eq!(value(&unix, "probe_success", &[]), Some(1.0));

    let echo = serve(|stream| {
        let Ok(mut socket) = tokio_tungstenite::tungstenite::accept(stream) else { return Ok(()) };
        while let Ok(message) = socket.read() {
            if message.is_text() && socket.send(message).is_err() {
                break;
            }
        }
        Ok(())
    });
    let socket = probe(serving.address, &format!("ws://{echo}/"), "socket");
    assert_eq!(value(&socket, "probe_websocket_status_code", &[]), Some(101.0));
    assert_eq!(value(&socket, "probe_websocket_connection_upgraded", &[]), Some(1.0));
    assert_eq!(value(&socket, "probe_success", &[]), Some(1.0));
}
