//! Objectives: the verdict, the sentence, and the budget as a bar with what the truth may be.

use std::fmt::Write as _;

use super::markup::{Percent, line, verdict};
use crate::gate::{Decision, Judgement};
use crate::report::record::Slo;

/// The bar reaches so far beyond the whole budget.
const BEYOND: f64 = 1.5;

/// All objectives of a scenario.
pub(super) fn of_all(slos: &[Slo]) -> String {
    let objectives: String = slos.iter().map(objective).collect();
    format!("<h3>Objectives</h3><div class=\"card\">{objectives}</div>")
}

fn objective(slo: &Slo) -> String {
    let mut text = format!(
        "<div class=\"objective\"><h4>{} {} <span class=\"faint\">{}</span></h4><p class=\"small\">{}</p>",
        verdict(slo.verdict()),
        line(&slo.name),
        line(&slo.objective),
        line(&slo.said())
    );
    text += &Spent::of(slo.decision.as_deref(), &slo.judgement).map(|spent| spent.bar()).unwrap_or_default();
    for detail in slo.details() {
        let _ = write!(text, "<p class=\"small faint\">{}</p>", line(&detail));
    }
    text + "</div>"
}

/// How much of a budget is spent: 1 is all of it.
struct Spent {
    share: f64,
    /// What it may be in truth.
    between: Option<(f64, f64)>,
    /// Of what.
    of: String,
}

impl Spent {
    fn of(decision: Option<&Decision>, judgement: &Judgement) -> Option<Self> {
        if let Some(left) = decision.and_then(|decision| decision.budget.as_ref()) {
            return Some(Self { share: left.consumed, between: None, of: format!("of {}", left.window) });
        }
        let allowed = judgement.objective.complement().share();
        let spent = judgement.budget_consumed.filter(|spent| spent.is_finite())?;
        let interval = judgement.interval.complement();
        let between = Some((interval.lower.share() / allowed, interval.upper.share() / allowed));
        Some(Self { share: spent, between, of: "of this run".to_owned() })
    }

    fn bar(&self) -> String {
        let reach = BEYOND.max((self.share * 1.05).min(20.0));
        let share = |value: f64| Percent::of(value / reach);
        let over = if self.share > 1.0 { " class=\"over\"" } else { "" };
        let whisker = self.between.map(|(lower, upper)| {
            let (from, width) = (share(lower), share(upper.min(reach) - lower));
            format!("<u style=\"left:{from};width:{width}\"></u>")
        });
        let (said, whole) = (self.said(), share(1.0));
        format!(
            "<div class=\"budget\" role=\"img\" aria-label=\"{said}\"><i{over} style=\"width:{}\"></i>{}\
             <b style=\"left:{whole}\"></b></div><div class=\"scale\" aria-hidden=\"true\"><span>0</span>\
             <span style=\"left:{whole}\">100%</span></div><p class=\"small faint\">{said}</p>",
            share(self.share),
            whisker.unwrap_or_default()
        )
    }

    fn said(&self) -> String {
        let between = match self.between {
            Some((lower, upper)) => {
                format!(", in truth {:.0}% to {:.0}%", (lower * 100.0).max(0.0), upper * 100.0)
            }
            None => String::new(),
        };
        line(&format!("{:.0}% of the budget {} spent{between}", self.share * 100.0, self.of))
    }
}
