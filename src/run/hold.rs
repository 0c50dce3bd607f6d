//! A step with a fault: put in, held while its steps are taken, lifted, and looked at once more.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Instant;

use futures_util::FutureExt as _;

use super::drill::{Before, Boxed, Held};
use super::fault::Broken;
use super::walk::Walker;
use crate::drill::{Drill, settle};
use crate::event::{Event, FaultStage, Outcome, StepId};
use crate::scenario::fault::{Breaks, Fault};
use crate::scenario::step::Step;

/// How often a fault is put in once more at most, since scrapes were late.
const MOST_ANEW: usize = 2;

impl Walker {
    /// Breaks something and mends it, whatever becomes of the steps within.
    pub(super) fn hold<'a>(
        &'a mut self,
        id: StepId,
        fault: &'a Fault,
    ) -> Pin<Box<dyn Future<Output = (Outcome, Option<String>)> + Send + 'a>> {
        Box::pin(async move { self.hold_until_told(&id, fault).await })
    }

    /// Holds it, and once more where alerts were not as expected while a fast clock kept scrapes from Prometheus.
    async fn hold_until_told(&mut self, id: &StepId, fault: &Fault) -> (Outcome, Option<String>) {
        // Steps within have their own ends, and a receiver that misbehaves so many times has done so.
        let simple = fault.meanwhile.is_empty() && fault.after.is_empty() && self.estranged == 0;
        let mut anew = Vec::new();
        loop {
            let may_again = simple && anew.len() < MOST_ANEW && !self.stop.is_cancelled();
            match self.hold_open(id, fault, may_again).await {
                Held::Done(outcome, about) => {
                    let about = about.into_iter().chain(begun_anew(&anew));
                    return (outcome, about.reduce(|all, one| format!("{all}; {one}")));
                }
                Held::Hurried(why) => anew.push(why),
            }
            if let Some(ground) = self.ground.clone()
                && let Err(error) = settle(ground.instruments(), ground.clock(), &self.stop).await
            {
                return self.unmeasured(id, error.to_string());
            }
        }
    }

    async fn hold_open(&mut self, id: &StepId, fault: &Fault, anew: bool) -> Held {
        let stack = self.stack.clone();
        let added = Instant::now();
        let before = self.look_before(fault).await;
        let broken = match Broken::add(self, stack.as_deref(), fault).await {
            Ok(broken) => broken,
            Err(why) => return self.stuck(id, fault, why).into(),
        };
        self.tell(id, fault, FaultStage::Added, "");
        let drilled = self.watch(id, fault, before).await;
        let estranges = usize::from(matches!(fault.breaks, Breaks::Receiver(_)));
        self.estranged += estranges;
        let meanwhile = AssertUnwindSafe(self.meanwhile(id.number, fault, added)).catch_unwind().await;
        self.estranged -= estranges;
        let felt = broken.felt().await;
        let drilled = match drilled {
            // What was stopped had no time to show anything.
            Ok(Some(_)) if self.stop.is_cancelled() => drilled,
            Ok(_) | Err(_) => self.explained(id, drilled, felt.as_ref().err().cloned()).await,
        };
        match &felt {
            Ok(what) => self.tell(id, fault, FaultStage::Felt, what),
            Err(why) => self.tell(id, fault, FaultStage::NotFelt, why),
        }
        if let Err(why) = broken.mend(self).await {
            return self.stuck(id, fault, format!("it is not mended: {why}")).into();
        }
        self.tell(id, fault, FaultStage::Lifted, "");
        if let Some(ground) = &self.ground {
            ground.calm_down();
        }
        if meanwhile.is_err() {
            return self.unmeasured(id, "a step within it broke off".to_owned()).into();
        }
        let (drilled, about) = match drilled {
            Err(why) => return self.unmeasured(id, why).into(),
            Ok(None) if fault.drills().is_some() => {
                let why = "the stack has no Prometheus to raise alerts".to_owned();
                return self.unmeasured(id, why).into();
            }
            Ok(None) => (Outcome::Passed, None),
            Ok(Some(drill)) => match self.fall(id, drill, anew && felt.is_ok()).await {
                Ok(Held::Done(outcome, about)) => (outcome, about),
                Ok(Held::Hurried(why)) => return Held::Hurried(why),
                Err(why) => return self.unmeasured(id, why).into(),
            },
        };
        let first = id.number + 1 + size(&fault.meanwhile);
        self.take_all(first, &fault.after).await;
        let ended = match felt {
            Ok(what) => (drilled, about.or(Some(what).filter(|_| drilled == Outcome::Passed))),
            // What was stopped had no time to be felt.
            Err(_) if self.stop.is_cancelled() => (Outcome::Skipped, Some("the run was stopped".to_owned())),
            Err(why) => self.unmeasured(id, format!("nothing shows that it took effect: {why}")),
        };
        ended.into()
    }

    /// What there was before the fault, where it has alerts.
    async fn look_before(&self, fault: &Fault) -> Option<Before> {
        let ground = self.ground.as_deref().filter(|_| fault.drills().is_some())?;
        // That it does not answer is found out by those who have to ask more of it.
        let targets = ground.prometheus().targets().await.map(|answer| answer.data).unwrap_or_default();
        Some(Before { until: ground.now(), down: targets.down().cloned().collect() })
    }

    /// Watches the alerts of a fault rise, where it has any.
    fn watch<'a>(
        &'a self,
        id: &'a StepId,
        fault: &'a Fault,
        before: Option<Before>,
    ) -> Boxed<'a, Result<Option<Drill>, String>> {
        let rising = async move {
            let (Some(ground), Some(alerts), Some(before)) = (self.ground.as_deref(), fault.drills(), before)
            else {
                return Ok(None);
            };
            self.rise(id, (ground, alerts), before).await.map(Some)
        };
        Box::pin(async move {
            let risen = AssertUnwindSafe(rising).catch_unwind().await;
            risen.unwrap_or_else(|_| Err("watching its alerts broke off".to_owned()))
        })
    }

    /// Why alerts did not rise, found out while what is broken still is.
    fn explained<'a>(
        &'a self,
        id: &'a StepId,
        drilled: Result<Option<Drill>, String>,
        unproven: Option<String>,
    ) -> Boxed<'a, Result<Option<Drill>, String>> {
        Box::pin(async move {
            let Some(mut drill) = drilled? else { return Ok(None) };
            match drill.explain_up(unproven.as_deref()).await {
                Ok(()) => Ok(Some(drill)),
                Err(error) => Err(self.break_off(id, &drill, error.to_string()).await),
            }
        })
    }

    /// Takes the steps within the fault, and holds it for as long as it is to be held.
    async fn meanwhile(&mut self, number: usize, fault: &Fault, added: Instant) {
        self.take_all(number + 1, &fault.meanwhile).await;
        self.sleep(fault.hold.saturating_sub(added.elapsed())).await;
    }

    /// Takes steps in order, the first of which has this number.
    async fn take_all(&mut self, first: usize, steps: &[Step]) {
        let mut number = first;
        for step in steps {
            if self.stop.is_cancelled() {
                return;
            }
            let outcome = self.take(number, step, false).await;
            self.within.extend(outcome);
            number += step.all().count();
        }
    }

    fn stuck(&mut self, id: &StepId, fault: &Fault, why: String) -> (Outcome, Option<String>) {
        self.tell(id, fault, FaultStage::Stuck, &why);
        self.unmeasured(id, why)
    }

    /// Says that the step measured nothing.
    pub(super) fn unmeasured(&mut self, id: &StepId, why: String) -> (Outcome, Option<String>) {
        self.measured = false;
        let told = format!("`{}`: {why}", id.name);
        self.sender.send(Event::NotMeasured { scenario: self.scenario.clone(), why: told });
        (Outcome::Unreliable, Some(why))
    }

    fn tell(&self, id: &StepId, fault: &Fault, stage: FaultStage, what: &str) {
        let (step, fault, what) = (id.clone(), fault.to_string(), what.to_owned());
        self.sender.send(Event::Fault { step, fault, stage, what });
    }
}

impl From<(Outcome, Option<String>)> for Held {
    fn from((outcome, about): (Outcome, Option<String>)) -> Self {
        Self::Done(outcome, about)
    }
}

/// Why it was put in once more, if it was.
fn begun_anew(anew: &[String]) -> Option<String> {
    (!anew.is_empty())
        .then(|| format!("put in once more, since meanwhile {}", anew.join("; and again, since ")))
}

/// How many steps these are, with those within them.
fn size(steps: &[Step]) -> usize {
    steps.iter().map(|step| step.all().count()).sum()
}
