//! The status page in a real browser, driven by the `DevTools` protocol.

use std::process::Stdio;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use super::*;

/// What is asked of every page.
const AUDIT: &str = include_str!("audit.js");

const PHONE: (u32, u32) = (360, 740);
const DESK: (u32, u32) = (1280, 900);

/// A headless Chromium with one page.
struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    session: String,
    number: u64,
    /// What the page said on its console, and what the browser had to say of it.
    said: Vec<Value>,
}

impl Browser {
    fn open(folder: &Path) -> Self {
        let mut child = Command::new("chromium")
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--remote-debugging-port=0", "about:blank"])
            .arg(format!("--user-data-dir={}", folder.join("chromium").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("DevTools listening on ").map(str::to_owned))
            .expect("chromium starts");
        std::thread::spawn(move || lines.for_each(drop));
        let host = address.strip_prefix("ws://").unwrap().split('/').next().unwrap();
        let stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = client(address.as_str(), stream).unwrap();
        let mut browser = Self { child, socket, session: String::new(), number: 0, said: Vec::new() };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", &target);
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        self.socket.send(Message::text(message.to_string())).unwrap();
        loop {
            let answer = self.next();
            if answer["id"] == self.number {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn next(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.socket.read().unwrap() {
                let message: Value = serde_json::from_str(text.as_str()).unwrap();
                let method = message["method"].as_str().unwrap_or_default();
                if ["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"].contains(&method)
                {
                    self.said.push(message.clone());
                }
                return message;
            }
        }
    }

    fn show(&mut self, address: &str, (width, height): (u32, u32), colours: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let colours = json!({ "features": [{ "name": "prefers-color-scheme", "value": colours }] });
        self.call("Emulation.setEmulatedMedia", &colours);
        self.call("Page.navigate", &json!({ "url": address }));
        while self.next()["method"] != "Page.loadEventFired" {}
    }

    fn audit(&mut self) -> Vec<String> {
        let result = self.call("Runtime.evaluate", &json!({ "expression": AUDIT, "returnByValue": true }));
        assert!(result["exceptionDetails"].is_null(), "{result}");
        serde_json::from_value(result["result"]["value"].clone()).unwrap()
    }

    /// Names and texts as somebody hears them who cannot see the page.
    fn heard(&mut self) -> String {
        let tree = self.call("Accessibility.getFullAXTree", &json!({}));
        let names =
            tree["nodes"].as_array().unwrap().iter().filter_map(|node| node["name"]["value"].as_str());
        names.collect::<Vec<_>>().join("\n")
    }

    fn picture(&mut self, file: &Path) {
        let whole = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.call("Page.captureScreenshot", &whole);
        let picture = BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        fs::write(file, picture).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything that the page may have to show at once.
fn full(folder: &Folder) -> Serving {
    let slos = "slos: [../slo.yaml]\nsteps:";
    folder.scenario("well", &probing("well", target(WELL), "500ms").replace("steps:", slos));
    folder.scenario("ill", &probing("ill", target(HOSTILE), "500ms"));
    folder.scenario("broken", "scenario: broken\nstepz: []\n");
    folder.scenario("drill", "scenario: drill\nsteps:\n  - name: quiet\n    quiet: { for: 1m }\n");
    let maintained = "maintenance:\n  - { cron: '* * * * *', for: 1h, about: '<i>work</i>' }\nsteps:";
    folder.scenario("rests", &probing("rests", target(WELL), "1s").replace("steps:", maintained));
    fs::write(folder.0.join("slo.yaml"), SLO).unwrap();
    let (well, ill) = (target(WELL), target(HOSTILE));
    let list = format!(
        "- targets: ['http://{well}/', 'http://{ill}/<script>alert(2)</script>']\n  labels: {{ __scrape_interval__: 1s }}\n"
    );
    fs::write(folder.0.join("targets.yaml"), list).unwrap();
    fs::write(folder.0.join("bad.yaml"), "- targetz: []\n").unwrap();
    let serving = Serving::start(&folder.0, &["--targets", "targets.yaml", "--targets", "bad.yaml"]);
    let runs = "firedrill_scenario_runs_total";
    serving.until(runs, &[("scenario", "well"), ("conclusion", "pass")], |runs| runs > 3.0);
    serving.until(runs, &[("scenario", "ill"), ("conclusion", "fail")], |runs| runs > 3.0);
    serving.until("firedrill_target_probes_total", &[("result", "bad")], |probes| probes > 0.0);
    serving.until("firedrill_schedule_suppressed_total", &[("scenario", "rests")], |rests| rests > 0.0);
    serving
}

#[test]
#[ignore = "needs chromium"]
fn the_page_can_be_read_by_everybody_on_a_desk_and_on_a_phone() {
    let folder = Folder::new("browser");
    let serving = full(&folder);
    let mut browser = Browser::open(&folder.0);
    let pictures = std::env::var_os("FIREDRILL_PICTURES").map(PathBuf::from);
    for (page, name) in [("/", "front"), ("/scenario/ill", "scenario"), ("/nowhere", "nowhere")] {
        for (size, device) in [(PHONE, "phone"), (DESK, "desk")] {
            for colours in ["dark", "light"] {
                browser.show(&format!("http://{}{page}", serving.address), size, colours);
                let complaints = browser.audit();
                if let Some(folder) = &pictures {
                    browser.picture(&folder.join(format!("{name}-{device}-{colours}.png")));
                }
                assert_eq!(complaints, [] as [String; 0], "{page} on a {device}, {colours}");
            }
        }
    }
    // The page that is not there is an error to the browser, and the only one.
    let said: Vec<_> = browser.said.iter().filter(|said| !said.to_string().contains("/nowhere")).collect();
    assert!(said.is_empty(), "{said:?}");
    assert_eq!(serving.end(), Some(0));
}

#[test]
#[ignore = "needs chromium"]
fn the_page_is_read_without_scripts_and_what_targets_sent_is_text() {
    let folder = Folder::new("scriptless");
    let serving = full(&folder);
    let mut browser = Browser::open(&folder.0);
    browser.call("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    browser.call("Accessibility.enable", &json!({}));
    browser.show(&format!("http://{}/", serving.address), DESK, "light");
    let heard = browser.heard();
    for said in ["It answers", "well", "1 of 2 fail", "<script>alert(2)</script>", "<i>work</i>", "stepz"] {
        assert!(heard.contains(said), "{said} is not among:\n{heard}");
    }
    browser.show(&format!("http://{}/scenario/ill", serving.address), DESK, "light");
    let heard = browser.heard();
    assert!(heard.contains("<script>alert('body')"), "{heard}");
    assert!(browser.said.is_empty(), "{:?}", browser.said);
    assert_eq!(serving.end(), Some(0));
}
