//! Judging while counting goes on: conclusions that hold however often one looks.

use super::decision::{Decision, Known, Terms, of_known};
use super::{Judgement, Policy, Verdict, judge};
use crate::sli::Counts;
pub use crate::statistics::Look;
use crate::statistics::{self, Watched};
use crate::units::Ratio;

/// Several objectives that are watched together.
#[derive(Debug, Clone)]
pub struct Sequence {
    objectives: Vec<Ratio>,
    policy: Policy,
    /// The least chance that was seen of each while it was above what is allowed, were all well.
    chances: Vec<Ratio>,
    /// Those that are known to be below; that holds from then on.
    below: Vec<bool>,
}

impl Sequence {
    /// Watches these objectives.
    #[must_use]
    pub fn new(objectives: Vec<Ratio>, policy: Policy) -> Self {
        let (chances, below) = (vec![Ratio::ONE; objectives.len()], vec![false; objectives.len()]);
        Self { objectives, policy, chances, below }
    }

    /// Looks at what was counted so far, and says what is known of each.
    ///
    /// The chance of what was seen at any look is at most the quotient's inverse, so that Holm's correction holds for
    /// several of them as it does for single looks.
    pub fn look(&mut self, known: &[Known]) -> Vec<Look> {
        for (at, known) in known.iter().enumerate() {
            let Some(watched) = self.watched(at) else { continue };
            let counts = counts(known);
            match watched.look(counts, self.policy.confidence) {
                Look::Below => self.below[at] = true,
                Look::Above | Look::Open => {
                    let above = counts.failure_ratio().is_some_and(|seen| seen > self.allowed(at));
                    let chance = watched.chance(counts);
                    if above && chance < self.chances[at] {
                        self.chances[at] = chance;
                    }
                }
            }
        }
        let failed = statistics::holm(&self.chances, self.policy.confidence);
        failed
            .into_iter()
            .zip(&self.below)
            .map(|(failed, below)| match (failed, below) {
                (true, _) => Look::Above,
                (false, true) => Look::Below,
                (false, false) => Look::Open,
            })
            .collect()
    }

    /// What it came to.
    #[must_use]
    pub fn decide(&mut self, known: &[Known], terms: &Terms) -> Vec<(Judgement, Decision)> {
        let seen = self.look(known);
        known
            .iter()
            .zip(seen)
            .enumerate()
            .map(|(at, (known, seen))| {
                let mut judgement = judge(self.objectives[at], counts(known), self.policy);
                if let Some(watched) = self.watched(at) {
                    let interval = watched.interval(judgement.counts, self.policy.confidence);
                    judgement.interval = interval.complement();
                    judgement.needed = watched.needed(judgement.counts, self.policy.confidence);
                }
                judgement.verdict = match (seen, judgement.counts.valid()) {
                    (_, 0) => Verdict::NoData,
                    (Look::Above, _) => Verdict::Fail,
                    (Look::Below, _) => Verdict::Pass,
                    (Look::Open, _) => Verdict::Inconclusive { needed: judgement.needed },
                };
                // A budget is of a whole window, and what was watched is no such.
                let terms = Terms { block_when_spent: false, ..terms.clone() };
                (judgement, of_known(known, judgement, None, &terms))
            })
            .collect()
    }

    fn watched(&self, at: usize) -> Option<Watched> {
        Watched::share(self.allowed(at))
    }

    fn allowed(&self, at: usize) -> Ratio {
        self.policy.allowance.of(self.objectives[at])
    }
}

fn counts(known: &Known) -> Counts {
    match known {
        Known::Past(past) => past.counts,
        Known::Nothing(_) => Counts::default(),
    }
}
