//! Less processor or memory than a container had, and as much as before again.

use testcontainers::bollard::models::{ContainerUpdateBody, HostConfig};

use super::container::Container;
use super::error::Error;
use crate::units::Size;

/// A container's limits before they were changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    quota: i64,
    period: i64,
    nano: i64,
    memory: i64,
    memory_and_swap: i64,
}

/// The kernel's usual period, in which a quota of processor time is used up.
const PERIOD: i64 = 100_000;

/// No limit of memory, as engines have no word for taking one away: what the kernel itself shows where there is
/// none.
const ALL_MEMORY: i64 = i64::MAX & !0xfff;

impl Limits {
    fn of(config: &HostConfig) -> Self {
        Self {
            quota: config.cpu_quota.unwrap_or_default(),
            period: config.cpu_period.unwrap_or_default(),
            nano: config.nano_cpus.unwrap_or_default(),
            memory: config.memory.unwrap_or_default(),
            memory_and_swap: config.memory_swap.unwrap_or_default(),
        }
    }
}

impl Container {
    /// Leaves it so many thousandths of one processor, and says what it had.
    ///
    /// # Errors
    /// When the engine refuses, as it may where control groups are not its own to change.
    pub async fn limit_cpu(&self, thousandths: u32) -> Result<Limits, Error> {
        let before = self.limits().await?;
        // Below a millisecond in a period the kernel refuses.
        let quota = (i64::from(thousandths) * PERIOD / 1000).max(1000);
        let body = if before.nano > 0 {
            ContainerUpdateBody { nano_cpus: Some(quota * 10_000), ..ContainerUpdateBody::default() }
        } else {
            ContainerUpdateBody {
                cpu_quota: Some(quota),
                cpu_period: Some(PERIOD),
                ..ContainerUpdateBody::default()
            }
        };
        self.update("limiting the processor time of", body).await?;
        Ok(before)
    }

    /// Leaves it so much memory and no swap, and says what it had. What it holds beyond that may end it.
    ///
    /// # Errors
    /// When the engine refuses, as it does below 6 MB.
    pub async fn limit_memory(&self, most: Size) -> Result<Limits, Error> {
        let before = self.limits().await?;
        let most = i64::try_from(most.bytes()).unwrap_or(i64::MAX);
        let body = ContainerUpdateBody {
            memory: Some(most),
            memory_swap: Some(most),
            ..ContainerUpdateBody::default()
        };
        self.update("limiting the memory of", body).await?;
        Ok(before)
    }

    /// Gives it back the limits that it had.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn restore_limits(&self, before: &Limits) -> Result<(), Error> {
        let now = self.limits().await?;
        let mut body = ContainerUpdateBody::default();
        if now.nano != before.nano {
            body.nano_cpus = Some(before.nano);
        } else if (now.quota, now.period) != (before.quota, before.period) {
            // Zero would leave what is; less takes the quota away.
            body.cpu_quota = Some(if before.quota > 0 { before.quota } else { -1 });
            body.cpu_period = Some(if before.period > 0 { before.period } else { PERIOD });
        }
        if now.memory != before.memory {
            let or_all = |limit: i64| if limit > 0 { limit } else { ALL_MEMORY };
            body.memory = Some(or_all(before.memory));
            // Must be there, and not be less: the kernel would refuse either change before the other.
            body.memory_swap = Some(or_all(before.memory_and_swap));
        }
        self.update("giving back the limits of", body).await
    }

    /// The limits it has now.
    ///
    /// # Errors
    /// When the engine does not say.
    pub async fn limits(&self) -> Result<Limits, Error> {
        Ok(Limits::of(&self.inspect().await?.host_config.unwrap_or_default()))
    }

    async fn update(&self, doing: &str, body: ContainerUpdateBody) -> Result<(), Error> {
        let doing = format!("{doing} `{}`", self.name);
        let known = async {
            match self.engine.docker.update_container(&self.id, body).await {
                Err(error) if Error::is_missing(&error) => Ok(false),
                answer => answer.map(|()| true),
            }
        };
        if self.engine.ask(&doing, Box::pin(known)).await? {
            return Ok(());
        }
        // Either there is no such container, or no such call.
        self.inspect().await?;
        Err(Error::NoUpdates { engine: self.engine.version().to_owned() })
    }
}
