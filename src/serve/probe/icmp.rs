//! A module's echo.

use std::time::Duration;

use tokio::time::Instant;

use super::choose::choose;
use super::sheet::Sheet;
use super::{Attempt, failed};
use crate::probe::icmp::packet::Echo;
use crate::probe::icmp::ping::{Line, Plan};
use crate::sample::{Cause, Phase};
use crate::serve::blackbox::Icmp;

const PHASES: &str = "probe_icmp_duration_seconds";
const PHASES_HELP: &str = "Duration of icmp request by phase";

/// Makes one attempt.
pub(super) async fn attempt(module: &Icmp, at: &Attempt<'_>, sheet: &mut Sheet) -> Result<(), Cause> {
    sheet.phases(PHASES, PHASES_HELP, &["resolve", "setup", "rtt"].map(|phase| (phase, Duration::ZERO)));
    let host = at.target.trim_start_matches('[').trim_end_matches(']');
    let chosen = choose(host, 0, module.preference, at, sheet).await;
    sheet.phases(PHASES, PHASES_HELP, &[("resolve", chosen.took)]);
    let ip = chosen.address?.ip();
    at.policy.check(ip)?;
    let began = Instant::now();
    let line = Line::open(ip)?;
    if module.ttl > 0 {
        line.reach(ip, u32::from(module.ttl)).map_err(|why| failed(why.to_string()))?;
    }
    let plan = Plan { echo: Echo::new(ip, module.size, rand::random()), count: 1, interval: Duration::ZERO };
    sheet.phases(PHASES, PHASES_HELP, &[("setup", began.elapsed())]);
    let echoes = line.ping(&plan, &at.deadline).await;
    match echoes.0.into_iter().next() {
        Some(Ok(took)) => {
            sheet.phases(PHASES, PHASES_HELP, &[("rtt", took)]);
            Ok(())
        }
        Some(Err(lost)) => Err(Cause::new(at.deadline.missed(Phase::Wait).reason, lost.to_string())),
        None => Err(at.deadline.missed(Phase::Wait)),
    }
}
