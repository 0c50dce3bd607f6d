//! Where each service of a run is met: at an address that a relay can stand at.
//!
//! On a network of this machine that is the network's gateway, at the port that the service has in its container.
//! Other containers find that address under the service's name, so that they meet the same relay as we do, and
//! a fault bites between services too. Where that cannot be, containers find each other directly, and only we
//! meet a relay.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::engine::Engine;
use super::error::Error;
use super::network::{Network, can_listen, spread};
use crate::stack::processes::port;

/// A service that is to be met.
#[derive(Debug, Clone)]
pub(super) struct Met {
    /// Its name.
    pub(super) name: String,
    /// Its ports: name, and number in the container.
    pub(super) ports: Vec<(String, u16)>,
}

/// The networks of a run, and where its services are met.
#[derive(Debug)]
pub(super) struct Fronts {
    /// The first is where the containers are; the others lend their gateways.
    networks: Vec<Network>,
    /// Where containers find each other by name, if any must.
    names: Option<Network>,
    by_service: BTreeMap<String, Front>,
}

/// Where one service is met.
#[derive(Debug, Clone, Default)]
pub(super) struct Front {
    /// The address for the service's name, where a relay stands between services.
    name: Option<IpAddr>,
    /// Where relays listen, by port.
    pub(super) ports: BTreeMap<String, SocketAddr>,
}

impl Fronts {
    /// Makes the networks, and finds a place for the relay of each port; `contained` says whether any container comes.
    pub(super) async fn make(
        engine: &Engine,
        run: &str,
        services: &[Met],
        contained: bool,
    ) -> Result<Self, Error> {
        let mut fronts = Self { networks: Vec::new(), names: None, by_service: BTreeMap::new() };
        match fronts.lay_out(engine, run, services, contained).await {
            Ok(()) => Ok(fronts),
            Err(error) => {
                fronts.remove().await;
                Err(error)
            }
        }
    }

    async fn lay_out(
        &mut self,
        engine: &Engine,
        run: &str,
        services: &[Met],
        contained: bool,
    ) -> Result<(), Error> {
        let mut first = engine.make_network(run, 0).await?;
        // An address that comes with a container never comes without.
        first.is_here &= contained || !first.is_ahead;
        let is_here = first.is_here;
        self.networks.push(first);
        let ports = |service: &Met| service.ports.iter().map(|(_, number)| *number).collect();
        let wanted: Vec<_> = services.iter().map(|one| (one.name.as_str(), ports(one))).collect();
        let spread = spread(&wanted);
        let most = spread.values().max().copied().unwrap_or_default();
        for number in (1..=most).filter(|_| is_here) {
            self.networks.push(engine.make_network(run, number).await?);
        }
        for service in services {
            let number = spread.get(service.name.as_str()).copied().unwrap_or_default();
            let network = self.networks.get(number).filter(|network| network.is_here);
            let gateway = network.and_then(|network| network.gateway);
            let front = Front::of(service, gateway, self.is_ahead())?;
            self.by_service.insert(service.name.clone(), front);
        }
        if self.by_service.values().any(|front| front.name.is_none()) {
            self.names = Some(engine.make_network(run, self.networks.len()).await?);
        }
        Ok(())
    }

    /// Where the containers are.
    pub(super) fn home(&self) -> Option<&Network> {
        self.networks.first()
    }

    /// The other networks that each container is on: that on which they find each other by name, if they must, and
    /// those whose gateways come with the first who is on them.
    pub(super) fn besides(&self) -> impl Iterator<Item = &Network> {
        let lent = self.networks.iter().skip(1).filter(|network| network.is_ahead);
        lent.chain(&self.names)
    }

    /// The address of this machine that the containers reach, where there is one.
    pub(super) fn meets(&self) -> IpAddr {
        let here = self.home().filter(|network| network.is_here);
        here.and_then(|network| network.gateway).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// Whether addresses of this machine come with the first container, and are listened at before.
    pub(super) fn is_ahead(&self) -> bool {
        self.home().is_some_and(|network| network.is_ahead)
    }

    /// Where every service is met.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Front)> {
        self.by_service.iter().map(|(name, front)| (name.as_str(), front))
    }

    /// The names that each container must know: those of services that relays stand before.
    pub(super) fn hosts(&self) -> Vec<(String, IpAddr)> {
        self.all().filter_map(|(name, front)| Some((name.to_owned(), front.name?))).collect()
    }

    /// Removes the networks. What cannot be removed is found by its label.
    pub(super) async fn remove(&self) {
        for network in self.networks.iter().chain(&self.names) {
            let _ = network.remove().await;
        }
    }
}

impl Front {
    /// At the gateway where all of its ports are free there, else at ports of this machine.
    fn of(service: &Met, gateway: Option<IpAddr>, ahead: bool) -> Result<Self, Error> {
        let free =
            |gateway: &IpAddr| service.ports.iter().all(|(_, port)| can_listen(*gateway, *port, ahead));
        if let Some(gateway) = gateway.filter(free) {
            let ports = service.ports.iter();
            let ports = ports.map(|(name, port)| (name.clone(), SocketAddr::new(gateway, *port)));
            return Ok(Self { name: Some(gateway), ports: ports.collect() });
        }
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let ports = service.ports.iter().map(|(name, _)| {
            let free = port::free(here).map_err(|source| Error::File {
                what: format!("there is no free port for `{name}` of `{}`", service.name),
                source,
            })?;
            Ok((name.clone(), SocketAddr::new(here, free)))
        });
        Ok(Self { name: None, ports: ports.collect::<Result<_, Error>>()? })
    }
}
