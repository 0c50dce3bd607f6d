//! What a stand-in pretends for a while, against what its profile says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::service::Service;
use crate::exposition::{Family, Sample};
use crate::scenario::fault::stand_in::{Ailment, Course, Detour, Pose};

/// A stand-in pretends for as long as this is kept.
#[derive(Debug)]
pub struct Posing {
    number: u64,
    service: Arc<Service>,
}

impl Posing {
    pub(super) fn new(service: Arc<Service>, pose: Pose) -> Self {
        let before = service.families();
        let number = service.poses.add(pose, before);
        Self { number, service }
    }
}

impl Drop for Posing {
    fn drop(&mut self) {
        self.service.poses.lock().all.retain(|taken| taken.number != self.number);
    }
}

/// What a stand-in pretends at present.
#[derive(Debug, Default)]
pub(super) struct Poses(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    numbers: u64,
    all: Vec<Taken>,
}

/// A pose that was taken.
#[derive(Debug)]
struct Taken {
    number: u64,
    pose: Pose,
    since: Instant,
    /// What was exposed when it was taken.
    before: Vec<Family>,
}

impl Poses {
    fn add(&self, pose: Pose, before: Vec<Family>) -> u64 {
        let mut poses = self.lock();
        poses.numbers += 1;
        let number = poses.numbers;
        poses.all.push(Taken { number, pose, since: Instant::now(), before });
        number
    }

    /// How it says that it is not well; the latest word counts.
    pub(super) fn ailment(&self) -> Option<Ailment> {
        let poses = self.lock();
        poses.all.iter().rev().find_map(|taken| match &taken.pose {
            Pose::Health(ailment) => Some(ailment.clone()),
            Pose::Metrics(_) => None,
        })
    }

    /// Has families go where they are pretended to.
    pub(super) fn divert(&self, families: &mut Vec<Family>) {
        for taken in &self.lock().all {
            let Pose::Metrics(detour) = &taken.pose else { continue };
            let before = taken.before.iter().find(|family| *family.name == *detour.family.value);
            for family in families.iter_mut().filter(|family| *family.name == *detour.family.value) {
                family.samples.retain_mut(|sample| taken.move_sample(sample, detour, before));
            }
        }
        families.retain(|family| !family.samples.is_empty());
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Puts a sample where it is pretended to be; says whether it is still there.
    fn move_sample(&self, sample: &mut Sample, detour: &Detour, before: Option<&Family>) -> bool {
        if !detour.labels.iter().all(|(name, value)| sample.labels.get(name) == Some(value)) {
            return true;
        }
        let mut samples = before.iter().flat_map(|family| &family.samples);
        let same = |other: &&Sample| other.name == sample.name && other.labels == sample.labels;
        // A series that is new since then began at nothing.
        let start = samples.find(same).map_or(0.0, |sample| sample.value);
        let since = self.since.elapsed().as_secs_f64();
        sample.value = match detour.course {
            Course::Set(value) => value,
            Course::Ramp { to, over } => {
                let share = if over.is_zero() { 1.0 } else { (since / over.as_secs_f64()).min(1.0) };
                start + (to - start) * share
            }
            Course::Rate(rate) => start + (rate.per_second() * since).floor(),
            Course::Freeze => start,
            Course::Drop => return false,
        };
        true
    }
}
