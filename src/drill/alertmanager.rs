//! Asks Alertmanager what it has of alerts, and whom it means to tell.

use std::time::Duration;

use serde::Deserialize;

use crate::exposition::Labels;

/// An answer is waited for at most so long; a look is repeated anyway.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than this is not read of an answer.
const LARGEST: usize = 64 << 20;

/// An alert that Alertmanager has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Answered")]
pub(super) struct Held {
    /// Its labels.
    pub(super) labels: Labels,
    /// Whom its routes lead to.
    pub(super) receivers: Vec<String>,
    /// Fingerprints of the alerts that inhibit it.
    pub(super) inhibited_by: Vec<String>,
    /// Silences that keep it quiet.
    pub(super) silenced_by: Vec<String>,
    /// Time intervals that keep it quiet; newer versions say so.
    pub(super) muted_by: Vec<String>,
    /// How others name it.
    pub(super) fingerprint: String,
}

impl Held {
    /// Whether it is kept from every receiver.
    pub(super) fn is_suppressed(&self) -> bool {
        !(self.inhibited_by.is_empty() && self.silenced_by.is_empty() && self.muted_by.is_empty())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    labels: Labels,
    #[serde(default)]
    receivers: Vec<Receiver>,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    fingerprint: String,
}

#[derive(Deserialize)]
struct Receiver {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    inhibited_by: Vec<String>,
    silenced_by: Vec<String>,
    muted_by: Vec<String>,
}

impl From<Answered> for Held {
    fn from(answered: Answered) -> Self {
        let Answered { labels, receivers, status, fingerprint } = answered;
        Self {
            labels,
            receivers: receivers.into_iter().map(|receiver| receiver.name).collect(),
            inhibited_by: status.inhibited_by,
            silenced_by: status.silenced_by,
            muted_by: status.muted_by,
            fingerprint,
        }
    }
}

/// Asks one Alertmanager.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    alerts: String,
    metrics: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It was not reached, or broke off.
    #[error("Alertmanager does not answer: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// What it answered is none of its answers.
    #[error("Alertmanager answers what is not read: {0}")]
    Foreign(String),
}

impl Client {
    /// Asks the Alertmanager at this address: `http://127.0.0.1:9093`.
    pub(super) fn new(address: &str) -> Result<Self, Error> {
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        let address = address.trim_end_matches('/');
        Ok(Self {
            http,
            alerts: format!("{address}/api/v2/alerts"),
            metrics: format!("{address}/metrics"),
        })
    }

    /// Everything it has, also what it keeps quiet.
    pub(super) async fn alerts(&self) -> Result<Vec<Held>, Error> {
        let body = self.get(&self.alerts).await?;
        serde_json::from_slice(&body).map_err(|error| Error::Foreign(error.to_string()))
    }

    /// Its own metrics page.
    pub(super) async fn metrics(&self) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.get(&self.metrics).await?).into_owned())
    }

    async fn get(&self, url: &str) -> Result<Vec<u8>, Error> {
        let mut response = self.http.get(url).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > LARGEST {
                return Err(Error::Foreign("it is too long".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}
