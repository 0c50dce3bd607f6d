//! A job's targets, led to where the stack's services really run; what labels they have stays production's.
//!
//! The user's own relabelling sees the addresses of production. Rules after it remember the address as `instance`,
//! where nothing has set that, then put the real one in its place, and drop whatever the stack does not have: nothing
//! of production is ever scraped.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::plan::PlannedStack;
use crate::scenario::stack::{ALERTMANAGER, HTTP, PROMETHEUS, Prometheus, Target};
use crate::source::Place;
use crate::yaml::{Key, Kind, Node};

/// The label that leads a target to its service; those that begin with two underscores are gone after relabelling.
const TO: &str = "__firedrill_to";

/// The parameter by which an exporter is told whom to probe in place of itself.
const PROBED: &str = "__param_target";

/// Prometheus before this does not leave an address without its port.
const PORTLESS_SINCE: u32 = 3;

/// Where the services of a stack are.
pub(super) struct Ways<'a> {
    planned: &'a PlannedStack,
    reached: &'a BTreeMap<String, BTreeMap<String, SocketAddr>>,
    scrape: &'a BTreeMap<String, Vec<Target>>,
    major: u32,
}

impl<'a> Ways<'a> {
    pub(super) fn new(
        planned: &'a PlannedStack,
        reached: &'a BTreeMap<String, BTreeMap<String, SocketAddr>>,
        wanted: &'a Prometheus,
        major: u32,
    ) -> Self {
        Self { planned, reached, scrape: &wanted.scrape, major }
    }

    /// Leads a job's targets to the stack.
    pub(super) fn lead(&self, job: &mut Node, notes: &mut Vec<String>) {
        let name = job.get("job_name").and_then(Node::scalar).unwrap_or_default().to_owned();
        let place = job.place;
        let declared = self.scrape.get(&name);
        let mut discoveries = Vec::new();
        if let Some(entries) = job.entries_mut() {
            entries.retain(|(key, _)| {
                let leaves =
                    key.name.ends_with("_sd_configs") || (declared.is_some() && key.name == "static_configs");
                if leaves && key.name != "static_configs" {
                    discoveries.push(key.name.clone());
                }
                !leaves
            });
        }
        match declared {
            Some(targets) => {
                let groups = targets.iter().map(|target| self.group(target, place)).collect();
                job.set("static_configs", Kind::List(groups));
            }
            None => self.judge(&name, job, &discoveries, notes),
        }
        // A proxy on the way is not here.
        job.take("proxy_url");
        job.take("proxy_from_environment");
        let scheme = job.get("scheme").and_then(Node::scalar).unwrap_or("http").to_owned();
        let mut own = listed(job.get("relabel_configs")).iter();
        let probes = own.any(|rule| rule.get("target_label").and_then(Node::scalar) == Some(PROBED));
        let rules = self.rules(&scheme, probes, place);
        match job.get_mut("relabel_configs") {
            Some(Node { kind: Kind::List(own), .. }) => own.extend(rules),
            Some(_) | None => job.set("relabel_configs", Kind::List(rules)),
        }
    }

    /// Notes targets that nobody here answers for.
    fn judge(&self, job: &str, node: &Node, discoveries: &[String], notes: &mut Vec<String>) {
        for discovery in discoveries {
            notes.push(format!(
                "job `{job}`: `{discovery}` finds nothing here; name its targets with `scrape: {{ {job}: [{{ service: … }}] }}`"
            ));
        }
        // Where relabelling changes addresses, only Prometheus can say what comes of them.
        let mut rules = listed(node.get("relabel_configs")).iter();
        if rules.any(|rule| rule.get("target_label").and_then(Node::scalar) == Some("__address__")) {
            return;
        }
        for target in targets(node) {
            if self.known(target).is_none() {
                notes.push(format!(
                    "job `{job}`: `{target}` is no service of the stack and is not scraped; name it with `scrape: {{ {job}: [{{ service: …, address: \"{target}\" }}] }}`"
                ));
            }
        }
    }

    /// Where an address of production really is, when its host is the name of a service.
    fn known(&self, address: &str) -> Option<SocketAddr> {
        self.addresses().into_iter().find(|(known, _)| known == address).map(|(_, real)| real)
    }

    /// A target as the stack's file declares it.
    fn group(&self, target: &Target, place: Place) -> Node {
        let service = &target.service.value;
        let ports = self.reached.get(service);
        let of_service = self.planned.stack.service(service);
        let port = target.port.as_ref().map(|port| port.value.as_str());
        let port = port.or_else(|| of_service.and_then(|service| service.usual_port())).unwrap_or(HTTP);
        let number = of_service
            .and_then(|service| service.ports.iter().find(|(name, _)| name.value == port))
            .map_or(80, |(_, number)| *number);
        let address = target.address.clone().unwrap_or_else(|| format!("{service}:{number}"));
        let mut labels: Vec<_> = target.labels.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        if let Some(real) = ports.and_then(|ports| ports.get(port)) {
            labels.push((TO, real.to_string()));
        }
        let mut group = map(place, []);
        group.set("targets", Kind::List(vec![text(place, address)]));
        group.set("labels", map(place, labels).kind);
        group
    }

    /// Every address that production may use for a service of the stack, and where it is.
    fn addresses(&self) -> Vec<(String, SocketAddr)> {
        let mut all = Vec::new();
        for service in &self.planned.stack.services {
            let Some(ports) = self.reached.get(&service.name.value) else { continue };
            let usual = service.usual_port();
            for (name, number) in &service.ports {
                let Some(real) = ports.get(&name.value) else { continue };
                all.push((format!("{}:{number}", service.name), *real));
                if usual == Some(name.value.as_str()) {
                    all.push((service.name.value.clone(), *real));
                }
            }
        }
        for (service, port) in [(PROMETHEUS, 9090), (ALERTMANAGER, 9093)] {
            let Some(real) = self.reached.get(service).and_then(|ports| ports.get(HTTP)) else { continue };
            all.push((format!("{service}:{port}"), *real));
            all.push((format!("localhost:{port}"), *real));
            all.push((format!("127.0.0.1:{port}"), *real));
        }
        all
    }

    /// The rules after the user's own.
    fn rules(&self, scheme: &str, probes: bool, place: Place) -> Vec<Node> {
        let mut rules = Vec::new();
        let instance = |regex: &str, replacement: String| {
            map(
                place,
                [
                    ("regex", regex.to_owned()),
                    ("target_label", "instance".to_owned()),
                    ("replacement", replacement),
                ],
            )
        };
        let by = |mut rule: Node, labels: &[&str]| {
            let labels = labels.iter().map(|label| text(place, (*label).to_owned())).collect();
            rule.set("source_labels", Kind::List(labels));
            rule
        };
        let sources = ["instance", "__address__"];
        if self.major < PORTLESS_SINCE {
            let port = if scheme == "https" { 443 } else { 80 };
            rules.push(by(instance("^;([^:]+)$", format!("${{1}}:{port}")), &sources));
        }
        rules.push(by(instance("^;(.+)$", "${1}".to_owned()), &sources));
        for (known, real) in self.addresses() {
            let known = regex::escape(&known);
            let to = |from: &str, regex: String, target: &str, replacement: String| {
                let rule = map(
                    place,
                    [("regex", regex), ("target_label", target.to_owned()), ("replacement", replacement)],
                );
                by(rule, &[from])
            };
            rules.push(to("__address__", known.clone(), TO, real.to_string()));
            if probes {
                let regex = format!("([a-z]+://)?{known}(/.*)?");
                rules.push(to(PROBED, regex, PROBED, format!("${{1}}{real}${{2}}")));
            }
        }
        rules.push(by(map(place, [("regex", "(.+)".to_owned()), ("action", "keep".to_owned())]), &[TO]));
        let last = [("target_label", "__address__".to_owned())];
        rules.push(by(map(place, last), &[TO]));
        rules
    }
}

/// The targets that a job lists itself.
fn targets(job: &Node) -> Vec<&str> {
    let groups = listed(job.get("static_configs")).iter();
    groups.flat_map(|group| listed(group.get("targets"))).filter_map(Node::scalar).collect()
}

/// The elements of a list; of anything else, none.
pub(super) fn listed(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.kind) {
        Some(Kind::List(items)) => items,
        Some(
            Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::Map(_),
        )
        | None => &[],
    }
}

fn text(place: Place, text: String) -> Node {
    Node { place, kind: Kind::Text(text) }
}

fn map<'k>(place: Place, entries: impl IntoIterator<Item = (&'k str, String)>) -> Node {
    let entries =
        entries.into_iter().map(|(key, value)| (Key { name: key.to_owned(), place }, text(place, value)));
    Node { place, kind: Kind::Map(entries.collect()) }
}
