//! A stack that scenarios share, from the first of them to the last: brought up once, and as new for each.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::event::Failure;
use crate::plan::{Plan, PlannedStack};
use crate::scenario::alert::Quiet;
use crate::stack::{Error, Running, Speed};

/// A stack that is up and waits for the next scenario.
#[derive(Debug)]
pub(super) struct Warm {
    running: Running,
    file: PathBuf,
    /// The speed that was asked for, and the one it has.
    wanted: Speed,
    speed: Speed,
    /// The scenario that brought it up.
    by: String,
    spells: Spells,
}

impl Warm {
    /// Keeps a stack that was to have this speed.
    pub(super) fn new(kept: Kept, planned: &PlannedStack, wanted: Speed) -> Self {
        let Kept { running, speed, by, spells } = kept;
        Self { running, file: planned.file.clone(), wanted, speed, by, spells }
    }

    /// Whether it is what a scenario of this stack and speed needs.
    pub(super) fn is_for(&self, planned: &PlannedStack, speed: Speed) -> bool {
        self.file == planned.file && self.wanted == speed
    }

    /// Makes it as new.
    ///
    /// # Errors
    /// Why it is not; it is gone then.
    pub(super) async fn renewed(self, planned: &PlannedStack) -> Result<Kept, Error> {
        match Box::pin(self.running.renew(planned, self.speed)).await {
            Ok(()) => Ok(Kept { running: self.running, speed: self.speed, by: self.by, spells: self.spells }),
            Err(error) => {
                self.running.down().await;
                Err(error)
            }
        }
    }

    /// Takes it down.
    pub(super) async fn down(self) {
        self.running.down().await;
    }
}

/// A stack that is as new for one more scenario.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) running: Running,
    /// How fast it goes.
    pub(super) speed: Speed,
    /// The scenario that brought it up.
    pub(super) by: String,
    pub(super) spells: Spells,
}

/// Whether two scenarios share their stack, at the same speed.
pub(super) fn share(plan: &Plan, one: usize, other: usize, speed: impl Fn(usize) -> Speed) -> bool {
    let stack = |number: usize| plan.scenarios.get(number)?.stack.as_ref();
    match (stack(one), stack(other)) {
        (Some(this), Some(that)) => this.stack.shared && this.file == that.file && speed(one) == speed(other),
        (_, None) | (None, Some(_)) => false,
    }
}

/// The numbers of so many scenarios: those that `share` a stack one after another, in the order of the first of them.
pub(super) fn chains(scenarios: usize, share: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut chains: Vec<Vec<usize>> = Vec::new();
    for number in 0..scenarios {
        let on_its_stack = |chain: &&mut Vec<usize>| chain.last().is_some_and(|last| share(*last, number));
        match chains.iter_mut().find(on_its_stack) {
            Some(chain) => chain.push(number),
            None => chains.push(vec![number]),
        }
    }
    chains
}

/// The quiet spells that were held once for all who share a stack.
#[derive(Debug, Clone, Default)]
pub(super) struct Spells(Arc<Mutex<Vec<Held>>>);

/// A quiet spell that was held.
#[derive(Debug, Clone)]
pub(super) struct Held {
    lasts: Duration,
    except: Vec<String>,
    /// The scenario and the step that held it.
    pub(super) by: String,
    /// What stirred.
    pub(super) failures: Vec<Failure>,
}

impl Spells {
    /// The spell that was held in place of this one: as long, and without exceptions that this one does not make.
    pub(super) fn held(&self, wanted: &Quiet) -> Option<Held> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = |name: &String| wanted.except.iter().any(|at| at.value == *name);
        held.iter().find(|held| held.lasts >= wanted.lasts.value && held.except.iter().all(may)).cloned()
    }

    /// Notes that one was held.
    pub(super) fn note(&self, wanted: &Quiet, by: String, failures: Vec<Failure>) {
        let except = wanted.except.iter().map(|at| at.value.clone()).collect();
        let held = Held { lasts: wanted.lasts.value, except, by, failures };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(held);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::source::{At, Sources};

    fn quiet(minutes: u64, except: &[&str]) -> Quiet {
        let place = Sources::default().add("s.yaml", "").place(0, 0);
        let at = |name: &&str| At { value: (*name).to_owned(), place };
        Quiet {
            lasts: At { value: Duration::from_secs(60 * minutes), place },
            except: except.iter().map(at).collect(),
            once: true,
        }
    }

    #[rstest]
    #[case::all_alone("abc", "0, 1, 2")]
    #[case::in_a_row("aab", "0 1, 2")]
    #[case::with_others_between("abacba", "0 2 5, 1 4, 3")]
    fn who_shares_a_stack_follows_one_another(#[case] stacks: &str, #[case] found: &str) {
        let stacks = stacks.as_bytes();
        let chains = chains(stacks.len(), |one, other| stacks[one] == stacks[other]);
        let chains =
            chains.iter().map(|chain| chain.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        assert_eq!(chains.collect::<Vec<_>>().join(", "), found);
    }

    #[rstest]
    #[case::the_same(60, &[], true)]
    #[case::a_shorter_one(30, &[], true)]
    #[case::a_longer_one(61, &[], false)]
    #[case::one_that_tolerates_more(60, &["Watchdog"], true)]
    fn a_spell_stands_for_those_it_is_as_strict_as(
        #[case] minutes: u64,
        #[case] except: &[&str],
        #[case] held: bool,
    ) {
        let spells = Spells::default();
        spells.note(&quiet(60, &[]), "first".to_owned(), Vec::new());
        assert_eq!(spells.held(&quiet(minutes, except)).is_some(), held);
    }

    #[test]
    fn a_spell_with_an_exception_stands_for_none_without() {
        let spells = Spells::default();
        spells.note(&quiet(60, &["Watchdog"]), "first".to_owned(), Vec::new());
        assert!(spells.held(&quiet(60, &[])).is_none());
    }
}
