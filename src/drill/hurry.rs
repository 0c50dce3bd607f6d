//! Scrapes that did not end in the little time a fast clock leaves them: what rules did not get to see.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::rehearse::Drill;
use crate::exposition::Labels;
use crate::prometheus::answer::{Data, Point, Series};
use crate::prometheus::{Error, Target};
use crate::units::Span;

/// A scrape that took so much of its timeout ran out of it.
const ALL: f64 = 0.95;

impl Drill {
    /// The scrapes that took longer than the drill's speed leaves them while the fault held, or after it was lifted:
    /// in a sentence for each target. What keeps failing on one side of the fault is its effect, and not told.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn hurried(&self) -> Result<BTreeSet<String>, Error> {
        let client = &self.instruments.prometheus;
        let targets = client.targets().await?.data.active_targets;
        let hasty: Vec<_> = targets.iter().filter_map(|target| Some((target, target.hurries()?))).collect();
        if hasty.is_empty() {
            return Ok(BTreeSet::new());
        }
        let now = self.instruments.time().await?;
        let lasted = Duration::try_from(now.duration_since(self.effect)).unwrap_or_default();
        let of_all = async |name: &str| {
            let query = format!("{name}[{}ms]", lasted.as_millis().max(1));
            Ok::<_, Error>(client.instant(&query, Some(now)).await?.data)
        };
        let (up, took) = (of_all("up").await?, of_all("scrape_duration_seconds").await?);
        let sides = [(self.effect, self.lifted.unwrap_or(now)), (self.lifted.unwrap_or(now), now)];
        let told = hasty.into_iter().filter_map(|(target, limit)| {
            let (up, took) = (points(&up, &target.labels), points(&took, &target.labels));
            let late: usize = sides.iter().map(|side| late(up, took, limit, *side)).sum();
            (late > 0).then(|| told(target, late, limit))
        });
        Ok(told.collect())
    }
}

fn told(target: &Target, late: usize, limit: Duration) -> String {
    let instance = target.labels.get("instance").map_or(target.scrape_url.as_str(), String::as_str);
    let scrapes = if late == 1 { "a scrape".to_owned() } else { format!("{late} scrapes") };
    format!("{scrapes} of `{instance}` took longer than {}", Span(limit))
}

/// What was scraped of the target with these labels.
fn points<'d>(data: &'d Data, labels: &Labels) -> &'d [Point] {
    let Data::Matrix(series) = data else { return &[] };
    let same = |one: &&Series| {
        let named = one.labels.iter().filter(|(name, _)| *name != "__name__");
        named.eq(labels.iter())
    };
    series.iter().find(same).map_or(&[], |one| &one.points)
}

/// How many scrapes between two moments ran out of their time, with some before and after them that did not.
fn late(up: &[Point], took: &[Point], limit: Duration, (from, to): (Timestamp, Timestamp)) -> usize {
    let between: Vec<_> = up.iter().filter(|point| from <= point.at && point.at <= to).collect();
    let first = between.iter().position(|point| point.value > 0.0);
    let last = between.iter().rposition(|point| point.value > 0.0);
    let (Some(first), Some(last)) = (first, last) else { return 0 };
    let ran_out = |point: &&&Point| {
        let took = took.iter().find(|other| other.at == point.at).map_or(0.0, |other| other.value);
        point.value == 0.0 && took >= limit.as_secs_f64() * ALL
    };
    between[first..=last].iter().filter(ran_out).count()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(100);

    /// A scrape each 150 ms: `+` is up at once, `-` is refused at once, `!` is not up and took all of its time.
    #[rstest]
    #[case::all_well("++++++", 0)]
    #[case::late_once("++!+++", 1)]
    #[case::late_for_a_while("+!!+!+", 3)]
    #[case::the_effect_of_a_fault("+!!!!!", 0)]
    #[case::the_end_of_a_fault("!!!+++", 0)]
    #[case::silent_all_the_time("!!!!!!", 0)]
    #[case::refused("++-+++", 0)]
    #[case::after_the_spell("++++++!+", 0)]
    fn late_scrapes_lie_between_others(#[case] scrapes: &str, #[case] found: usize) {
        let point =
            |number: i64, value: f64| Point { at: Timestamp::from_millisecond(number * 150).unwrap(), value };
        let all = || (0..).zip(scrapes.chars());
        let up: Vec<_> = all().map(|(number, sign)| point(number, f64::from(sign == '+'))).collect();
        let took = |sign| if sign == '!' { 0.1002 } else { 0.004 };
        let took: Vec<_> = all().map(|(number, sign)| point(number, took(sign))).collect();
        assert_eq!(late(&up, &took, LIMIT, (up[0].at, point(5, 0.0).at)), found);
    }
}
