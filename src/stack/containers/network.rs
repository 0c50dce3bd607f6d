//! The networks of a run: where its services meet, and where containers find firedrill's relays and sinks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use testcontainers::bollard::models::{
    EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
};

use super::engine::Engine;
use super::error::Error;
use crate::fault::relay::listen;
use crate::stack::processes::folder::all_runs;

/// What everything that a run starts is labelled with.
pub const RUN_LABEL: &str = "firedrill.run";

/// Besides, where firedrill itself ran.
pub(super) const HOME_LABEL: &str = "firedrill.home";

/// A bridge of its own for a run's containers.
#[derive(Debug, Clone)]
pub struct Network {
    engine: Engine,
    /// Its name, which the engine's own tools show.
    pub name: String,
    /// The address that this machine has on it, where the engine says so: what listens there is reached by the
    /// containers, and by nobody outside of this machine.
    pub gateway: Option<IpAddr>,
    /// Whether that is so, and containers are reached at their own addresses: not where the engine runs in another
    /// machine, virtual or not.
    pub is_here: bool,
    /// Whether the address comes with the first container, as it does with Podman, and is listened at before.
    pub is_ahead: bool,
}

impl Engine {
    /// Makes a network for a run; `number` tells several of one run apart.
    ///
    /// # Errors
    /// When the engine refuses, as it does when it has no addresses left.
    pub async fn make_network(&self, run: &str, number: usize) -> Result<Network, Error> {
        let name = format!("firedrill-{run}-{number}");
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            labels: Some(self.labels(run)),
            ..NetworkCreateRequest::default()
        };
        self.ask(&format!("making network `{name}`"), self.docker.create_network(request)).await?;
        let mut network =
            Network { engine: self.clone(), name, gateway: None, is_here: false, is_ahead: false };
        match network.find_gateway().await {
            Ok(gateway) => {
                network.gateway = gateway;
                network.is_ahead = self.bridges_come_later;
                network.is_here = gateway.is_some_and(|gateway| can_listen(gateway, 0, network.is_ahead));
            }
            Err(error) => {
                // What is not handed out must not stay behind.
                let _ = network.remove().await;
                return Err(error);
            }
        }
        Ok(network)
    }
}

impl Network {
    async fn find_gateway(&self) -> Result<Option<IpAddr>, Error> {
        let doing = format!("looking at network `{}`", self.name);
        let told = self.engine.ask(&doing, self.engine.docker.inspect_network(&self.name, None)).await?;
        let ranges = told.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        Ok(ranges.into_iter().find_map(|range| range.gateway?.parse().ok()))
    }

    /// Takes a container off the network: it goes on running, and neither hears nor is heard on it.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn disconnect(&self, container: &str) -> Result<(), Error> {
        let request = NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        let doing = format!("taking a container off network `{}`", self.name);
        self.engine.ask(&doing, self.engine.docker.disconnect_network(&self.name, request)).await
    }

    /// Puts a container on the network, where it is known by `alias` besides its own name.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn connect(&self, container: &str, alias: Option<&str>) -> Result<(), Error> {
        let aliases = alias.map(|alias| vec![alias.to_owned()]);
        let endpoint = EndpointSettings { aliases, ..EndpointSettings::default() };
        let request =
            NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(endpoint) };
        let doing = format!("putting a container on network `{}`", self.name);
        self.engine.ask(&doing, self.engine.docker.connect_network(&self.name, request)).await
    }

    /// Removes it; whoever is still on it is put off.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn remove(&self) -> Result<(), Error> {
        self.engine.remove_network(&self.name).await
    }
}

impl Engine {
    pub(super) async fn remove_network(&self, name: &str) -> Result<(), Error> {
        let doing = format!("removing network `{name}`");
        let told = self.ask(&doing, self.docker.inspect_network(name, None)).await;
        for container in told.ok().and_then(|told| told.containers).unwrap_or_default().into_keys() {
            let request = NetworkDisconnectRequest { container, force: Some(true) };
            // Removing the network says what is the matter, if anything is.
            let _ = self.ask(&doing, self.docker.disconnect_network(name, request)).await;
        }
        self.ask_away(&doing, self.docker.remove_network(name)).await
    }
}

impl Engine {
    /// The labels of whatever a run starts.
    pub(super) fn labels(&self, run: &str) -> HashMap<String, String> {
        let labels = [(RUN_LABEL, run), (HOME_LABEL, &self.home)];
        HashMap::from(labels.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }
}

/// Where this process lives: only a run of the same place can be asked, by its folder, whether it is over.
pub(super) fn home() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let files = std::fs::read_link("/proc/self/ns/mnt").unwrap_or_default();
    format!("{host} {} {}", files.display(), all_runs().display())
}

/// Whether something may listen there; must be called within a runtime.
pub(super) fn can_listen(address: IpAddr, port: u16, ahead: bool) -> bool {
    listen(SocketAddr::new(address, port), ahead).is_ok()
}

/// On which of a run's networks the relay of each service listens: all on the first, except that a port is given
/// but once at each gateway. So that `web:80` and `api:80` are both answered, by relays, at port 80.
#[must_use]
pub fn spread<'a>(services: &[(&'a str, Vec<u16>)]) -> BTreeMap<&'a str, usize> {
    let mut taken: Vec<BTreeSet<u16>> = Vec::new();
    let mut spread = BTreeMap::new();
    for (name, ports) in services {
        let free = taken.iter().position(|taken| ports.iter().all(|port| !taken.contains(port)));
        let number = free.unwrap_or(taken.len());
        if number == taken.len() {
            taken.push(BTreeSet::new());
        }
        taken[number].extend(ports);
        spread.insert(*name, number);
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_share_a_network_until_they_want_the_same_port() {
        let services = [
            ("web", vec![80]),
            ("redis", vec![6379]),
            ("api", vec![80, 9100]),
            ("node", vec![9100]),
            ("db", vec![]),
        ];
        let spread = spread(&services);
        assert_eq!(spread, BTreeMap::from([("api", 1), ("db", 0), ("node", 0), ("redis", 0), ("web", 0)]));
    }
}
