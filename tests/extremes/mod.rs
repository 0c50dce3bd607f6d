//! Drills at the edge of what rules and machines are like: a group that is evaluated once an hour, rules that record
//! what rules have recorded, secrets that are not there, a metric of a hundred thousand series, and two drills at once.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Folder, events, folder_of};

/// A drill of an alert that `kill web` raises.
fn killing(speed: u32, calm: &str, alert: &str) -> String {
    format!(
        "scenario: extreme\nstack: ../stack.yaml\nclock: {{ speed: {speed} }}\nsteps:\n  \
         - {{ name: calm, quiet: {{ for: {calm} }} }}\n  \
         - {{ name: dies, fault: {{ kill: web }}, alerts: {{ {alert}: {{ reaches: pager }} }} }}\n"
    )
}

/// Has one text of a file of a folder be another.
fn rewrite(folder: &Folder, file: &str, from: &str, to: &str) {
    let path = folder.0.join(file);
    let text = fs::read_to_string(&path).expect("a copy can be read");
    assert!(text.contains(from), "{file} has no `{from}`");
    fs::write(path, text.replacen(from, to, 1)).expect("a copy can be written");
}

/// When the only alert of a run reached a rung, in seconds of rule time.
fn reached(events: &[(String, Value)], rung: &str) -> Option<u64> {
    let drilled = events.iter().find(|(kind, _)| kind == "drilled").map(|(_, event)| event)?;
    let seen = drilled["alert"]["rungs"].as_array()?.iter().find(|seen| seen["rung"] == rung)?;
    Some(seen["at"].as_u64()? / 1_000_000_000)
}

#[test]
#[ignore = "needs prometheus and alertmanager"]
fn a_group_that_is_evaluated_once_an_hour_is_waited_for() {
    let folder = folder_of("hourly", &[("1.yaml", &killing(600, "2h", "WebDown"))]);
    rewrite(&folder, "alerts.yml", "- name: web\n", "- name: web\n    interval: 1h\n");
    let (code, events, said) = events(&folder, "processes");
    assert_eq!(code, Some(0), "{said}{events:#?}");
    // Its `for` is five minutes; the evaluation that sees them over is the one an hour later.
    let firing = reached(&events, "firing").unwrap_or_default();
    assert!((3500..=2 * 3600 + 600).contains(&firing), "{firing}");
}

#[test]
#[ignore = "needs prometheus, promtool and alertmanager"]
fn an_alert_on_a_chain_of_recording_rules_is_proven() {
    let folder = folder_of("chain", &[("1.yaml", &killing(60, "2m", "ChainedDown"))]);
    let mut rules = "groups:\n  - name: chain\n    rules:\n      \
                     - { record: 'job:down:0', expr: 'max by (job) (1 - up)' }\n"
        .to_owned();
    for number in 1..6 {
        let expr = format!("max_over_time(job:down:{}[1m])", number - 1);
        writeln!(rules, "      - {{ record: 'job:down:{number}', expr: '{expr}' }}")
            .expect("a text takes more");
    }
    rules +=
        "      - { alert: ChainedDown, expr: 'job:down:5 == 1', for: 1m, labels: { severity: critical } }\n";
    fs::write(folder.0.join("alerts.yml"), rules).expect("rules can be written");
    let (code, events, said) = events(&folder, "processes");
    assert_eq!(code, Some(0), "{said}{events:#?}");
    // It clears only after five ranges of a minute, one behind the other.
    let cleared = reached(&events, "cleared").unwrap_or_default();
    assert!((240..=430).contains(&cleared), "{cleared}");
}

#[test]
#[ignore = "needs prometheus and alertmanager"]
fn a_secret_that_is_not_there_is_no_proof_of_an_alert() {
    let folder = folder_of("secretless", &[("1.yaml", &killing(60, "1m", "WebDown"))]);
    let secret = "job_name: web\n    authorization: { credentials_file: /run/secrets/nowhere }\n";
    rewrite(&folder, "prometheus.yml", "job_name: web\n", secret);
    let (code, events, said) = events(&folder, "processes");
    assert_eq!(code, Some(1), "{said}");
    let attempted = events.iter().filter(|(kind, _)| kind == "attempted").map(|(_, event)| event);
    let failures = attempted.flat_map(|event| event["failures"].as_array().cloned().unwrap_or_default());
    let titles: Vec<_> = failures.map(|failure| failure["drawing"]["title"].to_string()).collect();
    let file = "unable to read authorization credentials file /run/secrets/nowhere";
    assert!(titles.iter().any(|title| title.contains("is down") && title.contains(file)), "{titles:?}");
}

/// A metric of a hundred thousand series, none of which is what the alert waits for.
const MANY: &str = "
  many:
    process: nginx -e stderr -p ${dir} -c nginx.conf
    files: { nginx.conf: { template: many.conf }, metrics: many.txt }
    ports: { http: 8080 }
";
const NGINX: &str = "daemon off; user root; pid ${dir}/nginx.pid; events {} http { access_log off;
  client_body_temp_path ${dir}/a; proxy_temp_path ${dir}/b; fastcgi_temp_path ${dir}/c; uwsgi_temp_path ${dir}/d;
  scgi_temp_path ${dir}/e;
  server { listen ${host}:${port.http}; default_type text/plain; location / { alias ${dir}/; } } }
";

/// Waits until a child has ended, and says how much memory it held at most, in MiB.
fn peak(child: &mut std::process::Child) -> u64 {
    let (began, mut most) = (Instant::now(), 0);
    while child.try_wait().expect("a child can be waited for").is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let held = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let held = held.and_then(|held| held.trim().strip_suffix(" kB")?.parse().ok());
        most = held.unwrap_or(0).max(most);
        assert!(began.elapsed() < Duration::from_secs(100), "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    most / 1024
}

#[test]
#[ignore = "needs prometheus, alertmanager and nginx"]
fn a_hundred_thousand_series_are_looked_at_in_bounds() {
    let steps = "  - name: nothing is that high\n    fault: { kill: web }\n    alerts: { ManyHigh: { reaches: pager } }\n";
    let text = format!("scenario: many\nstack: ../stack.yaml\nclock: {{ speed: 10 }}\nsteps:\n{steps}");
    let folder = folder_of("many", &[("1.yaml", &text)]);
    rewrite(&folder, "stack.yaml", "services:\n", &format!("services:{MANY}"));
    rewrite(
        &folder,
        "prometheus.yml",
        "scrape_configs:\n",
        "scrape_configs:\n  - { job_name: many, static_configs: [{ targets: ['many:8080'] }] }\n",
    );
    let high = "\n      - { alert: ManyHigh, expr: 'many > 3', labels: { severity: critical } }\n";
    let rules = fs::read_to_string(folder.0.join("alerts.yml")).expect("rules can be read");
    fs::write(folder.0.join("alerts.yml"), rules + high).expect("rules can be written");
    fs::write(folder.0.join("many.conf"), NGINX).expect("a file can be written");
    let mut page = "# TYPE many gauge\n".to_owned();
    for number in 0..100_000 {
        writeln!(page, "many{{shard=\"{}\",user=\"{number}\"}} {}", number % 64, number % 3)
            .expect("a text takes more");
    }
    fs::write(folder.0.join("many.txt"), page).expect("a file can be written");

    for (words, code, told) in [
        (&["run", "--no-save", "--quiet", "--runtime", "processes", "--color", "never"][..], 1, "`ManyHigh`"),
        (&["check", "--against", "stack", "--runtime", "processes", "--color", "never"][..], 0, "audit/"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.args(words).arg(folder.0.join("scenarios")).stdin(Stdio::null());
        let said = folder.0.join("said");
        let file = fs::File::create(&said).expect("a file can be made");
        command.stdout(file.try_clone().expect("it can be shared")).stderr(file);
        let mut child = command.spawn().expect("firedrill runs");
        let held = peak(&mut child);
        let ended = child.wait().expect("it ends").code();
        let said = fs::read_to_string(&said).expect("it says something");
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains(told) && said.len() < 20_000, "{} bytes: {said:.4000}", said.len());
        assert!(held < 512, "{words:?} held {held} MiB");
    }
}

#[test]
#[ignore = "needs prometheus and alertmanager"]
fn a_receiver_whose_secret_is_not_there_is_told_by_a_stand_in_and_that_is_said() {
    let folder = folder_of("keyless", &[("1.yaml", &killing(60, "1m", "WebDown"))]);
    rewrite(
        &folder,
        "alertmanager.yml",
        "routing_key: 0123456789abcdef0123456789abcdef",
        "routing_key_file: /run/secrets/nowhere",
    );
    let (code, events, said) = events(&folder, "processes");
    assert_eq!(code, Some(0), "{said}");
    let drilled = events.iter().find(|(kind, _)| kind == "drilled").map(|(_, event)| event);
    let notes = drilled.expect("an alert was drilled")["alert"]["notes"].to_string();
    let note =
        "the file of `routing_key_file` of `pager`, `/run/secrets/nowhere`, is not here: a stand-in was used";
    assert!(notes.contains(note), "{notes}");
}

#[test]
#[ignore = "needs prometheus and alertmanager"]
fn two_drills_at_once_keep_out_of_each_others_way() {
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firedrill"));
        command.args(["run", "--no-save", "--quiet", "--color", "never", "--runtime", "processes"]);
        command.arg(Path::new("scenarios/drills/web.yaml"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("firedrill runs")
    };
    let both = [run(), run()].map(|child| child.wait_with_output().expect("it ends"));
    for output in both {
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}
