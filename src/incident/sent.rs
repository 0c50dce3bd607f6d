//! What Alertmanager counted of its own messages, where the Prometheus that was recorded scrapes it too. Pure.

use std::collections::BTreeMap;

use super::folder::Manifest;
use crate::dilation::Recorded;

/// The selector of what it counts: attempts, and those that failed.
pub(super) const SENT: &str = "{__name__=~\"alertmanager_notifications(_failed)?_total\"}";

const FAILED: &str = "alertmanager_notifications_failed_total";
const ALL: [&str; 2] = ["alertmanager_notifications_total", FAILED];

/// Messages that Alertmanager counted between one scrape of it and the next, of alerts that fire or are over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sent {
    /// The later scrape, in milliseconds since 1970.
    pub(super) at: i64,
    /// By which integration, and to which receiver where Alertmanager tells them apart.
    pub(super) by: String,
    /// Whether they failed.
    pub(super) failed: bool,
    /// How many there were.
    pub(super) count: u64,
}

impl Sent {
    /// It as a sentence.
    pub(super) fn said(&self) -> String {
        let what = if self.failed { "that failed" } else { "to send" };
        let messages = if self.count == 1 { "message" } else { "messages" };
        format!("Alertmanager counted {} {messages} by {} {what}", self.count, self.by)
    }
}

/// Every growth of those counters within an incident, of all Alertmanagers together.
pub(super) fn sent(series: &[Recorded], manifest: &Manifest) -> Vec<Sent> {
    let mut all: BTreeMap<(i64, String, bool), f64> = BTreeMap::new();
    let moment = |at: i64| manifest.drill.as_ref().map_or(at, |drill| drill.at(at));
    for one in series {
        let label = |name: &str| one.labels.get(name).map_or("", String::as_str);
        let name = label("__name__");
        if !ALL.contains(&name) {
            continue;
        }
        let by = match label("receiver_name") {
            "" => label("integration").to_owned(),
            receiver => format!("{} to {receiver}", label("integration")),
        };
        for pair in one.points.windows(2) {
            let ((_, before), (at, now)) = (pair[0], (moment(pair[1].0), pair[1].1));
            // One that began anew has counted all that it says.
            let more = if now < before { now } else { now - before };
            if more > 0.0 && (manifest.from..=manifest.to).contains(&at) {
                *all.entry((at, by.clone(), name == FAILED)).or_default() += more;
            }
        }
    }
    let counted = |more: f64| format!("{:.0}", more.round()).parse().unwrap_or(u64::MAX);
    all.into_iter().map(|((at, by, failed), more)| Sent { at, by, failed, count: counted(more) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_alertmanager_counted_is_told_when_it_grew() {
        let series = |name: &str, receiver: &str, values: &[f64]| Recorded {
            labels: [("__name__", name), ("integration", "slack"), ("receiver_name", receiver)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            points: (0..).map(|number| number * 15_000).zip(values.iter().copied()).collect(),
        };
        let manifest = Manifest {
            incident: "x".to_owned(),
            version: 1,
            prometheus: String::new(),
            from: 0,
            to: 60_000,
            back: 0,
            scraped_every: 15_000,
            evaluated_every: 15_000,
            notes: Vec::new(),
            drill: None,
        };
        let all = [
            series(ALL[0], "team", &[4.0, 4.0, 6.0, 1.0, 1.0, 9.0]),
            series(FAILED, "", &[0.0, 0.0, 1.0, 1.0, 1.0, 1.0]),
            series("alertmanager_alerts", "", &[0.0, 1.0]),
        ];
        let said: Vec<_> =
            sent(&all, &manifest).iter().map(|one| format!("{} {}", one.at / 1000, one.said())).collect();
        assert_eq!(
            said,
            [
                "30 Alertmanager counted 1 message by slack that failed",
                "30 Alertmanager counted 2 messages by slack to team to send",
                "45 Alertmanager counted 1 message by slack to team to send",
            ]
        );
    }
}
