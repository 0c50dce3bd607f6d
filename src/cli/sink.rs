//! `firedrill sink`: every receiver at once, for those who try their Alertmanager by hand.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Colour, Format, runtime};
use crate::exit::Exit;
use crate::finding::{Code, Finding, Severity};
use crate::plan::is_beside;
use crate::report::printable;
use crate::secret::Mask;
use crate::sink::{self, Delivery, Ends, Listen, Sink, Status};
use crate::source::Sources;
use crate::yaml::{self, Node};

/// Arguments of `sink`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// An alertmanager.yml to re-address: printed with every receiver at the sink, which is not started
    #[arg(value_name = "CONFIG", help_heading = "Input")]
    config: Option<PathBuf>,

    /// Where to listen for what comes over HTTP; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9099", help_heading = "Run")]
    listen: SocketAddr,

    /// Where to listen for mail; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9025", help_heading = "Run")]
    smtp: SocketAddr,

    /// How to print what is delivered; to re-address, YAML is printed
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Output")]
    format: Format,
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    if let Some(config) = &arguments.config {
        return readdress(config, arguments, colour);
    }
    runtime()?.block_on(async {
        // Before anybody can read that it listens, and stop it.
        let signalled = super::run::signalled();
        let sink = match sink::open(Listen { http: arguments.listen, smtp: arguments.smtp }).await {
            Ok(sink) => sink,
            Err(error) => {
                let (http, smtp) = (arguments.listen, arguments.smtp);
                writeln!(std::io::stderr(), "error: cannot listen on {http} and {smtp}: {error}")?;
                return Ok(Exit::NotMeasured);
            }
        };
        let Listen { http, smtp } = sink.listens();
        writeln!(std::io::stderr(), "the sink listens on http://{http} and smtp://{smtp}")?;
        let printed = tokio::select! {
            printed = print(&sink, arguments.format) => printed,
            () = signalled => Ok(()),
        };
        sink.close().await;
        printed.map(|()| Exit::Pass)
    })
}

/// Prints deliveries as they come.
async fn print(sink: &Sink, format: Format) -> std::io::Result<()> {
    let mut last = 0;
    while let Some(delivery) = sink.next(last).await {
        last = delivery.number;
        let text = match format {
            Format::Json => serde_json::to_string(&*delivery)?,
            Format::Text => describe(&delivery),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()?;
    }
    Ok(())
}

/// A delivery for people; whoever sent it moves no cursor.
fn describe(delivery: &Delivery) -> String {
    let status = match delivery.status {
        Status::Firing => "firing",
        Status::Resolved => "resolved",
        Status::Unsaid => "said",
    };
    let whose = delivery.receiver.as_ref().map_or_else(String::new, |name| format!(" of {name}"));
    let to = delivery.to.as_ref().map_or_else(String::new, |to| format!(" to {to}"));
    let (at, kind, index, title) = (&delivery.at, delivery.kind, delivery.index, &delivery.title);
    let mut lines = vec![format!("{at:.3} {status:<8} {kind}[{index}]{whose}{to}: {title}")];
    let text = delivery.text.lines().filter(|line| !line.trim().is_empty());
    lines.extend(text.map(|line| format!("    {line}")));
    lines.extend(delivery.problems.iter().map(|problem| format!("  problem: {problem}")));
    printable(&lines.join("\n")).into_owned()
}

/// Prints a configuration with every receiver at the sink.
fn readdress(path: &Path, arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    let ends = Ends { http: arguments.listen.to_string(), smtp: arguments.smtp.to_string() };
    let (mut sources, mask) = (Sources::default(), Mask::default());
    let (config, findings) = match read(path, &mut sources) {
        Ok(mut config) => {
            let findings = sink::readdress(&mut config, &ends, &is_beside(path), &mask);
            (Some(config), findings)
        }
        Err(findings) => (None, findings),
    };
    let mut err = std::io::stderr().lock();
    let colour = colour.wanted(&err);
    for finding in findings.iter().take(super::MOST_DRAWN) {
        let drawn = finding.draw(&sources).render(colour);
        writeln!(err, "{}\n", mask.apply(&drawn))?;
    }
    let broken = findings.iter().any(|finding| finding.code.severity() == Severity::Error);
    match config {
        Some(config) if !broken => {
            write!(std::io::stdout(), "{}", yaml::print(&config))?;
            Ok(Exit::Pass)
        }
        Some(_) | None => Ok(Exit::Usage),
    }
}

/// A file as Alertmanager reads it.
fn read(path: &Path, sources: &mut Sources) -> Result<Node, Vec<Finding>> {
    let (id, broken) = sources.open(path).map_err(|error| {
        let title = format!("`{}` cannot be read: {error}", path.display());
        vec![Finding::new(Code::FileUnreadable, sources.add(path, "").place(0, 0), title)]
    })?;
    if let Some(at) = broken {
        return Err(vec![Finding::new(Code::YamlEncoding, id.place(at, at), "the file is not UTF-8")]);
    }
    let text = &sources.file(id).text;
    match yaml::parse(id, text)?.into_iter().next() {
        Some(config) => Ok(yaml::as_elder(config, text)),
        None => Err(vec![Finding::new(Code::FileMissingKey, id.place(0, 0), "the file is empty")]),
    }
}
