//! A receiver that misbehaves, and what Alertmanager makes of that: when it tries, whether it gives up, and when it
//! gets through.

use std::time::Duration;

use http::StatusCode;

use crate::exposition::{self, Dialect};
use crate::prometheus::{Access, Client};
use crate::scenario::fault::receiver::{Misbehaving, Misconduct};
use crate::scenario::stack::{ALERTMANAGER, HTTP};
use crate::sink::{Sink, Trouble, Troubled};
use crate::stack::Running;
use crate::units::Span;

/// Of how many attempts the time is told.
const TOLD: usize = 8;

/// A receiver that misbehaves for as long as this lives.
#[derive(Debug)]
pub(super) struct Estranged<'a> {
    stack: &'a Running,
    sink: &'a Sink,
    does: Misbehaving,
    troubled: Troubled,
    before: Counts,
}

/// What an Alertmanager has counted of the notices of all receivers.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    notices: f64,
    /// Those it gave up.
    failed: f64,
}

impl<'a> Estranged<'a> {
    /// Has a receiver misbehave.
    ///
    /// # Errors
    /// When the stack has no Alertmanager, or it does not say what it counts.
    pub(super) async fn begin(stack: &'a Running, does: &Misbehaving) -> Result<Self, String> {
        let sink = stack.sink().ok_or("the stack has no Alertmanager")?;
        let before = Counts::of(stack).await?;
        let troubled = sink.misbehave(&does.name, trouble(does.does), does.first);
        Ok(Self { stack, sink, does: does.clone(), troubled, before })
    }

    /// What came of it.
    ///
    /// # Errors
    /// When nobody was told anything meanwhile.
    pub(super) async fn felt(&self) -> Result<String, String> {
        let Misbehaving { name, does, .. } = &self.does;
        let times = self.troubled.times();
        let Some(first) = times.first().copied() else {
            return Err(format!(
                "`{name}` was told nothing meanwhile: break what it is told of under `while`"
            ));
        };
        let after =
            |time: Duration| Span(Duration::from_millis(time.as_millis().try_into().unwrap_or(u64::MAX)));
        let met = self.troubled.met();
        let later: Vec<_> =
            times.iter().skip(1).take(TOLD).map(|at| after(at.duration_since(first)).to_string()).collect();
        let again = match (later.is_empty(), met > TOLD as u64 + 1) {
            (true, _) => String::new(),
            (false, false) => format!(", again after {}", later.join(", ")),
            (false, true) => format!(", again after {}, …", later.join(", ")),
        };
        let attempts = if met == 1 { "1 attempt".to_owned() } else { format!("{met} attempts") };
        let deliveries = self.sink.deliveries();
        let taken = deliveries
            .iter()
            .filter(|delivery| delivery.receiver.as_deref() == Some(name.as_str()))
            .find(|delivery| delivery.heard >= first);
        let taken = match taken {
            Some(delivery) => {
                format!("it took a notice after {}", after(delivery.heard.duration_since(first)))
            }
            None => "it took no notice".to_owned(),
        };
        let now = Counts::of(self.stack).await?;
        let (notices, failed) = (now.notices - self.before.notices, now.failed - self.before.failed);
        Ok(format!(
            "`{name}` {does}: {attempts}{again}; {taken}; Alertmanager gave up {failed} of {notices} notices (wall time)"
        ))
    }
}

impl Counts {
    /// What the stack's Alertmanager counts now.
    async fn of(stack: &Running) -> Result<Self, String> {
        let address = stack.address(ALERTMANAGER, HTTP).ok_or("the stack has no Alertmanager")?;
        let client =
            Client::new(&Access::to(format!("http://{address}"))).map_err(|error| error.to_string())?;
        let page = client.page("metrics").await.map_err(|error| error.to_string())?;
        let families = exposition::parse(&String::from_utf8_lossy(&page), Dialect::Text);
        let families =
            families.map_err(|error| format!("what Alertmanager counts cannot be read: {error}"))?;
        let sum = |name: &str| {
            let samples = exposition::find(&families, name).into_iter().flat_map(|family| &family.samples);
            samples.map(|sample| sample.value).sum()
        };
        Ok(Self {
            notices: sum("alertmanager_notifications_total"),
            failed: sum("alertmanager_notifications_failed_total"),
        })
    }
}

fn trouble(does: Misconduct) -> Trouble {
    match does {
        Misconduct::Status(status) => {
            Trouble::Status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        }
        Misconduct::Busy(after) => Trouble::TooMany(after),
        Misconduct::Slow(time) => Trouble::Slow(time),
        Misconduct::Hang => Trouble::Hang,
        Misconduct::Close => Trouble::Close,
    }
}
