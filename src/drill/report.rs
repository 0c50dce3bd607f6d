//! What a drill came to, alert by alert: what was seen and what virtual time says, put together.

use std::time::Duration;

use super::dilate::{Lapse, Virtual};
use super::explain::Broken;
use super::means::Means;
use super::rehearse::{Drill, Known, Report};
use super::verdict::{self, Case};
use super::watch::Watched;
use crate::dilation::promtool;
use crate::event::{Drilled, Proof};
use crate::ladder::Rung;
use crate::source::Sources;

/// Scaled and dilated may be so far apart: two scrapes and two evaluations, and on top of that what machines need,
/// in wall time.
const LEEWAY: Duration = Duration::from_millis(250);

/// One alert, put together.
struct Sum {
    watched: Watched,
    proof: Proof,
    broken: Option<Broken>,
    notes: Vec<String>,
    /// Why nothing can be said of it.
    unproven: Option<String>,
    /// How scaled and dilated disagree.
    disputes: Vec<String>,
    /// What `promtool` sees instead.
    contradiction: Option<String>,
}

impl Sum {
    /// Takes in what `promtool` says.
    fn hear(&mut self, said: Option<&promtool::Said>) {
        match said {
            None => {}
            Some(promtool::Said::Agrees) => {
                self.notes.push("`promtool test rules` sees the same, rules unmodified".to_owned());
            }
            Some(promtool::Said::Disagrees(what)) => self.contradiction = Some(what.clone()),
            Some(promtool::Said::Nothing(why)) => {
                self.notes.push(format!("`promtool test rules` has no say: {why}"));
            }
        }
    }
}

impl Drill {
    /// What it all came to.
    #[must_use]
    pub fn report(&self, sources: &Sources) -> Report {
        let mut report = Report::default();
        for (number, watched) in self.watched.iter().enumerate() {
            let known = &self.known[number];
            let mut sum = self.sum(number, watched, known);
            if !known.sends_resolved && watched.climb.has(Rung::Delivered) {
                sum.notes
                    .push("its receiver is not told when it is over (`send_resolved: false`)".to_owned());
            }
            sum.notes.extend(verdict::may_be_late(&watched.expected, &known.window));
            let case = Case {
                watched: &sum.watched,
                window: &known.window,
                clock: self.clock,
                proof: sum.proof,
                broken: sum.broken.as_ref().filter(|_| sum.unproven.is_none()),
                query: known.query.as_ref(),
            };
            if let Some(why) = &sum.unproven {
                sum.notes.push(format!("not proven: {why}"));
                report.unproven.push(format!("`{}` is not proven: {why}", watched.expected.name));
            } else {
                report.failures.extend(verdict::failures(case, sources));
            }
            report.failures.extend(verdict::disputed(case, &sum.disputes, self.tolerance(known), sources));
            report.failures.extend(verdict::contradicted(case, sum.contradiction.as_deref(), sources));
            let mut drilled = verdict::drilled(case, std::mem::take(&mut sum.notes));
            drilled.predicted = self.predicted[number];
            report.drilled.push(drilled);
        }
        report.drilled.extend(self.beside());
        report.failures.extend(verdict::strangers(&self.alerts, &self.strangers, self.clock, sources));
        report
    }

    /// The alerts that the fault raised and that nobody expected.
    pub(super) fn beside(&self) -> impl Iterator<Item = Drilled> {
        let raised = self.strangers.iter().filter_map(|(labels, at)| Some((labels, (*at)?)));
        raised.map(|(labels, at)| verdict::stranger(labels, at, self.clock))
    }

    /// How far apart scaled and dilated may be, in rule time.
    fn tolerance(&self, known: &Known) -> Duration {
        let scraped_every = self.clock.rule_time(self.instruments.scraped_every);
        2 * (scraped_every + known.evaluated_every) + self.clock.rule_time(LEEWAY)
    }

    fn sum(&self, number: usize, watched: &Watched, known: &Known) -> Sum {
        let mut sum = Sum {
            watched: watched.clone(),
            proof: Proof::Scaled,
            broken: self.broken[number].clone(),
            notes: known.notes.clone(),
            unproven: None,
            disputes: Vec::new(),
            contradiction: None,
        };
        let said = self.lapses[number].as_ref();
        match (&known.means, said) {
            (Means::Scaled, _) => {}
            (Means::Dilated | Means::Both, None) => {
                sum.unproven = Some("virtual time was not asked".to_owned());
            }
            (Means::Nothing(why), _) | (Means::Dilated | Means::Both, Some(Virtual::Silent(why))) => {
                sum.unproven = Some(why.clone());
            }
            (Means::Both, Some(Virtual::Does(lapse))) => {
                sum.hear(lapse.checked.as_ref());
                sum.proof = Proof::Both;
                let early = watched.early.is_some();
                sum.disputes = if early {
                    Vec::new()
                } else {
                    lapse.disputes(&watched.climb, self.clock, self.tolerance(known))
                };
            }
            (Means::Dilated, Some(Virtual::Does(lapse))) => self.dilate(&mut sum, lapse),
        }
        if sum.unproven.is_some() {
            sum.proof = Proof::None;
        }
        sum
    }

    /// Puts what virtual time says in the place of what was seen at the drill's speed.
    fn dilate(&self, sum: &mut Sum, lapse: &Lapse) {
        sum.proof = Proof::Dilated;
        sum.hear(lapse.checked.as_ref());
        let seen = sum.watched.climb.clone();
        sum.watched.climb = lapse.onto(&seen, self.clock);
        let cleared_in_time = sum.broken.as_ref().is_some_and(|broken| broken.rung == Rung::Cleared);
        if lapse.early {
            sum.unproven = Some("it is active before the fault takes effect".to_owned());
        } else if lapse.firing.is_none() {
            // Why it does not, at the drill's speed, is why it does not at all.
            let because = sum.broken.take().filter(|broken| broken.rung <= Rung::Firing);
            sum.broken = Some(because.unwrap_or_else(|| match lapse.pending {
                Some(_) => {
                    Broken::new(Rung::Firing, "its condition did not hold for long enough, in virtual time")
                }
                None => Broken::new(Rung::Held, "its condition never held, in virtual time"),
            }));
        } else if self.alertmanager.is_some() && !seen.has(Rung::Firing) {
            sum.broken = None;
            sum.unproven = Some(
                "it fires in virtual time; at the drill's speed it does not, so nobody was told".to_owned(),
            );
        } else if sum.broken.as_ref().is_some_and(|broken| !broken.rung.is_down()) {
            // It fired, and nobody was told.
        } else if lapse.cleared.is_none() {
            sum.broken = Some(Broken::new(Rung::Cleared, "it goes on firing in virtual time"));
        } else if cleared_in_time {
            sum.broken = None;
            sum.notes.push("how its end is told was not waited for".to_owned());
        }
    }
}
