//! Targets of lists: probed on their schedules, and what a list that changes does.

use super::*;

fn list(targets: &[SocketAddr], more: &str) -> String {
    let all: Vec<_> = targets.iter().map(|target| format!("'http://{target}/'")).collect();
    format!("- targets: [{}]\n  labels: {{ __scrape_interval__: 200ms, team: web{more} }}\n", all.join(", "))
}

#[test]
fn a_list_that_changes_leaves_other_targets_alone_and_a_broken_one_changes_nothing() {
    let folder = Folder::new("targets");
    let (well, ill) = (target(WELL), target(HOSTILE));
    let file = folder.0.join("targets.yaml");
    fs::write(&file, list(&[well, ill], "")).unwrap();
    let serving = serving_one(&folder, &["--targets", "targets.yaml"]);
    let of = |target: SocketAddr| format!("http://{target}/");
    let (instance, sick) = (of(well), of(ill));
    let probes = "firedrill_target_probes_total";
    serving.until(probes, &[("instance", &instance), ("result", "good"), ("team", "web")], |n| n > 2.0);
    serving.until(probes, &[("instance", &sick), ("result", "bad")], |n| n > 0.0);
    assert_eq!(serving.value("probe_success", &[("instance", &instance), ("module", "http_2xx")]), Some(1.0));
    assert_eq!(serving.value("probe_http_status_code", &[("instance", &sick)]), Some(500.0));
    let page = serving.get("/");
    assert!(page.contains("1 of 2 fail") && !page.contains("<script"), "{page}");

    fs::write(&file, list(&[well], ", __param_module: nothing")).unwrap();
    let broken = serving.logged("broken");
    assert!(broken["what"].as_str().unwrap().contains("there is no module `nothing`"), "{broken}");
    assert_eq!(serving.value("firedrill_targets_list_sound", &[("list", "targets.yaml")]), Some(0.0));
    assert!(serving.get("/").contains("targets.yaml has errors and changes nothing"));
    let before = serving.value(probes, &[("instance", &instance)]).unwrap();
    serving.until(probes, &[("instance", &instance)], |n| n > before);

    let other = target(WELL);
    fs::write(&file, list(&[well, other], "")).unwrap();
    serving.signal(rustix::process::Signal::HUP);
    let changed = serving.logged("targets");
    assert_eq!((&changed["added"], &changed["removed"]), (&1.into(), &1.into()));
    assert!(serving.value(probes, &[("instance", &instance)]).unwrap() > before, "it keeps what was counted");
    assert_eq!(serving.value(probes, &[("instance", &sick)]), None);
    assert_eq!(serving.value("firedrill_targets_list_sound", &[]), Some(1.0));
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn a_list_is_also_asked_for() {
    let folder = Folder::new("asked-targets");
    let well = target(WELL);
    let body =
        format!(r#"[{{"targets": ["http://{well}/"], "labels": {{"__meta_zone": "a", "shop": "1"}}}}]"#);
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let lister = target(answer.leak());
    let serving = serving_one(&folder, &["--targets", &format!("http://{lister}/targets")]);
    serving.until("probe_success", &[("shop", "1"), ("instance", &format!("http://{well}/"))], |up| up > 0.0);
    assert_eq!(serving.value("probe_success", &[("__meta_zone", "a")]), None);
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn a_list_with_mistakes_is_told_with_their_places() {
    let folder = Folder::new("mistaken-targets");
    fs::write(
        folder.0.join("targets.yaml"),
        "- targets: ['a:1', 'a:1', '']\n  labels: { 'b-c': d, __scrape_interval__: soon }\n",
    )
    .unwrap();
    let serving = serving_one(&folder, &["--targets", "targets.yaml"]);
    let broken = serving.logged("broken");
    let what = broken["what"].as_str().unwrap();
    for said in [
        "`a:1` stands there twice with the same labels",
        "a target has an address",
        "`b-c` is no name of a label",
        "`soon` is no time like `30s`",
        "targets.yaml:1:20",
    ] {
        assert!(what.contains(said), "{said}: {what}");
    }
    assert_eq!(serving.end(), Some(0));
}

/// Servers that are guarded each by its own user or token, and one that is not, which say who came.
const GUARDED: &str = r#"
daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
events {}
http {
  log_format who '$uri $http_authorization';
  access_log who.log who;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {
    listen ADDRESS;
    root html;
    location /anna { auth_basic anna; auth_basic_user_file anna.users; }
    location /otto { auth_basic otto; auth_basic_user_file otto.users; }
    location /token { if ($http_authorization != "Bearer token-of-one") { return 401; } }
    location /open { }
  }
}
"#;

/// nginx in this folder, with the files that open its pages.
fn guarded(folder: &Folder) -> blackbox::Running {
    let write = |name: &str, text: &str| fs::write(folder.0.join(name), text).unwrap();
    let address = blackbox::free();
    fs::create_dir(folder.0.join("html")).unwrap();
    for page in ["anna", "otto", "token", "open"] {
        write(&format!("html/{page}"), "in");
    }
    write("nginx.conf", &GUARDED.replace("ADDRESS", &address.to_string()));
    write("anna.users", "anna:{PLAIN}secret-of-anna\n");
    write("otto.users", "otto:{PLAIN}secret-of-otto\n");
    write("anna.password", "secret-of-anna\n");
    write("otto.password", "secret-of-otto\n");
    write("one.token", "token-of-one\n");
    let mut nginx = Command::new("nginx");
    nginx.arg("-p").arg(&folder.0).args(["-e", "stderr", "-c", "nginx.conf"]);
    blackbox::Running::start(&mut nginx, address)
}

#[test]
#[ignore = "needs nginx"]
fn each_target_is_shown_its_own_credentials_and_nobody_else_sees_them() {
    let folder = Folder::new("guarded");
    let nginx = guarded(&folder);
    let address = nginx.1;
    let write = |name: &str, text: &str| fs::write(folder.0.join(name), text).unwrap();
    let group = |page: &str, login: &str| {
        format!("- targets: ['http://{address}/{page}']\n  labels: {{ __scrape_interval__: 200ms{login} }}\n")
    };
    write(
        "targets.yaml",
        &[
            group("anna", ", __username__: anna, __password_file__: anna.password"),
            group("otto", ", __username__: otto, __password_file__: otto.password"),
            group("token", ", __bearer_token_file__: one.token"),
            group("open", ""),
        ]
        .concat(),
    );
    let serving = serving_one(&folder, &["--targets", "targets.yaml"]);
    let probes = |page: &str, result: &str, holds: &dyn Fn(f64) -> bool| {
        let instance = format!("http://{address}/{page}");
        let labels = [("instance", instance.as_str()), ("result", result)];
        serving.until("firedrill_target_probes_total", &labels, holds);
    };
    for page in ["anna", "otto", "token", "open"] {
        probes(page, "good", &|times| times > 2.0);
        probes(page, "bad", &|times| times < 1.0);
    }
    // A password that does not fit any more is told of without being told.
    write("anna.password", "former-secret\n");
    probes("anna", "bad", &|times| times > 1.0);
    let failing = serving.get("/");
    write("anna.password", "secret-of-anna\n");
    let seen = [failing, serving.get("/"), serving.get("/metrics")];
    let log: Vec<_> = serving.log.try_iter().map(|line| line.to_string()).collect();
    let encoded = ["anna:secret-of-anna", "otto:secret-of-otto", "anna:former-secret"];
    let encoded = encoded.map(|login| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, login));
    let plain = ["secret-of-anna", "secret-of-otto", "token-of-one", "former-secret"].map(str::to_owned);
    for secret in plain.iter().chain(&encoded) {
        assert!(seen.iter().chain(&log).all(|text| !text.contains(secret)), "{secret} is shown");
    }
    assert!(seen[0].contains("1 of 4 fail"), "{}", seen[0]);
    assert_eq!(serving.end(), Some(0));
    let who = fs::read_to_string(folder.0.join("who.log")).unwrap();
    let came: std::collections::BTreeSet<_> = who.lines().collect();
    let [anna, otto, former] = &encoded;
    let wanted = [
        format!("/anna Basic {anna}"),
        format!("/anna Basic {former}"),
        "/open -".to_owned(),
        format!("/otto Basic {otto}"),
        "/token Bearer token-of-one".to_owned(),
    ];
    let mut wanted: Vec<_> = wanted.iter().map(String::as_str).collect();
    wanted.sort_unstable();
    assert_eq!(came.into_iter().collect::<Vec<_>>(), wanted);
}

#[test]
fn a_list_that_is_asked_for_names_no_files_of_this_machine() {
    let folder = Folder::new("reaching-targets");
    let body = r#"[{"targets": ["a:1"], "labels": {"__bearer_token_file__": "/etc/passwd"}}]"#;
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    let lister = target(answer.leak());
    let serving = serving_one(&folder, &["--targets", &format!("http://{lister}/targets")]);
    let broken = serving.logged("broken");
    let what = broken["what"].as_str().unwrap();
    assert!(what.contains("a list that comes over HTTP names no files of this machine"), "{what}");
    assert_eq!(serving.value("firedrill_targets_list_sound", &[]), Some(0.0));
    assert_eq!(serving.end(), Some(0));
}
