//! Metrics that targets expose and nothing asks for: of each job, all in one finding.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::MatchOp;
use promql_parser::parser::{Expr, VectorSelector};

use super::Live;
use crate::audit::Subject;
use crate::finding::{Code, Finding, Findings};
use crate::prometheus::Error;
use crate::promql::{metric, selectors};
use crate::rule::RuleFile;
use crate::source::{Place, Sources};

/// What programs expose of themselves, and Prometheus of its scrapes.
const OWN: [&str; 6] = ["go_", "process_", "promhttp_", "scrape_", "python_", "jvm_"];

/// Names that are shown of many.
const FEW: usize = 8;

/// Checks every metric of every job.
pub(super) async fn check(
    live: &Live,
    subject: &Subject,
    sources: &Sources,
    findings: &mut Findings,
) -> Result<(), Error> {
    let mut exposed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for one in live.series("group by (__name__, job) ({__name__!=\"\", job!=\"\"})").await? {
        let (Some(name), Some(job)) = (one.labels.get("__name__"), one.labels.get("job")) else { continue };
        let is_own = name == "up" || name.contains(':') || OWN.iter().any(|own| name.starts_with(own));
        if !is_own && !name.starts_with("ALERTS") {
            exposed.entry(job.clone()).or_default().insert(name.clone());
        }
    }
    let used = Used::of(subject, sources);
    for (job, names) in exposed {
        let unused: BTreeSet<_> =
            names.iter().filter(|name| !used.has(live, name)).map(|name| family(live, name)).collect();
        let Some(place) = place_of(&job, subject).filter(|_| !unused.is_empty()) else { continue };
        let count = unused.len();
        let some: Vec<_> = unused.iter().take(FEW).map(|name| format!("`{name}`")).collect();
        let more = if count > FEW { format!(" and {} more", count - FEW) } else { String::new() };
        let title = match count {
            1 => format!("job `{job}` exposes a metric that no rule and no dashboard uses"),
            _ => format!("job `{job}` exposes {count} metrics that no rule and no dashboard uses"),
        };
        let finding = Finding::new(Code::AuditUnused, place, title);
        findings.add(finding.help(format!("{}{more}", some.join(", "))));
    }
    Ok(())
}

/// Where a job is configured; the first of the files where that is not known.
fn place_of(job: &str, subject: &Subject) -> Option<Place> {
    let jobs = subject.prometheus.iter().flat_map(|one| &one.jobs);
    let configured = jobs.into_iter().find(|one| one.value == job).map(|one| one.place);
    let rule = || subject.rules.iter().flat_map(|file| &file.groups).next().map(|group| group.name.place);
    let board =
        || subject.dashboards.iter().find_map(|board| board.queries.first().map(|one| one.written.place));
    configured.or_else(rule).or_else(board)
}

/// The family that a series belongs to.
fn family<'n>(live: &Live, name: &'n str) -> &'n str {
    let parts = ["_bucket", "_sum", "_count"].iter().find_map(|ending| name.strip_suffix(ending));
    parts
        .filter(|family| matches!(live.kinds().family(family), Some("histogram" | "summary")))
        .unwrap_or(name)
}

/// What rules, dashboards and firedrill's own files ask for.
struct Used {
    names: BTreeSet<String>,
    patterns: Vec<VectorSelector>,
    texts: String,
}

impl Used {
    fn of(subject: &Subject, sources: &Sources) -> Self {
        let mut used = Self { names: BTreeSet::new(), patterns: Vec::new(), texts: subject.texts.clone() };
        for (_, rule) in subject.rules.iter().flat_map(RuleFile::rules) {
            used.add(&rule.query.expr);
        }
        for board in &subject.dashboards {
            let values = board.saved();
            for query in board.queries.iter().filter_map(|query| query.read(&values, sources).ok()) {
                used.add(&query.expr);
            }
        }
        used
    }

    fn add(&mut self, expr: &Expr) {
        for (_, selector) in selectors(expr) {
            match metric(selector) {
                Some(name) => {
                    self.names.insert(name.to_owned());
                }
                None => self.patterns.push(selector.clone()),
            }
        }
    }

    /// Whether something asks for a metric, or for another series of its family.
    fn has(&self, live: &Live, name: &str) -> bool {
        let own = family(live, name);
        let asked = |one: &String| one == name || family(live, one) == own;
        let by_pattern = |selector: &VectorSelector| {
            let named = selector.matchers.matchers.iter().filter(|one| one.name == "__name__");
            let mut patterns = named.filter(|one| matches!(one.op, MatchOp::Re(_))).peekable();
            patterns.peek().is_some() && patterns.all(|one| one.is_match(name))
        };
        self.names.iter().any(asked) || self.patterns.iter().any(by_pattern) || self.texts.contains(own)
    }
}
