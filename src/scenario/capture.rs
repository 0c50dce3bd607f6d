//! What is kept of an answer, as written and as checked, and the names of the trace that an attempt begins.

use http::HeaderName;
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json_path::JsonPath;

use super::expect::{Answer, json_path};
use super::predicate::compile;
use super::template::is_name;
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::yaml::Entries;

/// What is kept of an answer. Exactly one of the sources.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureWritten {
    /// A place in the JSON body, or in the last frame received.
    json: Option<At<String>>,
    /// A header of the answer.
    header: Option<At<String>>,
    /// A pattern found in the body; its first group where it has one.
    regex: Option<At<String>>,
    /// A cookie that the answer set.
    cookie: Option<At<String>>,
    /// Of the trace that the attempt began, its `id` or the whole `traceparent`.
    trace: Option<At<Traced>>,
    /// Never show the value.
    #[serde(default)]
    secret: bool,
}

/// What is kept of an answer, checked.
#[derive(Debug, Clone)]
pub struct Capture {
    /// The variable it becomes.
    pub name: At<String>,
    /// Where it is taken from.
    pub from: Origin,
    /// Whether it must not be seen.
    pub secret: bool,
    /// Where the source was written.
    pub place: Place,
}

/// What is kept of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Traced {
    /// Its id, 32 hexadecimal digits.
    Id,
    /// The whole header.
    Traceparent,
}

impl Traced {
    /// All that is known of a trace.
    pub const ALL: [Self; 2] = [Self::Id, Self::Traceparent];

    /// What it is called in a `${…}`: of the trace that the attempt itself begins, else of the last one before it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "trace.id",
            Self::Traceparent => "trace.traceparent",
        }
    }

    /// Whether `name` is the name of something of a trace.
    #[must_use]
    pub fn is_named(name: &str) -> bool {
        Self::ALL.iter().any(|traced| traced.name() == name)
    }
}

/// Where a capture is taken from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A place in a JSON body.
    Json(JsonPath),
    /// A header.
    Header(HeaderName),
    /// A pattern in the body.
    Regex(Regex),
    /// A cookie that was set.
    Cookie(String),
    /// The trace that the attempt began.
    Trace(Traced),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Json(_) => "JSON",
            Self::Header(_) => "headers",
            Self::Regex(_) => "text",
            Self::Cookie(_) => "cookies",
            Self::Trace(_) => "trace",
        })
    }
}

/// Checks what a step of kind `kind` captures.
pub(super) fn check_captures(
    written: Entries<CaptureWritten>,
    answer: Answer,
    traces: bool,
    kind: &str,
    findings: &mut Findings,
) -> Vec<Capture> {
    let mut captures = Vec::new();
    for (name, written) in written {
        let Some(capture) = check_capture(name, written, findings) else { continue };
        if !answer.holds(&capture.from, traces) {
            let title = format!("a `{kind}` step has no {} to capture from", capture.from);
            let finding = Finding::new(Code::ScenarioCapture, capture.place, title);
            findings.add(match capture.from {
                Origin::Trace(_) => finding.help("where there can be one it begins with `trace: true`"),
                Origin::Json(_) | Origin::Header(_) | Origin::Regex(_) | Origin::Cookie(_) => finding,
            });
        }
        captures.push(capture);
    }
    captures
}

fn check_capture(name: At<String>, written: CaptureWritten, findings: &mut Findings) -> Option<Capture> {
    if !is_name(&name) || name.contains('.') {
        let title = format!(
            "`{}` cannot be a variable's name: letters, digits, `_` and `-`, a letter first",
            name.value
        );
        findings.add(Finding::new(Code::FileValue, name.place, title));
        return None;
    }
    let CaptureWritten { json, header, regex, cookie, trace, secret } = written;
    let texts = [&json, &header, &regex, &cookie].into_iter().flatten().map(|at| at.place);
    let mut places = texts.chain(trace.map(|at| at.place));
    let (place, another) = (places.next(), places.next());
    drop(places);
    let (Some(place), None) = (place, another) else {
        let finding = Finding::new(
            Code::ScenarioCapture,
            name.place,
            format!("`{}` is captured from one source", name.value),
        );
        findings.add(finding.help("write one of `json`, `header`, `regex`, `cookie` and `trace`"));
        return None;
    };
    let from = if let Some(path) = json {
        Origin::Json(json_path(&path, findings)?)
    } else if let Some(header) = header {
        let parsed = header.value.parse::<HeaderName>().map_err(|_| {
            Finding::new(
                Code::FileValue,
                header.place,
                format!("`{}` cannot be a header's name", header.value),
            )
        });
        Origin::Header(findings.take(parsed)?)
    } else if let Some(pattern) = regex {
        let compiled = compile(&pattern).map_err(|why| Finding::new(Code::FileValue, pattern.place, why));
        Origin::Regex(findings.take(compiled)?)
    } else if let Some(trace) = trace {
        Origin::Trace(trace.value)
    } else {
        Origin::Cookie(cookie?.value)
    };
    Some(Capture { name, from, secret, place })
}
