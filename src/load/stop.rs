//! A word to end early.

use std::sync::Arc;

use tokio::sync::watch;

/// Says once, to all who hold a clone of it, that it is time to end.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// Says it; a second time changes nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was said.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is said.
    pub async fn stopped(&self) {
        // Fails only once nobody could say it any more, and we could.
        let _ = self.0.subscribe().wait_for(|stopped| *stopped).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_hears_it_whenever_it_asks() {
        let stop = Stop::default();
        let early = tokio::spawn({
            let stop = stop.clone();
            async move { stop.stopped().await }
        });
        assert!(!stop.is_stopped());
        stop.clone().stop();
        early.await.unwrap();
        stop.stopped().await;
        assert!(stop.is_stopped());
    }
}
