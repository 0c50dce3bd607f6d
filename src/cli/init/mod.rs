//! `firedrill init`: a first scenario, SLO and drill for what answers at an address.

mod look;
mod write;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use url::Url;

use super::{Colour, draw, runtime};
use crate::exit::Exit;
use crate::plan::{Reading, Surroundings};

/// Arguments of `init`.
#[derive(Debug, Args)]
#[command(after_help = "\
  firedrill init http://127.0.0.1:8080
  firedrill init https://shop.example --prometheus http://127.0.0.1:9090 --out drills/")]
pub(super) struct Arguments {
    /// Where the system answers; it is asked for its health, its metrics and its `OpenAPI` document, by GET alone
    #[arg(value_name = "URL", help_heading = "Input")]
    url: Url,

    /// A Prometheus that watches it, which is asked for its alerts
    #[arg(long, value_name = "URL", help_heading = "Input")]
    prometheus: Option<String>,

    /// Where to write; nothing that is there is written over
    #[arg(long, value_name = "FOLDER", default_value = "firedrill", help_heading = "Output")]
    out: PathBuf,
}

pub(super) fn execute(arguments: &Arguments, colour: Colour) -> std::io::Result<Exit> {
    if !matches!(arguments.url.scheme(), "http" | "https") || arguments.url.host_str().is_none() {
        let url = crate::report::on_one_line(arguments.url.as_str());
        writeln!(
            std::io::stderr(),
            "error: `{url}` is no address of a web service: http://HOST:PORT is one"
        )?;
        return Ok(Exit::Usage);
    }
    let found = match runtime()?.block_on(look::look(&arguments.url, arguments.prometheus.as_deref())) {
        Ok(found) => found,
        Err(why) => {
            writeln!(std::io::stderr(), "error: {why}")?;
            return Ok(Exit::NotMeasured);
        }
    };
    let files = write::files(&found);
    if let Some((name, _)) = files.iter().find(|(name, _)| arguments.out.join(name).exists()) {
        let path = arguments.out.join(name);
        writeln!(std::io::stderr(), "error: `{}` is there; name another folder by --out", path.display())?;
        return Ok(Exit::Usage);
    }
    for (name, text) in &files {
        if let Err(error) = written(&arguments.out.join(name), text) {
            let path = arguments.out.join(name);
            writeln!(std::io::stderr(), "error: cannot write `{}`: {error}", path.display())?;
            return Ok(Exit::NotMeasured);
        }
    }
    let reading = crate::plan::read(std::slice::from_ref(&arguments.out), &Surroundings::default());
    draw(&reading, colour)?;
    said(&found, &arguments.out, &files, &reading)
}

fn written(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}

/// What was found, what was written, and what to do with it.
fn said(
    found: &look::Found,
    folder: &Path,
    files: &[(&'static str, String)],
    reading: &Reading,
) -> std::io::Result<Exit> {
    let mut out = std::io::stdout().lock();
    for line in found.said() {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;
    for (name, text) in files {
        let about = text.lines().next().unwrap_or_default().trim_start_matches(['#', ' ']);
        let path = folder.join(name).display().to_string();
        writeln!(out, "  {path:<34} {about}")?;
    }
    let folder = folder.display();
    writeln!(
        out,
        "\nnext:\n  firedrill run {folder}/scenario.yaml    ask the system, gently, and judge it\n  \
         firedrill run {folder}/drill.yaml       prove an alert, against a stand-in (needs prometheus and alertmanager)"
    )?;
    Ok(if reading.plan.is_some() { Exit::Pass } else { Exit::Usage })
}
