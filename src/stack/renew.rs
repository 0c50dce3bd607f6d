//! A stack that goes on for a next scenario, as if it had just come up: its Prometheus is emptied and its rules loaded
//! anew, its Alertmanager is a fresh one, and what was delivered is forgotten. Its services go on as they are.

use std::time::Duration;

use tokio::time::timeout;

use super::prometheus::{self, RULES, Speed};
use super::{Error, File, Running};
use crate::plan::PlannedStack;
use crate::prometheus::{Access, Client};
use crate::scenario::stack::{ALERTMANAGER, HTTP, PROMETHEUS};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A rule file without rules.
const NO_RULES: &[u8] = b"groups: []\n";

impl Running {
    /// Makes everything that watches the stack as new, and returns when Prometheus watches again.
    ///
    /// # Errors
    /// What keeps it from that, a service that does not run any more among it.
    pub async fn renew(&self, planned: &PlannedStack, speed: Speed) -> Result<(), Error> {
        let renewing = timeout(PATIENCE, self.renewing(planned, speed)).await;
        renewing.unwrap_or_else(|_| {
            Err(Error::Runtime(format!("it is not as new after {} s", PATIENCE.as_secs())))
        })
    }

    async fn renewing(&self, planned: &PlannedStack, speed: Speed) -> Result<(), Error> {
        for service in self.services() {
            if !service.alive().await {
                return Err(Error::Runtime(format!("`{}` does not run any more", service.name)));
            }
        }
        let Some(prometheus) = self.service(PROMETHEUS) else { return self.tell_anew().await };
        let Some(address) = prometheus.ports.get(HTTP) else { return Ok(()) };
        let told = |why: String| Error::Told { service: prometheus.name.clone(), done: "emptied", why };
        let failed = |error: crate::prometheus::Error| told(error.to_string());
        let client = Client::new(&Access::to(format!("http://{address}")));
        let client = client.map_err(|error| told(error.to_string()))?;
        let rules: Vec<_> =
            prometheus.files().iter().filter(|file| file.path.starts_with(RULES)).cloned().collect();
        let none: Vec<_> =
            rules.iter().map(|file| File { path: file.path.clone(), bytes: NO_RULES.to_vec() }).collect();
        // Without rules nothing is recorded meanwhile, and no alert of before reaches who is told anew.
        prometheus.put(&none).await?;
        client.reload().await.map_err(failed)?;
        client.forget().await.map_err(failed)?;
        prometheus.put(&rules).await?;
        client.reload().await.map_err(failed)?;
        // Meanwhile: after a reload Prometheus takes up to five seconds to find its Alertmanager again.
        self.tell_anew().await?;
        let since = client.time().await.map_err(failed)?;
        let Some(own) = &planned.prometheus else { return Ok(()) };
        let watched = prometheus::Watched::of(own, speed);
        prometheus::settle_again(&client, &watched, self.service(ALERTMANAGER).is_some(), Some(since)).await
    }

    /// A fresh Alertmanager, and nobody told of anything.
    async fn tell_anew(&self) -> Result<(), Error> {
        if let Some(alertmanager) = self.service(ALERTMANAGER) {
            // Ended at once it saves nothing of what it knows.
            alertmanager.kill().await?;
            alertmanager.restart().await?;
        }
        if let Some(sink) = &self.sink {
            sink.forget();
        }
        Ok(())
    }
}
