//! The gate and the rules against a real Prometheus with series whose answers are known, and against servers that
//! are none.
#![cfg(test)]

mod access;
mod archive;
#[path = "../support/certificates.rs"]
mod certificates;
mod input;
mod known;
mod own;
mod watch;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs the gate on files, without keeping anything.
fn gate(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_firedrill")).arg("gate").args(words).output().unwrap()
}

/// The decisions of a gate by SLO, as its JSON report has them.
fn decisions(output: &Output) -> Vec<(String, serde_json::Value)> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let judged = events.filter_map(|stamped| stamped["event"].get("judged").cloned());
    judged.map(|judged| (judged["slo"].as_str().unwrap().to_owned(), judged["decision"].clone())).collect()
}

/// A file below the folder for what tests make.
fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}
