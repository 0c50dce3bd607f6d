//! `firedrill serve`: scenarios on their schedules, until stopped.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{Colour, Format, Input};
use crate::exit::Exit;
use crate::probe::policy::{Net, Policy};
use crate::report::printable;
use crate::serve::{self, List, Notice, Notices, Options};

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,

    /// Where what is measured is kept
    #[arg(long, value_name = "FILE", default_value = ".firedrill/store.db", help_heading = "Serve")]
    store: PathBuf,

    /// Where `/metrics` and the status page are; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9115", help_heading = "Serve")]
    listen: SocketAddr,

    /// Let scenarios connect to addresses of this network only; within a network that is closed by default, as
    /// those of cloud metadata are, open it instead. Repeatable
    #[arg(long, value_name = "CIDR", help_heading = "Serve")]
    allow_net: Vec<Net>,

    /// Let scenarios connect to no address of this network, whatever is allowed. Repeatable
    #[arg(long, value_name = "CIDR", help_heading = "Serve")]
    deny_net: Vec<Net>,

    /// Let `/probe`, to which private addresses are closed, connect to those of this network, and to no others.
    /// Repeatable
    #[arg(long, value_name = "CIDR", help_heading = "Serve")]
    probe_allow_net: Vec<Net>,

    /// Read the modules of `/probe` from this configuration of `blackbox_exporter`
    #[arg(long, value_name = "FILE", help_heading = "Serve")]
    blackbox_config: Option<PathBuf>,

    /// Probe the targets of this list again and again, a file or an address in Prometheus's format for service discovery:
    /// `__param_module` names the module, `__scrape_interval__` how often. Repeatable
    #[arg(long, value_name = "FILE|URL", help_heading = "Serve")]
    targets: Vec<List>,

    /// Tell this Alertmanager which scenarios fail and which error budgets burn, and when that is over. Repeatable
    #[arg(long, value_name = "URL", help_heading = "Serve")]
    alertmanager: Vec<String>,

    /// Send a span of each probe to this receiver of OpenTelemetry, as JSON over HTTP: `http://127.0.0.1:4318`, to which
    /// `/v1/traces` is added
    #[arg(long, value_name = "URL", help_heading = "Serve", hide_short_help = true)]
    otlp_traces: Option<String>,

    /// Keep the port as this file says, in the format of Prometheus's exporters: TLS, client certificates, users with
    /// passwords. It is read whenever it is used
    #[arg(long = "web.config.file", value_name = "FILE", help_heading = "Serve")]
    web_config: Option<PathBuf>,

    /// Where this is: a scenario that names `locations` is served only if this is among them
    #[arg(long, value_name = "NAME", help_heading = "Serve", hide_short_help = true)]
    location: Option<String>,

    /// How to log on standard error
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Output")]
    log_format: Format,
}

pub(super) fn execute(arguments: Arguments, _colour: Colour) -> std::io::Result<Exit> {
    let Arguments { input, store, listen, allow_net, deny_net, probe_allow_net, .. } = arguments;
    let Arguments {
        blackbox_config,
        targets,
        alertmanager,
        otlp_traces,
        web_config,
        location,
        log_format,
        ..
    } = arguments;
    let options = Options {
        read: Arc::new(move || input.read_apart()),
        store,
        listen,
        policy: Arc::new(Policy::new(allow_net, deny_net)),
        for_strangers: Arc::new(Policy::for_strangers(probe_allow_net)),
        blackbox: blackbox_config,
        targets,
        alertmanagers: alertmanager,
        otlp_traces,
        web: web_config,
        location,
        files: crate::load::files::raise(),
        program: std::env::current_exe()?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exit = runtime.block_on(async {
        let (stop, signals) = super::run::stop_on_signal();
        let (again, reload) = mpsc::channel(1);
        let hangups = tokio::spawn(pass_on_hangups(again));
        let (notices, lines) = mpsc::unbounded_channel();
        let logging = tokio::spawn(log(lines, log_format));
        let served = serve::serve(options, Notices(notices), reload, stop).await;
        signals.abort();
        hangups.abort();
        // It ends with the last who could tell it anything; a panic in it was printed.
        let _ = logging.await;
        match served {
            Ok(()) => Ok(Exit::Pass),
            Err(error) => {
                let wrong = matches!(error, serve::Error::Web(_) | serve::Error::Alertmanager(_));
                let said = error.to_string();
                // What is drawn says itself that it is an error.
                let said = said
                    .strip_prefix("error")
                    .map_or_else(|| format!("error: {said}"), |rest| format!("error{rest}"));
                writeln!(std::io::stderr(), "{said}")?;
                Ok(if wrong { Exit::Usage } else { Exit::NotMeasured })
            }
        }
    });
    // A name that is still being looked up must not hold the process.
    runtime.shutdown_background();
    exit
}

/// SIGHUP asks to read all files anew.
async fn pass_on_hangups(again: mpsc::Sender<()>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        // One that waits already stands for this one, too.
        let _ = again.try_send(());
    }
}

async fn log(mut noticed: mpsc::UnboundedReceiver<Notice>, format: Format) {
    while let Some(notice) = noticed.recv().await {
        let now = Timestamp::now();
        let line = match format {
            Format::Json => json(now, &notice),
            Format::Text => format!("{now:.3} {}", printable(&say(&notice))),
        };
        // Whoever closed the log does not want it.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

fn json(now: Timestamp, notice: &Notice) -> String {
    let mut line = serde_json::json!({ "at": format!("{now:.3}") });
    if let (Some(line), Ok(serde_json::Value::Object(said))) =
        (line.as_object_mut(), serde_json::to_value(notice))
    {
        line.extend(said);
    }
    line.to_string()
}

fn say(notice: &Notice) -> String {
    let count = super::count;
    match notice {
        Notice::Listening { address, scenarios, slos } => {
            format!(
                "{} and {} served on http://{address}",
                count(*scenarios, "scenario"),
                count(*slos, "SLO")
            )
        }
        Notice::PassedOver { scenario, why } => format!("scenario `{scenario}` is not served: {why}"),
        Notice::Targets { list, added, removed } => {
            format!("targets of `{list}`: {added} added, {removed} removed")
        }
        Notice::Broken { file, what } => {
            format!("`{}` has errors and changes nothing:\n{what}", file.display())
        }
        Notice::Reloaded { added, changed, removed, broken } => {
            format!("files read anew: {added} added, {changed} changed, {removed} removed, {broken} broken")
        }
        Notice::Turned { scenario, conclusion, why, trace } => {
            let how = match conclusion {
                crate::event::Conclusion::Pass => "passes again",
                crate::event::Conclusion::Fail => "fails",
                crate::event::Conclusion::Inconclusive => "is inconclusive",
                crate::event::Conclusion::NotMeasured => "could not be measured",
            };
            let why = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            let trace = trace.as_ref().map_or_else(String::new, |trace| format!(" (trace {trace})"));
            format!("scenario `{scenario}` {how}{why}{trace}")
        }
        Notice::Store { error } => format!("what is measured waits, as the store cannot be written: {error}"),
        Notice::Alertmanager { address, error } => {
            format!("Alertmanager at {address} cannot be told: {error}")
        }
        Notice::AlertmanagerMended { address } => format!("Alertmanager at {address} can be told again"),
        Notice::Traces { address, error } => format!("spans cannot be sent to {address}: {error}"),
        Notice::TracesMended { address } => format!("spans can be sent to {address} again"),
        Notice::Clock { seconds } => {
            let way = if *seconds < 0 { "back" } else { "on" };
            format!("the clock was set {way} by {} s, or the machine slept", seconds.abs())
        }
        Notice::StoreMended => "the store is written again".to_owned(),
        Notice::Stopping => "stopping: runs under way end, and what was measured is written".to_owned(),
    }
}
