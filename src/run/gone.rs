//! What is said of a drill that broke off: why, and what was seen until then.

use super::walk::Walker;
use crate::drill::Drill;
use crate::event::StepId;
use crate::scenario::stack::{ALERTMANAGER, HTTP, PROMETHEUS};
use crate::stack::Running;

impl Walker {
    /// Tells what was seen until a drill broke off, and why it did.
    pub(super) async fn break_off(&self, id: &StepId, drill: &Drill, error: String) -> String {
        let why = self.gone(error).await;
        self.drilled(id, drill.broken_off(&why));
        why
    }

    /// Why nothing more can be said: where a part of the stack that measures has ended, that is why, and not the
    /// question that it left unanswered.
    pub(super) async fn gone(&self, error: String) -> String {
        let Some(stack) = &self.stack else { return error };
        for (service, name) in [(PROMETHEUS, "Prometheus"), (ALERTMANAGER, "Alertmanager")] {
            if let Some(how) = ended(stack, service).await {
                return format!("the stack's {name} went away in mid-drill: it {how} ({error})");
            }
            let address = stack.address(service, HTTP).map(|address| address.to_string());
            if address.is_some_and(|address| error.contains(&address)) {
                return format!("the stack's {name} does not answer: {error}");
            }
        }
        error
    }
}

async fn ended(stack: &Running, service: &str) -> Option<String> {
    stack.service(service)?.ended().await
}
