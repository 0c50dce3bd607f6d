//! What a stand-in logs of each request, as its system's plan has it.

use super::written::LogFile;
use super::{Body, Findings, NAMES, check_texts_of};
use crate::scenario::template::Shape;
use crate::yaml::Json;

/// What log lines may hold besides [`NAMES`].
///
/// Of the request: `method`, `path`, `status` of its answer, `took` in milliseconds, `trace` and `span` by their ids,
/// and `sampled`, whether its trace is recorded.
const OF_A_REQUEST: [&str; 7] = ["method", "path", "status", "took", "trace", "span", "sampled"];

/// A line of JSON for each request to a route.
#[derive(Debug, Clone)]
pub struct Log {
    /// Of one that was answered.
    pub answered: Body,
    /// Of one that was answered by a status of 500 or above.
    pub failed: Body,
}

pub(super) fn check(file: LogFile, findings: &mut Findings) -> Log {
    let answered = line(&file.answered, findings);
    let failed = file.failed.map_or_else(|| answered.clone(), |failed| line(&failed, findings));
    Log { answered, failed }
}

fn line(Json(node): &Json, findings: &mut Findings) -> Body {
    let names: Vec<&str> = NAMES.into_iter().chain(OF_A_REQUEST).collect();
    check_texts_of(node, &names, findings);
    Shape::of(node).map_or(Body::Empty, Body::Json)
}
