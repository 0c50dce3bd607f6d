//! SLOs as Prometheus rules: error ratios over every window, and alerts when both windows of a tier burn.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::indicator::{Count, Part, Query};
use super::objective::{Budgeting, Measure, Objective};
use super::query::{Counting, NotAsked};
use super::{AlertPolicy, Slo};
use crate::source::{At, Place};
use crate::units::Span;

/// One pair of windows, and the burn rate that both must be above.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleTier {
    /// `page` or `ticket`.
    pub severity: String,
    /// The window that says how much was spent.
    pub long: Duration,
    /// The window that says whether it still goes on.
    pub short: Duration,
    /// The burn rate.
    pub factor: f64,
    /// How long both must hold.
    pub hold: Duration,
}

/// How rules are made.
#[derive(Debug, Clone)]
pub struct Making {
    /// The tiers of an SLO with a window of such a length.
    pub tiers: fn(Duration) -> Vec<RuleTier>,
    /// So many failures in its long window an alert takes to fire.
    pub min_failures: u64,
}

/// Rules, and what could not be made into any, each in a sentence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// A rule file.
    pub yaml: String,
    /// What is missing from it, and why.
    pub left_out: Vec<String>,
}

/// Makes one rule file of all SLOs.
#[must_use]
pub fn rules(slos: &[Slo], making: &Making) -> Made {
    let mut made = Made { yaml: "groups:\n".to_owned(), left_out: Vec::new() };
    let mut any = false;
    for slo in slos {
        for objective in &slo.objectives {
            let name = format!("`{}` ({})", slo.name, objective.label);
            if objective.weight.is_some() && slo.objectives.len() > 1 {
                made.left_out.push(format!("{name}: a part of a composite has no alerts of its own"));
                continue;
            }
            match Sheet::new(slo, &exposed(slo, objective), making) {
                Ok(sheet) => {
                    any = true;
                    sheet.write(&mut made);
                }
                Err(why) => made.left_out.push(format!("{name}: {why}")),
            }
        }
    }
    if !any {
        "groups: []\n".clone_into(&mut made.yaml);
    }
    made
}

/// The objective with what firedrill counts itself read from the metrics of `firedrill serve`.
fn exposed(slo: &Slo, objective: &Objective) -> Objective {
    let prometheus = |expr: String, at: Place| Query::Prometheus { query: At::new(expr, at), source: None };
    let of_sli = |query: &Query| match query {
        Query::Firedrill { sli, count } => {
            let own = format!("{{sli={}}}", quoted(&sli.value));
            let expr = match count {
                Count::Good => format!("firedrill_sli_good_total{own}"),
                Count::Valid => format!("firedrill_sli_valid_total{own}"),
                Count::Bad => format!("firedrill_sli_valid_total{own} - firedrill_sli_good_total{own}"),
            };
            prometheus(expr, sli.place)
        }
        Query::Prometheus { .. } | Query::Other { .. } => query.clone(),
    };
    let measure = match &objective.measure {
        Measure::Ratio { counter, part, counted, total } => {
            let (own, other) = (of_sli(counted), of_sli(total));
            // What is counted here only ever goes up, whatever the file says of it.
            let counter =
                *counter || matches!((counted, total), (Query::Firedrill { .. }, Query::Firedrill { .. }));
            Measure::Ratio { counter, part: *part, counted: own, total: other }
        }
        Measure::Latency { sli, .. } => {
            let own =
                format!("{{slo={},objective={}}}", quoted(&slo.name.value), quoted(&objective.to_string()));
            Measure::Ratio {
                counter: true,
                part: Part::Good,
                counted: prometheus(format!("firedrill_slo_good_total{own}"), sli.place),
                total: prometheus(format!("firedrill_slo_valid_total{own}"), sli.place),
            }
        }
        Measure::Raw { .. } | Measure::Threshold { .. } => objective.measure.clone(),
    };
    Objective { measure, ..objective.clone() }
}

/// The rules of one objective.
struct Sheet<'a> {
    slo: &'a Slo,
    objective: &'a Objective,
    tiers: Vec<RuleTier>,
    min_failures: u64,
    period: Duration,
    /// The labels of all its series and alerts.
    labels: BTreeMap<String, String>,
}

impl<'a> Sheet<'a> {
    fn new(slo: &'a Slo, objective: &'a Objective, making: &Making) -> Result<Self, NotAsked> {
        // What cannot be asked at all is said once, and not for each window.
        objective.measure.over(Duration::from_secs(300))?;
        let period = slo.window.period().nominal();
        let mut labels: BTreeMap<_, _> = [
            ("slo".to_owned(), slo.name.value.clone()),
            ("service".to_owned(), slo.service.value.clone()),
            ("objective".to_owned(), objective.target.to_string()),
        ]
        .into();
        for (name, values) in &slo.labels {
            let sound = name.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_')
                && !name.starts_with(|sign: char| sign.is_ascii_digit());
            if let (true, [value]) = (sound, values.as_slice()) {
                labels.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        let slice = slice_of(objective);
        let tiers = (making.tiers)(period).into_iter();
        let tiers = tiers.filter(|tier| slice.is_none_or(|slice| tier.short >= slice)).collect();
        Ok(Self { slo, objective, tiers, min_failures: making.min_failures, period, labels })
    }

    fn write(&self, made: &mut Made) {
        let budget = self.objective.target.complement();
        let mut group = Group::new(&format!("slo {} {}", self.slo.name, self.objective.target), None);
        for window in self.windows() {
            match self.ratio(window) {
                Ok(expr) => group.record(&recorded("error_ratio", window), &expr, &self.labels),
                Err(why) => made.left_out.push(format!("`{}` over {}: {why}", self.slo.name, Span(window))),
            }
        }
        let mut longs: Vec<_> = self.tiers.iter().map(|tier| tier.long).collect();
        longs.sort_unstable();
        longs.dedup();
        for long in longs {
            if let Ok(counting) = self.objective.measure.over(long) {
                group.record(&recorded("failures", long), &bad(&counting), &self.labels);
            }
        }
        made.yaml += &group.0;
        let mut group =
            Group::new(&format!("slo {} {} budget", self.slo.name, self.objective.target), Some("5m"));
        group.record(
            "slo:objective:ratio",
            &format!("vector({})", self.objective.target.share()),
            &self.labels,
        );
        if let Ok(expr) = self.ratio(self.period) {
            group.record(&recorded("error_ratio", self.period), &expr, &self.labels);
            let spent = format!(
                "{}{} / {}",
                recorded("error_ratio", self.period),
                self.selector(),
                number(budget.share())
            );
            group.record("slo:error_budget_remaining:ratio", &format!("1 - {spent}"), &self.labels);
        }
        made.yaml += &group.0;
        let mut group = Group::new(&format!("slo {} {} alerts", self.slo.name, self.objective.target), None);
        for tier in &self.tiers {
            if tier.factor * budget.share() >= 1.0 - 1e-9 {
                made.left_out.push(impossible(self.slo, self.objective, tier));
                continue;
            }
            self.alert(tier, &mut group);
        }
        for policy in &self.slo.policies {
            self.policy(policy, &mut group);
        }
        self.no_data(&mut group);
        made.yaml += &group.0;
    }

    /// Every window that something looks back over, the shortest first.
    fn windows(&self) -> Vec<Duration> {
        let tiers = self.tiers.iter().flat_map(|tier| [tier.short, tier.long]);
        let policies = self.slo.policies.iter().map(|policy| policy.condition.lookback.nominal());
        let mut all: Vec<_> = tiers.chain(policies).filter(|window| *window != self.period).collect();
        all.extend(slice_of(self.objective));
        all.push(Duration::from_secs(300).max(slice_of(self.objective).unwrap_or_default()));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The share that was lost over a window, by the objective's method; empty without events.
    fn ratio(&self, window: Duration) -> Result<String, NotAsked> {
        let slice = slice_of(self.objective);
        let Some(slice) = slice.filter(|slice| *slice < window) else {
            let counting = self.objective.measure.over(window)?;
            let share = format!("({}) / ({} > 0)", bad(&counting), counting.total);
            return Ok(match self.objective.budgeting {
                Budgeting::Timeslices { good, .. } if slice.is_some_and(|slice| slice != window) => {
                    format!("{share} > bool {}", number(good.complement().share()))
                }
                Budgeting::Occurrences | Budgeting::Timeslices { .. } | Budgeting::RatioTimeslices { .. } => {
                    share
                }
            });
        };
        let of_slice = format!("{}{}", recorded("error_ratio", slice), self.selector());
        let kept = match self.objective.budgeting {
            Budgeting::Timeslices { good, .. } => {
                format!("({of_slice} > bool {})", number(good.complement().share()))
            }
            Budgeting::Occurrences | Budgeting::RatioTimeslices { .. } => of_slice,
        };
        Ok(format!("avg_over_time({kept}[{}:{}])", Span(window), Span(slice)))
    }

    fn selector(&self) -> String {
        let label = |name: &str| format!("{name}={}", quoted(&self.labels[name]));
        format!("{{{},{},{}}}", label("slo"), label("service"), label("objective"))
    }

    fn alert(&self, tier: &RuleTier, group: &mut Group) {
        let threshold = number(tier.factor * self.objective.target.complement().share());
        let above = |window| format!("{}{} > {threshold}", recorded("error_ratio", window), self.selector());
        let mut expr = format!("{} and {}", above(tier.long), above(tier.short));
        if self.min_failures > 0 {
            let failures = recorded("failures", tier.long);
            expr = format!("{expr} and {failures}{} >= {}", self.selector(), self.min_failures);
        }
        let share = tier.factor * tier.long.as_secs_f64() / self.period.as_secs_f64();
        let mut labels = self.labels.clone();
        labels.insert("severity".to_owned(), tier.severity.clone());
        labels.insert("window".to_owned(), Span(tier.long).to_string());
        let summary = format!(
            "{} burns its error budget more than {} times as fast as it may, over {} and {}",
            self.title(),
            number(tier.factor),
            Span(tier.long),
            Span(tier.short)
        );
        let description = format!(
            "{:.1}% of the budget of {} is spent when this fires, whatever the outage. Share of failures: \
             {{{{ $value | humanizePercentage }}}}; allowed: {}.",
            100.0 * share,
            self.slo.window,
            self.objective.target.complement()
        );
        group.alert("ErrorBudgetBurn", &expr, tier.hold, &labels, &self.annotations(&summary, &description));
    }

    fn policy(&self, policy: &AlertPolicy, group: &mut Group) {
        let condition = &policy.condition;
        let budget = self.objective.target.complement().share();
        let op = match condition.op {
            super::Op::Gt => ">",
            super::Op::Gte => ">=",
            super::Op::Lt => "<",
            super::Op::Lte => "<=",
        };
        if !policy.when_breaching {
            return;
        }
        let window = recorded("error_ratio", condition.lookback.nominal());
        let threshold = number(condition.threshold.value.value() * budget);
        let expr = format!("{window}{} {op} {threshold}", self.selector());
        let mut labels = self.labels.clone();
        labels.insert("severity".to_owned(), condition.severity.value.clone());
        labels.insert("policy".to_owned(), policy.name.value.clone());
        let summary = format!("{}: {condition}", self.title());
        let to: Vec<_> = policy.targets.iter().map(|target| target.name.value.as_str()).collect();
        let description = format!("Alert policy {}, for {}.", policy.name, to.join(", "));
        group.alert(
            "ErrorBudgetPolicy",
            &expr,
            condition.after.nominal(),
            &labels,
            &self.annotations(&summary, &description),
        );
    }

    /// Silence is an alert too: without it a wrong label would be the quietest service of all.
    fn no_data(&self, group: &mut Group) {
        let window = Duration::from_secs(300).max(slice_of(self.objective).unwrap_or_default());
        let mut labels = self.labels.clone();
        let wanted = self.slo.policies.iter().find(|policy| policy.when_no_data);
        let severity = wanted.map_or("ticket", |policy| policy.condition.severity.as_str());
        labels.insert("severity".to_owned(), severity.to_owned());
        let expr = format!("absent({}{})", recorded("error_ratio", window), self.selector());
        let summary = format!("{} has no data: nothing can be said of it", self.title());
        let description = "No event was counted: there is no traffic, the series have ended, or a name or a label in \
                           the query is wrong.";
        let hold = Duration::from_secs(600);
        group.alert("ErrorBudgetNoData", &expr, hold, &labels, &self.annotations(&summary, description));
    }

    fn title(&self) -> String {
        let name = self.slo.display.clone().unwrap_or_else(|| self.slo.name.value.clone());
        // Templates are filled in by the Prometheus.
        name.replace("{{", "{ {")
    }

    fn annotations(&self, summary: &str, description: &str) -> BTreeMap<String, String> {
        let mut all: BTreeMap<_, _> =
            [("summary".to_owned(), summary.to_owned()), ("description".to_owned(), description.to_owned())]
                .into();
        for (name, value) in &self.slo.annotations {
            // `runbook`, `example.com/runbook`, `runbook_url`.
            let last = name.rsplit('/').next().unwrap_or(name).replace(['-', '.'], "_");
            let key = if last == "runbook" { "runbook_url".to_owned() } else { last };
            if ["runbook_url", "dashboard", "dashboard_url"].contains(&key.as_str()) {
                all.insert(key, value.replace("{{", "{ {"));
            }
        }
        all
    }
}

/// Why a tier has no alert.
fn impossible(slo: &Slo, objective: &Objective, tier: &RuleTier) -> String {
    format!(
        "`{}` ({}): no alert for {} over {}: even a total outage burns no faster than {}",
        slo.name,
        objective.label,
        number(tier.factor),
        Span(tier.long),
        number(1.0 / objective.target.complement().share())
    )
}

/// Failures over a window: none where no series of them is there while others are.
fn bad(counting: &Counting) -> String {
    let Counting { part, counted, total, .. } = counting;
    match part {
        Part::Bad => format!("{counted} or 0 * {total}"),
        Part::Good => format!("{total} - ({counted} or 0 * {total})"),
    }
}

fn slice_of(objective: &Objective) -> Option<Duration> {
    match objective.budgeting {
        Budgeting::Occurrences => None,
        Budgeting::Timeslices { slice, .. } | Budgeting::RatioTimeslices { slice } => Some(slice.nominal()),
    }
}

fn recorded(what: &str, window: Duration) -> String {
    let kind = if what == "failures" { "increase" } else { "rate" };
    format!("slo:{what}:{kind}{}", Span(window))
}

/// A number without the noise of binary fractions.
fn number(value: f64) -> String {
    let text = format!("{value:.12}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "0" && value != 0.0 { format!("{value:e}") } else { text.to_owned() }
}

/// As `PromQL`, JSON and YAML all read it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A group of rules, as YAML.
struct Group(String);

impl Group {
    fn new(name: &str, interval: Option<&str>) -> Self {
        let mut text = format!("  - name: {}\n", quoted(name));
        if let Some(interval) = interval {
            let _ = writeln!(text, "    interval: {interval}");
        }
        Self(text + "    rules:\n")
    }

    fn record(&mut self, name: &str, expr: &str, labels: &BTreeMap<String, String>) {
        let _ = write!(self.0, "      - record: {name}\n        expr: {}\n", quoted(expr));
        self.map("labels", labels, str::to_owned);
    }

    fn alert(
        &mut self,
        name: &str,
        expr: &str,
        hold: Duration,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) {
        let _ = write!(self.0, "      - alert: {name}\n        expr: {}\n", quoted(expr));
        if !hold.is_zero() {
            let _ = writeln!(self.0, "        for: {}", Span(hold));
        }
        // Labels of alerts are templates.
        self.map("labels", labels, |text| text.replace("{{", "{ {"));
        self.map("annotations", annotations, str::to_owned);
    }

    fn map(&mut self, key: &str, entries: &BTreeMap<String, String>, shown: impl Fn(&str) -> String) {
        let _ = writeln!(self.0, "        {key}:");
        for (name, value) in entries {
            let _ = writeln!(self.0, "          {name}: {}", quoted(&shown(value)));
        }
    }
}
