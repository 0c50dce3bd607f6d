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
