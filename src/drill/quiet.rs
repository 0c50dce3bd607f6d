//! A spell in which nothing may be pending or firing: an alert that a healthy system raises proves nothing later.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Instruments;
use super::restart::is_another;
use super::watch::strangers;
use crate::prometheus::answer::describe;
use crate::prometheus::{AlertState, Error, Groups, Health, Target};
use crate::scenario::alert::{Clock, Quiet};

/// How a quiet spell went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spell {
    /// Nothing was pending or firing, every target was scraped, and every rule was evaluated.
    Quiet,
    /// An alert was pending or firing, or a target was down: in sentences.
    Disturbed(Vec<String>),
    /// Nothing can be said: in a sentence.
    Unseen(String),
    /// The run was stopped.
    Stopped,
}

/// Watches for as long as it says, in rule time.
///
/// # Errors
/// When Prometheus does not answer.
pub async fn quiet(
    instruments: &Instruments,
    quiet: &Quiet,
    clock: Clock,
    stop: &CancellationToken,
) -> Result<Spell, Error> {
    let except: Vec<&str> = quiet.except.iter().map(|at| at.value.as_str()).collect();
    let zero = instruments.time().await?;
    let started = instruments.started().await?;
    let began = Instant::now();
    let length = clock.wall_time(quiet.lasts.value);
    let mut disturbed = BTreeSet::new();
    let mut evaluated = false;
    let mut seen_targets = false;
    loop {
        let groups = instruments.prometheus.rules().await?.data;
        evaluated |= is_evaluated_since(&groups, zero);
        for alert in strangers(&groups, &[], &except) {
            let state = match alert.state {
                AlertState::Pending => "pending",
                AlertState::Firing => "firing",
                AlertState::Unknown | AlertState::Inactive => continue,
            };
            disturbed.insert(format!("`{}` is {state}", describe(&alert.labels)));
        }
        let targets = instruments.prometheus.targets().await?.data;
        seen_targets |= targets.active_targets.iter().any(|target| target.health == Health::Up);
        disturbed.extend(targets.down().map(Target::told_down));
        if !disturbed.is_empty() || began.elapsed() >= length {
            break;
        }
        let rest = length.saturating_sub(began.elapsed()).min(instruments.pause());
        if stop.run_until_cancelled(tokio::time::sleep(rest.max(Duration::from_millis(1)))).await.is_none() {
            return Ok(Spell::Stopped);
        }
    }
    if let Some(again) = is_another(started, instruments.started().await?) {
        let why =
            format!("Prometheus was started again meanwhile, at {again}: what was pending, it has forgotten");
        return Ok(Spell::Unseen(why));
    }
    Ok(match (disturbed.is_empty(), evaluated, seen_targets) {
        (false, ..) => Spell::Disturbed(disturbed.into_iter().collect()),
        (true, false, _) => Spell::Unseen("no rule was evaluated meanwhile".to_owned()),
        (true, true, false) => Spell::Unseen("no target was scraped meanwhile".to_owned()),
        (true, true, true) => Spell::Quiet,
    })
}

/// Whether any alerting rule was evaluated since a moment.
fn is_evaluated_since(groups: &Groups, zero: jiff::Timestamp) -> bool {
    let rules = groups.groups.iter().flat_map(|group| &group.rules).filter(|rule| rule.state.is_some());
    rules.into_iter().any(|rule| rule.last_evaluation.is_some_and(|at| at > zero))
}
