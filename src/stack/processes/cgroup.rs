//! Limits of a service that runs as processes, by a control group of its own: version 2, or 1 where a machine has that.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::units::Size;

/// Where control groups are.
const ROOT: &str = "/sys/fs/cgroup";

/// The time over which a share of a processor is given, in microseconds.
const PERIOD: u64 = 100_000;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// How much of a processor, in thousandths.
    Cpu(u32),
    /// How much memory.
    Memory(Size),
}

impl Limit {
    /// The controller that keeps to it.
    fn controller(self) -> &'static str {
        match self {
            Self::Cpu(_) => "cpu",
            Self::Memory(_) => "memory",
        }
    }

    /// What is written, and into which file of a group.
    fn written(self, version: Version) -> (&'static str, String) {
        match (self, version) {
            (Self::Cpu(share), Version::Two) => ("cpu.max", format!("{} {PERIOD}", quota(share))),
            (Self::Cpu(share), Version::One) => ("cpu.cfs_quota_us", quota(share).to_string()),
            (Self::Memory(most), Version::Two) => ("memory.max", most.bytes().to_string()),
            (Self::Memory(most), Version::One) => ("memory.limit_in_bytes", most.bytes().to_string()),
        }
    }
}

/// Microseconds of each period; the kernel takes no less than a millisecond.
fn quota(thousandths: u32) -> u64 {
    (u64::from(thousandths) * PERIOD / 1000).max(1000)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    fn of_this_machine() -> Self {
        if Path::new(ROOT).join("cgroup.controllers").exists() { Self::Two } else { Self::One }
    }
}

/// A group with a limit, until it is lifted or dropped.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
    /// Where its processes were before.
    before: PathBuf,
}

impl Group {
    /// Puts processes in a group with this limit.
    ///
    /// # Errors
    /// Why this machine does not let us.
    pub(super) fn limit(run: &str, service: &str, limit: Limit, processes: &[i32]) -> Result<Self, String> {
        let version = Version::of_this_machine();
        let first = processes.first().copied().unwrap_or_default();
        let before = home(first, limit, version).ok_or("its control group cannot be told from /proc")?;
        let mut refused = String::new();
        for above in above(&before, limit, version) {
            match Self::make(&above.join(name(run, service)), &before, version, limit, processes) {
                Ok(group) => return Ok(group),
                Err(error) => refused = format!("{}: {error}", above.display()),
            }
        }
        Err(format!(
            "no control group can be made for it ({refused}): run firedrill as root or in a group that is delegated to it, or with `--runtime containers`"
        ))
    }

    /// The same of all processes that are where this one is: in the group of a container.
    ///
    /// # Errors
    /// As for [`Group::limit`], and when that group is not known here.
    pub(in crate::stack) fn limit_all(
        run: &str,
        service: &str,
        limit: Limit,
        first: i32,
    ) -> Result<Self, String> {
        let version = Version::of_this_machine();
        let home = home(first, limit, version).ok_or("its control group cannot be told from /proc")?;
        let listed = fs::read_to_string(home.join("cgroup.procs"))
            .map_err(|error| format!("its control group `{}` is not known here: {error}", home.display()))?;
        let all = listed.lines().filter_map(|line| line.parse().ok());
        let others = all.filter(|process| *process != first);
        let processes: Vec<i32> = std::iter::once(first).chain(others).collect();
        Self::limit(run, service, limit, &processes)
    }

    fn make(
        path: &Path,
        before: &Path,
        version: Version,
        limit: Limit,
        processes: &[i32],
    ) -> io::Result<Self> {
        fs::create_dir(path)?;
        // From here on it is removed again, whatever fails.
        let group = Self { path: path.to_owned(), before: before.to_owned() };
        let (file, value) = limit.written(version);
        fs::write(path.join(file), value)?;
        for process in processes {
            enter(path, *process)?;
        }
        Ok(group)
    }

    /// Lets its processes go where they were, and removes it.
    ///
    /// # Errors
    /// When they cannot leave.
    pub fn lift(self) -> Result<(), String> {
        self.leave().map_err(|error| format!("the group `{}` cannot be left: {error}", self.path.display()))
    }

    fn leave(&self) -> io::Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        let within = fs::read_to_string(self.path.join("cgroup.procs"))?;
        for process in within.lines().filter_map(|line| line.parse().ok()) {
            // One that has ended meanwhile has left as well.
            let _ = enter(&self.before, process);
        }
        fs::remove_dir(&self.path)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = self.leave();
    }
}

fn enter(group: &Path, process: i32) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), process.to_string())
}

fn name(run: &str, service: &str) -> String {
    format!("firedrill.{run}.{service}")
}

/// The group that a process is in.
fn home(process: i32, limit: Limit, version: Version) -> Option<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    let (root, path) = match version {
        Version::Two => (PathBuf::from(ROOT), groups.lines().find_map(|line| line.strip_prefix("0::"))?),
        Version::One => {
            let controller = limit.controller();
            let of_it = groups.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                controllers.split(',').any(|one| one == controller).then_some(path)
            });
            (Path::new(ROOT).join(controller), of_it.unwrap_or("/"))
        }
    };
    Some(root.join(path.trim_start_matches('/')))
}

/// Groups in which one of ours may be made, the likeliest first.
fn above(home: &Path, limit: Limit, version: Version) -> Vec<PathBuf> {
    match version {
        Version::One => vec![home.to_owned()],
        // A group with processes hands no controllers on, but its parent may, and the root may always.
        Version::Two => {
            let parent = home.parent().filter(|parent| parent.starts_with(ROOT)).map(Path::to_owned);
            let all: Vec<_> = parent.into_iter().chain([PathBuf::from(ROOT)]).collect();
            for group in &all {
                let _ = fs::write(group.join("cgroup.subtree_control"), format!("+{}", limit.controller()));
            }
            all
        }
    }
}

/// Removes the groups that a run has left which is over, and whose processes have ended.
pub(in crate::stack) fn remove_left(run: &str) {
    let own = std::process::id().cast_signed();
    for (limit, version) in
        [(Limit::Cpu(1), Version::One), (Limit::Memory(Size(0)), Version::One), (Limit::Cpu(1), Version::Two)]
    {
        let Some(home) = home(own, limit, version) else { continue };
        let folders = [Some(home.as_path()), home.parent(), Some(Path::new(ROOT))];
        for folder in folders.into_iter().flatten().filter(|folder| folder.starts_with(ROOT)) {
            let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
            let ours =
                entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&name(run, "")));
            ours.for_each(|entry| drop(fs::remove_dir(entry.path())));
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::half(Limit::Cpu(500), Version::Two, ("cpu.max", "50000 100000"))]
    #[case::of_old(Limit::Cpu(1500), Version::One, ("cpu.cfs_quota_us", "150000"))]
    #[case::the_least(Limit::Cpu(1), Version::Two, ("cpu.max", "1000 100000"))]
    #[case::memory(Limit::Memory(Size(64 << 20)), Version::Two, ("memory.max", "67108864"))]
    #[case::memory_of_old(Limit::Memory(Size(1 << 20)), Version::One, ("memory.limit_in_bytes", "1048576"))]
    fn a_limit_is_written_as_the_kernel_reads_it(
        #[case] limit: Limit,
        #[case] version: Version,
        #[case] expected: (&str, &str),
    ) {
        let (file, value) = limit.written(version);
        assert_eq!((file, value.as_str()), expected);
    }
}
