//! Names, certificates and hosts, as others see them too.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use rstest::rstest;
use serde_json::Value;

use crate::support::Folder;
use crate::support::names::{Dnsmasq, OpenSsl};

/// What a program prints, when it succeeds.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out.into_owned()
}

fn firedrill() -> Command {
    Command::new(env!("CARGO_BIN_EXE_firedrill"))
}

/// The body in the evidence of a scenario's only step.
fn body(step: &str) -> String {
    let folder = Folder::new().unwrap();
    let path = folder.0.join("scenario.yaml");
    std::fs::write(&path, format!("scenario: one\nsteps:\n  - {step}\n")).unwrap();
    let events = printed(firedrill().args(["run", "--quiet", "--report", "json=-"]).arg(&path));
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut bodies =
        events.filter_map(|event| Some(event["event"]["attempted"]["evidence"]["body"].as_str()?.to_owned()));
    bodies.next().unwrap()
}

fn passes(run: &Output) {
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert_eq!(run.status.code(), Some(0), "{out}\n{err}");
}

#[test]
#[ignore = "needs the right to send ICMP"]
fn a_scenario_asks_for_echoes() {
    passes(&firedrill().args(["run", "scenarios/probes/icmp.yaml"]).output().unwrap());
}

#[rstest]
#[case::address("shop.test", "A")]
#[case::address_of_six("shop.test", "AAAA")]
#[case::alias("www.shop.test", "A")]
#[case::mail("shop.test", "MX")]
#[case::text("shop.test", "TXT")]
#[case::service("_http._tcp.shop.test", "SRV")]
#[case::issuers("shop.test", "CAA")]
#[case::name_of_an_address("1.2.0.192.in-addr.arpa", "PTR")]
#[case::too_much_for_a_datagram("long.test", "TXT")]
#[ignore = "needs dnsmasq and dig"]
fn dig_prints_the_same_records(#[case] name: &str, #[case] kind: &str) {
    let dnsmasq = Dnsmasq::start().unwrap();
    let (ip, port) = (dnsmasq.address.ip(), dnsmasq.address.port());
    let mut dig = Command::new("dig");
    dig.args(["+short", &format!("@{ip}"), "-p", &port.to_string(), name, kind]);
    let theirs = printed(&mut dig);
    let theirs: BTreeSet<_> =
        theirs.lines().map(|line| if kind == "TXT" { line.trim_matches('"') } else { line }).collect();
    let zone = body(&format!("dns: {{ name: {name}, type: {kind}, server: 'udp://{ip}:{port}' }}"));
    let answers = zone.lines().take_while(|line| !line.starts_with(';') || *line == "; answer").skip(1);
    // Owner, time to live and type stand before what dig prints.
    let ours: BTreeSet<_> = answers.filter_map(|line| line.splitn(4, ' ').nth(3)).collect();
    assert!(!ours.is_empty());
    assert_eq!(ours, theirs);
}

#[rstest]
#[case::valid(2026, 2999)]
#[case::expired(2020, 2021)]
#[ignore = "needs openssl"]
fn openssl_reads_the_same_certificate(#[case] from: i32, #[case] until: i32) {
    let server = OpenSsl::start(from, until).unwrap();
    let body = body(&format!("tls: {{ address: '{}', skip_verify: true }}", server.address));
    let fields = |path: &Path| {
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-noout", "-subject", "-issuer", "-serial", "-startdate", "-enddate"]);
        openssl.args(["-ext", "subjectAltName", "-nameopt", "sep_comma_plus_space,sname,utf8"]);
        printed(openssl.args(["-dateopt", "iso_8601", "-in"]).arg(path))
    };
    let theirs = fields(&server.file("certificate.pem"));
    let field = |name: &str| {
        let line = theirs.lines().find_map(|line| line.trim_start().strip_prefix(name));
        line.unwrap_or_else(|| panic!("`{name}` is not in {theirs}")).to_owned()
    };
    let moment = |name: &str| field(name).replace(' ', "T");
    let names = theirs.lines().last().unwrap().trim().replace("DNS:", "").replace("IP Address:", "");
    let ours: Vec<_> = body.lines().collect();
    assert_eq!(ours[0], field("subject="));
    let number = field("serial=");
    assert_eq!(
        ours[1],
        format!("  issued by {}, number {}", field("issuer="), number.trim_start_matches('0'))
    );
    assert_eq!(ours[2], format!("  for {names}"));
    let validity = format!("  from {} until {}, ", moment("notBefore="), moment("notAfter="));
    assert!(ours[3].starts_with(&validity), "{body}\n{theirs}");
}
