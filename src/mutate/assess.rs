//! Mutants in virtual time: which of them some drill would have caught.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::changed::{Changed, ask};
use super::mutant::{Kind, Mutant, in_expression, mutants};
use crate::dilation::{Bench, Error, Recording, Rules, Stamped};
use crate::drill::{Extent, Lapse, evaluate, manners};
use crate::promql::{Query, Way};
use crate::rule::{Alert, Group, Recorded, Rule, RuleFile};
use crate::scenario::alert::{Alerts, Expected};
use crate::source::{Place, Sources};
use crate::stack;

/// Mutants that are evaluated at a time.
const AT_ONCE: usize = 4;

/// A longer range is looked back over than the rule has: four times as far.
const FURTHER: u32 = 4;

/// One drill, recorded.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// The scenario.
    pub scenario: &'a str,
    /// The step.
    pub step: &'a str,
    /// What it expects of alerts.
    pub alerts: &'a Alerts,
    /// What was scraped.
    pub recording: &'a Recording,
}

/// The rules of a stack, and the drills that were recorded in it.
#[derive(Debug, Clone)]
pub struct Tried<'a> {
    /// The rule files.
    pub files: &'a [RuleFile],
    /// How often rules are evaluated whose group does not say.
    pub every: Duration,
    /// The drills.
    pub trials: Vec<Trial<'a>>,
}

/// What became of a mutant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// A drill would have failed.
    Caught {
        /// The scenario.
        scenario: String,
        /// The step.
        step: String,
        /// By what: `does not fire`.
        how: String,
    },
    /// Every drill would have passed.
    Survived,
    /// No drill expects the alert, and none forbids it.
    Untried,
}

/// A mutant and its fate.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The alert that the rule raises, or the metric that it records.
    pub rule: String,
    /// What is changed.
    pub kind: Kind,
    /// From what to what.
    pub change: String,
    /// Where that stands: the expression with the way to the part, or the value.
    pub place: Place,
    /// The expression, and the way to the part of it; `None` where it is another value.
    pub part: Option<(Query, Way)>,
    /// What became of it.
    pub fate: Fate,
}

/// A rule whose drills are put to the test.
pub(super) struct Case<'a> {
    pub(super) tried: &'a Tried<'a>,
    pub(super) group: &'a Group,
    pub(super) rule: &'a Rule,
    pub(super) alert: &'a Alert,
}

/// A mistake, and the rule it is in.
struct Slip<'a> {
    mutant: Mutant,
    /// The rule that records what the alert looks at, where it is in that one.
    records: Option<&'a Rule>,
}

/// Puts every mutant of every alerting rule, and of every rule that records what one looks at, through the drills that
/// were recorded.
///
/// # Errors
/// When no Prometheus comes up to evaluate them, or it does not answer.
pub async fn assess(
    tried: &Tried<'_>,
    run: &str,
    supervisor: &Path,
    now: Timestamp,
) -> Result<Vec<Judged>, Failed> {
    let mut all = Vec::new();
    for (group, rule, alert) in tried.files.iter().flat_map(RuleFile::alerts) {
        let case = Case { tried, group, rule, alert };
        let mut bench = Bench::start(run, supervisor.to_owned(), now).await?;
        let judged = case.judge(&mut bench).await;
        bench.end().await;
        for one in judged? {
            add(&mut all, one);
        }
    }
    Ok(all)
}

/// Several alerts may look at what one rule records: the drills of any may catch what is wrong with it.
fn add(all: &mut Vec<Judged>, one: Judged) {
    let same = |other: &&mut Judged| {
        let way = |of: &Judged| of.part.as_ref().map(|(_, way)| way.clone());
        (other.place, &other.change) == (one.place, &one.change) && way(other) == way(&one)
    };
    match all.iter_mut().find(same) {
        None => all.push(one),
        Some(known) => {
            if one.fate.is_caught() || known.fate == Fate::Untried {
                known.fate = one.fate;
            }
        }
    }
}

/// Why mutants cannot be assessed.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// No Prometheus comes up.
    #[error("virtual time needs a Prometheus of its own: {0}")]
    Start(#[from] stack::Error),
    /// It does not answer.
    #[error(transparent)]
    Ask(#[from] Error),
}

impl<'a> Case<'a> {
    async fn judge(&self, bench: &mut Bench) -> Result<Vec<Judged>, Error> {
        let slips = self.slips();
        let changed: Vec<_> =
            slips.iter().enumerate().map(|(number, slip)| self.changed(slip, number)).collect();
        let mut fates: Vec<Fate> = vec![Fate::Untried; slips.len()];
        // Those that expect it catch most.
        let mut trials: Vec<_> =
            self.tried.trials.iter().map(|trial| (trial, self.expected(trial))).collect();
        trials.retain(|(trial, expected)| expected.is_some() || trial.alerts.others_quiet());
        trials.sort_by_key(|(_, expected)| expected.is_none());
        for (trial, expected) in trials {
            let Some(stamped) = self.lay(bench, trial, expected, &changed).await? else { continue };
            let alive: Vec<_> =
                fates.iter().enumerate().filter(|(_, fate)| !fate.is_caught()).map(|(at, _)| at).collect();
            let client = bench.client();
            let asked = alive.into_iter().map(|number| {
                let changed = &changed[number];
                let stamped = &stamped;
                async move {
                    let lapse =
                        evaluate(client, stamped, &changed.rules(self, false), &meant(expected, self)).await;
                    (number, lapse.map(|lapse| self.breach(changed, trial, expected, &lapse)))
                }
            });
            let answers: Vec<_> = stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
            for (number, breach) in answers {
                // What Prometheus refuses to evaluate never gets past its own check.
                let how = match breach {
                    Ok(how) => how,
                    Err(_) => Some("cannot be evaluated".to_owned()),
                };
                fates[number] = match how {
                    Some(how) => {
                        let (scenario, step) = (trial.scenario.to_owned(), trial.step.to_owned());
                        Fate::Caught { scenario, step, how }
                    }
                    None => Fate::Survived,
                };
            }
        }
        let judged = slips.into_iter().zip(fates).map(|(Slip { mutant, records }, fate)| {
            let rule = records.unwrap_or(self.rule);
            Judged {
                rule: rule.name.value.clone(),
                kind: mutant.kind,
                change: mutant.change,
                place: mutant.place,
                part: mutant.way.map(|way| (rule.query.clone(), way)),
                fate,
            }
        });
        Ok(judged.collect())
    }

    /// The mistakes of this rule, and of those that record what it looks at.
    fn slips(&self) -> Vec<Slip<'a>> {
        let of = (self.group, self.rule, self.alert);
        let recording = Rules::of(self.tried.files, of, self.tried.every).recording;
        let recorded = recording.into_iter().flat_map(|one| {
            let mutants = in_expression(one.rule, wait(self.alert.holds)).into_iter();
            mutants.map(move |mutant| Slip { mutant, records: Some(one.rule) })
        });
        let own = mutants(self.rule, self.alert).into_iter();
        own.map(|mutant| Slip { mutant, records: None }).chain(recorded).collect()
    }

    /// What a drill expects of this rule's alerts.
    fn expected(&self, trial: &Trial<'a>) -> Option<&'a Expected> {
        let labels: Vec<_> = self.rule.all_labels(self.group).collect();
        let fits = |expected: &&Expected| {
            let other = |(name, value): (&String, &String)| {
                labels
                    .iter()
                    .any(|(own, is)| own.value == *name && is.value != *value && !is.value.contains("{{"))
            };
            expected.name.value == self.rule.name.value && !expected.labels.iter().any(other)
        };
        let alerts: &'a Alerts = trial.alerts;
        alerts.expected.iter().find(fits)
    }

    /// Lays a drill's recording on the bench such that the rule as it is passes the drill; `None` where it does not.
    async fn lay(
        &self,
        bench: &mut Bench,
        trial: &Trial<'a>,
        expected: Option<&Expected>,
        mistakes: &[Changed],
    ) -> Result<Option<Stamped>, Error> {
        let own = self.unchanged();
        let rules = own.rules(self, true);
        let limits = mistakes.iter().map(|changed| {
            let fires = self.fires_by(changed, trial, expected);
            fires.max(self.clears_by(changed, trial, expected))
        });
        let limit = limits.max().unwrap_or_default();
        let reach = self.reach(&own) * FURTHER;
        for mut manner in
            manners(trial.recording, &rules, Extent { reach, clears: limit }).unwrap_or_default()
        {
            manner.held = limit;
            let Some(stamped) = bench.lay(trial.recording, &manner).await? else { return Ok(None) };
            let lapse = evaluate(bench.client(), &stamped, &rules, &meant(expected, self)).await?;
            if self.breach(&own, trial, expected, &lapse).is_none() {
                return Ok(Some(stamped));
            }
        }
        Ok(None)
    }

    fn unchanged(&self) -> Changed {
        Changed { rule: self.rule.clone(), alert: self.alert.clone(), others: None }
    }

    /// The rules with a mistake in one of them, the `number`th.
    fn changed(&self, slip: &Slip<'_>, number: usize) -> Changed {
        let (mutant, mut changed) = (&slip.mutant, self.unchanged());
        if let Some(wrong) = slip.records {
            return changed.recorded_wrong(self, wrong, mutant, number);
        }
        if mutant.way.is_some() {
            ask(&mut changed.rule, mutant.expr.clone());
        }
        if let Some(holds) = &mut changed.alert.holds {
            holds.value = mutant.holds;
        }
        changed
    }

    fn reach(&self, changed: &Changed) -> Duration {
        Recorded::of(changed.files(self), self.tried.every).reach(&changed.rule).oldest
    }

    /// When it has to have fired: as the drill says, else as its configuration allows.
    fn fires_by(&self, changed: &Changed, trial: &Trial<'_>, expected: Option<&Expected>) -> Duration {
        let stated = expected.and_then(|expected| expected.fires.as_ref()).map(|at| at.value);
        stated.unwrap_or_else(|| self.allowed(changed, trial) + wait(changed.alert.holds))
    }

    /// When it has to have cleared.
    fn clears_by(&self, changed: &Changed, trial: &Trial<'_>, expected: Option<&Expected>) -> Duration {
        let stated = expected.and_then(|expected| expected.clears.as_ref()).map(|at| at.value);
        stated.unwrap_or_else(|| self.allowed(changed, trial) + wait(changed.alert.keeps))
    }

    /// Until everything that it looks at is of the time that counts: two scrapes, all that it looks back, and two
    /// evaluations.
    fn allowed(&self, changed: &Changed, trial: &Trial<'_>) -> Duration {
        let scrape = Duration::from_millis(trial.recording.scraped_every).mul_f64(trial.recording.speed);
        let every = self.group.interval.map_or(self.tried.every, |at| at.value);
        2 * scrape + self.reach(changed) + 2 * every + self.group.query_offset
    }

    /// What a drill would have said, if anything.
    fn breach(
        &self,
        changed: &Changed,
        trial: &Trial<'_>,
        expected: Option<&Expected>,
        lapse: &Lapse,
    ) -> Option<String> {
        if expected.is_none() {
            let fires = lapse.early || lapse.firing.is_some();
            return fires.then(|| "fires, and is not expected".to_owned());
        }
        let (fires_by, clears_by) =
            (self.fires_by(changed, trial, expected), self.clears_by(changed, trial, expected));
        let how = match (lapse.firing, lapse.cleared) {
            _ if lapse.early => "is active before the fault",
            (None, _) => "does not fire",
            (Some(at), _) if at > fires_by => "fires too late",
            (Some(_), None) => "does not clear",
            (Some(_), Some(at)) if at > clears_by => "clears too late",
            (Some(_), Some(_)) => return None,
        };
        Some(how.to_owned())
    }
}

impl Judged {
    /// Where what is changed was written.
    #[must_use]
    pub fn place_in(&self, sources: &Sources) -> Place {
        self.part.as_ref().map_or(self.place, |(query, way)| query.place_of(way, sources))
    }
}

impl Fate {
    /// Whether a drill would have failed.
    #[must_use]
    pub fn is_caught(&self) -> bool {
        match self {
            Self::Caught { .. } => true,
            Self::Survived | Self::Untried => false,
        }
    }
}

/// What is looked for: what the drill expects, or any alert of the rule.
fn meant(expected: Option<&Expected>, case: &Case<'_>) -> Expected {
    expected.cloned().unwrap_or_else(|| Expected {
        name: case.rule.name.clone(),
        labels: BTreeMap::new(),
        fires: None,
        reaches: Vec::new(),
        spares: Vec::new(),
        told: None,
        clears: None,
    })
}

fn wait(at: Option<crate::source::At<Duration>>) -> Duration {
    at.map(|at| at.value).unwrap_or_default()
}
