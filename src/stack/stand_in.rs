//! A stand-in as a service of a stack: it can be ended and started like any other.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::sync::Mutex;

use super::Error;
use crate::scenario::fault::stand_in::Pose;
use crate::scenario::profile::Profile;
use crate::simulate::{self, Posing, StandIn};

/// A stand-in that plays within this process.
#[derive(Debug)]
pub(super) struct Playing {
    name: String,
    profile: Profile,
    address: SocketAddr,
    seed: u64,
    log: PathBuf,
    stand_in: Mutex<Option<StandIn>>,
}

impl Playing {
    /// Starts it; what it logs is appended to a file.
    pub(super) async fn start(
        name: &str,
        profile: Profile,
        address: SocketAddr,
        seed: u64,
        log: PathBuf,
    ) -> Result<Self, Error> {
        let playing = Self { name: name.to_owned(), profile, address, seed, log, stand_in: Mutex::new(None) };
        playing.play(&mut *playing.stand_in.lock().await).await?;
        Ok(playing)
    }

    async fn play(&self, stand_in: &mut Option<StandIn>) -> Result<(), Error> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.map_err(|error| Error::Start {
            service: self.name.clone(),
            why: format!("its log {} cannot be written: {error}", self.log.display()),
        })?;
        let started = simulate::start(&self.profile, self.address, self.seed, Box::new(log)).await;
        *stand_in = Some(started.map_err(|error| Error::Start {
            service: self.name.clone(),
            why: format!("it cannot listen on {}: {error}", self.address),
        })?);
        Ok(())
    }

    pub(super) async fn kill(&self) {
        drop(self.stand_in.lock().await.take());
    }

    pub(super) async fn stop(&self) {
        let stand_in = self.stand_in.lock().await.take();
        if let Some(stand_in) = stand_in {
            stand_in.stop().await;
        }
    }

    pub(super) async fn restart(&self) -> Result<(), Error> {
        let mut stand_in = self.stand_in.lock().await;
        if let Some(running) = stand_in.take() {
            running.stop().await;
        }
        self.play(&mut stand_in).await
    }

    pub(super) async fn pause(&self) -> Result<(), Error> {
        self.hold(true).await
    }

    pub(super) async fn resume(&self) -> Result<(), Error> {
        self.hold(false).await
    }

    pub(super) async fn pose(&self, pose: Pose) -> Result<Posing, Error> {
        let stand_in = self.stand_in.lock().await;
        let stand_in = stand_in.as_ref().ok_or_else(|| Error::Told {
            service: self.name.clone(),
            done: "made to pretend",
            why: "it does not run".to_owned(),
        })?;
        Ok(stand_in.pose(pose))
    }

    async fn hold(&self, held: bool) -> Result<(), Error> {
        match &*self.stand_in.lock().await {
            Some(stand_in) => {
                stand_in.hold(held);
                Ok(())
            }
            None => Err(Error::Told {
                service: self.name.clone(),
                done: if held { "paused" } else { "resumed" },
                why: "it does not run".to_owned(),
            }),
        }
    }

    pub(super) async fn alive(&self) -> bool {
        self.stand_in.lock().await.is_some()
    }
}
