//! One scenario on its schedule: run when it is due, never beside itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Notice;
use super::catalogue::Scene;
use super::house::House;
use super::schedule::Schedule;
use super::state::{Rest, State, count};
use crate::event::{Conclusion, Event, Sender};
use crate::run;
use crate::scenario::step::Does;

/// A scenario, what is known of it, and how it is told to end.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    pub(super) name: String,
    pub(super) scene: Arc<Scene>,
    state: Arc<Mutex<State>>,
    /// Cancelled when no further run is to begin.
    pub(super) closing: CancellationToken,
}

impl Watch {
    pub(super) fn new(name: String, scene: Arc<Scene>, closing: CancellationToken) -> Self {
        let watch = Self { name, scene, state: Arc::default(), closing };
        watch.expect_steps();
        watch
    }

    /// A watch of what the scenario says now, which knows what was known.
    pub(super) fn renewed(&self, scene: Arc<Scene>, closing: CancellationToken) -> Self {
        let renewed = Self { name: self.name.clone(), scene, state: Arc::clone(&self.state), closing };
        renewed.expect_steps();
        renewed
    }

    /// Knows the scenario's steps, and no others: a series that comes to be with the first failure shows none.
    fn expect_steps(&self) {
        let Some(planned) = self.scene.planned() else { return };
        let steps = planned.scenario.all_steps().enumerate();
        let told = steps.filter(|(_, step)| !matches!(step.does, Does::Set(_)));
        self.state().expect(told.map(|(number, step)| (step.name.as_str(), number)).collect());
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the scenario again and again until it is closing. Runs under way end early when `house` says so.
    pub(super) async fn go_on(self, house: Arc<House>) {
        let schedule = Schedule::new(&self.name, self.scene.every);
        let (start, clock) = (Instant::now(), Timestamp::now());
        let since_1970 = Duration::try_from(clock.duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default();
        let (mut due, mut upcoming) = schedule.first(since_1970);
        loop {
            let intended = start + due + schedule.jitter(rand::random());
            self.state().next = clock_at(intended);
            if self.closing.run_until_cancelled(sleep_until(intended)).await.is_none() {
                self.state().next = None;
                return;
            }
            house.delayed(intended.elapsed());
            match self.rest_of(&house, Timestamp::now()) {
                Some(why) => self.state().rest(why),
                None => self.run(&house).await,
            }
            if let Some(again) = self.again_soon(due, start.elapsed()).filter(|again| *again < upcoming) {
                due = again;
                continue;
            }
            let next = Schedule::from(upcoming, schedule.every(), start.elapsed());
            count(&mut self.state().missed, next.missed);
            (due, upcoming) = (next.at, next.at + schedule.every());
        }
    }

    /// Why it is not to be run now, if it is not.
    fn rest_of(&self, house: &House, now: Timestamp) -> Option<Rest> {
        let scenario = &self.scene.planned()?.scenario;
        let lasting = scenario.maintenance.iter().find_map(|one| Some((one.until(now)?, one.about.clone())));
        if let Some((until, about)) = lasting {
            return Some(Rest::Maintenance { until, about });
        }
        let needs = scenario.depends_on.iter().map(|at| at.value.as_str());
        house.down(needs).map(|name| Rest::Dependency(name.to_owned()))
    }

    /// Whether it rests: it is not run, so that how it last ended says nothing of now.
    pub(super) fn rests(&self, state: &State, now: Timestamp) -> bool {
        self.is_maintained(now) || matches!(state.rests, Some(Rest::Dependency(_)))
    }

    /// Whether a maintenance of it lasts.
    pub(super) fn is_maintained(&self, now: Timestamp) -> bool {
        let scenario = self.scene.planned().map(|planned| &planned.scenario);
        scenario.is_some_and(|scenario| scenario.maintenance.iter().any(|one| one.until(now).is_some()))
    }

    /// When it is due again while it does not pass, where the file says that this is sooner.
    fn again_soon(&self, due: Duration, now: Duration) -> Option<Duration> {
        let period = self.scene.planned()?.scenario.interval_on_failure?.0;
        (self.state().failed_in_a_row > 0).then(|| Schedule::from(due + period, period, now).at)
    }

    async fn run(&self, house: &House) {
        let Some(planned) = self.scene.planned() else { return };
        let (began, now) = (Instant::now(), Timestamp::now());
        self.state().begin(now);
        let (sender, mut events) = Sender::new(self.scene.plan.mask.clone(), began.into_std());
        let options = house.run_options(now);
        let run = async {
            // The last sender is dropped with the run, and that ends the events.
            let sender = sender;
            run::once(planned, &self.scene.sources, &options, &sender, &house.abort).await
        };
        let taken = async {
            while let Some(stamped) = events.recv().await {
                if let Event::Sampled { sli, minute, samples, .. } = &stamped.event {
                    house.ledger.add(sli, *minute, samples);
                }
                let stamped = house.spans.take(&self.name, now, stamped);
                self.state().take(stamped.event);
            }
        };
        let (conclusion, ()) = tokio::join!(Box::pin(run), taken);
        if house.abort.is_cancelled() {
            self.state().forget();
            return;
        }
        self.ended(house, conclusion, began.elapsed());
    }

    fn ended(&self, house: &House, conclusion: Conclusion, took: Duration) {
        let mut state = self.state();
        let before = state.last().map(|ran| ran.conclusion);
        state.end(conclusion, took);
        let failed = state.failures.back().filter(|_| conclusion != Conclusion::Pass);
        let trace = failed.and_then(|failed| failed.attempts.first()?.evidence.trace.clone());
        let why = failed.and_then(|failed| {
            let attempt = failed.attempts.first().and_then(|attempt| {
                attempt.failures.first().map(|failure| format!("{}: {}", attempt.step, failure.drawing.title))
            });
            attempt.or_else(|| failed.why.first().cloned())
        });
        drop(state);
        if before.unwrap_or_default() != conclusion {
            house.notices.send(Notice::Turned { scenario: self.name.clone(), conclusion, why, trace });
        }
    }
}

/// What the clock will show at a moment.
fn clock_at(moment: Instant) -> Option<Timestamp> {
    let ahead = moment.saturating_duration_since(Instant::now());
    Timestamp::now().checked_add(SignedDuration::try_from(ahead).ok()?).ok()
}
