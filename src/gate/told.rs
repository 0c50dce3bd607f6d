//! A decision in English: the budget, how fast it burns, and what speaks against a pass.

use std::time::Duration;

use super::decision::{Burning, Decision, Left, Override, Past, Rate, Unit};
use crate::units::{Ratio, Span};

impl Decision {
    /// Why, in a sentence, and who goes through nevertheless.
    #[must_use]
    pub fn said(&self) -> String {
        match &self.overridden {
            Some(Override { reason, by }) => {
                format!("{}, overridden by {by}: {reason} ({})", self.verdict, self.reason)
            }
            None => self.reason.clone(),
        }
    }

    /// What else there is to know, a line each.
    #[must_use]
    pub fn details(&self) -> Vec<String> {
        let burn = (!self.burn.is_empty()).then(|| rates(&self.burn));
        let lines = self.budget.as_ref().map(budget).into_iter().chain(burn);
        lines.chain(self.notes.iter().cloned()).collect()
    }
}

/// `budget: 48% left of 30d rolling (20m44s of total outage, 4.8 of 10 bad events); lasts for at least 14d`.
fn budget(left: &Left) -> String {
    let outage = time(left.outage_seconds);
    let counted = match left.unit {
        Unit::Events | Unit::Slices => {
            let unit = if left.unit == Unit::Events { "bad events" } else { "bad slices" };
            format!(", {} of {} {unit} spent", number(left.lost), number(left.allowed))
        }
        Unit::Share => String::new(),
    };
    let mut said = format!(
        "budget: {} left of {} ({outage} of total outage{counted})",
        share(left.remaining),
        left.window
    );
    match left.gone_in_seconds {
        Some(after) if after > 0.0 => said = format!("{said}; at this rate it lasts for {}", time(after)),
        Some(_) | None => {}
    }
    // A window that is not over has both.
    if (left.consumed - left.consumed_to_date).abs() > 0.005 {
        said = format!("{said}; {} of the budget to date is spent", share(left.consumed_to_date));
    }
    said + &left.cost.map(|cost| format!("; the deploy has cost {}", share(cost))).unwrap_or_default()
}

/// `burn rate: 0.5 over 5m, 0.48 over 1h, none over 3d`.
fn rates(rates: &[Rate]) -> String {
    let told = rates.iter().map(|Rate { over, rate, .. }| match rate {
        Some(rate) => format!("{} over {over}", number(*rate)),
        None => format!("none over {over}"),
    });
    format!("burn rate: {}", told.collect::<Vec<_>>().join(", "))
}

pub(super) fn spent(past: &Past) -> String {
    let (lost, allowed) = (past.budget.tally.lost(), past.budget.allowed());
    let of = match past.unit {
        Unit::Events => format!("{} bad events, and {} are allowed", number(lost), number(allowed)),
        Unit::Slices => format!("{} bad slices, and {} are allowed", number(lost), number(allowed)),
        Unit::Share => format!("{} lost, and {} are allowed", share(lost), share(allowed)),
    };
    format!("the budget of {} is spent: {of}", past.window)
}

pub(super) fn burning(burning: &Burning) -> String {
    let tier = burning.tier;
    let rate = |burn: Option<crate::budget::Burn>| burn.map_or("none".to_owned(), |burn| number(burn.rate()));
    format!(
        "the budget burns fast: {} times over {} and {} over {}, and above {} is a {}",
        rate(burning.long),
        Span(tier.long),
        rate(burning.short),
        Span(tier.short),
        number(tier.factor),
        tier.severity.name()
    )
}

pub(super) fn too_dear(remaining: f64, cost: Ratio) -> String {
    format!("{} of the budget are left, and this may cost {cost}", share(remaining))
}

pub(super) fn low(remaining: f64, wanted: Ratio) -> String {
    format!("{} of the budget are left, less than {wanted}", share(remaining))
}

pub(super) fn uncovered(covered: Ratio, wanted: Ratio) -> String {
    format!("{} of the window was measured, and {wanted} are wanted", share(covered.share()))
}

pub(super) fn clustered(effect: f64, applied: bool) -> String {
    let effect = number(effect);
    if applied {
        format!("failures come together: {effect} events count as one (design effect)")
    } else {
        format!("failures come together: {effect} events are worth one (design effect, not applied)")
    }
}

/// A share as a percentage of three digits.
fn share(share: f64) -> String {
    format!("{}%", number(100.0 * share))
}

/// A number in three digits, or all of a whole one.
fn number(value: f64) -> String {
    let digits: usize = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        size if size >= 0.0995 => 3,
        size if size > 0.0 && size < 0.001 => return format!("{value:.2e}"),
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A time in at most two units.
fn time(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    let unit = match seconds {
        long if long >= 86_400.0 => 3600.0,
        long if long >= 3600.0 => 60.0,
        long if long >= 10.0 => 1.0,
        _ => 0.1,
    };
    let rounded = (seconds / unit).round() * unit;
    Span(Duration::try_from_secs_f64(rounded).unwrap_or_default()).to_string()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0.0, "0")]
    #[case(0.000_12, "1.20e-4")]
    #[case(0.012_34, "0.0123")]
    #[case(0.5, "0.5")]
    #[case(14.4, "14.4")]
    #[case(-199.96, "-200")]
    #[case(1_234_567.0, "1234567")]
    fn a_number_has_three_digits(#[case] value: f64, #[case] text: &str) {
        assert_eq!(number(value), text);
    }

    #[rstest]
    #[case(0.04, "0s")]
    #[case(2.54, "2s500ms")]
    #[case(1244.4, "20m44s")]
    #[case(90_061.0, "1d1h")]
    #[case(7_261.0, "2h1m")]
    fn a_time_has_two_units(#[case] seconds: f64, #[case] text: &str) {
        assert_eq!(time(seconds), text);
    }
}
