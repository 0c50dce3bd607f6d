//! What is done to a service's container: cut off, less processor or memory, a worse network; and undone again.

use std::time::Duration;

use tokio::sync::MappedMutexGuard;

use crate::fault::relay::FaultGuard;
use crate::scenario::fault::container::{Netem, Squeeze};
use crate::scenario::fault::traffic::{Direction, Distribution, Flow, Interference, Lag};
use crate::stack::Service;
use crate::stack::containers::{Contained, Container, Error, Impaired, Impairment, Limits, Means};
use crate::stack::processes::cgroup::{Group, Limit};
use crate::units::Ratio;

/// What was done to a container, until it is lifted.
#[derive(Debug)]
pub(super) enum Squeezed {
    /// It is off the network.
    CutOff,
    /// It has less than these.
    Limited(Limits),
    /// Its processes have less.
    Grouped(Group),
    /// Its network is worse.
    Impaired(Impaired),
}

/// The container of a service, or why there is none.
pub(super) fn contained<'a>(service: &'a Service, kind: &str) -> Result<&'a Contained, String> {
    service.contained().ok_or_else(|| {
        format!(
            "`{kind}` needs a container, and `{}` runs as a process: run with `--runtime containers`, or break its traffic (`latency`, `blackhole`, `bandwidth` …)",
            service.name
        )
    })
}

/// Takes a service off its network.
pub(super) async fn cut_off(service: &Service) -> Result<Squeezed, String> {
    let contained = contained(service, "disconnect")?;
    contained.disconnect().await.map(|()| Squeezed::CutOff).map_err(|error| error.to_string())
}

/// Gives a service less, or a worse network; what a relay has to do of that is given besides.
pub(super) async fn squeeze(
    service: &Service,
    does: &Squeeze,
) -> Result<(Squeezed, Option<Interference>), String> {
    if service.contained().is_none()
        && let Some(limit) = limit(does)
    {
        let group = service.limit(limit).map_err(|why| format!("`{}` gets no less: {why}", service.name))?;
        return Ok((Squeezed::Grouped(group), None));
    }
    let within = contained(service, does.kind())?;
    let limited = match *does {
        Squeeze::Cpu(processors) => hold(within).await?.limit_cpu(thousandths(processors)).await,
        Squeeze::Memory(most) => hold(within).await?.limit_memory(most).await,
        Squeeze::Netem(netem) => {
            let container = hold(within).await?;
            let impaired = container.impair(&wanted(netem)).await.map_err(|error| error.to_string())?;
            let left = lag(impaired.left.delay, impaired.left.jitter);
            return Ok((Squeezed::Impaired(impaired), left));
        }
    };
    match (limited, limit(does)) {
        (Ok(before), _) => Ok((Squeezed::Limited(before), None)),
        // What the engine does not do can be done to its processes, where they are processes of this machine.
        (Err(error @ Error::NoUpdates { .. }), Some(limit)) => match within.group(limit).await {
            Ok(group) => Ok((Squeezed::Grouped(group), None)),
            Err(why) => Err(format!("{error}, and neither can firedrill: {why}")),
        },
        (Err(error), _) => Err(error.to_string()),
    }
}

/// What a control group can keep to.
fn limit(does: &Squeeze) -> Option<Limit> {
    match *does {
        Squeeze::Cpu(processors) => Some(Limit::Cpu(thousandths(processors))),
        Squeeze::Memory(most) => Some(Limit::Memory(most)),
        Squeeze::Netem(_) => None,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: 1 to 1,024,000")]
fn thousandths(processors: f64) -> u32 {
    (processors * 1000.0).round() as u32
}

fn wanted(netem: Netem) -> Impairment {
    let Netem { loss, delay, jitter, duplicate, corrupt, reorder } = netem;
    Impairment { delay, jitter, loss, duplicate, corrupt, reorder, rate: None }
}

/// The delay that netem would have made, made by a relay: on what leaves the service, as netem's is.
fn lag(add: Duration, jitter: Duration) -> Option<Interference> {
    let lag = Lag { add, jitter, distribution: Distribution::Uniform };
    let flow = Flow { direction: Direction::Down, share: Ratio::ONE };
    (!add.is_zero()).then_some(Interference::Latency(lag, flow))
}

impl Squeezed {
    /// What was done, and by which means.
    pub(super) fn told(&self, name: &str, by_relay: &[FaultGuard]) -> String {
        match self {
            Self::CutOff => format!("`{name}` is off its network"),
            Self::Limited(_) | Self::Grouped(_) => format!("`{name}` has less"),
            Self::Impaired(impaired) => {
                let means: Vec<_> = impaired.means().iter().copied().map(Means::name).collect();
                let delayed: u64 = by_relay.iter().map(|guard| guard.effect().delayed).sum();
                let delayed =
                    if by_relay.is_empty() { String::new() } else { format!(", {delayed} delayed") };
                format!("the network of `{name}` is worse, by {}{delayed}", means.join(" and "))
            }
        }
    }

    /// Undoes it.
    pub(super) async fn lift(self, service: &Service) -> Result<(), String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        match (self, service.contained()) {
            (Self::Grouped(group), _) => group.lift(),
            (Self::CutOff, Some(within)) => within.reconnect().await.map_err(|error| said(&error)),
            (Self::Limited(before), Some(within)) => {
                let container = hold(within).await?;
                container.restore_limits(&before).await.map_err(|error| said(&error))
            }
            (Self::Impaired(impaired), _) => impaired.lift().await.map_err(|error| said(&error)),
            (Self::CutOff | Self::Limited(_), None) => Ok(()),
        }
    }
}

async fn hold(contained: &Contained) -> Result<MappedMutexGuard<'_, Container>, String> {
    contained.container("squeezed").await.map_err(|error| error.to_string())
}
