//! Two sets of rules side by side, for people and for programs.

use std::collections::BTreeMap;
use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::incident::since;
use crate::incident::{Episode, Error, Laid, Page, Replayed};
use crate::report::on_one_line;
use crate::slo::Slo;

/// What two sets of rules make of an incident. Times are seconds since `began`.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    incident: String,
    /// Since when time is counted, RFC 3339.
    began: String,
    /// What that moment is.
    since: &'static str,
    as_it_was: Account,
    as_proposed: Account,
}

/// What one set of rules made of it.
#[derive(Debug, Serialize)]
pub(super) struct Account {
    first_fires: Option<f64>,
    first_page: Option<f64>,
    /// `None` where there is no routing.
    pages: Option<usize>,
    /// Each alert: how often it fired, and when first.
    alerts: BTreeMap<String, Alert>,
    /// The share of each error budget that was spent when people were told: by the first page, where there is a
    /// routing, else when the first alert fired, else at the end.
    spent: BTreeMap<String, Option<f64>>,
    notes: Vec<String>,
    #[serde(skip)]
    told: Option<i64>,
}

#[derive(Debug, Serialize)]
struct Alert {
    fired: usize,
    first: Option<f64>,
}

impl Account {
    pub(super) fn of(replayed: Replayed, told: Option<&[Page]>, began: i64) -> Self {
        let first = first_fired(replayed.alerts.iter());
        let page = told.and_then(<[Page]>::first).map(|page| page.at);
        let mut by_name: BTreeMap<&str, Vec<&Episode>> = BTreeMap::new();
        for one in &replayed.alerts {
            by_name.entry(one.name()).or_default().push(one);
        }
        let alert = |(name, all): (&str, Vec<&Episode>)| {
            let fired = all.iter().filter(|one| one.fired.is_some()).count();
            let first = first_fired(all.into_iter()).map(|at| seconds(began, at));
            (name.to_owned(), Alert { fired, first })
        };
        Self {
            first_fires: first.map(|at| seconds(began, at)),
            first_page: page.map(|at| seconds(began, at)),
            pages: told.map(<[Page]>::len),
            alerts: by_name.into_iter().map(alert).collect(),
            spent: BTreeMap::new(),
            told: if told.is_some() { page } else { first },
            notes: replayed.notes,
        }
    }

    /// Says what was spent of error budgets until people were told, or until the end.
    pub(super) async fn spend(
        &mut self,
        laid: Option<&Laid>,
        slos: &[Slo],
        began: i64,
        end: i64,
    ) -> Result<(), Error> {
        let Some(laid) = laid else {
            self.notes.push("there is no room for the series of the SLOs".to_owned());
            return Ok(());
        };
        for loss in laid.losses(slos, began, self.told.unwrap_or(end)).await? {
            if let Err(why) = &loss.share {
                self.notes.push(format!("what was spent of {} is not known: {why}", loss.slo));
            }
            self.spent.insert(loss.slo, loss.share.ok());
        }
        Ok(())
    }
}

impl Comparison {
    pub(super) fn of(
        incident: &str,
        since: &'static str,
        began: i64,
        as_it_was: Account,
        as_proposed: Account,
    ) -> Self {
        let began = Timestamp::from_millisecond(began).unwrap_or(Timestamp::UNIX_EPOCH).to_string();
        Self { incident: incident.to_owned(), began, since, as_it_was, as_proposed }
    }

    /// Whether the proposed rules fire later, or not at all.
    pub(super) fn is_worse(&self) -> bool {
        let (then, now) = (self.as_it_was.first_fires, self.as_proposed.first_fires);
        then.is_some_and(|then| now.is_none_or(|now| now > then))
    }

    pub(super) fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        let rows = self.rows();
        writeln!(out, "{}, times since {}\n", on_one_line(&self.incident), self.since)?;
        let widest =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let (first, second) = (widest(0), widest(1));
        for [what, was, proposed] in &rows {
            let line = format!(
                "  {:first$}  {:second$}  {}",
                on_one_line(what),
                on_one_line(was),
                on_one_line(proposed)
            );
            writeln!(out, "{}", line.trim_end())?;
        }
        for (whose, account) in [("as it was", &self.as_it_was), ("as proposed", &self.as_proposed)] {
            for note in &account.notes {
                writeln!(out, "  ! {whose}: {}", on_one_line(note))?;
            }
        }
        writeln!(out, "\n{}", verdict(self.as_it_was.first_fires, self.as_proposed.first_fires))
    }

    fn rows(&self) -> Vec<[String; 3]> {
        let both = [&self.as_it_was, &self.as_proposed];
        let mut rows: Vec<[String; 3]> =
            vec![[String::new(), "as it was".to_owned(), "as proposed".to_owned()]];
        let mut row = |what: &str, cells: [String; 2]| {
            let [first, second] = cells;
            rows.push([what.to_owned(), first, second]);
        };
        let at = |moment: Option<f64>| moment.map_or("never".to_owned(), said);
        let routed = |one: &Account, said: String| one.pages.map_or("no routing".to_owned(), |_| said);
        row("first alert fires", both.map(|one| at(one.first_fires)));
        row("first page is sent", both.map(|one| routed(one, at(one.first_page))));
        row("pages sent", both.map(|one| routed(one, one.pages.unwrap_or_default().to_string())));
        for slo in self.as_it_was.spent.keys() {
            row(&format!("budget of {slo} spent"), both.map(|one| one.spent_of(slo)));
        }
        let mut names: Vec<&String> = both.iter().flat_map(|one| one.alerts.keys()).collect();
        names.sort();
        names.dedup();
        for name in names {
            row(name, both.map(|one| one.alerts.get(name).map_or("-".to_owned(), Alert::said)));
        }
        rows
    }
}

impl Account {
    fn spent_of(&self, slo: &str) -> String {
        let Some(share) = self.spent.get(slo).copied().flatten() else { return "not known".to_owned() };
        let until = if self.told.is_some() { "" } else { ", nobody told" };
        format!("{:.2}%{until}", share * 100.0)
    }
}

impl Alert {
    fn said(&self) -> String {
        match self.first {
            Some(at) if self.fired == 1 => format!("fires after {}", said(at)),
            Some(at) => format!("fires {} times, first after {}", self.fired, said(at)),
            None => "pending only".to_owned(),
        }
    }
}

fn first_fired<'e>(alerts: impl Iterator<Item = &'e Episode>) -> Option<i64> {
    alerts.filter_map(|one| one.fired).min()
}

fn seconds(from: i64, at: i64) -> f64 {
    jiff::SignedDuration::from_millis(at - from).as_secs_f64()
}

/// Seconds as people say them.
fn said(seconds: f64) -> String {
    let time = jiff::SignedDuration::try_from_secs_f64(seconds).unwrap_or_default();
    since(0, i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

fn verdict(then: Option<f64>, now: Option<f64>) -> String {
    match (then, now) {
        (None, None) => "no rule of either would have fired".to_owned(),
        (None, Some(_)) => "SOONER the proposed rules fire, and those in force did not".to_owned(),
        (Some(_), None) => "NEVER the proposed rules do not fire at all".to_owned(),
        (Some(then), Some(now)) if now < then => format!("SOONER by {}", said(then - now)),
        (Some(then), Some(now)) if now > then => format!("LATER by {}", said(now - then)),
        (Some(_), Some(_)) => "AS SOON as before".to_owned(),
    }
}
