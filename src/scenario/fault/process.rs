//! What is done to a service's process or container.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Breaks, Checked, Target};
use crate::source::At;

/// A fault that says nothing but whom it befalls.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceFaultWritten {
    /// The service of the stack.
    service: At<String>,
}

/// What is done to a service itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Ended at once, as by a crash (SIGKILL); started again when the fault is lifted.
    Kill,
    /// Asked to end (SIGTERM); started again when the fault is lifted.
    Stop,
    /// Held where it stands (SIGSTOP); let go when the fault is lifted.
    Pause,
    /// Ended and started again at once.
    Restart,
    /// Cut off from the network of its stack; joined again when the fault is lifted.
    Disconnect,
}

impl Deed {
    /// As files write it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Restart => "restart",
            Self::Disconnect => "disconnect",
        }
    }
}

impl ServiceFaultWritten {
    pub(super) fn check(self, deed: Deed) -> Checked {
        (Some(Target { service: self.service, port: None }), Breaks::Process(deed))
    }
}
