//! A gate's own file: on which terms a deploy may go through, as written and as checked.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::finding::{Code, Finding, Findings};
use crate::source::At;
use crate::units::Ratio;
use crate::yaml::{Node, Partial, read_partly};

/// The terms of a gate. What is left out has its usual value.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateWritten {
    /// The gate's name.
    pub gate: At<String>,
    /// How sure a pass or a fail must be: 95%.
    pub confidence: Option<At<Ratio>>,
    /// How many times the objective's share of failures is still well: 1 asks whether the objective is met, 14.4
    /// whether the budget does not burn fast.
    pub allow: Option<At<f64>>,
    /// Whether a spent budget blocks: true.
    pub block_when_spent: Option<bool>,
    /// Warn when less than this share of the budget is left.
    pub warn_below: Option<Ratio>,
    /// The share of the budget that a deploy may cost; block when less than that is left.
    pub deploy_cost: Option<Ratio>,
    /// Which burning tiers block: page.
    pub burning: Option<BurningWritten>,
    /// So many failures a tier takes to burn: 3.
    pub min_failures: Option<u64>,
    /// So much of the window must have been measured to conclude anything: 0%.
    pub min_covered: Option<Ratio>,
    /// Whether failures that come together count for as many independent events as they are worth: false.
    pub cluster: Option<bool>,
    /// What a slice of time without events is: ignore.
    pub empty_slices: Option<EmptyWritten>,
    /// Whether windows stay and factors follow from the SLO's window, or factors stay and windows are scaled: factor.
    pub tiers: Option<SchoolWritten>,
    /// What becomes of no data: extend, which is no pass.
    pub on_no_data: Option<InsteadWritten>,
    /// What becomes of too few data: extend, which is no pass.
    pub on_inconclusive: Option<InsteadWritten>,
    /// How much worse than the baseline is still no worse: 25%.
    pub margin: Option<Ratio>,
    /// When nobody goes through.
    #[serde(default)]
    pub freeze: Vec<At<FreezeWritten>>,
}

/// Which burning tiers block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BurningWritten {
    /// Those that page.
    Page,
    /// Those that page or make a ticket.
    Ticket,
    /// None.
    None,
}

/// What a slice of time without events is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EmptyWritten {
    /// Not counted.
    Ignore,
    /// A good one.
    Good,
    /// A bad one.
    Bad,
}

/// What follows from the SLO's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SchoolWritten {
    /// Factors.
    Factor,
    /// Windows.
    Window,
}

/// What becomes of a verdict that is neither pass nor fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InsteadWritten {
    /// It stands, and is no pass.
    Extend,
    /// A fail.
    Fail,
    /// A warning, which passes.
    Warn,
    /// A pass.
    Pass,
}

/// A time in which nobody goes through.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeWritten {
    /// When it begins, like `2026-12-20T00:00:00+01:00`.
    pub from: At<String>,
    /// When it ends.
    pub until: At<String>,
    /// Why.
    pub why: String,
}

/// A gate's own file.
#[derive(Debug, Clone)]
pub struct Gate {
    /// What was written.
    pub written: GateWritten,
    /// When nobody goes through, and why.
    pub freezes: Vec<Freeze>,
}

/// A time in which nobody goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// Why.
    pub why: String,
}

/// Reads and checks a gate's file.
pub fn check(node: &Node, findings: &mut Findings) -> Option<Gate> {
    let Partial { value, findings: misshapen } = read_partly::<GateWritten>(node);
    findings.extend(misshapen);
    let written = value?;
    if let Some(confidence) = written.confidence.filter(|at| at.share() < 0.5 || **at >= Ratio::ONE) {
        let title = "a confidence is at least 50% and below 100%";
        findings.add(Finding::new(Code::GatePolicy, confidence.place, title));
    }
    if let Some(allow) = written.allow.filter(|at| !(at.value > 0.0 && at.value.is_finite())) {
        let title = "an allowance is a number above zero, like 1 or 14.4";
        findings.add(Finding::new(Code::GatePolicy, allow.place, title));
    }
    let freezes: Vec<_> = written.freeze.iter().filter_map(|at| freeze(at, findings)).collect();
    Some(Gate { written, freezes })
}

fn freeze(written: &At<FreezeWritten>, findings: &mut Findings) -> Option<Freeze> {
    let moment = |text: &At<String>| {
        text.parse::<Timestamp>().map_err(|_| {
            let title = format!("`{}` is no moment", text.value);
            Finding::new(Code::GatePolicy, text.place, title)
                .help("write it like `2026-12-20T00:00:00+01:00`")
        })
    };
    let (from, until) = (findings.take(moment(&written.from)), findings.take(moment(&written.until)));
    let (from, until) = (from?, until?);
    if until <= from {
        let title = "a freeze ends after it begins";
        let finding = Finding::new(Code::GatePolicy, written.until.place, title);
        findings.add(finding.also(written.from.place, "it begins here"));
        return None;
    }
    Some(Freeze { from, until, why: written.why.clone() })
}
