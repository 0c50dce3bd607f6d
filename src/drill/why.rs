//! Which rung an alert's ladder broke at: what was seen of it first, and Prometheus asked where that is not enough.

use std::time::Duration;

use super::dissect::Asker;
use super::explain::{Broken, Rule};
use super::rehearse::{Drill, Error, Known};
use super::watch::Watched;
use crate::ladder::Rung;
use crate::prometheus::answer::Data;
use crate::promql::Way;
use crate::units::Span;

/// How long before the fault series are looked for, in wall time: what was there and went is known to be gone.
const BEFORE: Duration = Duration::from_secs(60);

/// Points that a query over a range asks for, at most.
const MOST_POINTS: u32 = 2000;

/// Characters of an error that are shown.
const LONGEST_ERROR: usize = 300;

impl Drill {
    /// Why an alert did not come all the way up; `None` if it did. To be asked while the fault still holds.
    pub(super) async fn broken_up(
        &self,
        number: usize,
        unproven: Option<&str>,
    ) -> Result<Option<Broken>, Error> {
        let (watched, known) = (&self.watched[number], &self.known[number]);
        let climb = &watched.climb;
        let top = if self.alertmanager.is_some() { Rung::Delivered } else { Rung::Firing };
        if let Some(early) = &watched.early {
            return Ok(Some(self.too_early(early)));
        }
        Ok(Some(match unproven {
            _ if climb.has(top) => return Ok(None),
            // What fired all the same was moved by something.
            Some(why) if !climb.has(Rung::Pending) => Broken::new(Rung::Effect, why),
            Some(_) | None if climb.has(Rung::Firing) => self.untold(watched, known).await?,
            Some(_) | None if climb.has(Rung::Pending) => {
                not_fired(known, self.since_effect(climb.at(Rung::Pending)).await?)
            }
            Some(_) | None => self.not_pending(watched, known).await?,
        }))
    }

    /// Why an alert that fired did not come down again; `None` if it did, or never fired.
    pub(super) async fn broken_down(&self, number: usize) -> Result<Option<Broken>, Error> {
        let watched = &self.watched[number];
        let climb = &watched.climb;
        if !climb.has(Rung::Firing) {
            return Ok(None);
        }
        if !climb.has(Rung::Cleared) {
            let holds = self.instruments.prometheus.instant(&watched.loaded_query, None).await;
            let holds =
                holds.is_ok_and(|answer| matches!(answer.data, Data::Vector(series) if !series.is_empty()));
            let why = if holds { "its condition still holds" } else { "its rule keeps it firing" };
            return Ok(Some(Broken::new(Rung::Cleared, why)));
        }
        let told = watched.sends_resolved && climb.has(Rung::Delivered) && self.alertmanager.is_some();
        if told && !climb.has(Rung::Resolved) {
            let why = "no notice that it is over came";
            return Ok(Some(Broken::new(Rung::Resolved, why)));
        }
        Ok(None)
    }

    /// How long, in rule time, from a moment since the effect until now.
    async fn since_effect(&self, at: Option<Duration>) -> Result<Duration, Error> {
        let now = self.instruments.time().await?.duration_since(self.effect);
        let now = Duration::try_from(now).unwrap_or_default();
        Ok(self.clock.rule_time(now.saturating_sub(at.unwrap_or_default())))
    }

    /// It was never pending, or is no longer.
    async fn not_pending(&self, watched: &Watched, known: &Known) -> Result<Broken, Error> {
        if !watched.loaded {
            return Ok(Broken::new(Rung::Pending, "Prometheus has no alerting rule of this name"));
        }
        if let Some(error) = &watched.rule_error {
            return Ok(failed(error));
        }
        if let Some(lasted) = watched.interrupted {
            let lasted = Span(whole(self.clock.rule_time(lasted)));
            let wanted = Span(known.holds_for);
            let title = format!("it was pending for {lasted} of {wanted}, then its condition no longer held");
            return Ok(Broken::new(Rung::Firing, title));
        }
        let (Some(query), Ok(loaded)) =
            (known.query.as_ref(), promql_parser::parser::parse(&watched.loaded_query))
        else {
            return Ok(Broken::new(Rung::Pending, "it was never pending"));
        };
        let asker = self.asker().await?;
        if let Some(culprit) = asker.dissect(&loaded, Way::new()).await? {
            let targets = self.instruments.prometheus.targets().await?.data;
            let scraped_every = whole(self.clock.rule_time(self.instruments.scraped_every));
            let rule = Rule { written: &query.expr, scraped_every };
            return Ok(asker.explain(rule, &culprit, &targets).await?);
        }
        Ok(if watched.evaluated {
            let every = Span(known.evaluated_every);
            Broken::new(
                Rung::Pending,
                format!("its condition held, but at none of its evaluations, every {every}"),
            )
        } else {
            let every = Span(known.evaluated_every);
            Broken::new(
                Rung::Pending,
                format!("it was not evaluated since the fault: its group is every {every}"),
            )
            .help("give the group a shorter `interval`, or the drill more time")
        })
    }

    async fn asker(&self) -> Result<Asker<'_>, Error> {
        let to = self.instruments.time().await?;
        let before = self.effect.saturating_sub(BEFORE).unwrap_or(self.effect);
        let length = Duration::try_from(to.duration_since(before)).unwrap_or_default();
        let step = self.instruments.evaluated_every.max(length / MOST_POINTS).max(Duration::from_millis(1));
        Ok(Asker { client: &self.instruments.prometheus, before, from: self.effect, to, step })
    }
}

/// Its rule could not be evaluated.
fn failed(error: &str) -> Broken {
    let said: String = error.chars().filter(|sign| !sign.is_control()).take(LONGEST_ERROR).collect();
    let joins = ["many-to-many", "many-to-one", "one-to-many", "duplicate series", "multiple matches"];
    let rung = if joins.iter().any(|word| error.contains(word)) { Rung::Joined } else { Rung::Held };
    let broken = Broken::new(rung, format!("its rule cannot be evaluated: {said}"));
    match rung {
        Rung::Joined => broken
            .at(&[], "several series go together")
            .help("say which labels have to be the same, `on(…)`, and which side has many, `group_left`"),
        Rung::Effect
        | Rung::Scraped
        | Rung::Selected
        | Rung::Held
        | Rung::Pending
        | Rung::Firing
        | Rung::Received
        | Rung::Routed
        | Rung::Delivered
        | Rung::Cleared
        | Rung::Resolved => broken.at(&[], ""),
    }
}

fn not_fired(known: &Known, pending: Duration) -> Broken {
    let (pending, wanted) = (Span(whole(pending)), Span(known.holds_for));
    Broken::new(Rung::Firing, format!("it was pending for {pending} of {wanted} when its time was over"))
        .help("its `for` is longer than was waited: make the fault last, or `for` shorter")
}

/// Whole seconds where there are many.
fn whole(time: Duration) -> Duration {
    if time >= Duration::from_secs(10) {
        Duration::from_secs_f64(time.as_secs_f64().round())
    } else {
        Duration::from_millis(time.as_millis().try_into().unwrap_or(u64::MAX))
    }
}
