//! Asks Alertmanager what it has of alerts, and whom it means to tell.

use jiff::Timestamp;
use serde::Deserialize;

use crate::exposition::Labels;
use crate::prometheus::{self, Access, Setup};

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
#[expect(clippy::struct_field_names, reason = "as Alertmanager names them")]
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
pub(super) struct Client(prometheus::Client);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Its address is none.
    #[error(transparent)]
    Setup(#[from] Setup),
    /// It was not reached, or broke off.
    #[error(transparent)]
    Unreachable(#[from] prometheus::Error),
    /// What it answered is none of its answers.
    #[error("Alertmanager answers what is not read: {0}")]
    Foreign(#[from] serde_json::Error),
}

impl Client {
    /// Asks the Alertmanager at this address: `http://127.0.0.1:9093`.
    pub(super) fn new(address: &str) -> Result<Self, Error> {
        Ok(Self(prometheus::Client::new(&Access::to(address))?))
    }

    /// Everything it has, also what it keeps quiet.
    pub(super) async fn alerts(&self) -> Result<Vec<Held>, Error> {
        Ok(serde_json::from_slice(&self.0.page("api/v2/alerts").await?)?)
    }

    /// Sends it an alert that holds until a moment.
    pub(super) async fn send(&self, labels: &Labels, ends: Timestamp) -> Result<(), Error> {
        let alert = serde_json::json!([{ "labels": labels, "endsAt": ends.to_string() }]);
        Ok(self.0.submit("api/v2/alerts", alert.to_string()).await?)
    }

    /// Its own metrics page.
    pub(super) async fn metrics(&self) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.0.page("metrics").await?).into_owned())
    }
}
