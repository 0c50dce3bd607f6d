//! An incident again: its series laid on an empty Prometheus, its rules evaluated there as they are written.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Error;
use super::episode::Episode;
use super::folder::Incident;
use crate::dilation::{Bench, Course, Manner, Reading, Recorded, Recording, Rules};
use crate::promql::Why;
use crate::rule::RuleFile;

/// What rules made of an incident.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Alerts as they go, in the order in which they become active.
    pub alerts: Vec<Episode>,
    /// What could not be evaluated, a sentence each.
    pub notes: Vec<String>,
}

/// Evaluates rules over an incident's series, in virtual time.
///
/// # Errors
/// When the Prometheus that evaluates does not answer.
pub async fn replay(bench: &mut Bench, incident: &Incident, files: &[RuleFile]) -> Result<Replayed, Error> {
    let manifest = &incident.manifest;
    let every = Duration::from_millis(manifest.evaluated_every);
    let mut replayed = Replayed::default();
    for alert in files.iter().flat_map(RuleFile::alerts) {
        let rules = Rules::of(files, alert, every);
        let name = &rules.rule.name.value;
        if rules.looks_at_alerts() {
            replayed.notes.push(format!("`{name}` looks at other alerts, and is not evaluated here"));
            continue;
        }
        let recording = recording(incident, &rules, &mut replayed.notes);
        let manner = Manner {
            reading: Reading::Each,
            counters: BTreeSet::new(),
            moments: rules.falsified().contains(&Why::Clock),
            history: Duration::ZERO,
            apart: Duration::ZERO,
            held: Duration::ZERO,
            onward: Duration::ZERO,
        };
        let Some(stamped) = bench.lay(&recording, &manner).await? else {
            replayed.notes.push(format!("there is no room for `{name}`: it is not evaluated"));
            continue;
        };
        let shift = stamped.effect - recording.effect;
        let mut course = Course::new(&rules, &stamped);
        course.advance(bench.client(), stamped.effect + (manifest.to - manifest.from)).await?;
        let real = |evaluation: usize| course.moment(evaluation) - shift;
        replayed.alerts.extend(course.alerts().into_iter().map(|active| Episode {
            pending: real(active.since),
            fired: active.fired.map(real),
            ended: active.until.map(real),
            labels: active.labels,
        }));
    }
    replayed.alerts.retain(|episode| episode.ended.is_none_or(|ended| ended > manifest.from));
    replayed.alerts.sort_by(|one, other| (one.pending, &one.labels).cmp(&(other.pending, &other.labels)));
    Ok(replayed)
}

/// What these rules look at of an incident, which has neither fault nor speed: it was as it was.
fn recording(incident: &Incident, rules: &Rules<'_>, notes: &mut Vec<String>) -> Recording {
    let manifest = &incident.manifest;
    let selectors = rules.selectors();
    let names: BTreeSet<&str> = selectors.iter().filter_map(|one| plain_name(one)).collect();
    let all = names.len() < selectors.len();
    let name = |one: &Recorded| one.labels.get("__name__").cloned().unwrap_or_default();
    let wanted = |one: &&Recorded| all || name(one) == "up" || names.contains(name(one).as_str());
    let series: Vec<_> = incident.series.iter().filter(wanted).cloned().collect();
    for selected in &names {
        if !series.iter().any(|one| name(one) == *selected) {
            notes.push(format!(
                "`{}` looks at `{selected}`, of which nothing is recorded",
                rules.rule.name.value
            ));
        }
    }
    Recording {
        speed: 1.0,
        scraped_every: manifest.scraped_every,
        // An alert that was pending when the incident began has to be known to be so.
        calm: manifest.from
            - millis(rules.alert.holds.map_or(Duration::ZERO, |at| at.value))
            - millis(rules.every),
        broken: manifest.from,
        effect: manifest.from,
        lifted: manifest.to,
        ended: manifest.to,
        series,
    }
}

/// The metric that a selector names, where it does.
fn plain_name(selector: &str) -> Option<&str> {
    let name = selector.split('{').next().unwrap_or_default();
    (!name.is_empty()).then_some(name)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}
