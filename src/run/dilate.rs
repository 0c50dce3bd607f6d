//! Alerts in virtual time, once a drill is over: what was scraped is taken from the stack's Prometheus and put through
//! the rules as they are written.

use std::collections::BTreeSet;
use std::time::Duration;

use super::drill::Ground;
use super::walk::Walker;
use crate::dilation::{Bench, Kept, Recording, Rules, keep};
use crate::drill::{Drill, Virtual, follow};
use crate::event::{Event, StepId};
use crate::rule::RuleFile;
use crate::scenario::alert::Expected;

/// How far back a query looks for a sample beyond what it says.
const LOOKBACK: Duration = Duration::from_secs(5 * 60);

/// The longest of what is kept of before the calm spell, in rule time, for rules that nobody expects to fire.
const BEFORE: Duration = Duration::from_secs(6 * 3600);

impl Walker {
    /// Takes what was scraped during a drill, keeps it, and asks virtual time about every alert that it has a say in.
    pub(super) async fn look_back(
        &self,
        ground: &Ground,
        id: &StepId,
        drill: &mut Drill,
    ) -> Result<(), String> {
        let wanted: Vec<_> = drill
            .dilated()
            .map(|(number, expected, known)| (number, expected.clone(), known.extent))
            .collect();
        let rules: Vec<_> = wanted.iter().map(|(_, expected, _)| ground.rules_of(expected)).collect();
        let mut selectors: BTreeSet<_> = rules.iter().flatten().flat_map(Rules::selectors).collect();
        if ground.recordings.is_some() {
            selectors.extend(ground.all_rules().flat_map(|rules| rules.selectors()));
        } else if wanted.is_empty() {
            return Ok(());
        }
        let before =
            wanted.iter().map(|(.., extent)| extent.reach + LOOKBACK).max().unwrap_or_default().max(BEFORE);
        let recording = drill.recording(&selectors, before).await;
        let recording = recording.map_err(|error| error.to_string())?;
        self.keep_recording(ground, id, &recording);
        if wanted.is_empty() {
            return Ok(());
        }
        let started = Bench::start(&ground.run, ground.supervisor.clone(), ground.now()).await;
        let mut bench = match started {
            Ok(bench) => bench,
            Err(error) => {
                let why = format!("virtual time needs a Prometheus of its own: {error}");
                for (number, ..) in &wanted {
                    drill.lapse(*number, Virtual::Silent(why.clone()));
                }
                return Ok(());
            }
        };
        for ((number, expected, extent), rules) in wanted.iter().zip(&rules) {
            let said = match rules {
                None => Virtual::Silent("no rule has its name".to_owned()),
                Some(rules) => {
                    let followed = follow(&mut bench, &recording, (rules, &ground.files), expected, *extent);
                    let followed = self.stop.run_until_cancelled(followed).await;
                    followed
                        .unwrap_or_else(|| Ok(Virtual::Silent("the run was stopped".to_owned())))
                        .unwrap_or_else(|error| Virtual::Silent(error.to_string()))
                }
            };
            drill.lapse(*number, said);
        }
        bench.end().await;
        Ok(())
    }

    /// Keeps a recording with the saved run; that it cannot be kept is no fault of the drill's.
    fn keep_recording(&self, ground: &Ground, id: &StepId, recording: &Recording) {
        let Some(path) = &ground.recordings else { return };
        let kept =
            Kept { scenario: id.scenario.clone(), step: id.name.clone(), recording: recording.clone() };
        let note = match keep(path, &kept) {
            Ok(true) => return,
            Ok(false) => {
                format!("what `{}` recorded is not kept: {} samples", id.name, recording.samples())
            }
            Err(error) => {
                format!("what `{}` recorded is not kept: `{}`: {error}", id.name, path.display())
            }
        };
        self.sender.send(Event::StackNoted { scenario: self.scenario.clone(), note });
    }
}

impl Ground {
    /// The rules that an expected alert is raised by.
    pub(super) fn rules_of(&self, expected: &Expected) -> Option<Rules<'_>> {
        Some(Rules::of(&self.rules, self.named(expected)?, self.pace.evaluation_interval))
    }

    /// Every alerting rule with those it needs.
    fn all_rules(&self) -> impl Iterator<Item = Rules<'_>> {
        let alerts = self.rules.iter().flat_map(RuleFile::alerts);
        alerts.map(|alert| Rules::of(&self.rules, alert, self.pace.evaluation_interval))
    }
}
