//! `firedrill load`: load a URL and measure how it answers.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};
use url::Url;

use super::remote::RemoteWrite;
use super::run::{new_id, open, perform, terminal};
use super::{Colour, draw, environment, save};
use crate::exit::Exit;
use crate::load::Shard;
use crate::plan::{self, Surroundings};
use crate::probe::policy::Policy;
use crate::report::Target;
use crate::report::terminal::Terminal;
use crate::run::{Jobs, Options};
use crate::stack::Choice;
use crate::stack::containers::ImageMap;
use crate::units::{Rate, Span};

/// Arguments of `load`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What is asked
    #[arg(value_name = "URL", help_heading = "Input")]
    url: Url,

    /// Requests per second, whatever the answers do: the open model, at 50/s where nothing is said
    #[arg(long, value_name = "RATE", conflicts_with = "users", help_heading = "Load")]
    rate: Option<Rate>,

    /// Users that each wait for an answer before they ask again: the closed model
    #[arg(long, value_name = "NUMBER", help_heading = "Load")]
    users: Option<u32>,

    /// How long the full load is held
    #[arg(long = "for", value_name = "TIME", default_value = "10s", help_heading = "Load")]
    span: Span,

    /// How long it takes to rise, before it is held
    #[arg(long, value_name = "TIME", help_heading = "Load")]
    ramp: Option<Span>,

    /// The most requests in flight at once in the open model; those beyond wait and are late, none is left out
    #[arg(long, value_name = "NUMBER", help_heading = "Load")]
    connections: Option<u32>,

    /// Threads that make the load; as many as it takes unless said, and no more than there are cores
    #[arg(long, value_name = "NUMBER", help_heading = "Load", hide_short_help = true)]
    threads: Option<u32>,

    /// Make only this part of the load, as 2/4: the second of four that share a schedule. What each measured,
    /// `firedrill report merge` adds up
    #[arg(
        long,
        value_name = "PART",
        default_value = "1/1",
        hide_default_value = true,
        help_heading = "Load",
        hide_short_help = true
    )]
    shard: Shard,

    /// Load this host though it is not this machine: whoever runs it must have agreed. Repeatable
    #[arg(long, value_name = "HOST", help_heading = "Load")]
    allow_target: Vec<String>,

    /// The method; POST where there is a body, else GET
    #[arg(
        short = 'X',
        long,
        value_enum,
        value_name = "METHOD",
        ignore_case = true,
        help_heading = "Request"
    )]
    method: Option<Method>,

    /// A header, as `Name: value`. Repeatable
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = header, help_heading = "Request")]
    headers: Vec<(String, String)>,

    /// The body
    #[arg(short, long, value_name = "TEXT", help_heading = "Request")]
    data: Option<String>,

    /// Which HTTP is spoken
    #[arg(long, value_enum, default_value_t = Version::Http1, help_heading = "Request")]
    http: Version,

    /// Accept any certificate
    #[arg(long, help_heading = "Request", hide_short_help = true)]
    insecure: bool,

    /// The deadline of each request
    #[arg(long, value_name = "TIME", default_value = "10s", help_heading = "Request")]
    timeout: Span,

    /// The status that an answer must have; any success unless said
    #[arg(long, value_name = "STATUS", help_heading = "Request")]
    status: Option<u16>,

    #[command(flatten)]
    remote: RemoteWrite,

    #[command(flatten)]
    output: Output,
}

/// What becomes of what was measured.
#[derive(Debug, Args)]
struct Output {
    /// Also write a report, as `firedrill run` does: json=FILE, junit=FILE, …
    #[arg(long = "report", value_name = "FORMAT=FILE", help_heading = "Output")]
    reports: Vec<Target>,

    /// Print the scenario file that does the same, and do nothing
    #[arg(long, help_heading = "Output")]
    print: bool,

    /// Keep nothing of this run in `.firedrill`; `FIREDRILL_NO_SAVE=1` does the same
    #[arg(long, help_heading = "Output")]
    no_save: bool,

    /// Show no progress
    #[arg(short, long, help_heading = "Output")]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Version {
    /// HTTP/1.1
    #[value(name = "1.1")]
    Http1,
    /// HTTP/2
    #[value(name = "2")]
    Http2,
}

/// What the scenario's text is called where something is drawn in it.
const NAME: &str = "load.yaml";

/// The rate, where nothing is said of one.
const USUAL_RATE: &str = "50/s";

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    let text = scenario(arguments)?;
    if arguments.output.print {
        write!(std::io::stdout(), "{text}")?;
        return Ok(Exit::Pass);
    }
    let policy = Policy::default().with_targets(arguments.allow_target.clone());
    if let Some(why) = arguments.url.host().and_then(|host| policy.forbids_load(&host.to_owned(), &[])) {
        writeln!(std::io::stderr(), "error: {why}")?;
        return Ok(Exit::Usage);
    }
    let surroundings = Surroundings { environment: environment(), secrets: BTreeMap::new() };
    let reading = plan::read_text(NAME, &text, &surroundings);
    draw(&reading, colour)?;
    let Some(plan) = reading.plan else { return Ok(Exit::Usage) };
    let opened = open(&arguments.output.reports).map_err(|error| error.to_string());
    let (mut reports, remote) = match opened.and_then(|reports| Ok((reports, arguments.remote.report()?))) {
        Ok(opened) => opened,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error}")?;
            return Ok(Exit::Usage);
        }
    };
    let new = |out, style| Terminal::new(out, style).with_tables();
    reports.push(terminal(&arguments.output.reports, arguments.output.quiet, colour, new));
    reports.extend(remote);
    let now = Timestamp::now();
    let id = new_id(now);
    if !arguments.output.no_save {
        reports.extend(save::reports(&id, now)?);
    }
    let options = Options {
        id,
        started: now,
        traced: false,
        seed: rand::random(),
        policy: Arc::new(policy),
        runtime: Choice::Processes,
        images: ImageMap::default(),
        shard: arguments.shard,
        program: std::env::current_exe()?,
        recordings: Vec::new(),
        jobs: Jobs::ONE,
    };
    perform(&plan, reading.sources, &options, reports)
}

/// The scenario file that the words amount to.
fn scenario(arguments: &Arguments) -> serde_json::Result<String> {
    let method = arguments.method.unwrap_or(match arguments.data {
        Some(_) => Method::Post,
        None => Method::Get,
    });
    let method = match method {
        Method::Get => "get",
        Method::Head => "head",
        Method::Post => "post",
        Method::Put => "put",
        Method::Patch => "patch",
        Method::Delete => "delete",
        Method::Options => "options",
    };
    let mut request = vec![(method, json!(arguments.url))];
    let headers: BTreeMap<_, _> = arguments.headers.iter().cloned().collect();
    request.extend((!headers.is_empty()).then(|| ("headers", json!(headers))));
    request.extend(arguments.data.as_ref().map(|body| ("body", json!(body))));
    request.extend((arguments.http == Version::Http2).then(|| ("version", json!("HTTP/2"))));
    request.extend(arguments.insecure.then(|| ("tls", json!({ "skip_verify": true }))));
    let mut load = vec![match (arguments.rate, arguments.users) {
        (_, Some(users)) => ("users", json!(users)),
        (Some(rate), None) => ("rate", json!(rate)),
        (None, None) => ("rate", json!(USUAL_RATE)),
    }];
    load.push(match arguments.ramp {
        None => ("for", json!(arguments.span)),
        Some(ramp) => ("stages", json!([{ "ramp": ramp }, { "hold": arguments.span }])),
    });
    load.push(("http", map(&request)));
    load.extend(arguments.status.map(|status| ("expect", json!({ "status": status }))));
    load.push(("timeout", json!(arguments.timeout)));
    load.extend(arguments.connections.map(|number| ("connections", json!(number))));
    load.extend(arguments.threads.map(|number| ("threads", json!(number))));
    let allowed = &arguments.allow_target;
    load.extend((!allowed.is_empty()).then(|| ("allow_targets", json!(allowed))));
    let mut text =
        format!("scenario: load\nsteps:\n  - name: {}\n    load:\n", json!(title(arguments, method)));
    for (key, value) in load {
        text.push_str(&["      ", key, ": ", &serde_json::to_string(&value)?, "\n"].concat());
    }
    Ok(text)
}

fn title(arguments: &Arguments, method: &str) -> String {
    format!("{} {}", method.to_uppercase(), arguments.url.path())
}

/// A map in the order that is given.
fn map(entries: &[(&str, Value)]) -> Value {
    entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is like `Accept: text/html`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
