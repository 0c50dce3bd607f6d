//! An incident as a scenario for a stack of one's own: the traffic that was recorded as load, and what broke as a fault,
//! where the record says what that was.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::folder::Incident;
use super::timeline::moment;
use super::traffic::Traffic;
use crate::plan::PlannedStack;
use crate::report::on_one_line;
use crate::rule::RuleFile;
use crate::scenario::stack::HTTP;
use crate::units::Span;

/// How a scenario is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Rehearsing<'r> {
    /// The stack that it is for.
    pub stack: &'r PlannedStack,
    /// How its file is called from where the scenario stands.
    pub stack_file: &'r Path,
    /// How the curve's file is called from there.
    pub rates_file: &'r str,
    /// How much faster than it was.
    pub speed: f64,
    /// The counter by which the traffic is known, where it is not to be sought.
    pub counter: Option<&'r str>,
    /// What is loaded, where it is not the service that was counted.
    pub url: Option<&'r str>,
    /// The service that broke, where it is not to be sought.
    pub kill: Option<&'r str>,
}

/// A scenario, and what is to be known of it.
#[derive(Debug)]
pub struct Rehearsal {
    /// Its text.
    pub scenario: String,
    /// The curve of its load, where there is one.
    pub rates: Option<String>,
    /// What was found, a sentence each.
    pub found: Vec<String>,
    /// What was not, and is to be filled in.
    pub lacking: Vec<String>,
}

/// Makes a scenario of an incident.
#[must_use]
pub fn rehearse(incident: &Incident, wanted: &Rehearsing<'_>) -> Rehearsal {
    let manifest = &incident.manifest;
    let mut made = Rehearsal {
        scenario: format!(
            "# Made by `firedrill incident rehearse` of what was recorded from {} to {}.\nscenario: {}\nstack: {}\nclock: {{ speed: {} }}\n",
            moment(manifest.from),
            moment(manifest.to),
            quoted(&format!("rehearsal of {}", manifest.incident)),
            quoted(&wanted.stack_file.display().to_string()),
            wanted.speed
        ),
        rates: None,
        found: Vec::new(),
        lacking: Vec::new(),
    };
    made.load(incident, wanted);
    made.fault(incident, wanted);
    made
}

impl Rehearsal {
    /// The load that was, in the background.
    fn load(&mut self, incident: &Incident, wanted: &Rehearsing<'_>) {
        let Some(traffic) = Traffic::of(incident, wanted.counter) else {
            self.lacking.push(match wanted.counter {
                Some(counter) => format!("the traffic: `{counter}` is not recorded, or did not grow"),
                None => {
                    "the traffic: no counter of requests is recorded; `--counter NAME` names one".to_owned()
                }
            });
            self.scenario += "\n# The record does not say how much traffic there was. A load goes here (docs/load.md):\n# background:\n#   - load: { rate: 10/s, for: 60s, http: { get: \"http://${service.NAME.http}/\" } }\n";
            return;
        };
        let path = traffic.path.as_deref().unwrap_or("/");
        let of = traffic.job.as_deref().and_then(|job| Target { job, instance: "" }.service(wanted.stack));
        let url = match (wanted.url, of) {
            (Some(url), _) => url.to_owned(),
            (None, Some(service)) => {
                format!("http://${{service.{service}.{}}}{path}", port(wanted.stack, &service))
            }
            (None, None) => {
                let job = traffic.job.as_deref().unwrap_or("none");
                self.lacking.push(format!(
                    "where the load goes: no service of the stack is job `{job}`; `--url` says where, and may be `http://${{service.NAME.http}}/`"
                ));
                self.scenario += "\n# No service of the stack is the one whose traffic was recorded: `--url` says where it goes.\n";
                return;
            }
        };
        let of = traffic.job.as_ref().map_or(String::new(), |job| format!(" of job `{job}`"));
        let counted = format!("`{}`{of}, up to {:.3}/s", traffic.counter, traffic.peak());
        let _ = write!(
            self.scenario,
            "\nbackground:\n  # As many a second as were counted by {}, {} times as fast over. Failures are what the fault is for.\n  - name: traffic as it was\n    load:\n      replay: {}\n      http: {{ get: {} }}\n      thresholds: [{{ errors: at most 100% }}]\n",
            on_one_line(&counted),
            wanted.speed,
            quoted(wanted.rates_file),
            quoted(&url)
        );
        self.found.push(format!("traffic: {counted}, to {url}"));
        self.rates = Some(traffic.csv(wanted.speed));
    }

    /// What broke, and the alerts that came of it.
    fn fault(&mut self, incident: &Incident, wanted: &Rehearsing<'_>) {
        self.scenario += "\nsteps:\n";
        let manifest = &incident.manifest;
        let wall = |rule: i64| {
            let rule = Duration::from_millis(u64::try_from(rule).unwrap_or_default());
            // No finer than a file says it.
            Duration::from_millis(u64::try_from((rule.div_f64(wanted.speed)).as_millis()).unwrap_or(u64::MAX))
        };
        let Some(broken) = Broken::of(incident, wanted) else {
            let names: Vec<_> =
                wanted.stack.stack.services.iter().map(|one| one.name.value.as_str()).collect();
            self.lacking.push(
                "what broke: no target of the stack was down; put a fault where the scenario says so, or `--kill SERVICE`"
                    .to_owned(),
            );
            let whole = Span(wall(manifest.to - manifest.from).max(Duration::from_millis(1)));
            let _ = write!(
                self.scenario,
                "  # The record does not say what broke. A fault goes here (docs/files.md, fault); services are {}:\n  # - name: what broke\n  #   fault: {{ latency: {{ service: NAME, add: 2s }} }}\n  #   alerts: {{ {} }}\n  - name: as long as it went on\n    wait: {whole}\n",
                names.join(", "),
                expected(incident, wanted.stack, i64::MIN)
                    .0
                    .iter()
                    .map(|name| format!("{}: {{}}", quoted(name)))
                    .collect::<Vec<_>>()
                    .join(", ")
            );
            return;
        };
        if broken.at > manifest.from {
            let waits = wall(broken.at - manifest.from);
            if !waits.is_zero() {
                let _ = write!(self.scenario, "  - name: until it happened\n    wait: {}\n", Span(waits));
            }
        }
        let service = &broken.service;
        let _ = write!(
            self.scenario,
            "  - name: {}\n    fault: {{ kill: {} }}\n",
            quoted(&format!("{service} is down")),
            quoted(service)
        );
        let lasted = wall(broken.until.unwrap_or(manifest.to) - broken.at);
        if !lasted.is_zero() {
            let _ = writeln!(self.scenario, "    for: {}", Span(lasted));
        }
        self.found.push(format!("fault: kill {service} at {}, {}", moment(broken.at), broken.why));
        let (names, others) = expected(incident, wanted.stack, broken.at);
        if !names.is_empty() {
            self.scenario += "    alerts:\n";
        }
        for name in &names {
            let _ = writeln!(self.scenario, "      {}: {{}}", quoted(name));
        }
        for name in others {
            self.lacking.push(format!("the stack has no rule `{name}`, whose alert fired"));
        }
    }
}

/// The service that broke, and when. Moments are the incident's.
struct Broken {
    service: String,
    at: i64,
    until: Option<i64>,
    why: String,
}

impl Broken {
    /// What the drill broke, or the first target that was down.
    fn of(incident: &Incident, wanted: &Rehearsing<'_>) -> Option<Self> {
        let down = down(incident);
        if let Some(service) = wanted.kill {
            let (at, until) = down.first().map_or((incident.manifest.from, None), |one| (one.at, one.until));
            return Some(Self { service: service.to_owned(), at, until, why: "as `--kill` says".to_owned() });
        }
        if let Some(drill) = &incident.manifest.drill
            && let Some(service) = drill.fault.strip_prefix("kill ")
            && has(wanted.stack, service)
        {
            let (at, until) = (drill.effect, Some(drill.at(drill.lifted)));
            return Some(Self { service: service.to_owned(), at, until, why: "as the drill did".to_owned() });
        }
        down.into_iter().find_map(|one| {
            let service = one.target.service(wanted.stack)?;
            let why = format!("when `up` of job `{}` was 0", one.target.job);
            Some(Self { service, at: one.at, until: one.until, why })
        })
    }
}

/// A target as Prometheus names it.
#[derive(Clone, Copy)]
struct Target<'t> {
    job: &'t str,
    instance: &'t str,
}

impl Target<'_> {
    /// The service of a stack that it is: the one that its job scrapes, or that is called as its host or its job is.
    fn service(self, stack: &PlannedStack) -> Option<String> {
        let scraped = stack.stack.prometheus.as_ref().and_then(|own| own.scrape.get(self.job));
        if let Some([only]) = scraped.map(Vec::as_slice) {
            return Some(only.service.value.clone());
        }
        let host = self.instance.rsplit_once(':').map_or(self.instance, |(host, _)| host);
        [host, self.job].into_iter().find(|name| has(stack, name)).map(str::to_owned)
    }
}

fn has(stack: &PlannedStack, service: &str) -> bool {
    stack.stack.services.iter().any(|one| one.name.value == service)
}

/// The port of a service that answers requests.
fn port(stack: &PlannedStack, service: &str) -> String {
    let service = stack.stack.services.iter().find(|one| one.name.value == service);
    let names = || service.into_iter().flat_map(|one| one.ports.iter().map(|(name, _)| &name.value));
    names().find(|name| *name == HTTP).or_else(|| names().next()).map_or(HTTP.to_owned(), Clone::clone)
}

/// A target that was down, in the incident's time.
struct Down<'d> {
    target: Target<'d>,
    at: i64,
    until: Option<i64>,
}

/// The targets that were down, in the order in which they went.
fn down(incident: &Incident) -> Vec<Down<'_>> {
    let manifest = &incident.manifest;
    let at = |moment: i64| manifest.drill.as_ref().map_or(moment, |drill| drill.at(moment));
    let ups =
        incident.series.iter().filter(|one| one.labels.get("__name__").is_some_and(|name| name == "up"));
    let mut all: Vec<_> = ups
        .filter_map(|up| {
            let label = |name: &str| up.labels.get(name).map_or("", String::as_str);
            let within = |moment: i64| (manifest.from..=manifest.to).contains(&at(moment));
            let first = up.points.iter().position(|(moment, value)| within(*moment) && *value < 1.0)?;
            let until =
                up.points[first..].iter().find(|(_, value)| *value >= 1.0).map(|(moment, _)| at(*moment));
            let target = Target { job: label("job"), instance: label("instance") };
            Some(Down { target, at: at(up.points[first].0), until })
        })
        .collect();
    all.sort_by_key(|one| one.at);
    all
}

/// The alerts that fired after a moment, each once: those that the stack has rules for, and those that it has not.
fn expected(incident: &Incident, stack: &PlannedStack, after: i64) -> (Vec<String>, Vec<String>) {
    let mut names: Vec<_> = incident
        .alerts
        .iter()
        .filter(|one| one.fired.is_some_and(|fired| fired >= after))
        .map(|one| one.name().to_owned())
        .collect();
    names.sort();
    names.dedup();
    let has_rule = |name: &String| {
        let mut alerts = stack.rules.iter().flat_map(RuleFile::alerts);
        alerts.any(|(_, rule, _)| rule.name.value == *name)
    };
    names.into_iter().partition(has_rule)
}

/// A text that YAML takes as it is, and in which nothing is filled in but what names a service.
fn quoted(text: &str) -> String {
    serde_json::Value::from(on_one_line(text)).to_string()
}

/// How a file is called from a folder; both are there.
///
/// # Errors
/// When one of them is not.
pub fn path_from(folder: &Path, file: &Path) -> std::io::Result<PathBuf> {
    let (folder, file) = (folder.canonicalize()?, file.canonicalize()?);
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (folder.components().collect(), file.components().collect());
    let same = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = from[same..].iter().map(|_| Component::ParentDir);
    Ok(up.chain(to[same..].iter().copied()).collect())
}
