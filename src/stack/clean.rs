//! Removes what runs that were killed have left: processes, and the folders that name them.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::processes::folder::{all_runs, is_over, noted, remove};
use super::processes::{RUN_VARIABLE, cgroup, supervise};

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Runs that were over.
    pub runs: usize,
    /// Processes that they had left.
    pub processes: usize,
}

/// Removes what is left of every run of this user that is over.
#[must_use]
pub fn clean() -> Removed {
    let mut removed = Removed::default();
    let Ok(entries) = std::fs::read_dir(all_runs()) else { return removed };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if is_over(&path) != Some(true) {
            continue;
        }
        removed.processes += end_all(&path);
        removed.runs += 1;
        if let Some(run) = path.file_name() {
            cgroup::remove_left(&run.to_string_lossy());
        }
        remove(&path);
    }
    removed
}

/// Ends every process of a run that is over: those it has noted, those that descend from them, and those that
/// carry its mark.
fn end_all(run: &Path) -> usize {
    let mark = run.file_name().map(|id| format!("{RUN_VARIABLE}={}", id.to_string_lossy()));
    let mut ended = 0;
    // What is ended may just have started another.
    for _ in 0..10 {
        let mut left = noted(run);
        left.extend(mark.iter().flat_map(|mark| supervise::marked(mark)));
        left.extend(left.clone().into_iter().flat_map(supervise::descendants));
        left.sort_unstable();
        left.dedup();
        if left.is_empty() {
            break;
        }
        ended = ended.max(left.len());
        for pid in left.into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    ended
}
