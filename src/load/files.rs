//! How many files this process may have open: each connection is one.

/// Lets this process have as many files open as it may without asking anybody, and says how many that is; `None`
/// where there is no such limit, or it is not known.
#[cfg(unix)]
#[must_use]
pub fn raise() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limits = getrlimit(Resource::Nofile);
    let current = limits.current?;
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limits.maximum,
        Err(_) => Some(current),
    }
}

/// There is no such limit.
#[cfg(not(unix))]
#[must_use]
pub fn raise() -> Option<u64> {
    None
}
