//! What is broken on purpose, as written and as checked. A kind is a key of [`FaultWritten`].

mod brief;
pub mod container;
pub mod deed;
mod flow;
pub mod process;
mod requests;
pub mod stand_in;
pub mod traffic;

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use self::brief::Brief;
use self::container::{CpuFaultWritten, MemoryFaultWritten, NetemFaultWritten, Squeeze};
use self::deed::{ExecFaultWritten, HttpFaultWritten, Reversible};
use self::flow::{
    BandwidthFaultWritten, FlowFaultWritten, LatencyFaultWritten, LimitFaultWritten, RefuseFaultWritten,
    SliceFaultWritten,
};
use self::process::{Deed, ServiceFaultWritten};
use self::requests::{AbortFaultWritten, CorruptFaultWritten, DelayFaultWritten, StatusFaultWritten};
use self::stand_in::{HealthFaultWritten, MetricsFaultWritten, Pose};
use self::traffic::Interference;
use super::alert::Alerts;
use super::step::{Does, Step};
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::yaml::{Node, read};

/// What is broken. Exactly one of the keys; most take the service's name alone, or a map with more.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultWritten {
    /// End a service at once, as a crash would; lifted, it is started again.
    kill: Option<At<Brief<ServiceFaultWritten>>>,
    /// Ask a service to end; lifted, it is started again.
    stop: Option<At<Brief<ServiceFaultWritten>>>,
    /// Hold a service where it stands.
    pause: Option<At<Brief<ServiceFaultWritten>>>,
    /// End a service and start it again at once.
    restart: Option<At<Brief<ServiceFaultWritten>>>,
    /// Cut a service off from its network; without containers, from all who would reach it.
    disconnect: Option<At<Brief<ServiceFaultWritten>>>,
    /// Have bytes arrive later.
    latency: Option<At<Brief<LatencyFaultWritten>>>,
    /// Have bytes arrive at a limited rate.
    bandwidth: Option<At<Brief<BandwidthFaultWritten>>>,
    /// Reset connections.
    reset: Option<At<Brief<FlowFaultWritten>>>,
    /// Have connections fall silent.
    blackhole: Option<At<Brief<FlowFaultWritten>>>,
    /// Accept no connection.
    refuse: Option<At<Brief<RefuseFaultWritten>>>,
    /// Have bytes arrive in small pieces.
    slice: Option<At<Brief<SliceFaultWritten>>>,
    /// End connections after so many bytes.
    limit: Option<At<Brief<LimitFaultWritten>>>,
    /// Answer HTTP requests in the service's stead.
    status: Option<At<Brief<StatusFaultWritten>>>,
    /// Have HTTP requests arrive later.
    delay: Option<At<Brief<DelayFaultWritten>>>,
    /// Reset the connections of HTTP requests.
    abort: Option<At<Brief<AbortFaultWritten>>>,
    /// Spoil HTTP answers.
    corrupt: Option<At<Brief<CorruptFaultWritten>>>,
    /// Give a service less of a processor; as a process, by a control group, which root may make.
    cpu: Option<At<Brief<CpuFaultWritten>>>,
    /// Give a service less memory; as a process, by a control group, which root may make.
    memory: Option<At<Brief<MemoryFaultWritten>>>,
    /// Lose, delay, double, spoil or reorder packets; in containers only.
    netem: Option<At<Brief<NetemFaultWritten>>>,
    /// Have a stand-in's metrics go another way.
    metrics: Option<At<Brief<MetricsFaultWritten>>>,
    /// Have a stand-in say that it is not well.
    health: Option<At<Brief<HealthFaultWritten>>>,
    /// Run a program that breaks something.
    exec: Option<At<ExecFaultWritten>>,
    /// Send a request that breaks something.
    http: Option<At<HttpFaultWritten>>,
}

/// Something broken on purpose, for as long as its step lasts.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Whom it befalls; nobody of the stack where a program or a request does it.
    pub target: Option<Target>,
    /// What is done.
    pub breaks: Breaks,
    /// Where that was written.
    pub place: Place,
    /// How long it is held at least.
    pub hold: Duration,
    /// What must hold meanwhile, in order.
    pub meanwhile: Vec<Step>,
    /// What must hold once it is lifted, in order.
    pub after: Vec<Step>,
    /// What is expected of alerts.
    pub alerts: Alerts,
}

/// Whom a fault befalls.
#[derive(Debug, Clone)]
pub struct Target {
    /// The service of the stack.
    pub service: At<String>,
    /// Which of its ports; all unless said.
    pub port: Option<At<String>>,
}

/// What is done.
#[derive(Debug, Clone)]
pub enum Breaks {
    /// Something to a service itself.
    Process(Deed),
    /// Something to its traffic.
    Traffic(Interference),
    /// Something to its container.
    Container(Squeeze),
    /// A stand-in pretends.
    StandIn(Pose),
    /// A program or a request does it.
    Deed(Box<Reversible>),
}

impl Breaks {
    /// The kind, as files write it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Process(deed) => deed.kind(),
            Self::Traffic(does) => does.kind(),
            Self::Container(squeeze) => squeeze.kind(),
            Self::StandIn(pose) => pose.kind(),
            Self::Deed(reversible) => reversible.deed.does.kind(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.target, &self.breaks) {
            (Some(target), breaks) => write!(f, "{} {}", breaks.kind(), target.service),
            (None, Breaks::Deed(reversible)) => f.write_str(&reversible.deed.name),
            (None, breaks) => f.write_str(breaks.kind()),
        }
    }
}

impl Fault {
    /// The steps within it, in the order they are done.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.meanwhile.iter().chain(&self.after)
    }

    /// Has the names of the steps within it begin with its own.
    pub(super) fn name_steps_after(&mut self, name: &str) {
        for step in self.meanwhile.iter_mut().chain(&mut self.after) {
            step.name = format!("{name} / {}", step.name);
            if let Does::Fault(fault) = &mut step.does {
                fault.name_steps_after(name);
            }
        }
    }

    /// What does it and what undoes it, where those are a program's or a request's.
    pub fn deeds(&self) -> impl Iterator<Item = &Step> {
        let both = match &self.breaks {
            Breaks::Deed(both) => Some([&both.deed, &both.undo]),
            Breaks::Process(_) | Breaks::Traffic(_) | Breaks::Container(_) | Breaks::StandIn(_) => None,
        };
        both.into_iter().flatten()
    }

    /// Likewise, to be changed.
    pub fn deeds_mut(&mut self) -> impl Iterator<Item = &mut Step> {
        let both = match &mut self.breaks {
            Breaks::Deed(both) => Some([&mut both.deed, &mut both.undo]),
            Breaks::Process(_) | Breaks::Traffic(_) | Breaks::Container(_) | Breaks::StandIn(_) => None,
        };
        both.into_iter().flatten()
    }
}

/// Kinds that take no value of their own on a command line.
pub const PLAIN: [&str; 9] =
    ["kill", "stop", "pause", "restart", "disconnect", "reset", "blackhole", "refuse", "corrupt"];

/// The key that `KIND=VALUE` means on a command line.
#[must_use]
pub fn main_key(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "latency" | "delay" => "add",
        "bandwidth" | "cpu" | "memory" => "limit",
        "limit" | "abort" => "after",
        "slice" => "size",
        "status" | "health" => "status",
        "netem" => "loss",
        "metrics" => "family",
        _ => return None,
    })
}

/// Reads a fault on a service that stands by itself: `{ KIND: { service: NAME } }`.
pub fn alone(node: &Node, findings: &mut Findings) -> Option<(Target, Breaks)> {
    let written: FaultWritten = findings.take_all(read(node))?;
    let (target, breaks) = written.check(node.place, findings)?;
    let Some(target) = target else {
        let title = format!("`{}` befalls no service of the stack: it belongs in a scenario", breaks.kind());
        findings.add(Finding::new(Code::FaultTarget, node.place, title));
        return None;
    };
    Some((target, breaks))
}

/// What stands under a fault step's own key, checked.
pub(super) type Checked = (Option<Target>, Breaks);

/// A key that was written, and how it is checked.
type Offer = (Place, Box<dyn FnOnce(&mut Findings) -> Option<Checked>>);

impl FaultWritten {
    /// The one thing that is done; `place` is the fault's own.
    pub(super) fn check(self, place: Place, findings: &mut Findings) -> Option<Checked> {
        let mut offers = self.offers().into_iter().flatten();
        match (offers.next(), offers.next()) {
            (Some((_, only)), None) => only(findings),
            (None, _) => {
                let finding = Finding::new(Code::FaultStep, place, "the fault breaks nothing");
                findings.add(finding.help("write `fault: { KIND: service }`, like `fault: { kill: web }`"));
                None
            }
            (Some((first, _)), Some((second, _))) => {
                let finding = Finding::new(Code::FaultStep, second, "a fault breaks one thing");
                let finding = finding.label("this is a second").also(first, "this is the first");
                findings.add(finding.help("several at once: write one fault under `while` of the other"));
                None
            }
        }
    }

    fn offers(self) -> [Option<Offer>; 23] {
        [
            brief(self.kill, |it, _, _| Some(it.check(Deed::Kill))),
            brief(self.stop, |it, _, _| Some(it.check(Deed::Stop))),
            brief(self.pause, |it, _, _| Some(it.check(Deed::Pause))),
            brief(self.restart, |it, _, _| Some(it.check(Deed::Restart))),
            brief(self.disconnect, |it, _, _| Some(it.check(Deed::Disconnect))),
            brief(self.latency, |it, _, _| Some(it.check())),
            brief(self.bandwidth, |it, _, _| Some(it.check())),
            brief(self.reset, |it, _, _| Some(it.check(Interference::Reset))),
            brief(self.blackhole, |it, _, _| Some(it.check(Interference::Blackhole))),
            brief(self.refuse, |it, _, _| Some(it.check())),
            brief(self.slice, |it, _, _| Some(it.check())),
            brief(self.limit, |it, _, _| Some(it.check())),
            brief(self.status, |it, _, findings| it.check(findings)),
            brief(self.delay, |it, _, findings| it.check(findings)),
            brief(self.abort, |it, _, findings| it.check(findings)),
            brief(self.corrupt, |it, _, findings| it.check(findings)),
            brief(self.cpu, |it, _, findings| it.check(findings)),
            brief(self.memory, |it, _, _| Some(it.check())),
            brief(self.netem, NetemFaultWritten::check),
            brief(self.metrics, MetricsFaultWritten::check),
            brief(self.health, |it, _, _| Some(it.check())),
            self.exec.map(|at| -> Offer { (at.place, Box::new(|findings| at.value.check(findings))) }),
            self.http.map(|at| -> Offer { (at.place, Box::new(|findings| at.value.check(findings))) }),
        ]
    }
}

fn brief<T: serde::de::DeserializeOwned + 'static>(
    written: Option<At<Brief<T>>>,
    check: fn(T, Place, &mut Findings) -> Option<Checked>,
) -> Option<Offer> {
    written.map(|at| -> Offer {
        let place = at.place;
        (place, Box::new(move |findings| check(at.value.read(findings)?, place, findings)))
    })
}
