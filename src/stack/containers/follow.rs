//! A container's output, followed into its log.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use testcontainers::bollard::query_parameters::LogsOptionsBuilder;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::engine::Engine;
use crate::stack::processes::log::Log;

/// How long the last lines of a container that has ended may take to come.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a log that lags behind may hold in memory; then the engine waits, and the service does not.
const BEHIND: usize = 64 << 10;

/// A log that is being followed, until this is dropped.
#[derive(Debug)]
pub(super) struct Following(Option<JoinHandle<()>>);

impl Following {
    /// Follows what a container writes from the second `since`; zero is its beginning.
    pub(super) fn start(engine: &Engine, id: &str, log: Arc<Log>, since: i32) -> Self {
        let options = LogsOptionsBuilder::new().follow(true).stdout(true).stderr(true).since(since).build();
        let (docker, id) = (engine.docker.clone(), id.to_owned());
        Self(Some(tokio::spawn(async move {
            let (mut to, from) = tokio::io::duplex(BEHIND);
            let pass_on = async move {
                let mut said = std::pin::pin!(docker.logs(&id, Some(options)));
                // An engine that goes away ends the log; what is asked of it next says so.
                while let Some(Ok(some)) = said.next().await {
                    if to.write_all(some.as_ref()).await.is_err() {
                        break;
                    }
                }
            };
            tokio::join!(pass_on, log.take_in(from));
        })))
    }

    /// Waits for the last lines of a container that has ended.
    pub(super) async fn finish(&mut self) {
        if let Some(mut task) = self.0.take()
            && timeout(LAST_WORDS, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}
