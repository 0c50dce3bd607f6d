//! How the port is kept: by TLS, by client certificates, by passwords, in a file that is read again when it is used.

use std::process::Command;

use super::certificates::{HASH, certificates};
use super::*;

/// The status that curl was given, and 000 where there was none.
fn curl(folder: &Path, words: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "50"])
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs curl"]
fn the_port_is_kept_as_its_file_says_whenever_it_is_used() {
    let folder = Folder::new("web");
    certificates(&folder.0);
    let says = |text: &str| fs::write(folder.0.join("web.yml"), text).unwrap();
    says("");
    let serving = serving_one(&folder, &["--web.config.file", "web.yml"]);
    let (plain, secure) =
        (format!("http://{}/metrics", serving.address), format!("https://{}/metrics", serving.address));
    let ask = |words: &[&str]| curl(&folder.0, words);
    assert_eq!(ask(&[&plain]), "200");

    says(&format!("basic_auth_users:\n  anna: {HASH}\n"));
    assert_eq!(ask(&[&plain]), "401");
    assert_eq!(ask(&["--user", "anna:wrong", &plain]), "401");
    assert_eq!(ask(&["--user", "otto:secret", &plain]), "401");
    assert_eq!(ask(&["--user", "anna:secret", &plain]), "200");
    assert_eq!(ask(&["--user", "anna:secret", &plain]), "200");

    let tls = "tls_server_config: { cert_file: server.pem, key_file: server.key";
    says(&format!("{tls} }}\nhttp_server_config: {{ headers: {{ X-Frame-Options: deny }} }}\n"));
    assert_eq!(ask(&[&plain]), "000");
    assert_eq!(ask(&["--cacert", "ca.pem", &secure]), "200");
    let head = Command::new("curl")
        .args(["--silent", "--head", "--cacert", "ca.pem", &secure])
        .current_dir(&folder.0)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&head.stdout).contains("x-frame-options: deny"), "{head:?}");

    says(&format!("{tls}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem }}\n"));
    assert_eq!(ask(&["--cacert", "ca.pem", &secure]), "000");
    assert_eq!(ask(&["--cacert", "ca.pem", "--cert", "client.pem", "--key", "client.key", &secure]), "200");

    // What cannot be read lets nobody in.
    says("tls_server_confg: {}\n");
    assert_eq!(ask(&[&plain]), "000");
    says("");
    assert_eq!(ask(&[&plain]), "200");
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn a_file_with_a_mistake_is_told_of_at_the_start() {
    let folder = Folder::new("web-wrong");
    folder.scenario("well", &probing("well", target(WELL), "10s"));
    for (text, said) in [
        ("basic_auth_users: { anna: secret }\n", "web.yml:1:21"),
        ("tls_server_config: { cert_file: a.pem, key_file: b.pem }\n", "`a.pem` cannot be read"),
        ("tls_server_config: { cert_fil: a }\n", "did you mean `cert_file`?"),
        ("rate_limit: { interval: 1s }\n", "`rate_limit` is not supported"),
        ("http_server_config: { headers: { X-Other: a } }\n", "header `X-Other` cannot be set here"),
    ] {
        fs::write(folder.0.join("web.yml"), text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_firedrill"))
            .args(["serve", "scenarios", "--store", "store.db", "--listen", "127.0.0.1:0"])
            .args(["--web.config.file", "web.yml"])
            .current_dir(&folder.0)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(said), "{text}: {error}");
    }
}
