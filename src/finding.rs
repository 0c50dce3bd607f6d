//! A problem in a user's file: a code, a place, what and why, and what would mend it.

use std::collections::BTreeMap;
use std::fmt;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::source::{Place, Position, Sources};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; nothing is stopped.
    Warning,
    /// The file cannot be used as it stands.
    Error,
}

/// Declares every code with its name and severity, so that neither can be forgotten.
macro_rules! codes {
    ($(#[doc = $doc:literal] $variant:ident = $name:literal, $severity:ident;)*) => {
        /// What kind of problem a finding is; the names are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $doc] $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name, `noun/what`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How bad it is.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// What it is, in a sentence.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => $doc.trim_ascii(),)* }
            }
        }
    };
}

codes! {
    /// The text is not YAML.
    YamlSyntax = "yaml/syntax", Error;
    /// The file is not UTF-8.
    YamlEncoding = "yaml/encoding", Error;
    /// A key stands twice in one map.
    YamlDuplicateKey = "yaml/duplicate-key", Error;
    /// A key is a list, a map or nothing.
    YamlKey = "yaml/key", Error;
    /// Nesting that no honest file reaches.
    YamlDepth = "yaml/depth", Error;
    /// Aliases that expand without bound or name themselves.
    YamlAlias = "yaml/alias", Error;
    /// A YAML tag.
    YamlTag = "yaml/tag", Error;
    /// A file that cannot be read.
    FileUnreadable = "file/unreadable", Error;
    /// A file that is none of the kinds firedrill knows.
    FileKind = "file/kind", Error;
    /// A key that means nothing here.
    FileUnknownKey = "file/unknown-key", Error;
    /// A key that must be there and is not.
    FileMissingKey = "file/missing-key", Error;
    /// A value of the wrong type.
    FileType = "file/type", Error;
    /// A value that does not read: a malformed duration, rate, pattern or word.
    FileValue = "file/value", Error;
    /// A step does nothing, or several things.
    ScenarioStep = "scenario/step", Error;
    /// A fault that breaks nothing, or several things, or where nothing can be broken.
    FaultStep = "fault/step", Error;
    /// A fault on a service, a port or a metric that the stack does not have.
    FaultTarget = "fault/target", Error;
    /// An alert that no rule of the stack raises.
    DrillAlert = "drill/alert", Error;
    /// A receiver that Alertmanager's configuration does not have.
    DrillReceiver = "drill/receiver", Error;
    /// A request without an address, or with two of what there is one of.
    ScenarioRequest = "scenario/request", Error;
    /// An address that is none.
    ScenarioUrl = "scenario/url", Error;
    /// An expectation that this kind of step cannot have.
    ScenarioExpectation = "scenario/expectation", Error;
    /// A `JSONPath` that does not read.
    ScenarioJsonPath = "scenario/json-path", Error;
    /// A JSON Schema that is none.
    ScenarioSchema = "scenario/schema", Error;
    /// A capture that takes from nowhere, or from several places.
    ScenarioCapture = "scenario/capture", Error;
    /// Load that has no shape, or two.
    ScenarioLoad = "scenario/load", Error;
    /// Two scenarios or steps of the same name.
    ScenarioDuplicateName = "scenario/duplicate-name", Error;
    /// A name in `${…}` that has no value here.
    ScenarioUnknownVariable = "scenario/unknown-variable", Error;
    /// Variables that need one another.
    ScenarioVariableCycle = "scenario/variable-cycle", Error;
    /// An SLI that no SLO reads, or that no step feeds.
    ScenarioSli = "scenario/sli", Warning;
    /// Fragments that use one another.
    UseCycle = "use/cycle", Error;
    /// An environment variable without value or default.
    EnvironmentMissing = "environment/missing", Error;
    /// A secret that neither the environment nor the secrets file has.
    SecretMissing = "secret/missing", Error;
    /// A secret of one or two characters, which is not masked.
    SecretShort = "secret/short", Warning;
    /// Something in a Compose file that makes a difference and cannot be carried over.
    ComposeUnsupported = "compose/unsupported", Error;
    /// Something in a Compose file that has no effect here.
    ComposeIgnored = "compose/ignored", Warning;
    /// A service of a stack that nothing starts, or that is two things at once.
    StackService = "stack/service", Error;
    /// A service that the stack does not have.
    StackUnknownService = "stack/unknown-service", Error;
    /// A port that a service does not have, or that a stand-in has too many of.
    StackPort = "stack/port", Error;
    /// Readiness that is shown by several things, or by nothing.
    StackReady = "stack/ready", Error;
    /// Services that wait for one another.
    StackCycle = "stack/cycle", Error;
    /// A route, a WebSocket or a message of a stand-in that does not make sense.
    ProfileRoute = "profile/route", Error;
    /// A path of a stand-in that two things want to answer.
    ProfileTaken = "profile/taken", Error;
    /// A metric family of a stand-in that Prometheus would refuse, or whose type and movement disagree.
    ProfileMetric = "profile/metric", Error;
    /// Quantiles of a stand-in that no distribution has.
    ProfileSpread = "profile/spread", Error;
    /// A document of a version of OpenSLO that is not read.
    SloVersion = "slo/version", Error;
    /// A name, label or text that other OpenSLO tools refuse.
    SloMetadata = "slo/metadata", Warning;
    /// Two documents of the same kind and name.
    SloDuplicate = "slo/duplicate", Error;
    /// A name that no document of that kind has.
    SloUnknownReference = "slo/unknown-reference", Error;
    /// A service that is not declared where others are.
    SloUnknownService = "slo/unknown-service", Warning;
    /// What is neither named nor written out, or both.
    SloReference = "slo/reference", Error;
    /// An indicator that measures nothing, or what excludes each other.
    SloIndicator = "slo/indicator", Error;
    /// A metric source that does not say what is meant, or what does not fit where it stands.
    SloMetricSource = "slo/metric-source", Error;
    /// An objective without target, or with one that cannot be.
    SloObjective = "slo/objective", Error;
    /// A window that cannot be.
    SloWindow = "slo/window", Error;
    /// A calendar window shorter than a day, which is most often a month meant.
    SloShortWindow = "slo/short-window", Warning;
    /// Time slices without length or target, or longer than what looks at them.
    SloTimeSlices = "slo/time-slices", Error;
    /// Objectives of a composite that do not go together.
    SloComposite = "slo/composite", Error;
    /// An alert policy or condition that cannot be.
    SloAlert = "slo/alert", Error;
    /// An alert that fires while the service is well.
    SloHealthyAlert = "slo/healthy-alert", Warning;
    /// A key that has no effect where it stands.
    SloSuperfluous = "slo/superfluous", Warning;
    /// Something that was left out, and what is taken in its place.
    SloAssumed = "slo/assumed", Warning;
    /// A burn rate that not even a total outage reaches.
    SloImpossibleAlert = "slo/impossible-alert", Warning;
    /// A window longer than its source keeps what it measures.
    SloRetention = "slo/retention", Warning;
    /// A quantile that is a guess between two buckets.
    SloQuantile = "slo/quantile", Warning;
    /// Downtime in words that is not what the percentage leaves.
    SloStatedDowntime = "slo/stated-downtime", Warning;
    /// Terms of a gate that make no sense.
    GatePolicy = "gate/policy", Error;
    /// A group of rules that Prometheus would not load, or not read.
    RuleGroup = "rule/group", Error;
    /// An expression that does not parse, or gives what no rule is made of.
    RuleExpression = "rule/expression", Error;
    /// A rule that is neither alert nor record, or both, or has what its kind has not.
    RuleKind = "rule/kind", Error;
    /// A label or annotation whose name not every Prometheus takes.
    RuleLabel = "rule/label", Warning;
    /// A duration that nothing would be left of at the drill's speed.
    RuleTooShort = "rule/too-short", Error;
    /// A first route that Alertmanager would not take.
    RouteRoot = "route/root", Error;
    /// A receiver that is not there, or there twice.
    RouteReceiver = "route/receiver", Error;
    /// Matchers that Alertmanager does not read.
    RouteMatcher = "route/matcher", Error;
    /// Labels to group by that do not go together.
    RouteGroupBy = "route/group-by", Error;
    /// An interval of no length.
    RouteTiming = "route/timing", Error;
    /// Times that are none, or not there, or there twice.
    RouteInterval = "route/interval", Error;
    /// Words of Alertmanager's that newer versions are to drop.
    RouteDeprecated = "route/deprecated", Warning;
    /// Matchers that versions of Alertmanager read differently.
    RouteAmbiguous = "route/ambiguous", Warning;
    /// A text of an alert that cannot be filled in.
    RuleTemplate = "rule/template", Error;
    /// A comment that is to put a finding aside and cannot.
    AuditIgnore = "audit/ignore", Error;
    /// An alert that does not say how bad it is.
    AuditSeverity = "audit/severity", Warning;
    /// An alert that does not say what to do.
    AuditRunbook = "audit/runbook", Warning;
    /// An alert that does not say whose it is.
    AuditOwner = "audit/owner", Warning;
    /// A counter whose total is compared.
    AuditCounter = "audit/counter", Warning;
    /// A gauge that is asked for as a counter.
    AuditGauge = "audit/gauge", Warning;
    /// A rate per second that is compared as if it were a share.
    AuditNotARatio = "audit/not-a-ratio", Warning;
    /// A threshold that cannot be reached.
    AuditThreshold = "audit/threshold", Error;
    /// A quantile of a histogram that is asked for as of a summary.
    AuditQuantile = "audit/quantile", Error;
    /// An operator whose sides have no series in common.
    AuditJoin = "audit/join", Warning;
    /// A range that holds fewer than two samples.
    AuditRange = "audit/range", Warning;
    /// A `for` that is shorter than the time between two evaluations.
    AuditFor = "audit/for", Warning;
    /// A label in a text that what the expression gives does not have.
    AuditTemplate = "audit/template", Warning;
    /// A receiver that no alert can come to.
    AuditReceiver = "audit/receiver", Warning;
    /// A receiver that tells nobody.
    AuditSilent = "audit/silent-receiver", Warning;
    /// A route that no alert of the rules comes to.
    AuditRoute = "audit/route", Warning;
    /// A route whose alerts an earlier one takes.
    AuditShadowed = "audit/shadowed-route", Warning;
    /// An inhibition that is of no alert of the rules.
    AuditInhibition = "audit/inhibition", Warning;
    /// A link to a runbook whose file, page or heading is not there.
    AuditRunbookLink = "audit/runbook-link", Error;
    /// A link to a runbook that could not be looked at.
    AuditRunbookUnseen = "audit/runbook-unseen", Warning;
    /// A query of a dashboard that does not parse.
    AuditDashboardQuery = "audit/dashboard-query", Error;
    /// A variable that a dashboard does not have, or that has no values.
    AuditDashboardVariable = "audit/dashboard-variable", Warning;
    /// A query of a dashboard that returns nothing.
    AuditDashboardEmpty = "audit/dashboard-empty", Warning;
    /// A metric that nothing exposes.
    AuditMetric = "audit/metric", Error;
    /// A metric that a target describes, and of which it has no series.
    AuditNoSeries = "audit/no-series", Warning;
    /// A label that no series of the metric has.
    AuditLabel = "audit/label", Error;
    /// A job or an instance that the metric is not scraped from.
    AuditTarget = "audit/target", Error;
    /// A value of a label that no series of the metric has.
    AuditValue = "audit/value", Warning;
    /// An operator whose sides both have series, and no two that go together.
    AuditPartner = "audit/partner", Error;
    /// An expression that Prometheus cannot evaluate.
    AuditEvaluation = "audit/evaluation", Error;
    /// A file that Prometheus's or Alertmanager's own tool refuses as it stands.
    AuditRefused = "audit/refused", Error;
    /// Metrics that nothing asks for.
    AuditUnused = "audit/unused", Warning;
    /// An integration of Alertmanager's without an address, or with one that is none.
    AlertmanagerAddress = "alertmanager/address", Error;
    /// An integration of Alertmanager's without a credential that it needs, or with two of one.
    AlertmanagerCredential = "alertmanager/credential", Error;
    /// A kind of integration that cannot be re-addressed.
    AlertmanagerKind = "alertmanager/kind", Error;
    /// A file that Alertmanager would read a secret or a certificate from, and that is not here.
    AlertmanagerSecretFile = "alertmanager/secret-file", Warning;
    /// Templates of Alertmanager's that are named, and that no file holds.
    AlertmanagerTemplates = "alertmanager/templates", Warning;
    /// A certificate or its key beside Alertmanager's configuration that is not there, without which it does not start.
    AlertmanagerUnloadable = "alertmanager/unloadable", Error;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A problem in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of problem.
    pub code: Code,
    /// Where.
    pub place: Place,
    /// What is wrong and why, lower case, no full stop.
    pub title: String,
    /// What to say under the caret; may be empty.
    pub label: String,
    /// Other places that belong to it.
    pub also: Vec<(Place, String)>,
    /// What would mend it.
    pub help: Option<String>,
}

impl Finding {
    /// A finding at a place.
    pub fn new(code: Code, place: Place, title: impl Into<String>) -> Self {
        Self { code, place, title: title.into(), label: String::new(), also: Vec::new(), help: None }
    }

    /// Says something under the caret.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.label = text.into();
        self
    }

    /// Shows another place.
    #[must_use]
    pub fn also(mut self, place: Place, text: impl Into<String>) -> Self {
        self.also.push((place, text.into()));
        self
    }

    /// Says what would mend it.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// The finding with the text it points at, ready to be shown far from its file.
    #[must_use]
    pub fn draw(&self, sources: &Sources) -> Drawing {
        let labels = std::iter::once((self.place, self.label.as_str(), true))
            .chain(self.also.iter().map(|(place, text)| (*place, text.as_str(), false)))
            // There is nothing to show of a file that could not be read; the title names it.
            .filter(|(place, ..)| !sources.file(place.file).text.is_empty());
        Drawing {
            severity: self.code.severity(),
            code: Some(self.code.name().to_owned()),
            title: self.title.clone(),
            excerpts: excerpts(labels, sources),
            help: self.help.clone(),
        }
    }
}

/// Findings as they come.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Adds one.
    pub fn add(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// Adds several.
    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.0.extend(findings);
    }

    /// The value, or else `None` and one finding more.
    pub fn take<T>(&mut self, result: Result<T, Finding>) -> Option<T> {
        result.map_err(|finding| self.add(finding)).ok()
    }

    /// The value, or else `None` and all that is wrong with it.
    pub fn take_all<T>(&mut self, result: Result<T, Vec<Finding>>) -> Option<T> {
        result.map_err(|all| self.extend(all)).ok()
    }

    /// Whether one of them is an error.
    #[must_use]
    pub fn any_error(&self) -> bool {
        self.0.iter().any(|finding| finding.code.severity() == Severity::Error)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As a reader goes through files, none said twice.
    #[must_use]
    pub fn in_reading_order(self) -> Vec<Finding> {
        let keyed =
            self.0.into_iter().map(|finding| ((finding.place, finding.code, finding.title.clone()), finding));
        keyed.rev().collect::<BTreeMap<_, _>>().into_values().collect()
    }
}

/// A problem with the text it points at: what a report keeps and shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Drawing {
    /// How bad it is.
    pub severity: Severity,
    /// The finding's code; absent for an expectation that was not met.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<String>,
    /// What is wrong and why.
    pub title: String,
    /// The lines it points at, file by file.
    pub excerpts: Vec<Excerpt>,
    /// What would mend it, or what was received.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub help: Option<String>,
}

/// Some lines of a file and what to say about them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Excerpt {
    /// The file as the user named it.
    pub path: String,
    /// Line of the first label, from 1.
    pub line: usize,
    /// Column of the first label, from 1.
    pub column: usize,
    /// The number of the first line in `text`.
    pub first_line: usize,
    /// Whole lines.
    pub text: String,
    /// What to say, where.
    pub labels: Vec<Label>,
}

/// A byte range of an excerpt's text and what to say about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Label {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// May be empty.
    pub text: String,
    /// Whether the problem is here, or here is what it has to do with.
    pub primary: bool,
}

/// Lines longer than this are shown around the label only.
const LONGEST_LINE: usize = 400;

/// Labels further apart than this many lines get an excerpt each.
const FAR_APART: usize = 40;

/// Groups labels that stand near one another in one file, and cuts their lines out.
pub(crate) fn excerpts<'t>(
    labels: impl Iterator<Item = (Place, &'t str, bool)>,
    sources: &Sources,
) -> Vec<Excerpt> {
    let mut groups: Vec<Vec<(Place, &str, bool, Position)>> = Vec::new();
    for (place, text, primary) in labels {
        let position = sources.position(place);
        let near = groups.iter_mut().find(|group| {
            let (first, .., at) = group[0];
            first.file == place.file && at.line.abs_diff(position.line) <= FAR_APART
        });
        match near {
            Some(group) => group.push((place, text, primary, position)),
            None => groups.push(vec![(place, text, primary, position)]),
        }
    }
    groups.iter().map(|group| excerpt(group, sources)).collect()
}

fn excerpt(labels: &[(Place, &str, bool, Position)], sources: &Sources) -> Excerpt {
    let (first, .., position) = labels[0];
    let file = sources.file(first.file);
    let begin = labels.iter().map(|(place, ..)| place.start as usize).min().unwrap_or(0);
    let end = labels.iter().map(|(place, ..)| place.start as usize).max().unwrap_or(0);
    let first_line = labels.iter().map(|(.., at)| at.line).min().unwrap_or(1);
    let line_start = file.text[..begin].rfind('\n').map_or(0, |at| at + 1);
    let line_end = file.text[end..].find('\n').map_or(file.text.len(), |at| end + at);
    let cut_start = floor(&file.text, line_start.max(begin.saturating_sub(LONGEST_LINE)));
    let cut_end = floor(&file.text, line_end.min(end.saturating_add(LONGEST_LINE)));
    let text = &file.text[cut_start..cut_end];
    let labels = labels.iter().map(|(place, said, primary, _)| {
        let start = place.start as usize - cut_start;
        // A value may go on for lines; the caret stays on its first.
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = (place.end as usize).saturating_sub(cut_start).clamp(start, line_end);
        Label { start, end, text: (*said).to_owned(), primary: *primary }
    });
    Excerpt {
        path: file.path.display().to_string(),
        line: position.line,
        column: position.column,
        first_line,
        labels: labels.collect(),
        text: text.to_owned(),
    }
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

impl Drawing {
    /// As text for a terminal: caret under the place, in colour if wanted.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Warning => Level::WARNING,
            Severity::Error => Level::ERROR,
        };
        let mut title = level.primary_title(self.title.as_str());
        if let Some(code) = &self.code {
            title = title.id(code.as_str());
        }
        let snippets = self.excerpts.iter().map(|excerpt| {
            let labels = excerpt.labels.iter().map(|label| {
                let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
                kind.span(label.start..label.end)
                    .label((!label.text.is_empty()).then_some(label.text.as_str()))
            });
            let snippet = Snippet::source(excerpt.text.as_str());
            snippet.line_start(excerpt.first_line).path(excerpt.path.as_str()).annotations(labels)
        });
        let mut report = vec![title.elements(snippets)];
        if let Some(help) = &self.help {
            report.push(annotate_snippets::Group::with_title(Level::HELP.secondary_title(help.as_str())));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&report)
    }
}

/// The known name that `written` was most likely meant to be.
pub fn nearest<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let allowed = match written.chars().count() {
        0..=2 => 0,
        3..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    known
        .into_iter()
        .map(|name| (distance(&written.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// Edits from one word to another; two swapped neighbours count as one (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    if from.len().abs_diff(to.len()) > 3 {
        return usize::MAX;
    }
    let mut rows = vec![(0..=to.len()).collect::<Vec<_>>()];
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut best = (rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}
