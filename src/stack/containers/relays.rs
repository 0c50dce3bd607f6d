//! The relays of a run: one before each port for whoever uses it, and one for Prometheus alone.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::fault::relay::Relay;
use crate::stack::Error;

/// Addresses by service and port.
pub(super) type Addresses = BTreeMap<String, BTreeMap<String, SocketAddr>>;

/// Where nobody listens: until a container is there, whoever connects is turned away.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// Relays by service and port.
#[derive(Debug, Default)]
pub(super) struct Relays(BTreeMap<String, BTreeMap<String, Relay>>);

impl Relays {
    /// Starts one at each of the addresses, which with `ahead` may be none of this machine's yet; at port 0 it finds a
    /// free one.
    pub(super) async fn start(at: &Addresses, ahead: bool, seed: u64) -> Result<Self, Error> {
        let mut relays = Self::default();
        for (service, ports) in at {
            for (port, address) in ports {
                let relay = if ahead {
                    Relay::start_ahead(*address, NOWHERE, seed).await
                } else {
                    Relay::start(*address, NOWHERE, seed).await
                };
                let relay = relay.map_err(|error| Error::Start {
                    service: service.clone(),
                    why: format!("there is no relay before its `{port}` at {address}: {error}"),
                })?;
                relays.0.entry(service.clone()).or_default().insert(port.clone(), relay);
            }
        }
        Ok(relays)
    }

    /// The relay before a port.
    pub(super) fn get(&self, service: &str, port: &str) -> Option<&Relay> {
        self.0.get(service)?.get(port)
    }

    /// Where they listen.
    pub(super) fn addresses(&self) -> Addresses {
        let of_service = |ports: &BTreeMap<String, Relay>| {
            ports.iter().map(|(port, relay)| (port.clone(), relay.address())).collect()
        };
        self.0.iter().map(|(service, ports)| (service.clone(), of_service(ports))).collect()
    }

    /// Has those before a service hand on to where it is now.
    pub(super) fn aim(&self, service: &str, at: &BTreeMap<String, SocketAddr>) {
        for (port, address) in at {
            if let Some(relay) = self.get(service, port) {
                relay.retarget(*address);
            }
        }
    }

    /// Closes all of them.
    pub(super) async fn close(self) {
        for relay in self.0.into_values().flat_map(BTreeMap::into_values) {
            relay.close().await;
        }
    }
}
