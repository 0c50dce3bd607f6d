//! The two ways to run a stack, behind one face.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use tokio::net::TcpListener;

use super::containers::Containers;
use super::launch::Launch;
use super::processes::Processes;
use super::{Error, Service};
use crate::fault::relay::{Relay, listen};
use crate::plan::PlannedStack;
use crate::scenario::template::Scope;

/// What runs a stack's services.
#[derive(Debug)]
pub enum Runtime {
    /// Programs of this machine.
    Processes(Processes),
    /// A container engine.
    Containers(Containers),
}

impl Runtime {
    /// The address of ours at which services find what we open for them.
    fn meets(&self) -> IpAddr {
        match self {
            Self::Processes(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Self::Containers(containers) => containers.meets(),
        }
    }

    /// Listens there at a free port; must be called within a runtime.
    pub(super) fn listen(&self) -> io::Result<TcpListener> {
        let ahead = match self {
            Self::Processes(_) => false,
            Self::Containers(containers) => containers.meets_ahead(),
        };
        listen(SocketAddr::new(self.meets(), 0), ahead)
    }

    /// The port of a service that has ended at which somebody else listens.
    pub(super) fn taken_from(&self, service: &str) -> Option<SocketAddr> {
        match self {
            Self::Processes(processes) => processes.taken_from(service),
            // Within its container a service is alone.
            Self::Containers(_) => None,
        }
    }

    /// The folder of the run.
    pub(super) fn folder(&self) -> &Path {
        match self {
            Self::Processes(processes) => processes.folder(),
            Self::Containers(containers) => containers.folder(),
        }
    }

    /// The names that files may use for what the stack gives, and their values, as seen from here.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        match self {
            Self::Processes(processes) => processes.variables(),
            Self::Containers(containers) => containers.variables(),
        }
    }

    /// What names stand for in what is written of a service.
    pub(super) fn scope(&self, planned: &PlannedStack, service: &str) -> Scope {
        match self {
            Self::Processes(processes) => processes.scope(planned, service),
            Self::Containers(containers) => containers.scope(planned, service),
        }
    }

    /// Where Prometheus reaches the services, by service and port.
    pub(super) fn scraped(&self) -> &BTreeMap<String, BTreeMap<String, SocketAddr>> {
        match self {
            Self::Processes(processes) => processes.scraped(),
            Self::Containers(containers) => containers.scraped(),
        }
    }

    /// The relay before a port of a service.
    pub(super) fn relay(&self, service: &str, port: &str) -> Option<&Relay> {
        match self {
            Self::Processes(processes) => processes.relay(service, port),
            Self::Containers(containers) => containers.relay(service, port),
        }
    }

    /// The relay through which Prometheus alone reaches a port.
    pub(super) fn scrape_relay(&self, service: &str, port: &str) -> Option<&Relay> {
        match self {
            Self::Processes(processes) => processes.scrape_relay(service, port),
            Self::Containers(containers) => containers.scrape_relay(service, port),
        }
    }

    /// Starts a service, and returns when it is ready.
    pub(super) async fn start(&self, launch: Launch) -> Result<Service, Error> {
        match self {
            Self::Processes(processes) => processes.start(launch).await,
            Self::Containers(containers) => containers.start(launch).await,
        }
    }

    /// Ends everything, and returns when it is gone.
    pub(super) async fn down(self) {
        match self {
            Self::Processes(processes) => processes.down().await,
            Self::Containers(containers) => Box::pin(containers.down()).await,
        }
    }
}
