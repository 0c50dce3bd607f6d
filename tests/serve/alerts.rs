//! Scenarios that fail, told to a real Alertmanager; and what is not run in maintenance, or while what it depends on
//! is down.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::blackbox::{Running, free, serve};
use super::*;

/// A target that is well while `well` says so.
fn moody(well: Arc<AtomicBool>) -> SocketAddr {
    serve(move |mut stream| {
        let _ = stream.read(&mut [0; 4096])?;
        let answer = if well.load(Ordering::SeqCst) { WELL } else { HOSTILE };
        stream.write_all(answer.as_bytes())
    })
}

/// Alertmanager, with one receiver that nobody reads.
fn alertmanager(folder: &Path) -> Running {
    let file = folder.join("alertmanager.yml");
    fs::write(&file, "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n").unwrap();
    let address = free();
    let mut command = Command::new("prometheus-alertmanager");
    command.arg("--config.file").arg(file).arg("--storage.path").arg(folder.join("alertmanager"));
    command.arg(format!("--web.listen-address={address}")).arg("--cluster.listen-address=");
    Running::start(&mut command, address)
}

/// What Alertmanager knows of: each alert that lasts, as it shows it.
fn lasting(alertmanager: &Running) -> Vec<Value> {
    let (status, body) = ask(alertmanager.1, "GET /api/v2/alerts HTTP/1.0\r\nhost: x\r\n\r\n");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn wait<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
#[ignore = "needs prometheus-alertmanager"]
fn an_alertmanager_is_told_what_fails_and_when_that_is_over() {
    let folder = Folder::new("alertmanager");
    let well = Arc::new(AtomicBool::new(true));
    let labelled = "scenario: shop\nlabels: { team: till, empty: '' }\nevery: 200ms\n";
    let text = probing("shop", moody(Arc::clone(&well)), "200ms");
    let rest = text.split_once("steps:").unwrap().1;
    folder.scenario("shop", &format!("{labelled}steps:{rest}"));
    let alertmanager = alertmanager(&folder.0);
    let nobody = free();
    let serving = Serving::start(
        &folder.0,
        &[
            "--alertmanager",
            &format!("http://{}", alertmanager.1),
            "--alertmanager",
            &format!("http://{nobody}"),
        ],
    );
    serving.until("firedrill_scenario_runs_total", &[("conclusion", "pass")], |n| n > 1.0);
    assert_eq!(lasting(&alertmanager), [] as [Value; 0]);

    well.store(false, Ordering::SeqCst);
    let alert = wait("no alert", || lasting(&alertmanager).into_iter().next());
    let labels =
        serde_json::json!({ "alertname": "FiredrillScenarioFails", "scenario": "shop", "team": "till" });
    assert_eq!(alert["labels"], labels);
    assert_eq!(alert["annotations"]["summary"], "scenario shop fails");
    assert!(alert["annotations"]["description"].as_str().unwrap().contains("get: "), "{alert}");
    assert_eq!(alert["status"]["state"], "active");
    // What cannot be told is said, and hinders nobody.
    assert_eq!(serving.logged("alertmanager")["address"], format!("http://{nobody}"));
    serving.until("firedrill_alertmanager_notifications_total", &[("result", "failed")], |n| n > 0.0);
    assert_eq!(serving.value("firedrill_alerts", &[]), Some(1.0));

    well.store(true, Ordering::SeqCst);
    wait("the alert lasts", || lasting(&alertmanager).is_empty().then_some(()));
    assert_eq!(serving.end(), Some(0));
}

#[test]
#[ignore = "needs prometheus-alertmanager"]
fn an_alertmanager_that_comes_later_is_told_then() {
    let folder = Folder::new("alertmanager-late");
    folder.scenario("ill", &probing("ill", target(HOSTILE), "200ms"));
    let address = free();
    let serving = Serving::start(&folder.0, &["--alertmanager", &format!("http://{address}")]);
    serving.logged("alertmanager");
    let file = folder.0.join("alertmanager.yml");
    fs::write(&file, "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n").unwrap();
    let mut command = Command::new("prometheus-alertmanager");
    command.arg("--config.file").arg(file).arg("--storage.path").arg(folder.0.join("alertmanager"));
    command.arg(format!("--web.listen-address={address}")).arg("--cluster.listen-address=");
    let alertmanager = Running::start(&mut command, address);
    wait("no alert", || lasting(&alertmanager).into_iter().next());
    serving.logged("alertmanager_mended");
}

#[test]
fn an_address_that_is_none_ends_it_at_once() {
    let folder = Folder::new("alertmanager-none");
    folder.scenario("well", &probing("well", target(WELL), "10s"));
    let output = Command::new(env!("CARGO_BIN_EXE_firedrill"))
        .args([
            "serve",
            "scenarios",
            "--store",
            "store.db",
            "--listen",
            "127.0.0.1:0",
            "--alertmanager",
            "nowhere",
        ])
        .current_dir(&folder.0)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("nowhere"), "{said}");
}

#[test]
fn what_depends_on_a_dead_one_is_not_run() {
    let folder = Folder::new("depends");
    let well = Arc::new(AtomicBool::new(false));
    folder.scenario("parent", &probing("parent", moody(Arc::clone(&well)), "200ms"));
    let child = probing("child", target(WELL), "200ms").replace("steps:", "depends_on: [parent]\nsteps:");
    folder.scenario("child", &child);
    let astray = |name: &str, on: &str| {
        let text =
            probing(name, target(WELL), "200ms").replace("steps:", &format!("depends_on: [{on}]\nsteps:"));
        folder.scenario(name, &text);
    };
    astray("lost", "nobody");
    astray("left", "right");
    astray("right", "left");
    let serving = Serving::start(&folder.0, &[]);
    let suppressed = [("scenario", "child"), ("why", "dependency")];
    serving.until("firedrill_schedule_suppressed_total", &suppressed, |n| n > 2.0);
    assert!(serving.get("/scenario/child").contains("not run, as"), "the page says so");
    well.store(true, Ordering::SeqCst);
    let before =
        serving.value("firedrill_scenario_runs_total", &[("scenario", "child"), ("conclusion", "pass")]);
    serving.until("firedrill_scenario_runs_total", &[("scenario", "child"), ("conclusion", "pass")], |n| {
        n > before.unwrap_or_default()
    });
    // Those that lead nowhere are shown, and not run.
    let page = serving.get("/");
    for why in [
        "`lost` depends on `nobody`, which is not served",
        "`left` depends on itself",
        "`right` depends on itself",
    ] {
        assert!(page.contains(why), "{why}");
    }
    assert_eq!(serving.value("firedrill_scenario_runs_total", &[("scenario", "left")]), None);
}

#[test]
fn nothing_is_run_in_maintenance_and_more_often_while_it_fails() {
    let folder = Folder::new("maintenance");
    // It begins with each minute, and lasts for two.
    let always =
        "maintenance: [{ cron: '* * * * *', for: 2m, zone: Europe/Kyiv, about: a new <till> }]\nsteps:";
    folder.scenario("rests", &probing("rests", target(WELL), "200ms").replace("steps:", always));
    let never = "maintenance: [{ cron: '0 0 31 2 *', for: 1h }]\ninterval_on_failure: 200ms\nsteps:";
    folder.scenario("ill", &probing("ill", target(HOSTILE), "1h").replace("steps:", never));
    let elsewhere = "locations: [lviv]\nsteps:";
    folder.scenario("elsewhere", &probing("elsewhere", target(WELL), "200ms").replace("steps:", elsewhere));
    let here = "locations: [lviv, kyiv]\nsteps:";
    folder.scenario("here", &probing("here", target(WELL), "200ms").replace("steps:", here));
    let serving = Serving::start(&folder.0, &["--location", "kyiv"]);
    assert!(serving.get("/").contains("it is for lviv, and this is kyiv"), "the page says so");
    let suppressed = [("scenario", "rests"), ("why", "maintenance")];
    serving.until("firedrill_schedule_suppressed_total", &suppressed, |n| n > 2.0);
    assert_eq!(serving.value("firedrill_scenario_maintenance", &[("scenario", "rests")]), Some(1.0));
    assert_eq!(serving.value("firedrill_scenario_maintenance", &[("scenario", "ill")]), Some(0.0));
    assert_eq!(serving.value("firedrill_scenario_runs_total", &[("scenario", "rests")]), Some(0.0));
    assert!(serving.get("/").contains("maintenance until"), "the page says so");
    assert!(serving.get("/").contains("a new &lt;till&gt;"), "what it is for is text");
    serving
        .until("firedrill_scenario_runs_total", &[("scenario", "ill"), ("conclusion", "fail")], |n| n > 2.0);
    let located = [("scenario", "here"), ("location", "kyiv")];
    assert_eq!(serving.value("firedrill_scenario_info", &located), Some(1.0));
}
