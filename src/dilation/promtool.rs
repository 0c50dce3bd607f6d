//! The same in `promtool test rules`: the rule files as they are, over what was scraped, on its grid of moments. It
//! can be asked where the clock has no say, and where no query has more samples than it takes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::stamp::Stamped;

/// The program.
const PROGRAM: &str = "promtool";

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Samples that it is given at most: it reads them all before it begins.
const MOST: i64 = 400_000;

/// What it says when a query has more samples than it takes.
const TOO_MANY: &str = "query processing would load too many samples";

/// How much of what it writes is told.
const TOLD: usize = 300;

/// Whether an alert is there at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Milliseconds since 1970.
    pub at: i64,
    /// The series of `ALERTS` that are meant, in PromQL.
    pub alert: String,
    /// Whether there are any.
    pub there: bool,
}

/// What it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It sees the same.
    Agrees,
    /// It sees something else, in its own words.
    Disagrees(String),
    /// It was not asked, or had nothing to say, for this reason.
    Nothing(String),
}

/// What it is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// The rule files, as they are.
    pub files: &'q [PathBuf],
    /// What was scraped.
    pub stamped: &'q Stamped,
    /// The time between two scrapes, which is that between two moments of its grid.
    pub scraped_every: Duration,
    /// The time between two evaluations.
    pub evaluated_every: Duration,
    /// What it has to see.
    pub checks: &'q [Check],
}

/// Asks it; `folder` is where its file is put.
pub async fn ask(question: Question<'_>, folder: &Path) -> Said {
    if question.checks.is_empty() {
        return Said::Nothing("there is nothing that it could see".to_owned());
    }
    let Some(text) = written(question) else {
        return Said::Nothing(format!("there are more than {MOST} samples"));
    };
    let path = folder.join("promtool.yml");
    if let Err(error) = tokio::fs::write(&path, text).await {
        return Said::Nothing(format!("`{}` cannot be written: {error}", path.display()));
    }
    let mut command = Command::new(PROGRAM);
    command.args(["test", "rules"]).arg(&path).stdin(Stdio::null()).kill_on_drop(true);
    match timeout(PATIENCE, command.output()).await {
        Err(_) => Said::Nothing(format!("it has not ended after {} s", PATIENCE.as_secs())),
        Ok(Err(error)) => Said::Nothing(format!("`{PROGRAM}` cannot be run: {error}")),
        Ok(Ok(output)) => {
            let all = [output.stdout, output.stderr].concat();
            let all = String::from_utf8_lossy(&all);
            if output.status.success() {
                Said::Agrees
            } else if all.contains(TOO_MANY) {
                Said::Nothing("a query has more samples than it takes".to_owned())
            } else if let Some(rule) = unevaluated(&all) {
                Said::Nothing(format!("a rule cannot be evaluated, at which it ends: {rule}"))
            } else {
                let words: Vec<_> = all.split_whitespace().collect();
                Said::Disagrees(words.join(" ").chars().take(TOLD).collect())
            }
        }
    }
}

/// The rule that it cannot evaluate, if there is one: any rule of the files, where Prometheus itself goes on.
fn unevaluated(said: &str) -> Option<String> {
    let line =
        said.lines().map(str::trim).find(|line| line.starts_with("rule: ") && line.contains(", err: "))?;
    Some(line.chars().take(TOLD).collect())
}

/// Its file; `None` where there is too much to be said in it.
fn written(question: Question<'_>) -> Option<String> {
    let Question { files, stamped, scraped_every, evaluated_every, checks } = question;
    let every = i64::try_from(scraped_every.as_millis()).ok().filter(|every| *every > 0)?;
    let last = checks.iter().map(|check| check.at).max()?;
    let slots = (last - stamped.begins).div_euclid(every) + 2;
    if slots.checked_mul(i64::try_from(stamped.tracks.len()).ok()?)? > MOST {
        return None;
    }
    let mut text = String::from("rule_files:\n");
    for file in files {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        let _ = writeln!(text, "- {}", quoted(&file.display().to_string()));
    }
    let _ = writeln!(text, "evaluation_interval: {}ms\ntests:", evaluated_every.as_millis());
    let _ = writeln!(text, "- interval: {every}ms\n  input_series:");
    for track in &stamped.tracks {
        let labels = track.labels.iter().filter(|(name, _)| *name != "__name__");
        let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={}", quoted(value))).collect();
        let name = track.labels.get("__name__").map_or("", String::as_str);
        let series = format!("{name}{{{}}}", labels.join(","));
        let values = gridded(&track.points, stamped.begins, every, slots).join(" ");
        let _ = writeln!(text, "  - {{ series: {}, values: {} }}", quoted(&series), quoted(&values));
    }
    text.push_str("  promql_expr_test:\n");
    for check in checks {
        let expr = format!("(count({}) or vector(0)) > bool 0", check.alert);
        let there = u8::from(check.there);
        let _ = writeln!(
            text,
            "  - {{ expr: {}, eval_time: {}ms, exp_samples: [{{ labels: '{{}}', value: {there} }}] }}",
            quoted(&expr),
            check.at - stamped.begins
        );
    }
    Some(text)
}

/// A value for each moment of the grid: the latest since the moment before it.
fn gridded(points: &[(i64, f64)], begins: i64, every: i64, slots: i64) -> Vec<String> {
    let mut values = Vec::new();
    let mut next = 0;
    for slot in 0..slots {
        let moment = begins + slot * every;
        let mut value = None;
        while let Some((_, latest)) = points.get(next).filter(|(at, _)| *at <= moment) {
            value = Some(*latest);
            next += 1;
        }
        values.push(match value {
            None => "_".to_owned(),
            Some(value) if value.is_nan() => "stale".to_owned(),
            Some(value) if value.is_infinite() => if value > 0.0 { "Inf" } else { "-Inf" }.to_owned(),
            Some(value) => value.to_string(),
        });
    }
    values
}

/// As YAML and PromQL read a text alike.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prometheus::STALE;

    #[test]
    fn a_moment_has_the_latest_value_since_the_one_before() {
        let points = [(1_000, 1.0), (1_900, 2.0), (2_000, 3.0), (4_500, STALE), (5_500, 4.0)];
        assert_eq!(gridded(&points, 1_000, 1_000, 6), ["1", "3", "_", "_", "stale", "4"]);
    }
}
