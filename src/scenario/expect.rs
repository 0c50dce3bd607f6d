//! What an answer must be, as written and as checked.

use http::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json_path::JsonPath;

use super::capture::Origin;
use super::certificate::{Certificate, CertificateWritten};
use super::dns::{Rcode, Records};
use super::grpc::{Rpc, RpcStatus, Serving};
use super::logs::{Lines, fields};
use super::predicate::{Domain, Predicate};
use super::promql::Series;
use super::schema::Schema;
use super::template::Hole;
use crate::finding::{Code, Finding, Findings};
use crate::sample::Phase;
use crate::source::{At, Place};
use crate::yaml::{Entries, Json, Kind, Node};

/// What an answer must be. Without `status`, a success (2xx) is expected; of a program, without `exit`, 0.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectWritten {
    /// A status, a class like `2xx`, or a list of which one must match.
    #[schemars(with = "Option<StatusWritten>")]
    status: Option<Json>,
    /// The whole attempt, from when it was due to its last byte.
    #[schemars(with = "Option<Predicate>")]
    latency: Option<Json>,
    /// Single phases: resolve, connect, tls, send, wait, transfer, exchange. Of the last hop, where there are several.
    #[serde(default)]
    #[schemars(with = "Entries<Predicate>")]
    phases: Entries<Json>,
    /// Headers of the answer.
    #[serde(default)]
    #[schemars(with = "Entries<Predicate>")]
    headers: Entries<Json>,
    /// The body as text.
    #[schemars(with = "Option<Predicate>")]
    body: Option<Json>,
    /// The body's size in bytes, unpacked.
    #[schemars(with = "Option<Predicate>")]
    size: Option<Json>,
    /// Places in a JSON body, by RFC 9535 JSONPath.
    #[serde(default)]
    #[schemars(with = "Entries<Predicate>")]
    json: Entries<Json>,
    /// A file of a JSON Schema that the JSON body matches, beside this file. Patterns in it are as elsewhere here.
    schema: Option<At<String>>,
    /// The number a program exits with.
    #[schemars(with = "Option<Predicate>")]
    exit: Option<Json>,
    /// What a program writes to standard output, without the line end at its end.
    #[schemars(with = "Option<Predicate>")]
    stdout: Option<Json>,
    /// What a program writes to standard error, without the line end at its end.
    #[schemars(with = "Option<Predicate>")]
    stderr: Option<Json>,
    /// The peer's certificate.
    certificate: Option<At<CertificateWritten>>,
    /// The version of TLS that was agreed on: `TLS1.3`.
    #[schemars(with = "Option<Predicate>")]
    version: Option<Json>,
    /// What a name server says of the question. Without it, `NOERROR` and a record of the type asked for.
    rcode: Option<At<Rcode>>,
    /// A name server's answer: any record like this, as `dig +short` prints it; text without its quotes.
    #[schemars(with = "Option<Predicate>")]
    answers: Option<Json>,
    /// How many records of the type asked for.
    #[schemars(with = "Option<Predicate>")]
    count: Option<Json>,
    /// A record like this about who is in charge of the name.
    #[schemars(with = "Option<Predicate>")]
    authority: Option<Json>,
    /// A record like this besides.
    #[schemars(with = "Option<Predicate>")]
    additional: Option<Json>,
    /// The smallest time to live among the answer's records, in seconds.
    #[schemars(with = "Option<Predicate>")]
    ttl: Option<Json>,
    /// The share of echoes that may be lost: `at most 5%`; none unless said.
    #[schemars(with = "Option<Predicate>")]
    loss: Option<Json>,
    /// How often Kubernetes would restart a pod's container; 0 unless said.
    #[schemars(with = "Option<Predicate>")]
    restarts: Option<Json>,
    /// Whether a pod is given traffic at the end; unless it was restarted, it must be.
    #[schemars(with = "Option<Predicate>")]
    ready: Option<Json>,
    /// How a gRPC server says its service is; SERVING unless said.
    serving: Option<At<Serving>>,
    /// How a gRPC call ends; OK unless said.
    grpc_status: Option<At<RpcStatus>>,
    /// How many series a query gives; at least one unless said. A scalar is one.
    #[schemars(with = "Option<Predicate>")]
    series: Option<Json>,
    /// The value of every series; NaN is never as expected.
    #[schemars(with = "Option<Predicate>")]
    value: Option<Json>,
    /// The value of at least one series.
    #[schemars(with = "Option<Predicate>")]
    any_value: Option<Json>,
    /// Labels of every series.
    #[serde(default)]
    #[schemars(with = "Entries<Predicate>")]
    labels: Entries<Json>,
    /// How many warnings come with the answer to a query; none unless said.
    #[schemars(with = "Option<Predicate>")]
    warnings: Option<Json>,
    /// How many lines were logged; at least one unless said.
    #[schemars(with = "Option<Predicate>")]
    lines: Option<Json>,
    /// How many lines of a log are no JSON object; none unless said.
    #[schemars(with = "Option<Predicate>")]
    malformed: Option<Json>,
    /// Fields of every line of a log, by name, or by JSONPath where it begins with `$`.
    #[serde(default)]
    #[schemars(with = "Entries<Predicate>")]
    fields: Entries<Json>,
    /// How many lines of a log are of a level: `ERROR: 0`; capitals or not.
    #[serde(default)]
    #[schemars(with = "Entries<Predicate>")]
    levels: Entries<Json>,
    /// Fields of one line of a log, which must be there; captures are of that line.
    #[serde(default)]
    #[schemars(with = "Entries<Predicate>")]
    find: Entries<Json>,
}

/// What will do: a status, a class, or one of several.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum StatusWritten {
    One(StatusWord),
    Several(Vec<StatusWord>),
}

/// A status like `200`, or a class like `2xx`.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum StatusWord {
    /// An exact status.
    Exact(#[schemars(range(min = 100, max = 599))] u16),
    /// A class of statuses.
    Class(#[schemars(regex(pattern = "^[1-5]xx$"))] String),
}

/// What an answer must be, checked.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// The statuses that will do; any success where nothing is said.
    pub status: Option<At<Vec<Status>>>,
    /// The whole attempt.
    pub latency: Option<At<Predicate>>,
    /// Single phases.
    pub phases: Vec<(Phase, At<Predicate>)>,
    /// Headers of the answer.
    pub headers: Vec<(HeaderName, At<Predicate>)>,
    /// The body as text.
    pub body: Option<At<Predicate>>,
    /// The body's size.
    pub size: Option<At<Predicate>>,
    /// Places in a JSON body.
    pub json: Vec<(JsonPath, At<Predicate>)>,
    /// What the JSON body matches as a whole.
    pub schema: Option<Schema>,
    /// The number a program exits with.
    pub exit: Option<At<Predicate>>,
    /// What a program writes to standard output.
    pub stdout: Option<At<Predicate>>,
    /// What a program writes to standard error.
    pub stderr: Option<At<Predicate>>,
    /// The peer's certificate.
    pub certificate: Option<Certificate>,
    /// The version of TLS that was agreed on.
    pub version: Option<At<Predicate>>,
    /// What a name server answers.
    pub records: Records,
    /// The share of echoes that may be lost.
    pub loss: Option<At<Predicate>>,
    /// How often a pod's container is restarted.
    pub restarts: Option<At<Predicate>>,
    /// Whether a pod is given traffic at the end.
    pub ready: Option<At<Predicate>>,
    /// What a gRPC server says.
    pub rpc: Rpc,
    /// What a query gives.
    pub query: Series,
    /// What was logged.
    pub log: Lines,
}

/// A status that will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Exactly this one.
    Exact(u16),
    /// Any whose first digit is this.
    Class(u16),
}

impl Status {
    /// Whether `status` will do.
    #[must_use]
    pub fn admits(self, status: u16) -> bool {
        match self {
            Self::Exact(exact) => status == exact,
            Self::Class(class) => status / 100 == class,
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(exact) => write!(f, "{exact}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

/// What is expected of an HTTP answer.
const HTTP: [&str; 9] =
    ["status", "latency", "phases", "headers", "body", "size", "json", "schema", "certificate"];

/// What is expected of a name server's answer, and of no other.
const DNS: [&str; 6] = ["rcode", "answers", "count", "authority", "additional", "ttl"];

/// What a kind of step gets, and so what can be expected of it and kept of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP answer: everything.
    Http,
    /// Messages: how long it took, the certificate, and captures from the last of them.
    Message,
    /// A program's end: how it exits, what it writes, how long it took.
    Exec,
    /// What Kubernetes would do with a pod.
    Kubelet,
    /// Only how long it took, and the certificate.
    Timed,
    /// A TLS handshake and a certificate.
    Tls,
    /// Records of a name server.
    Dns,
    /// Echoes, and how many were lost.
    Echo,
    /// The health of a gRPC service.
    Grpc,
    /// Series of a query.
    Series,
    /// Lines of a log, and captures from the one that was found, or else the last.
    Lines,
    /// Nothing.
    None,
}

impl Answer {
    /// Whether this key of `expect` means something.
    fn has(self, key: &str) -> bool {
        match self {
            Self::Http => HTTP.contains(&key),
            Self::Exec => matches!(key, "exit" | "stdout" | "stderr" | "json" | "latency"),
            Self::Message | Self::Timed => matches!(key, "latency" | "phases" | "certificate"),
            Self::Tls => matches!(key, "latency" | "phases" | "certificate" | "version"),
            Self::Dns => matches!(key, "latency" | "phases") || DNS.contains(&key),
            Self::Echo => matches!(key, "latency" | "phases" | "loss"),
            Self::Kubelet => matches!(key, "restarts" | "ready"),
            Self::Grpc => matches!(key, "latency" | "phases" | "certificate" | "serving" | "grpc_status"),
            Self::Series => {
                matches!(key, "latency" | "phases" | "certificate")
                    || matches!(key, "series" | "value" | "any_value" | "labels" | "warnings")
            }
            Self::Lines => {
                matches!(key, "latency" | "lines" | "malformed" | "fields" | "levels" | "find")
            }
            Self::None => false,
        }
    }

    /// Whether something can be captured from there.
    pub(super) fn holds(self, origin: &Origin, traces: bool) -> bool {
        if matches!(origin, Origin::Trace(_)) {
            return traces;
        }
        match self {
            Self::Http => true,
            Self::Series => matches!(origin, Origin::Json(_) | Origin::Header(_) | Origin::Regex(_)),
            Self::Message | Self::Exec | Self::Lines => matches!(origin, Origin::Json(_) | Origin::Regex(_)),
            Self::Kubelet | Self::Tls | Self::Dns | Self::Echo | Self::Grpc | Self::Timed | Self::None => {
                false
            }
        }
    }
}

impl ExpectWritten {
    /// Checks what was written at `place` for a step of kind `kind`.
    pub fn check(mut self, answer: Answer, kind: &str, place: Place, findings: &mut Findings) -> Expect {
        if self.says_nothing() {
            let finding = Finding::new(Code::ScenarioExpectation, place, "nothing is expected here");
            findings.add(finding.help("leave `expect` out, or say what is expected: `{ status: 200 }`"));
        }
        let expect = Expect {
            records: self.records(findings),
            query: self.query(findings),
            log: self.log(findings),
            rpc: Rpc { serving: self.serving, status: self.grpc_status },
            status: self.status.and_then(|json| statuses(&json.0, findings)),
            latency: wanted(self.latency, Domain::Time, findings),
            phases: self.phases.into_iter().filter_map(|entry| phase(entry, findings)).collect(),
            headers: self.headers.into_iter().filter_map(|entry| header(entry, findings)).collect(),
            body: wanted(self.body, Domain::Value, findings),
            size: wanted(self.size, Domain::Size, findings),
            json: json_places(self.json, findings),
            schema: self.schema.map(Schema::new),
            exit: wanted(self.exit, Domain::Number, findings),
            stdout: wanted(self.stdout, Domain::Value, findings),
            stderr: wanted(self.stderr, Domain::Value, findings),
            certificate: self.certificate.map(|at| at.value.check(at.place, findings)),
            version: wanted(self.version, Domain::Value, findings),
            loss: wanted(self.loss, Domain::Share, findings),
            restarts: wanted(self.restarts, Domain::Number, findings),
            ready: wanted(self.ready, Domain::Value, findings),
        };
        for (name, at) in expect.places().into_iter().filter(|(name, _)| !answer.has(name)) {
            let title = format!("a `{kind}` step has no `{name}` to expect");
            findings.add(Finding::new(Code::ScenarioExpectation, at, title));
        }
        expect
    }
}

impl ExpectWritten {
    fn records(&mut self, findings: &mut Findings) -> Records {
        Records {
            rcode: self.rcode.take(),
            answers: wanted(self.answers.take(), Domain::Value, findings),
            count: wanted(self.count.take(), Domain::Number, findings),
            authority: wanted(self.authority.take(), Domain::Value, findings),
            additional: wanted(self.additional.take(), Domain::Value, findings),
            ttl: wanted(self.ttl.take(), Domain::Number, findings),
        }
    }

    fn query(&mut self, findings: &mut Findings) -> Series {
        let labels = std::mem::take(&mut self.labels).into_iter();
        Series {
            count: wanted(self.series.take(), Domain::Number, findings),
            value: wanted(self.value.take(), Domain::Number, findings),
            any_value: wanted(self.any_value.take(), Domain::Number, findings),
            labels: labels
                .filter_map(|(label, json)| Some((label.value, wanted(Some(json), Domain::Value, findings)?)))
                .collect(),
            warnings: wanted(self.warnings.take(), Domain::Number, findings),
        }
    }

    fn log(&mut self, findings: &mut Findings) -> Lines {
        let levels = std::mem::take(&mut self.levels).into_iter();
        Lines {
            count: wanted(self.lines.take(), Domain::Number, findings),
            malformed: wanted(self.malformed.take(), Domain::Number, findings),
            levels: levels
                .filter_map(|(level, json)| Some((level, wanted(Some(json), Domain::Number, findings)?)))
                .collect(),
            fields: fields(std::mem::take(&mut self.fields), findings),
            find: fields(std::mem::take(&mut self.find), findings),
        }
    }

    fn says_nothing(&self) -> bool {
        let single = [
            &self.status,
            &self.latency,
            &self.body,
            &self.size,
            &self.answers,
            &self.count,
            &self.authority,
            &self.additional,
            &self.ttl,
            &self.loss,
            &self.version,
            &self.exit,
            &self.stdout,
            &self.stderr,
            &self.restarts,
            &self.ready,
            &self.series,
            &self.value,
            &self.any_value,
            &self.warnings,
            &self.lines,
            &self.malformed,
        ];
        let several =
            [&self.phases, &self.headers, &self.json, &self.labels, &self.fields, &self.levels, &self.find];
        let words = [self.rcode.is_some(), self.serving.is_some(), self.grpc_status.is_some()];
        let said = words.contains(&true) || self.certificate.is_some() || self.schema.is_some();
        !said && single.iter().all(|one| one.is_none()) && several.iter().all(|entries| entries.0.is_empty())
    }
}

impl Expect {
    /// What is expected, by key, with its place.
    fn places(&self) -> Vec<(&'static str, Place)> {
        let one = |name, at: &Option<At<Predicate>>| at.as_ref().map(|at| (name, at.place));
        let mut places: Vec<_> = self.status.iter().map(|at| ("status", at.place)).collect();
        places.extend(one("latency", &self.latency));
        places.extend(self.phases.iter().map(|(_, at)| ("phases", at.place)));
        places.extend(self.headers.iter().map(|(_, at)| ("headers", at.place)));
        places.extend(one("body", &self.body));
        places.extend(one("size", &self.size));
        places.extend(self.json.iter().map(|(_, at)| ("json", at.place)));
        places.extend(self.schema.iter().map(|schema| ("schema", schema.file.place)));
        places.extend(one("exit", &self.exit));
        places.extend(one("stdout", &self.stdout));
        places.extend(one("stderr", &self.stderr));
        places.extend(self.certificate.iter().map(|wanted| ("certificate", wanted.place)));
        places.extend(self.records.places());
        places.extend(one("version", &self.version));
        places.extend(one("loss", &self.loss));
        places.extend(one("restarts", &self.restarts));
        places.extend(one("ready", &self.ready));
        places.extend(self.rpc.places());
        let named = self.query.predicates().chain(self.log.predicates());
        places.extend(named.map(|(name, at)| (name, at.place)));
        places
    }

    /// Every hole, with its place.
    pub fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let single = [&self.latency, &self.body, &self.size, &self.version, &self.loss];
        let single = single
            .into_iter()
            .chain([&self.exit, &self.stdout, &self.stderr, &self.restarts, &self.ready])
            .flatten();
        let records = self.records.predicates().map(|(_, at)| at);
        let named = self.query.predicates().chain(self.log.predicates()).map(|(_, at)| at);
        let phases = self.phases.iter().map(|(_, at)| at);
        let headers = self.headers.iter().map(|(_, at)| at);
        let json = self.json.iter().map(|(_, at)| at);
        let all = single.chain(phases).chain(headers).chain(json).chain(records).chain(named);
        let all = all.flat_map(|at| at.holes().map(|hole| (hole, at.place)));
        all.chain(self.certificate.iter().flat_map(Certificate::holes))
    }
}

/// Reads a predicate where one was written.
pub(super) fn wanted(json: Option<Json>, domain: Domain, findings: &mut Findings) -> Option<At<Predicate>> {
    let json = json?;
    findings.take(Predicate::read(&json.0, domain)).map(|predicate| At::new(predicate, json.0.place))
}

fn statuses(node: &Node, findings: &mut Findings) -> Option<At<Vec<Status>>> {
    let one = |node: &Node| {
        let class = |text: &str| text.strip_suffix("xx").and_then(|digit| digit.parse().ok());
        let status = match &node.kind {
            Kind::Int(status, _) => u16::try_from(*status).ok().map(Status::Exact),
            Kind::Text(text) => class(text).map(Status::Class),
            Kind::Null | Kind::Bool(..) | Kind::Float(..) | Kind::List(_) | Kind::Map(_) => None,
        };
        status
            .filter(|status| match status {
                Status::Exact(exact) => (100..600).contains(exact),
                Status::Class(class) => (1..6).contains(class),
            })
            .ok_or_else(|| {
                Finding::new(
                    Code::FileValue,
                    node.place,
                    "a status is a number like `200` or a class like `2xx`",
                )
            })
    };
    let several: Result<Vec<Status>, Finding> = match &node.kind {
        Kind::List(items) => items.iter().map(one).collect(),
        Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..) | Kind::Text(_) | Kind::Map(_) => {
            one(node).map(|status| vec![status])
        }
    };
    findings.take(several).map(|several| At::new(several, node.place))
}

fn phase((name, json): (At<String>, Json), findings: &mut Findings) -> Option<(Phase, At<Predicate>)> {
    let known = Phase::ALL.into_iter().find(|phase| phase.name() == name.value);
    let phase = findings.take(known.ok_or_else(|| {
        let finding = Finding::new(Code::FileValue, name.place, format!("`{}` is not a phase", name.value));
        finding.help(format!("phases are {}", Phase::ALL.map(Phase::name).join(", ")))
    }))?;
    Some((phase, wanted(Some(json), Domain::Time, findings)?))
}

fn header((name, json): (At<String>, Json), findings: &mut Findings) -> Option<(HeaderName, At<Predicate>)> {
    let parsed = name.value.parse::<HeaderName>().map_err(|_| {
        Finding::new(Code::FileValue, name.place, format!("`{}` cannot be a header's name", name.value))
    });
    Some((findings.take(parsed)?, wanted(Some(json), Domain::Value, findings)?))
}

/// Reads a map from `JSONPath` to what is expected there.
pub(super) fn json_places(entries: Entries<Json>, findings: &mut Findings) -> Vec<(JsonPath, At<Predicate>)> {
    let read = entries.into_iter().filter_map(|(path, json)| {
        let path = json_path(&path, findings)?;
        Some((path, wanted(Some(json), Domain::Value, findings)?))
    });
    read.collect()
}

/// Reads a `JSONPath`.
pub(super) fn json_path(path: &At<String>, findings: &mut Findings) -> Option<JsonPath> {
    let parsed = JsonPath::parse(&path.value).map_err(|error| {
        let title = format!("`{}` is not a JSONPath: {}", path.value, error.message());
        let finding = Finding::new(Code::ScenarioJsonPath, path.place, title);
        finding.help("a path begins with `$`, like `$.items[0].id` (RFC 9535)")
    });
    findings.take(parsed)
}
