//! A pod's probes as Kubernetes has them, as written and as checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;

use super::exec::{Exec, OUTPUT_LIMIT, Program};
use super::expect::Answer;
use super::probe::{Holes, Kind};
use super::template::Template;
use crate::finding::{Code, Finding, Findings, nearest};
use crate::source::{At, Place};
use crate::units::Span;
use crate::yaml::Entries;

/// Watches a pod as a kubelet does: would Kubernetes restart it, or take it out of the load balancer?
///
/// The probes are written here with the field names of a Pod's spec, or read from a manifest. An `exec` probe
/// runs here, in the folder of this file, and not in a container.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubeletWritten {
    /// Holds the others back until it succeeds.
    startup: Option<At<ProbeWritten>>,
    /// Has the container restarted when it fails.
    liveness: Option<At<ProbeWritten>>,
    /// Takes the pod out of the load balancer while it fails.
    readiness: Option<At<ProbeWritten>>,
    /// Read the probes from this Pod, Deployment or other workload instead, a file beside this one.
    pod: Option<At<String>>,
    /// The container in `pod` whose probes they are, where it has several.
    container: Option<At<String>>,
    /// The pod's address, without a port; 127.0.0.1 unless said.
    address: Option<At<Template>>,
    /// Where ports of the pod are reached instead, by name or number: `http: "127.0.0.1:8080"`.
    #[serde(default)]
    ports: Entries<At<Template>>,
    /// How long it is watched, from the moment its container counts as started.
    #[serde(rename = "for")]
    lasts: At<Span>,
}

/// A probe, as a Pod's spec writes it. Exactly one of `httpGet`, `tcpSocket`, `grpc` and `exec`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ProbeWritten {
    /// GET a page; any status from 200 to 399 is a success.
    http_get: Option<At<HttpGetWritten>>,
    /// Open a connection.
    tcp_socket: Option<At<TcpSocketWritten>>,
    /// Ask by gRPC's health checking protocol; SERVING is a success.
    grpc: Option<At<GrpcActionWritten>>,
    /// Run a command; exit code 0 is a success.
    exec: Option<At<CommandWritten>>,
    /// Not probed before the container has run so many seconds; 0 unless said.
    initial_delay_seconds: Option<u32>,
    /// Seconds from one probe to the next; 10 unless said.
    period_seconds: Option<u32>,
    /// Seconds after which a probe has failed; 1 unless said.
    timeout_seconds: Option<u32>,
    /// Successes in a row until it counts as succeeding; 1 unless said, and always 1 for liveness and startup.
    success_threshold: Option<At<u32>>,
    /// Failures in a row until it counts as failing; 3 unless said.
    failure_threshold: Option<u32>,
    /// How long a restarted container has to end; of no effect here.
    #[expect(dead_code, reason = "a Pod's spec may say it, and nothing is restarted here")]
    termination_grace_period_seconds: Option<u32>,
}

/// A page to GET.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct HttpGetWritten {
    /// The path, and a query if there is one; `/` unless said.
    path: Option<At<Template>>,
    /// The port's number or name.
    port: At<Template>,
    /// The host; the pod's address unless said.
    host: Option<At<Template>>,
    /// `HTTP`, unless `HTTPS` is said; no certificate is checked.
    scheme: Option<Scheme>,
    /// Headers of the request. An empty `Accept` or `User-Agent` leaves that header out.
    #[serde(default)]
    http_headers: Vec<HeaderWritten>,
}

/// A scheme, as a Pod's spec writes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Scheme {
    /// In the clear.
    #[default]
    Http,
    /// Over TLS, any certificate accepted.
    Https,
}

/// A header of a request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HeaderWritten {
    /// The name.
    name: At<String>,
    /// The value.
    value: At<Template>,
}

/// A connection to open.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TcpSocketWritten {
    /// The port's number or name.
    port: At<Template>,
    /// The host; the pod's address unless said.
    host: Option<At<Template>>,
}

/// A gRPC server to ask, in the clear and without credentials.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GrpcActionWritten {
    /// The port's number; Kubernetes takes no name here.
    port: At<u32>,
    /// The service that is asked about; the server as a whole unless said.
    service: Option<At<Template>>,
}

/// A command to run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CommandWritten {
    /// The program and its arguments; no shell reads them.
    command: Vec<At<Template>>,
}

/// A pod to watch.
#[derive(Debug, Clone)]
pub struct Kubelet {
    /// Its probes, at most one of each role.
    pub probes: Vec<(Role, Probe)>,
    /// Where to read them instead; they are among `probes` once the plan has done so.
    pub manifest: Option<Manifest>,
    /// The pod's address.
    pub address: Option<At<Template>>,
    /// Where its ports are reached, by name or number.
    pub ports: Vec<(String, At<Template>)>,
    /// The numbers of its named ports, as its manifest has them.
    pub numbers: Vec<(String, u16)>,
    /// How long it is watched.
    pub lasts: Duration,
    /// Where it was written.
    pub place: Place,
}

/// Where a pod's probes are read.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The file, beside the one that names it.
    pub file: At<String>,
    /// The container, where the file has several.
    pub container: Option<At<String>>,
}

/// What a probe decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Whether the container has started.
    Startup,
    /// Whether it is restarted.
    Liveness,
    /// Whether it is given traffic.
    Readiness,
}

impl Role {
    /// The role's name in files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }
}

/// A probe of a pod.
#[derive(Debug, Clone)]
pub struct Probe {
    /// What is done.
    pub action: Action,
    /// When, and how often until it counts.
    pub rule: Rule,
    /// Where it was written.
    pub place: Place,
}

/// When a probe is made, and how often in a row until it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Not before the container has run so long.
    pub initial_delay: Duration,
    /// From one to the next; never zero.
    pub period: Duration,
    /// The deadline of one.
    pub timeout: Duration,
    /// Successes in a row; never zero.
    pub successes: u32,
    /// Failures in a row; never zero.
    pub failures: u32,
}

/// What a probe does.
#[derive(Debug, Clone)]
pub enum Action {
    /// GETs a page.
    HttpGet(Box<HttpGet>),
    /// Opens a connection.
    TcpSocket {
        /// The port's number or name.
        port: At<Template>,
        /// The host, where it is not the pod.
        host: Option<At<Template>>,
    },
    /// Asks by gRPC's health checking protocol.
    Grpc {
        /// The port's number.
        port: u16,
        /// The service that is asked about.
        service: Option<At<Template>>,
    },
    /// Runs a command.
    Exec(Box<Exec>),
}

/// A page to GET, checked.
#[derive(Debug, Clone)]
pub struct HttpGet {
    /// The path and the query.
    pub path: Option<At<Template>>,
    /// The port's number or name.
    pub port: At<Template>,
    /// The host, where it is not the pod.
    pub host: Option<At<Template>>,
    /// Whether TLS is spoken.
    pub scheme: Scheme,
    /// Headers of the request, in the order written.
    pub headers: Vec<(HeaderName, At<Template>)>,
}

impl KubeletWritten {
    /// Checks what was written at `place`.
    pub fn check(self, place: Place, findings: &mut Findings) -> Option<Kubelet> {
        let written = [
            (Role::Startup, self.startup),
            (Role::Liveness, self.liveness),
            (Role::Readiness, self.readiness),
        ];
        let first = written.iter().find_map(|(_, probe)| probe.as_ref().map(|at| at.place));
        let count = written.iter().filter(|(_, probe)| probe.is_some()).count();
        let probes: Vec<_> =
            written.into_iter().filter_map(|(role, at)| Some((role, at?.check(role, findings)?))).collect();
        match (&self.pod, first, &self.container) {
            (Some(pod), Some(probe), _) => {
                let title = "probes are written here or read from `pod`, not both";
                findings.add(Finding::new(Code::ScenarioStep, pod.place, title).also(probe, "one is here"));
            }
            (None, None, _) => {
                let finding = Finding::new(Code::ScenarioStep, place, "there is no probe to make");
                let help = "write `liveness`, `readiness` or `startup`, or name a manifest with `pod`";
                findings.add(finding.help(help));
            }
            (None, Some(_), Some(container)) => {
                let title = "`container` says which one of `pod`, and there is no `pod`";
                findings.add(Finding::new(Code::ScenarioStep, container.place, title));
            }
            (Some(_), None, _) | (None, Some(_), None) => {}
        }
        let container = self.container;
        let kubelet = Kubelet {
            manifest: self.pod.map(|file| Manifest { file, container }),
            address: self.address,
            ports: self.ports.into_iter().map(|(name, to)| (name.value, to)).collect(),
            numbers: Vec::new(),
            lasts: self.lasts.value.0,
            place,
            probes,
        };
        kubelet.check_ports(findings);
        (kubelet.probes.len() == count).then_some(kubelet)
    }
}

impl At<ProbeWritten> {
    /// Checks a probe by what its role asks of it.
    pub(super) fn check(self, role: Role, findings: &mut Findings) -> Option<Probe> {
        let Self { value: written, place } = self;
        let action = match (written.http_get, written.tcp_socket, written.grpc, written.exec) {
            (Some(get), None, None, None) => Action::HttpGet(Box::new(get.value.check(findings))),
            (None, None, Some(grpc), None) => grpc.value.check(findings)?,
            (None, Some(socket), None, None) => {
                let TcpSocketWritten { port, host } = socket.value;
                Action::TcpSocket { port, host }
            }
            (None, None, None, Some(exec)) => Action::Exec(Box::new(exec.value.check(exec.place, findings)?)),
            _ => {
                let title = "a probe is one of `httpGet`, `tcpSocket`, `grpc` and `exec`";
                findings.add(Finding::new(Code::ScenarioStep, place, title));
                return None;
            }
        };
        // As the API server has it, zero is as good as unsaid.
        let or = |said: Option<u32>, usual| said.filter(|said| *said != 0).unwrap_or(usual);
        let successes = or(written.success_threshold.map(|at| at.value), 1);
        if let Some(at) = written.success_threshold.filter(|_| successes != 1 && role != Role::Readiness) {
            let title = format!("successThreshold is 1 for a {} probe: one success decides", role.name());
            findings.add(Finding::new(Code::FileValue, at.place, title).label("Kubernetes refuses this"));
        }
        let seconds = |said, usual| Duration::from_secs(u64::from(or(said, usual)));
        let timing = Rule {
            initial_delay: seconds(written.initial_delay_seconds, 0),
            period: seconds(written.period_seconds, 10),
            timeout: seconds(written.timeout_seconds, 1),
            successes,
            failures: or(written.failure_threshold, 3),
        };
        Some(Probe { action, rule: timing, place })
    }
}

impl HttpGetWritten {
    fn check(self, findings: &mut Findings) -> HttpGet {
        let headers = self.http_headers.into_iter().filter_map(|HeaderWritten { name, value }| {
            let parsed = name.value.parse::<HeaderName>().map_err(|_| {
                let title = format!("`{}` cannot be a header's name", name.value);
                Finding::new(Code::FileValue, name.place, title)
            });
            Some((findings.take(parsed)?, value))
        });
        HttpGet {
            headers: headers.collect(),
            path: self.path,
            port: self.port,
            host: self.host,
            scheme: self.scheme.unwrap_or_default(),
        }
    }
}

impl GrpcActionWritten {
    fn check(self, findings: &mut Findings) -> Option<Action> {
        let port = u16::try_from(self.port.value).ok().filter(|port| *port != 0).ok_or_else(|| {
            let title = format!("{} is not a port: 1 to 65535", self.port.value);
            Finding::new(Code::FileValue, self.port.place, title)
        });
        Some(Action::Grpc { port: findings.take(port)?, service: self.service })
    }
}

impl CommandWritten {
    fn check(self, place: Place, findings: &mut Findings) -> Option<Exec> {
        if self.command.is_empty() {
            findings.add(Finding::new(Code::ScenarioStep, place, "a command names a program"));
            return None;
        }
        Some(Exec {
            program: Program::Command(self.command),
            place,
            env: Vec::new(),
            beside: PathBuf::new(),
            dir: None,
            stdin: None,
            limit: OUTPUT_LIMIT,
        })
    }
}

impl Kubelet {
    /// Every port of its probes must be a number or the name of one.
    pub(super) fn check_ports(&self, findings: &mut Findings) {
        for port in self.probes.iter().filter_map(|(_, probe)| probe.action.port()) {
            let Some(literal) = port.literal() else { continue };
            if self.place_of_port(&literal).is_none() && self.number(&literal).is_none() {
                let finding =
                    Finding::new(Code::FileValue, port.place, format!("there is no port `{literal}`"));
                let known = self.ports.iter().map(|(name, _)| name);
                let known = known.chain(self.numbers.iter().map(|(name, _)| name)).map(String::as_str);
                findings.add(match nearest(&literal, known) {
                    Some(meant) => finding.label(format!("did you mean `{meant}`?")),
                    None => {
                        finding.help(format!("say where it is: `ports: {{ {literal}: \"127.0.0.1:8080\" }}`"))
                    }
                });
            }
        }
    }

    /// Tells its commands the folder they run in.
    pub(super) fn stand_in(&mut self, folder: &Path) {
        for (_, probe) in &mut self.probes {
            if let Action::Exec(exec) = &mut probe.action {
                folder.clone_into(&mut exec.beside);
            }
        }
    }

    /// Where a port is reached, if the file says so by its name or its number.
    #[must_use]
    pub fn place_of_port(&self, port: &str) -> Option<&At<Template>> {
        let said = |wanted: &str| self.ports.iter().find(|(name, _)| name == wanted).map(|(_, to)| to);
        said(port).or_else(|| said(&self.number(port)?.to_string()))
    }

    /// The number of a port that is given by name or number.
    #[must_use]
    pub fn number(&self, port: &str) -> Option<u16> {
        let named = self.numbers.iter().find(|(name, _)| name == port).map(|(_, number)| *number);
        named.or_else(|| port.parse().ok()).filter(|number| *number != 0)
    }
}

impl Action {
    fn port(&self) -> Option<&At<Template>> {
        match self {
            Self::HttpGet(get) => Some(&get.port),
            Self::TcpSocket { port, .. } => Some(port),
            Self::Grpc { .. } | Self::Exec(_) => None,
        }
    }

    fn templates(&self) -> Vec<&At<Template>> {
        match self {
            Self::HttpGet(get) => {
                let headers = get.headers.iter().map(|(_, value)| value);
                get.path.iter().chain([&get.port]).chain(&get.host).chain(headers).collect()
            }
            Self::TcpSocket { port, host } => std::iter::once(port).chain(host).collect(),
            Self::Grpc { service, .. } => service.iter().collect(),
            Self::Exec(exec) => exec.templates().collect(),
        }
    }
}

impl Kind for Kubelet {
    fn kind(&self) -> &'static str {
        "kubelet"
    }

    fn subject(&self) -> String {
        match &self.manifest {
            Some(Manifest { file, container: Some(container) }) => format!("kubelet {file} {container}"),
            Some(Manifest { file, container: None }) => format!("kubelet {file}"),
            None => {
                let roles: Vec<_> = self.probes.iter().map(|(role, _)| role.name()).collect();
                format!("kubelet {}", roles.join(", "))
            }
        }
    }

    fn answer(&self) -> Answer {
        Answer::Kubelet
    }

    fn holes(&self) -> Holes<'_> {
        let probes = self.probes.iter().flat_map(|(_, probe)| probe.action.templates());
        let ports = self.ports.iter().map(|(_, to)| to);
        let all = probes.chain(&self.address).chain(ports);
        Box::new(all.flat_map(|at| at.holes().map(|hole| (hole, at.place))))
    }
}
