//! What a gate decides: the judgement of an objective, its budget, and the terms somebody set.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Judgement, Policy, Verdict, judge_all, told};
use crate::budget::{Budget, Burn, Exhaustion, Severity, Tier};
use crate::sli::Counts;
use crate::statistics;
use crate::units::{Ratio, Span};

/// On which terms a gate lets somebody through.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// How sure, and how far beyond the objective is still well.
    pub policy: Policy,
    /// Whether a spent budget blocks.
    pub block_when_spent: bool,
    /// Warns when less than this share of the budget is left.
    pub warn_below: Ratio,
    /// The share of the budget that what waits at the gate may cost, and that must be left.
    pub cost: Ratio,
    /// Blocks while a tier of this severity, or a worse one, burns; `None` for none.
    pub burning: Option<Severity>,
    /// So many failures in its long window a tier takes to burn: a single one among few says little.
    pub min_failures: u64,
    /// So much of the window must have been measured to conclude anything.
    pub min_covered: Ratio,
    /// Whether failures that cluster count for as many independent events as they are worth.
    pub cluster: bool,
    /// What becomes of no data.
    pub on_no_data: Instead,
    /// What becomes of too few data.
    pub on_inconclusive: Instead,
    /// Why nobody goes through now.
    pub frozen: Option<String>,
    /// Who goes through nevertheless, and why.
    pub overridden: Option<Override>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            block_when_spent: true,
            warn_below: Ratio::ZERO,
            cost: Ratio::ZERO,
            burning: Some(Severity::Page),
            min_failures: 3,
            min_covered: Ratio::ZERO,
            cluster: false,
            on_no_data: Instead::Extend,
            on_inconclusive: Instead::Extend,
            frozen: None,
            overridden: None,
        }
    }
}

/// What becomes of a verdict that is neither pass nor fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Instead {
    /// It stands: more is to be measured first, and it is no pass.
    #[default]
    Extend,
    /// It is a fail.
    Fail,
    /// It is a warning, which passes.
    Warn,
    /// It is a pass.
    Pass,
}

/// Who goes through nevertheless, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The reason that was given.
    pub reason: String,
    /// Who gave it.
    pub by: String,
}

/// What is known of an objective's past.
#[derive(Debug, Clone, PartialEq)]
pub enum Known {
    /// What was measured.
    Past(Box<Past>),
    /// Nothing; reads on after "no data: ".
    Nothing(String),
}

/// What was measured of an objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// The window, in words: `30d rolling`.
    pub window: String,
    /// Whether it rolls.
    pub rolls: bool,
    /// What is lost of what: `events`, `slices`.
    pub unit: Unit,
    /// What was allowed and spent.
    pub budget: Budget,
    /// As whole events or slices, for tests of chances.
    pub counts: Counts,
    /// The tiers that are watched, with what burned in both windows.
    pub tiers: Vec<Burning>,
    /// The share of the window in which anything was measured.
    pub covered: Ratio,
    /// What happened in parts of the window, where that is known.
    pub slices: Vec<Counts>,
    /// What is to be said aloud of how it was measured.
    pub notes: Vec<String>,
    /// Failures since the moment that somebody asks about, as a deploy's.
    pub since: Option<f64>,
    /// What else speaks against a pass.
    pub doubts: Vec<(Verdict, String)>,
}

/// What an objective counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Events.
    Events,
    /// Slices of time.
    Slices,
    /// A share of a whole, of which nothing can be counted.
    Share,
}

/// A tier and what burned in its windows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burning {
    /// Its windows and factor.
    pub tier: Tier,
    /// Over the long window; `None` without data.
    pub long: Option<Burn>,
    /// Over the short one.
    pub short: Option<Burn>,
    /// Failures in the long window.
    pub failures: f64,
}

impl Burning {
    /// Whether it burns: above its factor in both windows, with failures enough to say so.
    #[must_use]
    pub fn burns(self, min_failures: u64) -> bool {
        let above = |burn: Option<Burn>| burn.is_some_and(|burn| burn.rate() > self.tier.factor);
        let enough = Counts { good: 0, bad: min_failures };
        above(self.long) && above(self.short) && self.failures >= crate::budget::Events::from(enough).bad()
    }
}

/// What a gate decided of one objective.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The conclusion, by the terms.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub reason: String,
    /// What is left; absent without data.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub budget: Option<Left>,
    /// The burn rate over each window that is watched, the shortest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub burn: Vec<Rate>,
    /// How much more failures differ between parts of the window than independent ones would.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub design_effect: Option<f64>,
    /// What else is to be known.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// Who goes through nevertheless.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub overridden: Option<Override>,
}

/// What is left of an error budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// The window, in words.
    pub window: String,
    /// What is counted.
    pub unit: Unit,
    /// The share of the window's budget that is spent, as if the rest of it saw as much as the part that passed.
    pub consumed: f64,
    /// The share of the budget for what was counted so far that is spent.
    pub consumed_to_date: f64,
    /// The share that is left; below zero where too much was spent.
    pub remaining: f64,
    /// How many may be lost in the whole window.
    pub allowed: f64,
    /// How many were.
    pub lost: f64,
    /// How long a total outage the rest would pay for, in seconds.
    pub outage_seconds: f64,
    /// In how many seconds it is gone at the burn rate of the slow page's long window; absent where it is not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gone_in_seconds: Option<f64>,
    /// The share of the window in which anything was measured.
    pub covered: Ratio,
    /// Slices of time without events, however they counted.
    pub empty_slices: u64,
    /// The share of the budget that was spent since the moment somebody asked about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cost: Option<f64>,
}

/// How fast a budget burned over one window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// The window.
    pub over: Span,
    /// 1 spends the budget in exactly the SLO's window; absent without data.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rate: Option<f64>,
    /// What it must be above for the tier to burn.
    pub limit: f64,
}

/// Decides of all objectives together, so that more of them do not mean more false alarms.
#[must_use]
pub fn decide(objectives: &[(Ratio, Known)], terms: &Terms) -> Vec<(Judgement, Decision)> {
    let effect = |known: &Known| match known {
        Known::Past(past) => statistics::design_effect(&past.slices),
        Known::Nothing(_) => None,
    };
    let effects: Vec<_> = objectives.iter().map(|(_, known)| effect(known)).collect();
    let counted: Vec<_> = objectives
        .iter()
        .zip(&effects)
        .map(|((objective, known), effect)| {
            let counts = match known {
                Known::Past(past) => past.counts,
                Known::Nothing(_) => Counts::default(),
            };
            let worth = effect.filter(|_| terms.cluster).unwrap_or(1.0);
            (*objective, statistics::effective(counts, worth))
        })
        .collect();
    let judgements = judge_all(&counted, terms.policy);
    objectives
        .iter()
        .zip(judgements)
        .zip(effects)
        .map(|(((_, known), judgement), effect)| (judgement, of_known(known, judgement, effect, terms)))
        .collect()
}

/// What the terms make of one objective's judgement.
pub(super) fn of_known(known: &Known, judgement: Judgement, effect: Option<f64>, terms: &Terms) -> Decision {
    match known {
        Known::Past(past) => of_past(past, judgement, effect, terms),
        Known::Nothing(why) => of_nothing(why, terms),
    }
}

fn of_nothing(why: &str, terms: &Terms) -> Decision {
    let mut decision = Decision {
        verdict: Verdict::NoData,
        reason: format!("no data: {why}"),
        budget: None,
        burn: Vec::new(),
        design_effect: None,
        notes: Vec::new(),
        overridden: None,
    };
    if let Some(why) = &terms.frozen {
        (decision.verdict, decision.reason) = (Verdict::Fail, format!("frozen: {why}"));
    }
    decision.apply(terms)
}

fn of_past(past: &Past, judgement: Judgement, effect: Option<f64>, terms: &Terms) -> Decision {
    let mut grounds = vec![(judgement.verdict, judgement.to_string())];
    grounds.extend(objections(past, terms));
    let worst = grounds
        .into_iter()
        .reduce(|worst, next| if Verdict::worst([worst.0, next.0]) == worst.0 { worst } else { next });
    let (verdict, reason) = worst.unwrap_or((judgement.verdict, judgement.to_string()));
    let mut notes = past.notes.clone();
    notes.extend(effect.filter(|effect| *effect > 1.5).map(|effect| told::clustered(effect, terms.cluster)));
    let decision = Decision {
        verdict,
        reason,
        budget: Some(left(past)),
        burn: rates(&past.tiers),
        design_effect: effect,
        notes,
        overridden: None,
    };
    decision.apply(terms)
}

/// What speaks against a pass beside the judgement.
fn objections(past: &Past, terms: &Terms) -> Vec<(Verdict, String)> {
    let mut found = past.doubts.clone();
    if let Some(why) = &terms.frozen {
        found.push((Verdict::Fail, format!("frozen: {why}")));
    }
    let burning = past.tiers.iter().filter(|burning| burning.burns(terms.min_failures));
    let worst = burning
        .filter(|burning| terms.burning.is_some_and(|most| burning.tier.severity <= most))
        .min_by(|a, b| a.tier.severity.cmp(&b.tier.severity).then(b.tier.factor.total_cmp(&a.tier.factor)));
    found.extend(worst.map(|burning| (Verdict::Fail, told::burning(burning))));
    if past.budget.is_spent() && terms.block_when_spent {
        found.push((Verdict::Fail, told::spent(past)));
    }
    let remaining = past.budget.remaining();
    if let Some(remaining) = remaining.filter(|remaining| *remaining < terms.cost.share()) {
        found.push((Verdict::Fail, told::too_dear(remaining, terms.cost)));
    }
    if past.covered < terms.min_covered {
        let verdict = Verdict::Inconclusive { needed: None };
        found.push((verdict, told::uncovered(past.covered, terms.min_covered)));
    }
    if let Some(remaining) = remaining.filter(|remaining| *remaining < terms.warn_below.share()) {
        found.push((Verdict::Warn, told::low(remaining, terms.warn_below)));
    }
    found
}

/// The burn rate that tells how long the budget lasts: that of the slow page's long window, or the next there is.
fn current(tiers: &[Burning]) -> Option<Burn> {
    let pages = tiers.iter().filter(|burning| burning.tier.severity == Severity::Page);
    let slowest =
        pages.clone().filter(|burning| burning.long.is_some()).max_by_key(|burning| burning.tier.long);
    slowest.and_then(|burning| burning.long).or_else(|| tiers.iter().find_map(|burning| burning.long))
}

fn left(past: &Past) -> Left {
    let budget = &past.budget;
    let gone = current(&past.tiers).or_else(|| budget.burn()).and_then(|burn| budget.exhaustion(burn));
    Left {
        window: past.window.clone(),
        unit: past.unit,
        consumed: budget.consumed().unwrap_or_default(),
        consumed_to_date: budget.consumed_to_date().unwrap_or_default(),
        remaining: budget.remaining().unwrap_or(1.0),
        allowed: budget.allowed(),
        lost: budget.tally.lost(),
        outage_seconds: budget.time_left().unwrap_or_default().as_secs_f64(),
        gone_in_seconds: match gone {
            Some(Exhaustion::In(after)) => Some(after.as_secs_f64()),
            Some(Exhaustion::Spent) => Some(0.0),
            Some(Exhaustion::Never) | None => None,
        },
        covered: past.covered,
        empty_slices: budget.tally.empty(),
        cost: past.since.and_then(|lost| budget.cost(lost)),
    }
}

fn rates(tiers: &[Burning]) -> Vec<Rate> {
    let rate = |over: Duration, burn: Option<Burn>, limit| Rate {
        over: Span(over),
        rate: burn.map(Burn::rate),
        limit,
    };
    let mut rates: Vec<_> = tiers
        .iter()
        .flat_map(|Burning { tier, long, short, .. }| {
            [rate(tier.short, *short, tier.factor), rate(tier.long, *long, tier.factor)]
        })
        .collect();
    rates.sort_by_key(|rate| rate.over);
    rates.dedup_by_key(|rate| rate.over);
    rates
}

impl Decision {
    /// What the terms make of it, and who goes through nevertheless.
    fn apply(mut self, terms: &Terms) -> Self {
        let instead = match self.verdict {
            Verdict::NoData => terms.on_no_data,
            Verdict::Inconclusive { .. } => terms.on_inconclusive,
            Verdict::Pass | Verdict::Warn | Verdict::Fail => Instead::Extend,
        };
        let word = self.verdict.to_string();
        match instead {
            Instead::Extend => {}
            Instead::Fail => self.verdict = Verdict::Fail,
            Instead::Warn => self.verdict = Verdict::Warn,
            Instead::Pass => self.verdict = Verdict::Pass,
        }
        if instead != Instead::Extend {
            self.notes.push(format!("{word}, and the policy makes that {}", self.verdict));
        }
        if !matches!(self.verdict, Verdict::Pass | Verdict::Warn) {
            self.overridden.clone_from(&terms.overridden);
        }
        self
    }

    /// The verdict that counts: what was overridden warns.
    #[must_use]
    pub fn effective(&self) -> Verdict {
        if self.overridden.is_some() { Verdict::Warn } else { self.verdict }
    }
}
