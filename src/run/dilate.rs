//! Alerts in virtual time, once a drill is over: what was scraped is taken from the stack's Prometheus and put through
//! the rules as they are written.

use std::collections::BTreeSet;
use std::time::Duration;

use super::drill::Ground;
use super::walk::Walker;
use crate::dilation::{Bench, Rules};
use crate::drill::{Drill, Virtual, follow};
use crate::scenario::alert::Expected;

/// How far back a query looks for a sample beyond what it says.
const LOOKBACK: Duration = Duration::from_secs(5 * 60);

impl Walker {
    /// Asks virtual time about every alert of a drill that it has a say in.
    pub(super) async fn dilate(&self, ground: &Ground, drill: &mut Drill) -> Result<(), String> {
        let wanted: Vec<_> = drill
            .dilated()
            .map(|(number, expected, known)| (number, expected.clone(), known.extent))
            .collect();
        let rules: Vec<_> = wanted.iter().map(|(_, expected, _)| ground.rules_of(expected)).collect();
        let selectors: BTreeSet<_> = rules.iter().flatten().flat_map(Rules::selectors).collect();
        let Some(before) = wanted.iter().map(|(.., extent)| extent.reach + LOOKBACK).max() else {
            return Ok(());
        };
        let recording =
            drill.recording(&selectors, ground.calm(), before).await.map_err(|error| error.to_string())?;
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
                    let followed = follow(&mut bench, &recording, rules, expected, *extent);
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
}

impl Ground {
    /// The rules that an expected alert is raised by.
    pub(super) fn rules_of(&self, expected: &Expected) -> Option<Rules<'_>> {
        Some(Rules::of(&self.rules, self.named(expected)?, self.pace.evaluation_interval))
    }
}
