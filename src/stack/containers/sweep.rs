//! What runs have left at the engine, found by its label and removed.

use std::collections::{BTreeSet, HashMap};

use testcontainers::bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveVolumeOptions,
};

use super::engine::Engine;
use super::error::Error;
use super::network::{HOME_LABEL, RUN_LABEL};

/// How much was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Containers.
    pub containers: usize,
    /// Networks.
    pub networks: usize,
    /// Volumes.
    pub volumes: usize,
}

impl Swept {
    /// Whether there was nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What volumes are removed with.
const NO_OPTIONS: Option<RemoveVolumeOptions> = None;

/// One thing at the engine that belongs to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    name: String,
    run: String,
    home: String,
}

impl Engine {
    /// Removes what is left of the runs that `is_over` knows to be over. Those of another machine, or of a
    /// container that has its own files, are not ours to judge and stay.
    ///
    /// # Errors
    /// The first of what went wrong.
    pub async fn sweep_those(&self, is_over: impl Fn(&str) -> bool) -> Result<Swept, Error> {
        let all = [self.containers().await?, self.networks().await?, self.volumes().await?];
        let here = all.into_iter().flatten().filter(|found| found.home == self.home);
        let runs: BTreeSet<_> = here.map(|found| found.run).filter(|run| is_over(run)).collect();
        let mut swept = Swept::default();
        for run in runs {
            let Swept { containers, networks, volumes } = self.sweep(&run).await?;
            swept.containers += containers;
            swept.networks += networks;
            swept.volumes += volumes;
        }
        Ok(swept)
    }

    /// Removes all that a run has left: what it forgot, or had no time to remove. What cannot be removed does
    /// not keep the rest.
    ///
    /// # Errors
    /// The first of what went wrong.
    pub async fn sweep(&self, run: &str) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let mut first = Ok(());
        // A container can only be removed from the engine; a network not before the containers on it.
        for Found { name: id, .. } in of(run, self.containers().await?) {
            count(self.remove_container(&id).await, &mut swept.containers, &mut first);
        }
        for Found { name, .. } in of(run, self.networks().await?) {
            count(self.remove_network(&name).await, &mut swept.networks, &mut first);
        }
        for Found { name, .. } in of(run, self.volumes().await?) {
            let doing = format!("removing volume `{name}`");
            let removed = self.ask_away(&doing, self.docker.remove_volume(&name, NO_OPTIONS)).await;
            count(removed, &mut swept.volumes, &mut first);
        }
        first.map(|()| swept)
    }

    async fn containers(&self) -> Result<Vec<Found>, Error> {
        let options = ListContainersOptionsBuilder::new().all(true).filters(&ours()).build();
        let told = self.ask("listing containers", self.docker.list_containers(Some(options))).await?;
        Ok(told.into_iter().filter_map(|one| found(one.id, one.labels)).collect())
    }

    async fn networks(&self) -> Result<Vec<Found>, Error> {
        let options = ListNetworksOptionsBuilder::new().filters(&ours()).build();
        let told = self.ask("listing networks", self.docker.list_networks(Some(options))).await?;
        Ok(told.into_iter().filter_map(|one| found(one.name, one.labels)).collect())
    }

    async fn volumes(&self) -> Result<Vec<Found>, Error> {
        let options = ListVolumesOptionsBuilder::new().filters(&ours()).build();
        let told = self.ask("listing volumes", self.docker.list_volumes(Some(options))).await?;
        let volumes = told.volumes.unwrap_or_default();
        Ok(volumes.into_iter().filter_map(|one| found(Some(one.name), Some(one.labels))).collect())
    }
}

/// Whatever has our label.
fn ours() -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![RUN_LABEL.to_owned()])])
}

fn found(name: Option<String>, labels: Option<HashMap<String, String>>) -> Option<Found> {
    let mut labels = labels?;
    let home = labels.remove(HOME_LABEL).unwrap_or_default();
    Some(Found { name: name?, run: labels.remove(RUN_LABEL)?, home })
}

fn of(run: &str, found: Vec<Found>) -> impl Iterator<Item = Found> + '_ {
    found.into_iter().filter(move |found| found.run == run)
}

fn count(done: Result<(), Error>, removed: &mut usize, first: &mut Result<(), Error>) {
    match done {
        Ok(()) => *removed += 1,
        Err(error) if first.is_ok() => *first = Err(error),
        Err(_) => {}
    }
}
