//! Scenarios on their schedules for months: what they measure goes to the store, how they do to whoever asks.

mod alerts;
mod blackbox;
mod catalogue;
mod clock;
mod document;
mod door;
mod histogram;
mod house;
mod keep;
mod ledger;
mod metrics;
mod page;
mod port;
mod probe;
mod schedule;
mod state;
mod targets;
mod traces;
mod watch;
mod web;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use self::house::House;
use self::keep::{Keeper, Order};
pub use self::schedule::{Due, EVERY, Schedule};
pub use self::targets::List;
use crate::plan::Apart;
use crate::probe::policy::Policy;

/// How long runs under way may still take when serving ends.
const GRACE: Duration = Duration::from_secs(5);

/// How often it is looked whether a file has changed.
const LOOK: Duration = Duration::from_secs(5);

/// Reads all files anew, each by itself.
pub type Reader = Arc<dyn Fn() -> Vec<Apart> + Send + Sync>;

/// What serving needs to know.
#[derive(Clone)]
pub struct Options {
    /// Reads what is to be served.
    pub read: Reader,
    /// Where what is measured is kept.
    pub store: PathBuf,
    /// Where metrics and the status page are; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Which addresses scenarios may connect to.
    pub policy: Arc<Policy>,
    /// Which addresses may be probed for whoever asks at `/probe`.
    pub for_strangers: Arc<Policy>,
    /// The modules of `/probe`, in the configuration of `blackbox_exporter`; without one, its usual three.
    pub blackbox: Option<PathBuf>,
    /// Lists of targets that modules of `/probe` are made of again and again.
    pub targets: Vec<List>,
    /// Alertmanagers that are told what fails and what burns.
    pub alertmanagers: Vec<String>,
    /// Where the spans of probes are sent, by OTLP over HTTP; nowhere unless said.
    pub otlp_traces: Option<String>,
    /// How the port is kept, by a file as Prometheus's exporters have it; without one, in clear for everybody.
    pub web: Option<PathBuf>,
    /// Where this is, as scenarios name it under `locations`.
    pub location: Option<String>,
    /// How many files this process may have open; each connection is one.
    pub files: Option<u64>,
    /// The firedrill program itself.
    pub program: PathBuf,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is another's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is nowhere to keep what is measured.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// An Alertmanager, or who takes spans, has no address.
    #[error(transparent)]
    Alertmanager(#[from] crate::prometheus::Setup),
    /// The file that says how the port is kept is wrong.
    #[error("{0}")]
    Web(String),
    /// The store could not be written until the end.
    #[error("{samples} samples are lost: `{store}` could not be written until the end")]
    Lost {
        /// How many.
        samples: u64,
        /// Where they should be.
        store: PathBuf,
    },
    /// No thread could be started for the store.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// What happens while serving that somebody may want to read in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Notice {
    /// It serves.
    Listening {
        /// Where.
        address: SocketAddr,
        /// How many scenarios.
        scenarios: usize,
        /// How many SLOs are watched.
        slos: usize,
    },
    /// A scenario is not for serving.
    PassedOver {
        /// Which.
        scenario: String,
        /// Why.
        why: String,
    },
    /// A list of targets was read, and says something else than before.
    Targets {
        /// Which.
        list: String,
        /// Targets that are new.
        added: usize,
        /// Targets that are gone.
        removed: usize,
    },
    /// A file has errors and changes nothing.
    Broken {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, drawn.
        what: String,
    },
    /// Files were read anew.
    Reloaded {
        /// Scenarios that are new.
        added: usize,
        /// Scenarios that say something else.
        changed: usize,
        /// Scenarios that are gone.
        removed: usize,
        /// Files with errors.
        broken: usize,
    },
    /// A scenario ends otherwise than the time before.
    Turned {
        /// Which.
        scenario: String,
        /// How it ends now.
        conclusion: crate::event::Conclusion,
        /// The first thing that was wrong, if anything was.
        why: Option<String>,
        /// The id of the trace of the attempt that failed first.
        #[serde(skip_serializing_if = "Option::is_none")]
        trace: Option<String>,
    },
    /// Spans cannot be sent.
    Traces {
        /// Where to.
        address: String,
        /// What happened.
        error: String,
    },
    /// Spans can be sent again.
    TracesMended {
        /// Where to.
        address: String,
    },
    /// The store cannot be written; what is measured waits.
    Store {
        /// What happened.
        error: String,
    },
    /// An Alertmanager cannot be told of alerts.
    Alertmanager {
        /// Where it is.
        address: String,
        /// What happened.
        error: String,
    },
    /// An Alertmanager can be told again.
    AlertmanagerMended {
        /// Where it is.
        address: String,
    },
    /// The store can be written again.
    StoreMended,
    /// The clock was set, or the machine slept.
    Clock {
        /// How far it jumped, in seconds; below zero it was set back.
        seconds: i64,
    },
    /// It ends.
    Stopping,
}

/// Where notices go.
#[derive(Debug, Clone)]
pub struct Notices(pub UnboundedSender<Notice>);

impl Notices {
    fn send(&self, notice: Notice) {
        // Nobody has to read a log.
        let _ = self.0.send(notice);
    }
}

/// Serves until `stop` is cancelled; `reload` is told each time that files are to be read anew.
///
/// # Errors
/// When the port or the store cannot be had, or the store cannot be written at the end.
pub async fn serve(
    options: Options,
    notices: Notices,
    mut reload: tokio::sync::mpsc::Receiver<()>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let web = web::Web::new(options.web.clone());
    web.rules().map_err(Error::Web)?;
    let listeners = options.alertmanagers.iter().map(|address| alerts::Listener::new(address));
    let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
    let (spans, courier) = traces::open(options.otlp_traces.as_deref())?;
    let failed = |source| Error::Listen { address: options.listen, source };
    let listener = port::bind(options.listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let keeper = Keeper::open(&options.store, notices.clone())?;
    let (ledger, standings) = (Arc::clone(&keeper.ledger), Arc::clone(&keeper.standings));
    let jumps = Arc::clone(&keeper.jumps);
    let (orders, ordered) = mpsc::channel();
    let keeping = std::thread::Builder::new().name("store".to_owned());
    let keeping = keeping.spawn(move || keeper.keep(&ordered)).map_err(Error::Thread)?;
    let house = Arc::new(House::new(
        &options,
        notices.clone(),
        orders.clone(),
        ledger,
        standings,
        web,
        (spans, jumps),
    ));

    let port = tokio::spawn(port::open(listener, Arc::clone(&house), stop.clone()));
    house.reload().await;
    let (scenarios, slos) = house.sizes();
    let mut following = tokio::task::JoinSet::new();
    for list in options.targets.clone() {
        following.spawn(targets::follow(list, Arc::clone(&house), stop.clone()));
    }
    notices.send(Notice::Listening { address, scenarios, slos });
    let ringing = tokio::spawn(alerts::ring(listeners, Arc::clone(&house), stop.clone()));
    let carrying = courier.map(|courier| tokio::spawn(courier.carry(notices.clone(), stop.clone())));
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(()) = reload.recv() => house.reload().await,
            () = tokio::time::sleep(LOOK) => house.reload_if_changed().await,
        }
    }
    notices.send(Notice::Stopping);
    while following.join_next().await.is_some() {}
    house.close(GRACE).await;
    // Whoever asks until now is answered; it ends by itself.
    let _ = port.await;
    let _ = ringing.await;
    if let Some(carrying) = carrying {
        let _ = carrying.await;
    }
    let _ = orders.send(Order::End);
    // It writes what is left; a panic in it was printed, and leaves nothing to wait for.
    match tokio::task::spawn_blocking(move || keeping.join()).await {
        Ok(Ok(lost)) if lost > 0 => Err(Error::Lost { samples: lost, store: options.store }),
        Ok(_) | Err(_) => Ok(()),
    }
}
