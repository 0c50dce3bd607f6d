//! Looks again and again, from now on, until it is decided: by a test that holds at all looks together.

use std::io::Write as _;

use tokio::time::{Instant, MissedTickBehavior};

use super::ask::{Decided, Source};
use super::terms::Asked;
use super::{Arguments, Until};
use crate::gate::{Known, Look as Seen, Sequence};
use crate::history::{Look, Wanted, prometheus};

/// Watches until every objective is decided, one has failed, or the time is over.
pub(super) async fn watch(
    arguments: &Arguments,
    source: &Source,
    wanted: &[Wanted<'_>],
    asked: &Asked,
) -> Decided {
    let now = || async {
        match source {
            Source::Prometheus(client) => prometheus::now(client).await.map_err(|error| error.to_string()),
            Source::Store(_) | Source::Run { .. } => Ok(jiff::Timestamp::now()),
        }
    };
    if let Source::Run { .. } = source {
        return Err("a run that is over cannot be watched; leave `--watch` out".to_owned());
    }
    let from = now().await?;
    let mut sequence = Sequence::new(wanted.iter().map(Wanted::target).collect(), asked.terms.policy);
    let deadline = Instant::now() + arguments.timeout.0;
    let mut looks = tokio::time::interval_at(Instant::now() + arguments.every.0, arguments.every.0);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let over = tokio::time::timeout_at(deadline, looks.tick()).await.is_err();
        let look = Look { at: now().await?, from: Some(from), since: None, slices: false, ..asked.look };
        let known = source.known(wanted, &look).await?;
        let seen = sequence.look(&known);
        report(&known, &seen);
        let failed = seen.contains(&Seen::Above);
        let decided = arguments.until == Until::Decided && !seen.contains(&Seen::Open);
        if failed || decided || over {
            return Ok(sequence.decide(&known, &asked.terms));
        }
    }
}

/// A line of progress.
fn report(known: &[Known], seen: &[Seen]) {
    let (mut bad, mut valid) = (0, 0);
    for known in known {
        if let Known::Past(past) = known {
            bad += past.counts.bad;
            valid += past.counts.valid();
        }
    }
    let open = seen.iter().filter(|seen| **seen == Seen::Open).count();
    // Progress that cannot be written is no loss.
    let _ = writeln!(
        std::io::stderr(),
        "watching: {bad} of {valid} failed, {open} of {} not decided",
        seen.len()
    );
}
