//! What a step does, whatever kind it is of, and what others ask of it: its kind, its target, its holes.

use std::path::Path;
use std::time::Duration;

use super::alert::Quiet;
use super::body::Attached;
use super::expect::Answer;
use super::fault::Fault;
use super::http::Tls;
use super::kubelet::Kubelet;
use super::load::Load;
use super::logs::Logs;
use super::monitoring::Monitoring;
use super::network::Network;
use super::probe::{Holes, Probe};
use super::template::Shape;
use crate::source::At;
use crate::units::Span;

/// What a step does.
#[derive(Debug, Clone)]
pub enum Does {
    /// Makes an attempt against a target.
    Probe(Box<Probe>),
    /// Makes many requests.
    Load(Box<Load>),
    /// Sees that no alert is pending or firing for a while.
    Quiet(Quiet),
    /// Asks the stack's monitoring something as a whole.
    Monitoring(Box<Monitoring>),
    /// Breaks something, and mends it.
    Fault(Box<Fault>),
    /// Does nothing for a while.
    Wait(Duration),
    /// Does the steps of a fragment; resolved by the plan.
    Use(Use),
    /// Gives variables to the steps after it: how a fragment gets its own.
    Set(Vec<(At<String>, At<Shape>)>),
}

/// The steps of another file.
#[derive(Debug, Clone)]
pub struct Use {
    /// The fragment's file, beside the one that names it.
    pub file: At<String>,
    /// Variables for the fragment.
    pub with: Vec<(At<String>, At<Shape>)>,
}

impl Does {
    /// The step kind, as files write it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Probe(probe) => probe.told().kind(),
            Self::Load(_) => "load",
            Self::Quiet(_) => "quiet",
            Self::Monitoring(asked) => asked.kind(),
            Self::Fault(_) => "fault",
            Self::Wait(_) => "wait",
            Self::Use(_) => "use",
            Self::Set(_) => "set",
        }
    }

    /// What can be expected of its answer.
    pub(super) fn answer(&self) -> Answer {
        match self {
            Self::Probe(probe) => probe.told().answer(),
            Self::Load(_)
            | Self::Fault(_)
            | Self::Quiet(_)
            | Self::Monitoring(_)
            | Self::Wait(_)
            | Self::Use(_)
            | Self::Set(_) => Answer::None,
        }
    }

    /// Whether each attempt begins a trace that can be captured.
    #[must_use]
    pub fn traces(&self) -> bool {
        match self {
            Self::Probe(probe) => probe.told().traces(),
            Self::Load(_)
            | Self::Fault(_)
            | Self::Quiet(_)
            | Self::Monitoring(_)
            | Self::Wait(_)
            | Self::Use(_)
            | Self::Set(_) => false,
        }
    }

    /// The files that are sent with its requests, to be read.
    pub(super) fn attached(&mut self) -> Vec<&mut Attached> {
        match self {
            Self::Probe(probe) => match &mut **probe {
                Probe::Http(http) => http.body.files(),
                Probe::Health(_)
                | Probe::WebSocket(_)
                | Probe::Tcp(_)
                | Probe::Metrics(_)
                | Probe::Exec(_)
                | Probe::Kubelet(_)
                | Probe::Tls(_)
                | Probe::Dns(_)
                | Probe::Icmp(_)
                | Probe::Grpc(_)
                | Probe::Promql(_)
                | Probe::Logs(_) => Vec::new(),
            },
            // The plan reads what the steps of a load send as it reads that of any step.
            Self::Load(_)
            | Self::Fault(_)
            | Self::Quiet(_)
            | Self::Monitoring(_)
            | Self::Wait(_)
            | Self::Use(_)
            | Self::Set(_) => Vec::new(),
        }
    }

    /// What the step is called when nobody named it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Probe(probe) => probe.told().subject(),
            Self::Load(load) => load.to_string(),
            Self::Quiet(quiet) => format!("quiet for {}", Span(quiet.lasts.value)),
            Self::Monitoring(asked) => asked.describe(),
            Self::Fault(fault) => fault.to_string(),
            Self::Wait(span) => format!("wait {}", Span(*span)),
            Self::Use(fragment) => format!("use {}", fragment.file),
            Self::Set(_) => "set".to_owned(),
        }
    }

    /// How TLS is spoken, where something is connected to.
    #[must_use]
    pub fn tls(&self) -> Vec<&Tls> {
        match self {
            Self::Probe(probe) => probe.told().tls().into_iter().collect(),
            Self::Load(load) => load.steps().flat_map(|step| step.does.tls()).collect(),
            Self::Fault(_)
            | Self::Quiet(_)
            | Self::Monitoring(_)
            | Self::Wait(_)
            | Self::Use(_)
            | Self::Set(_) => Vec::new(),
        }
    }

    /// Tells the step the folder of its file: what it runs runs there.
    pub fn stand_in(&mut self, folder: &Path) {
        let Self::Probe(probe) = self else { return };
        match &mut **probe {
            Probe::Exec(exec) => folder.clone_into(&mut exec.beside),
            Probe::Logs(logs) => folder.clone_into(&mut logs.beside),
            Probe::Kubelet(kubelet) => kubelet.stand_in(folder),
            Probe::Health(_)
            | Probe::Http(_)
            | Probe::WebSocket(_)
            | Probe::Tcp(_)
            | Probe::Metrics(_)
            | Probe::Tls(_)
            | Probe::Dns(_)
            | Probe::Icmp(_)
            | Probe::Grpc(_)
            | Probe::Promql(_) => {}
        }
    }

    /// The pod it watches, where it reads that from a manifest.
    pub fn pod_to_read(&mut self) -> Option<&mut Kubelet> {
        let Self::Probe(probe) = self else { return None };
        let Probe::Kubelet(kubelet) = &mut **probe else { return None };
        kubelet.manifest.is_some().then_some(kubelet)
    }

    /// The log it reads.
    #[must_use]
    pub fn log(&self) -> Option<&Logs> {
        let Self::Probe(probe) = self else { return None };
        let Probe::Logs(logs) = &**probe else { return None };
        Some(logs)
    }

    /// The way to the target, where something is connected to.
    #[must_use]
    pub fn network(&self) -> Vec<&Network> {
        match self {
            Self::Probe(probe) => probe.told().target().map(|target| target.network).into_iter().collect(),
            Self::Load(load) => load.steps().flat_map(|step| step.does.network()).collect(),
            Self::Fault(_)
            | Self::Quiet(_)
            | Self::Monitoring(_)
            | Self::Wait(_)
            | Self::Use(_)
            | Self::Set(_) => Vec::new(),
        }
    }

    /// Every hole, with its place.
    #[must_use]
    pub fn holes(&self) -> Holes<'_> {
        match self {
            Self::Probe(probe) => probe.told().holes(),
            Self::Load(load) => Box::new(load.holes()),
            Self::Fault(_) | Self::Quiet(_) | Self::Monitoring(_) | Self::Wait(_) => {
                Box::new(std::iter::empty())
            }
            Self::Use(Use { with, .. }) | Self::Set(with) => {
                Box::new(with.iter().flat_map(|(_, at)| at.value.holes().map(|hole| (hole, at.place))))
            }
        }
    }
}
