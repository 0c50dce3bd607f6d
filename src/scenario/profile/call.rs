//! Whom a stand-in asks before it answers.

use std::time::Duration;

use super::Findings;
use super::written::CallFile;
use crate::finding::{Code, Finding};
use crate::source::At;

/// How long a call may take unless the file says.
const USUAL: Duration = Duration::from_secs(1);

/// A service of the same stack that is asked before a route answers.
#[derive(Debug, Clone)]
pub struct Call {
    /// The service.
    pub service: At<String>,
    /// What is asked of it over HTTP; where nothing is, a connection is opened and closed.
    pub get: Option<String>,
    /// How long it may take.
    pub within: Duration,
    /// Where it is reached, `host:port`; whoever plays the profile in a stack says so.
    pub address: Option<String>,
}

pub(super) fn check(file: CallFile, findings: &mut Findings) -> Option<Call> {
    let get = match file.get {
        Some(path) if !is_path(&path) => {
            let title = format!("`{path}` is no path that could be asked for");
            let finding = Finding::new(Code::ProfileRoute, path.place, title);
            findings.add(finding.help("it begins with `/` and has neither spaces nor signs beyond ASCII"));
            return None;
        }
        get => get.map(|path| path.value),
    };
    let within = file.within.map_or(USUAL, |span| span.0);
    Some(Call { service: file.service, get, within, address: None })
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic())
}
