//! What an incident lost of error budgets before anybody was told.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::Error;
use super::folder::Incident;
use super::replay::as_it_was;
use crate::dilation::{self, Bench, Rules};
use crate::prometheus::Client;
use crate::prometheus::answer::{Data, Value};
use crate::promql;
use crate::rule::RuleFile;
use crate::slo::{Objective, Part, Query, Slo};

/// What was lost of an objective's error budget.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// The SLO and its objective.
    pub slo: String,
    /// The share of the budget; above 1 where there is not as much. Or why it is not known.
    pub share: Result<f64, String>,
}

/// An incident's series as they were, on a Prometheus.
#[derive(Debug)]
pub struct Laid {
    client: Client,
    /// How much later everything is there.
    shift: i64,
    /// What was recorded, as selectors.
    selectors: BTreeSet<String>,
}

/// The selectors of everything that these objectives ask of a Prometheus.
///
/// # Errors
/// When one of them is no query.
pub fn selectors(slos: &[Slo]) -> Result<BTreeSet<String>, String> {
    let mut all = BTreeSet::new();
    for slo in slos {
        for objective in &slo.objectives {
            all.extend(asked(objective).map_err(|why| format!("`{}`: {why}", slo.name.value))?);
        }
    }
    Ok(all)
}

fn asked(objective: &Objective) -> Result<BTreeSet<String>, String> {
    let mut all = BTreeSet::new();
    for query in objective.measure.queries() {
        let Query::Prometheus { query, .. } = query else { continue };
        let read = promql::Query::read(&query.value, query.place);
        let read = read.map_err(|_| format!("its query `{}` does not read", query.value))?;
        all.extend(promql::selectors(&read.expr).into_iter().map(|(_, one)| dilation::plain(one)));
    }
    Ok(all)
}

impl Laid {
    /// Lays an incident's series on a bench; `None` where there is no room for them. `slos` are those that were
    /// recorded with it.
    ///
    /// # Errors
    /// When the Prometheus of the bench does not take them.
    pub async fn lay(bench: &mut Bench, incident: &Incident, slos: &[Slo]) -> Result<Option<Self>, Error> {
        let recording = incident.recording(incident.series.clone());
        let Some(stamped) = bench.lay(&recording, &as_it_was(false)).await? else { return Ok(None) };
        let mut selectors = selectors(slos).unwrap_or_default();
        let every = Duration::from_millis(incident.manifest.evaluated_every);
        let files = &incident.subject.rules;
        for alert in files.iter().flat_map(RuleFile::alerts) {
            selectors.extend(Rules::of(files, alert, every).selectors());
        }
        selectors.insert("up".to_owned());
        Ok(Some(Self { client: bench.client().clone(), shift: stamped.effect - recording.effect, selectors }))
    }

    /// What each objective lost from one moment to another, in milliseconds since 1970.
    ///
    /// The share of bad events in that time, by how much of the SLO's window it is, by the share of all events that
    /// may be bad: what would be lost of the budget if traffic were always what it was then.
    ///
    /// # Errors
    /// When the Prometheus does not answer.
    pub async fn losses(&self, slos: &[Slo], from: i64, to: i64) -> Result<Vec<Loss>, Error> {
        let mut all = Vec::new();
        for slo in slos {
            let period = slo.window.period().nominal();
            for objective in &slo.objectives {
                let share = match self.bad(objective, from, to).await? {
                    Ok(bad) => {
                        let part = spanned(from, to).as_secs_f64() / period.as_secs_f64();
                        Ok(bad * part / objective.target.complement().share())
                    }
                    Err(why) => Err(why),
                };
                all.push(Loss { slo: format!("{} ({})", slo.name.value, objective.label), share });
            }
        }
        Ok(all)
    }

    /// The share of bad events, or why it is not known.
    async fn bad(&self, objective: &Objective, from: i64, to: i64) -> Result<Result<f64, String>, Error> {
        let wanted = match asked(objective) {
            Ok(wanted) => wanted,
            Err(why) => return Ok(Err(why)),
        };
        if let Some(missing) = wanted.iter().find(|one| !self.has(one)) {
            return Ok(Err(format!("`{missing}` is not recorded: `incident record --slos` records it")));
        }
        let span = spanned(from, to);
        if span.is_zero() {
            return Ok(Ok(0.0));
        }
        let counting = match objective.measure.over(span) {
            Ok(counting) => counting,
            Err(why) => return Ok(Err(why.to_string())),
        };
        let total = self.number(&counting.total, to).await?;
        let Some(total) = total.filter(|total| *total > 0.0) else {
            return Ok(Err("nothing was counted in that time".to_owned()));
        };
        // What never happened has no series.
        let counted = self.number(&counting.counted, to).await?.unwrap_or(0.0) / total;
        let bad = match counting.part {
            Part::Good => 1.0 - counted,
            Part::Bad => counted,
        };
        Ok(Ok(bad.clamp(0.0, 1.0)))
    }

    /// Whether a selector's series are all there: it, or everything of its metric, was recorded.
    fn has(&self, selector: &str) -> bool {
        let name = selector.split('{').next().unwrap_or_default();
        self.selectors.contains(selector) || (!name.is_empty() && self.selectors.contains(name))
    }

    async fn number(&self, query: &str, at: i64) -> Result<Option<f64>, Error> {
        let at = Timestamp::from_millisecond(at + self.shift).map_err(dilation::Error::from)?;
        Ok(match self.client.instant(query, Some(at)).await?.data {
            Data::Scalar(point) => Some(point.value),
            Data::Vector(samples) => samples.first().and_then(|one| match &one.value {
                Value::Number(point) => Some(point.value),
                Value::Histogram(_) => None,
            }),
            Data::Matrix(_) | Data::String(_) => None,
        }
        .filter(|number| number.is_finite()))
    }
}

fn spanned(from: i64, to: i64) -> Duration {
    Duration::from_millis(to.saturating_sub(from).max(0).unsigned_abs())
}
