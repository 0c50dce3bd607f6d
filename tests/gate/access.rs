//! A Prometheus that lets in those whom its web configuration knows, by TLS, and no others.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::archive::{Archive, Folder};
use super::certificates::{HASH, certificates};

/// A counter of a day that never fails.
fn series() -> String {
    let samples = (0..=1440).map(|minute| {
        let (count, at) = (minute * 600, 1_767_225_600 - 86_400 + minute * 60);
        format!("http_requests_total{{code=\"200\",job=\"shop\"}} {count} {at}\n")
    });
    format!("# TYPE http_requests counter\n{}# EOF\n", samples.collect::<String>())
}

const SLO: &str = "apiVersion: openslo/v1\nkind: SLO\nmetadata: { name: shop }\nspec:\n  service: shop\n  \
                   timeWindow: [{ duration: 1d, isRolling: true }]\n  budgetingMethod: Occurrences\n  indicator:\n    \
                   metadata: { name: shop-good }\n    spec:\n      ratioMetric:\n        counter: true\n        \
                   good: { metricSource: { type: prometheus, spec: { query: 'http_requests_total{code=\"200\"}' } } }\n        \
                   total: { metricSource: { type: prometheus, spec: { query: 'http_requests_total' } } }\n  \
                   objectives: [{ target: 0.999 }]\n";

/// The exit code, and the last line that is said.
fn gate(folder: &Path, words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args(["gate", "shop.slo.yaml", "--at", "2026-01-01T00:00:00Z", "--no-save"])
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code(), text.lines().last().unwrap_or_default().to_owned())
}

#[test]
#[ignore = "needs prometheus and promtool"]
fn a_guarded_prometheus_is_asked_by_those_whom_it_knows() {
    let folder = Folder::new();
    certificates(&folder.0);
    let web = format!(
        "tls_server_config: {{ cert_file: server.pem, key_file: server.key, client_auth_type: \
         RequireAndVerifyClientCert, client_ca_file: ca.pem }}\nbasic_auth_users:\n  anna: {HASH}\n"
    );
    for (name, text) in
        [("web.yml", web.as_str()), ("shop.slo.yaml", SLO), ("right", "secret\n"), ("wrong", "guess\n")]
    {
        fs::write(folder.0.join(name), text).unwrap();
    }
    let archive = Archive::prometheus_with(folder, &series(), &["--web.config.file=web.yml"]);
    let (folder, address) = (archive.folder(), archive.address().replace("http:", "https:"));
    let known = ["--prometheus", &address, "--ca", "ca.pem", "--cert", "client.pem", "--key", "client.key"];
    let asked = |more: &[&str]| gate(folder, &[&known[..], more].concat());

    let (code, said) = asked(&["--user", "anna", "--password-file", "right"]);
    assert_eq!(code, Some(0), "{said}");
    for stranger in [&["--user", "anna", "--password-file", "wrong"][..], &[]] {
        let (code, said) = asked(stranger);
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains("status 401, not allowed; check the user and password"), "{said}");
    }
    for (untrusted, why) in [
        (
            &known[..4],
            "it asks for a client certificate that it knows (BadCertificate); name one with `--cert`",
        ),
        (&known[..2], "its certificate is not trusted: "),
    ] {
        let (code, said) = gate(folder, untrusted);
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains(why), "{said}");
    }
}
