//! The terms of a gate: those of its file, and over them those of the command line.

use jiff::Timestamp;

use super::Arguments;
use crate::budget::{Empty, Severity};
use crate::gate::{Allowance, Instead, Override, Terms};
use crate::history::{Look, School};
use crate::scenario::gate::{BurningWritten, EmptyWritten, Gate, GateWritten, InsteadWritten, SchoolWritten};
use crate::statistics::{Confidence, Margin};
use crate::units::Ratio;

/// What is asked, on which terms.
#[derive(Debug)]
pub(super) struct Asked {
    /// The gate's name.
    pub(super) gate: String,
    /// The terms.
    pub(super) terms: Terms,
    /// How the past is looked at; its moment is still to be found out where none was given.
    pub(super) look: Look,
    /// Whether the moment was given.
    pub(super) at_given: bool,
    /// How much worse than the baseline is still no worse.
    pub(super) margin: Margin,
    /// When we began.
    pub(super) now: Timestamp,
}

impl Asked {
    pub(super) fn of(arguments: &Arguments, gates: &[Gate]) -> Result<Self, String> {
        let gate = match gates {
            [] => None,
            [only] => Some(only),
            several => {
                let names: Vec<_> = several.iter().map(|gate| format!("`{}`", gate.written.gate)).collect();
                return Err(format!("there are several gates among these files: {}", names.join(", ")));
            }
        };
        let now = Timestamp::now();
        let mut look = Look::at(arguments.at.unwrap_or(now));
        look.since = arguments.since;
        let mut terms = Terms::default();
        let mut margin = Margin::default();
        if let Some(Gate { written, freezes }) = gate {
            adopt(&mut terms, &mut look, written);
            margin = written.margin.and_then(|margin| Margin::new(margin.share())).unwrap_or_default();
            let frozen = freezes.iter().find(|freeze| (freeze.from..freeze.until).contains(&look.at));
            terms.frozen = frozen.map(|freeze| format!("{} (until {})", freeze.why, freeze.until));
        }
        over(&mut terms, arguments)?;
        look.slices = terms.cluster;
        Ok(Self {
            gate: gate.map_or_else(|| "gate".to_owned(), |gate| gate.written.gate.value.clone()),
            terms,
            look,
            at_given: arguments.at.is_some(),
            margin,
            now,
        })
    }
}

fn adopt(terms: &mut Terms, look: &mut Look, written: &GateWritten) {
    let GateWritten { confidence, allow, .. } = written;
    if let Some(confidence) = confidence.and_then(|at| Confidence::new(at.value)) {
        terms.policy.confidence = confidence;
    }
    if let Some(allowance) = allow.and_then(|at| Allowance::new(at.value)) {
        terms.policy.allowance = allowance;
    }
    let usual = Terms::default();
    terms.block_when_spent = written.block_when_spent.unwrap_or(usual.block_when_spent);
    terms.warn_below = written.warn_below.unwrap_or(usual.warn_below);
    terms.cost = written.deploy_cost.unwrap_or(usual.cost);
    terms.burning = match written.burning {
        None | Some(BurningWritten::Page) => Some(Severity::Page),
        Some(BurningWritten::Ticket) => Some(Severity::Ticket),
        Some(BurningWritten::None) => None,
    };
    terms.min_failures = written.min_failures.unwrap_or(usual.min_failures);
    terms.min_covered = written.min_covered.unwrap_or(usual.min_covered);
    terms.cluster = written.cluster.unwrap_or(usual.cluster);
    terms.on_no_data = instead(written.on_no_data);
    terms.on_inconclusive = instead(written.on_inconclusive);
    look.empty = match written.empty_slices {
        None | Some(EmptyWritten::Ignore) => Empty::Ignore,
        Some(EmptyWritten::Good) => Empty::Good,
        Some(EmptyWritten::Bad) => Empty::Bad,
    };
    look.school = match written.tiers {
        None | Some(SchoolWritten::Factor) => School::Factor,
        Some(SchoolWritten::Window) => School::Window,
    };
}

fn instead(written: Option<InsteadWritten>) -> Instead {
    match written {
        None | Some(InsteadWritten::Extend) => Instead::Extend,
        Some(InsteadWritten::Fail) => Instead::Fail,
        Some(InsteadWritten::Warn) => Instead::Warn,
        Some(InsteadWritten::Pass) => Instead::Pass,
    }
}

/// What the command line says goes before the file.
fn over(terms: &mut Terms, arguments: &Arguments) -> Result<(), String> {
    let policy = &arguments.policy;
    if let Some(confidence) = policy.confidence {
        let wrong = || format!("`--confidence {confidence}`: a confidence is at least 50% and below 100%");
        terms.policy.confidence = Confidence::new(confidence).ok_or_else(wrong)?;
    }
    if let Some(allow) = policy.allow {
        let wrong = || format!("`--allow {allow}`: an allowance is a number above zero, like 1 or 14.4");
        terms.policy.allowance = Allowance::new(allow).ok_or_else(wrong)?;
    }
    let share = |given: Option<Ratio>, usual: Ratio| given.unwrap_or(usual);
    terms.warn_below = share(policy.warn_below, terms.warn_below);
    terms.cost = share(policy.deploy_cost, terms.cost);
    terms.on_no_data = policy.on_no_data.map_or(terms.on_no_data, Instead::from);
    terms.on_inconclusive = policy.on_inconclusive.map_or(terms.on_inconclusive, Instead::from);
    if let (Some(reason), Some(by)) = (&policy.overridden, &policy.by) {
        if reason.trim().is_empty() || by.trim().is_empty() {
            return Err("`--override` needs a reason, and `--by` a name".to_owned());
        }
        terms.overridden = Some(Override { reason: reason.clone(), by: by.clone() });
    }
    Ok(())
}
