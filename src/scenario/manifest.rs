//! The probes of a container, as the manifest of its pod has them. Only these are read; the rest is Kubernetes's.

use super::kubelet::{Kubelet, Manifest, ProbeWritten, Role};
use crate::finding::{Code, Finding, Findings, nearest};
use crate::source::At;
use crate::yaml::{Key, Kind, Node, read};

/// Where a workload's manifest has the pod's spec.
const SPECS: [&[&str]; 3] =
    [&["spec"], &["spec", "template", "spec"], &["spec", "jobTemplate", "spec", "template", "spec"]];

/// The key of each role's probe.
const PROBES: [(Role, &str); 3] =
    [(Role::Startup, "startupProbe"), (Role::Liveness, "livenessProbe"), (Role::Readiness, "readinessProbe")];

impl Kubelet {
    /// Takes the probes and the named ports over from the documents of its manifest.
    pub fn adopt(&mut self, documents: &[Node], findings: &mut Findings) {
        let Some(manifest) = &self.manifest else { return };
        let Some(container) = findings.take(choose(manifest, documents)) else { return };
        self.numbers = ports(container);
        for (role, key) in PROBES {
            let Some(node) = container.get(key) else { continue };
            let written: Option<ProbeWritten> = findings.take_all(read(&plain(node)));
            let probe = written.and_then(|written| At::new(written, node.place).check(role, findings));
            self.probes.extend(probe.map(|probe| (role, probe)));
        }
        if PROBES.iter().all(|(_, key)| container.get(key).is_none()) {
            let name = container.get("name").and_then(Node::scalar).unwrap_or_default();
            let finding = Finding::new(
                Code::ScenarioStep,
                manifest.file.place,
                format!("container `{name}` has no probes"),
            );
            findings.add(
                finding.help("Kubernetes gives it traffic at once, and never restarts it for its health"),
            );
        }
        self.check_ports(findings);
    }
}

/// The container that is meant.
fn choose<'n>(manifest: &Manifest, documents: &'n [Node]) -> Result<&'n Node, Finding> {
    let file = &manifest.file;
    let specs = documents.iter().flat_map(|document| {
        SPECS.iter().filter_map(move |path| path.iter().try_fold(document, |node, key| node.get(key)))
    });
    let containers: Vec<&Node> = specs.filter_map(|spec| spec.get("containers")).flat_map(items).collect();
    let name =
        |container: &&Node| container.get("name").and_then(Node::scalar).unwrap_or_default().to_owned();
    let names: Vec<String> = containers.iter().map(name).collect();
    match (&manifest.container, containers.as_slice()) {
        (_, []) => {
            let finding =
                Finding::new(Code::FileKind, file.place, format!("there is no container in `{file}`"));
            Err(finding
                .help("a Pod, or what makes pods: a Deployment, StatefulSet, DaemonSet, Job or CronJob"))
        }
        (None, [only]) => Ok(only),
        (None, _) => {
            let title = format!("`{file}` has several containers");
            let finding = Finding::new(Code::ScenarioStep, file.place, title);
            Err(finding.help(format!("say which: `container: {}`", names.join("` or `container: "))))
        }
        (Some(wanted), _) => {
            containers.iter().copied().find(|container| name(container) == wanted.value).ok_or_else(|| {
                let title = format!("there is no container `{wanted}` in `{file}`");
                let finding = Finding::new(Code::FileValue, wanted.place, title);
                match nearest(wanted, names.iter().map(String::as_str)) {
                    Some(meant) => finding.label(format!("did you mean `{meant}`?")),
                    None => finding.help(format!("it has `{}`", names.join("`, `"))),
                }
            })
        }
    }
}

/// The numbers of a container's named ports.
fn ports(container: &Node) -> Vec<(String, u16)> {
    let listed = container.get("ports").into_iter().flat_map(items);
    let named = listed.filter_map(|port| {
        let number = port.get("containerPort")?.scalar()?.parse().ok()?;
        Some((port.get("name")?.scalar()?.to_owned(), number))
    });
    named.collect()
}

fn items(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(items) => items,
        Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::Map(_) => &[],
    }
}

/// The same, with nothing in its texts to be filled in: `${…}` there is the container's own.
fn plain(node: &Node) -> Node {
    let kind = match &node.kind {
        Kind::Text(text) => Kind::Text(text.replace("${", "$${")),
        Kind::List(items) => Kind::List(items.iter().map(plain).collect()),
        Kind::Map(entries) => {
            let entry = |(key, value): &(Key, Node)| (key.clone(), plain(value));
            Kind::Map(entries.iter().map(entry).collect())
        }
        other @ (Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..)) => other.clone(),
    };
    Node { place: node.place, kind }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::source::Sources;
    use crate::yaml;

    /// What is read of a manifest: its probes, or else what is wrong.
    fn adopted(container: Option<&str>, text: &str) -> String {
        let id = Sources::default().add(Path::new("pod.yaml"), text);
        let place = id.place(0, 0);
        let Ok(documents) = yaml::parse(id, text) else { return "no YAML".to_owned() };
        let container = container.map(|name| At::new(name.to_owned(), place));
        let manifest = Manifest { file: At::new("pod.yaml".to_owned(), place), container };
        let mut kubelet = Kubelet {
            probes: Vec::new(),
            manifest: Some(manifest),
            address: None,
            ports: Vec::new(),
            numbers: Vec::new(),
            lasts: Duration::from_secs(1),
            place,
        };
        let mut findings = Findings::default();
        kubelet.adopt(&documents, &mut findings);
        let probes = kubelet
            .probes
            .iter()
            .map(|(role, probe)| format!("{} every {}s", role.name(), probe.rule.period.as_secs()));
        let wrong = findings.in_reading_order().into_iter().map(|finding| finding.title);
        probes.chain(wrong).collect::<Vec<_>>().join("; ")
    }

    const CONTAINERS: &str = "{ containers: [{ name: a, ports: [{ name: web, containerPort: 80 }], \
        livenessProbe: { tcpSocket: { port: web } }, readinessProbe: { httpGet: { port: web }, periodSeconds: 5 } }] }";

    #[rstest]
    #[case::pod("{ kind: Pod, spec: SPEC }")]
    #[case::deployment("{ kind: Deployment, spec: { template: { spec: SPEC } } }")]
    #[case::cron_job("{ kind: CronJob, spec: { jobTemplate: { spec: { template: { spec: SPEC } } } } }")]
    #[case::among_others("{ kind: Service, spec: { ports: [] } }\n---\n{ kind: Pod, spec: SPEC }")]
    fn a_workload_has_its_pods_probes(#[case] text: &str) {
        let text = text.replace("SPEC", CONTAINERS);
        assert_eq!(adopted(None, &text), "liveness every 10s; readiness every 5s");
    }

    #[rstest]
    #[case::service("{ kind: Service, spec: {} }", "there is no container in `pod.yaml`")]
    #[case::empty("", "there is no container in `pod.yaml`")]
    #[case::bare("spec: { containers: [{ name: a }] }", "container `a` has no probes")]
    #[case::odd_key(
        "spec: { containers: [{ name: a, livenessProbe: { exec: { command: [ls] }, perodSeconds: 5 } }] }",
        "unknown key `perodSeconds`"
    )]
    #[case::odd_port(
        "spec: { containers: [{ name: a, livenessProbe: { tcpSocket: { port: web } } }] }",
        "liveness every 10s; there is no port `web`"
    )]
    #[case::threshold(
        "spec: { containers: [{ name: a, startupProbe: { exec: { command: [ls] }, successThreshold: 3 } }] }",
        "startup every 10s; successThreshold is 1 for a startup probe: one success decides"
    )]
    #[case::own_variables(
        "spec: { containers: [{ name: a, livenessProbe: { exec: { command: [sh, -c, 'test ${A:-b} $${'] } } }] }",
        "liveness every 10s"
    )]
    fn what_is_wrong_is_said(#[case] text: &str, #[case] said: &str) {
        assert_eq!(adopted(None, text), said);
    }

    proptest! {
        #[test]
        fn no_manifest_panics(text in "(spec|template|containers|name|livenessProbe|port|exec|[{}:, \\[\\]0-9a-z$\n-]){0,40}") {
            let _ = adopted(None, &text);
            let _ = adopted(Some("a"), &format!("spec: {{ containers: [{{ name: a, livenessProbe: {text} }}] }}"));
        }
    }
}
