//! An incident again: its series laid on an empty Prometheus, its rules evaluated there as they are written.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Error;
use super::episode::Episode;
use super::folder::Incident;
use crate::dilation::{Bench, Course, Error as Lost, Manner, Reading, Recorded, Recording, Rules};
use crate::drill::{Extent, manners};
use crate::promql::Why;
use crate::rule::{self, RuleFile};

/// What rules made of an incident.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Alerts as they go, in the order in which they become active.
    pub alerts: Vec<Episode>,
    /// What is to be known of it, a sentence each.
    pub notes: Vec<String>,
    /// Alerts whose rules could not be evaluated, by their names: of them nothing is known. Notes say why.
    pub unknown: BTreeSet<String>,
}

impl Replayed {
    fn leave_out(&mut self, name: &str, why: &str) {
        self.notes.push(format!("`{name}` is not evaluated: {why}"));
        self.unknown.insert(name.to_owned());
    }
}

/// Evaluates rules over an incident's series, in virtual time.
///
/// # Errors
/// When the Prometheus that evaluates does not answer.
pub async fn replay(bench: &mut Bench, incident: &Incident, files: &[RuleFile]) -> Result<Replayed, Error> {
    let manifest = &incident.manifest;
    let every = Duration::from_millis(manifest.evaluated_every);
    let mut replayed = Replayed::default();
    let reaches = rule::Recorded::of(files, every);
    for alert in files.iter().flat_map(RuleFile::alerts) {
        let rules = Rules::of(files, alert, every);
        let name = &rules.rule.name.value;
        if rules.looks_at_alerts() {
            replayed.leave_out(name, "it looks at other alerts");
            continue;
        }
        let recording = recording(incident, &rules, &mut replayed.notes);
        let reach = reaches.reach(rules.rule).oldest;
        let manners = match manners_of(incident, &recording, &rules, reach) {
            Ok(manners) => manners,
            Err(why) => {
                replayed.leave_out(name, &why);
                continue;
            }
        };
        let mut accounts = Vec::new();
        for manner in &manners {
            accounts.extend(followed(bench, incident, &recording, &rules, manner).await?);
        }
        let fired = |all: &Vec<Episode>| all.iter().filter(|one| one.fired.is_some()).count();
        match accounts.first() {
            None => replayed.leave_out(name, "there is no room for its series"),
            Some(first) if accounts.iter().any(|other| fired(other) != fired(first)) => {
                replayed.leave_out(
                    name,
                    "it counts events, and does one thing if each happened once in the drill and another if they were traffic",
                );
            }
            Some(first) => replayed.alerts.extend(first.iter().cloned()),
        }
    }
    replayed.alerts.retain(|episode| episode.ended.is_none_or(|ended| ended > manifest.from));
    replayed.alerts.sort_by(|one, other| (one.pending, &one.labels).cmp(&(other.pending, &other.labels)));
    Ok(replayed)
}

/// How an incident's series are laid: as they were, or, of a drill, each way in which they can be read.
fn manners_of(
    incident: &Incident,
    recording: &Recording,
    rules: &Rules<'_>,
    reach: Duration,
) -> Result<Vec<Manner>, String> {
    if incident.manifest.drill.is_some() {
        return manners(recording, rules, Extent { reach, clears: Duration::ZERO });
    }
    Ok(vec![as_it_was(rules.falsified().contains(&Why::Clock))])
}

/// Series laid as they were; `moments` says whether values may be moments.
pub(super) fn as_it_was(moments: bool) -> Manner {
    Manner {
        reading: Reading::Each,
        counters: BTreeSet::new(),
        moments,
        history: Duration::ZERO,
        apart: Duration::ZERO,
        held: Duration::ZERO,
        onward: Duration::ZERO,
    }
}

/// The alerts of one rule over a recording; `None` where there is no room for it.
async fn followed(
    bench: &mut Bench,
    incident: &Incident,
    recording: &Recording,
    rules: &Rules<'_>,
    manner: &Manner,
) -> Result<Option<Vec<Episode>>, Lost> {
    let Some(stamped) = bench.lay(recording, manner).await? else { return Ok(None) };
    let shift = stamped.effect - recording.effect;
    let mut course = Course::new(rules, &stamped);
    course.advance(bench.client(), incident.manifest.to + shift).await?;
    let real = |evaluation: usize| course.moment(evaluation) - shift;
    let episode = |active: crate::dilation::Active| Episode {
        pending: real(active.since),
        fired: active.fired.map(real),
        ended: active.until.map(real),
        labels: active.labels,
        partly: false,
    };
    Ok(Some(course.alerts().into_iter().map(episode).collect()))
}

/// What these rules look at of an incident, which has neither fault nor speed, unless it was a drill: it was as it was.
fn recording(incident: &Incident, rules: &Rules<'_>, notes: &mut Vec<String>) -> Recording {
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
    let mut recording = incident.recording(series);
    if incident.manifest.drill.is_none() {
        // An alert that was pending when the incident began has to be known to be so.
        recording.calm -=
            millis(rules.alert.holds.map_or(Duration::ZERO, |at| at.value)) + millis(rules.every);
    }
    recording
}

/// The metric that a selector names, where it does.
fn plain_name(selector: &str) -> Option<&str> {
    let name = selector.split('{').next().unwrap_or_default();
    (!name.is_empty()).then_some(name)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}
