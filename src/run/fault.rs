//! A fault, put in, seen to take effect, and lifted again however the steps within it end.

use std::time::Duration;

use tokio::time::timeout;

use super::receiver::Estranged;
use super::squeeze::{Squeezed, cut_off, squeeze};
use super::walk::Walker;
use crate::fault::relay::{Effect, FaultGuard};
use crate::probe::attempt::attempt;
use crate::scenario::fault::process::Deed;
use crate::scenario::fault::traffic::{Direction, Flow, Interference};
use crate::scenario::fault::{Breaks, Fault, Target};
use crate::scenario::step::{Does, Step};
use crate::simulate::Posing;
use crate::stack::{Running, Service};
use crate::units::{Ratio, Span};

/// How long mending may take: services that are slow to start are given time.
const MENDING: Duration = Duration::from_secs(120);

/// A fault that is in. What it did to traffic and to stand-ins ends with this value; the rest by [`Broken::mend`].
#[derive(Debug)]
pub(super) struct Broken<'a> {
    breaks: Breaks,
    service: Option<&'a Service>,
    /// What is done to traffic.
    guards: Vec<FaultGuard>,
    /// What a stand-in pretends.
    posing: Option<Posing>,
    /// What was done to a container.
    squeezed: Option<Squeezed>,
    /// A receiver that misbehaves.
    estranged: Option<Estranged<'a>>,
}

impl<'a> Broken<'a> {
    /// Puts a fault in.
    ///
    /// # Errors
    /// Why that cannot be done here.
    pub(super) async fn add(
        walker: &mut Walker,
        stack: Option<&'a Running>,
        fault: &Fault,
    ) -> Result<Self, String> {
        let Some(target) = &fault.target else {
            if let Breaks::Deed(both) = &fault.breaks {
                perform(walker, &both.deed).await.map_err(|why| format!("it could not be put in: {why}"))?;
            }
            let mut broken = Self::nothing_yet(&fault.breaks);
            if let Breaks::Receiver(does) = &fault.breaks {
                let stack = stack.ok_or("there is no stack")?;
                broken.estranged = Some(Estranged::begin(stack, does).await?);
            }
            return Ok(broken);
        };
        Self::on(stack.ok_or("there is no stack")?, target, &fault.breaks).await
    }

    fn nothing_yet(breaks: &Breaks) -> Self {
        Self {
            breaks: breaks.clone(),
            service: None,
            guards: Vec::new(),
            posing: None,
            squeezed: None,
            estranged: None,
        }
    }

    /// Breaks a service of a stack.
    ///
    /// # Errors
    /// Why that cannot be done here.
    pub(super) async fn on(stack: &'a Running, target: &Target, breaks: &Breaks) -> Result<Self, String> {
        let name = &target.service.value;
        let service = stack.service(name).ok_or_else(|| format!("the stack has no service `{name}`"))?;
        let mut broken = Self { service: Some(service), ..Self::nothing_yet(breaks) };
        match breaks {
            Breaks::Process(Deed::Disconnect) if service.contained().is_some() => {
                broken.squeezed = Some(cut_off(service).await?);
            }
            // A process has no network of its own: what leads to its ports falls silent.
            Breaks::Process(Deed::Disconnect) => {
                broken.guards = disturb(stack, service, None, &silence())?;
            }
            Breaks::Process(deed) => {
                befall(service, *deed).await?;
                // Where nobody listens any more, clients are refused; the relay before it must not hide that.
                if matches!(deed, Deed::Kill | Deed::Stop) {
                    broken.guards = disturb(stack, service, None, &Interference::Refuse).unwrap_or_default();
                }
            }
            Breaks::Traffic(does) => broken.guards = disturb(stack, service, Some(target), does)?,
            Breaks::Container(does) => {
                let (squeezed, by_relay) = squeeze(service, does).await?;
                broken.squeezed = Some(squeezed);
                if let Some(does) = by_relay {
                    broken.guards = disturb(stack, service, None, &does)?;
                }
            }
            Breaks::StandIn(pose) => {
                broken.posing = Some(service.pose(pose.clone()).await.map_err(|error| error.to_string())?);
            }
            Breaks::Receiver(_) | Breaks::Deed(_) => {}
        }
        Ok(broken)
    }

    /// What shows that it took effect.
    ///
    /// # Errors
    /// What shows that it did not, or that nothing shows it.
    pub(super) async fn felt(&self) -> Result<String, String> {
        if let Some(estranged) = &self.estranged {
            return estranged.felt().await;
        }
        let Some(service) = self.service else {
            return Ok("what breaks it was done".to_owned());
        };
        let name = &service.name;
        if let Some(squeezed) = &self.squeezed {
            return Ok(squeezed.told(name, &self.guards));
        }
        match &self.breaks {
            Breaks::Process(deed) => match (deed, service.alive().await) {
                (Deed::Kill | Deed::Stop, false) => Ok(format!("`{name}` does not run")),
                (Deed::Kill | Deed::Stop, true) => Err(format!("`{name}` runs in spite of it")),
                (Deed::Pause, true) => Ok(format!("`{name}` is held")),
                (Deed::Restart, true) => Ok(format!("`{name}` was started again")),
                (Deed::Disconnect, true) => Ok(format!("`{name}` is cut off")),
                (Deed::Pause | Deed::Restart | Deed::Disconnect, false) => {
                    Err(format!("`{name}` does not run"))
                }
            },
            Breaks::Traffic(_) => self.felt_by_traffic(),
            Breaks::StandIn(_) if self.posing.is_some() => Ok(format!("`{name}` pretends")),
            Breaks::StandIn(_) => Err(format!("`{name}` does not pretend")),
            Breaks::Container(_) | Breaks::Receiver(_) | Breaks::Deed(_) => {
                Ok("what breaks it was done".to_owned())
            }
        }
    }

    fn felt_by_traffic(&self) -> Result<String, String> {
        let all = self.effect();
        if all.is_felt() {
            return Ok(all.to_string());
        }
        Err(format!(
            "nothing that it is done to has passed: put steps that use the service under `while`, or load in the `background` ({all})"
        ))
    }

    /// What is done.
    pub(super) fn breaks(&self) -> &Breaks {
        &self.breaks
    }

    /// What it did to traffic so far, before all ports together.
    pub(super) fn effect(&self) -> Effect {
        let mut all = Effect::default();
        for effect in self.guards.iter().map(FaultGuard::effect) {
            all.connections += effect.connections;
            all.requests += effect.requests;
            all.delayed += effect.delayed;
            all.cut += effect.cut;
            all.answered += effect.answered;
            all.corrupted += effect.corrupted;
            all.refusing |= effect.refusing;
        }
        all
    }

    /// Lifts it.
    ///
    /// # Errors
    /// Why the system is not mended.
    pub(super) async fn mend(self, walker: &mut Walker) -> Result<(), String> {
        let Breaks::Deed(both) = &self.breaks else { return self.lift().await };
        let mended = timeout(MENDING, perform(walker, &both.undo)).await;
        mended.unwrap_or_else(|_| Err(too_long()))
    }

    /// Lifts what was done to a service.
    ///
    /// # Errors
    /// Why the service is not mended.
    pub(super) async fn lift(mut self) -> Result<(), String> {
        let squeezed = self.squeezed.take();
        let mending = async {
            if let (Some(squeezed), Some(service)) = (squeezed, self.service) {
                return squeezed.lift(service).await;
            }
            let (Breaks::Process(deed), Some(service)) = (&self.breaks, self.service) else { return Ok(()) };
            match deed {
                Deed::Kill | Deed::Stop => service.restart().await,
                Deed::Pause => service.resume().await,
                Deed::Restart | Deed::Disconnect => Ok(()),
            }
            .map_err(|error| error.to_string())
        };
        let mended = timeout(MENDING, mending).await;
        // Only now, so that nobody is let in before the service is there.
        drop(self);
        mended.unwrap_or_else(|_| Err(too_long()))
    }
}

fn too_long() -> String {
    format!("that took more than {}", Span(MENDING))
}

/// Does something to a service itself.
async fn befall(service: &Service, deed: Deed) -> Result<(), String> {
    match deed {
        Deed::Kill => service.kill().await,
        Deed::Stop => service.stop().await,
        Deed::Pause => service.pause().await,
        Deed::Restart => service.restart().await,
        Deed::Disconnect => Ok(()),
    }
    .map_err(|error| error.to_string())
}

/// Nothing comes through, either way.
fn silence() -> Interference {
    Interference::Blackhole(Flow { direction: Direction::Both, share: Ratio::ONE })
}

/// Does something to the traffic of a service, before each port that is meant.
fn disturb(
    stack: &Running,
    service: &Service,
    target: Option<&Target>,
    does: &Interference,
) -> Result<Vec<FaultGuard>, String> {
    let only = target.and_then(|target| target.port.as_ref());
    let ports = service.ports.keys().filter(|port| only.is_none_or(|only| only.value == **port));
    let relays: Vec<_> = ports
        .flat_map(|port| [stack.relay(&service.name, port), stack.scrape_relay(&service.name, port)])
        .flatten()
        .collect();
    if relays.is_empty() {
        return Err(format!("no relay stands before `{}`, whose traffic this is to break", service.name));
    }
    Ok(relays.into_iter().map(|relay| relay.add(does.clone())).collect())
}

/// Runs a program or sends a request that breaks or mends something.
async fn perform(walker: &mut Walker, step: &Step) -> Result<(), String> {
    let Does::Probe(probe) = &step.does else { return Ok(()) };
    let Walker { scope, session, sources, .. } = walker;
    let made = Box::pin(attempt(step, probe, step.timeout, scope, session)).await;
    let made = made.map_err(|unset| unset.to_string())?;
    match made.breaches.first() {
        None => Ok(()),
        Some(breach) => Err(format!("{}: {}", step.name, breach.draw(sources).drawing.title)),
    }
}
