//! A program, run in a process group of its own that ends with it, whatever it forks, ignores or floods.

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::FusedFuture;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::connect::Deadline;
use crate::sample::{Cause, Phase, Reason};
use crate::units::Size;

/// How long a process that was asked to end has for it, and how long one that was left behind may keep an output
/// open.
pub const GRACE: Duration = Duration::from_millis(500);

/// How long the kernel has to bury what was killed.
const BURIAL: Duration = Duration::from_secs(2);

/// A program with every variable filled in.
#[derive(Debug, Clone)]
pub struct Request {
    /// The program: a path from `folder`, or a name to be found on `PATH`.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Environment variables, besides our own.
    pub env: Vec<(String, String)>,
    /// Where it runs.
    pub folder: PathBuf,
    /// The user and group that it runs as, by number; our own unless said.
    pub user: Option<(u32, u32)>,
    /// What it is given to read.
    pub stdin: Option<String>,
    /// The most that is kept of each output.
    pub limit: Size,
}

/// All that came of a program.
#[derive(Debug)]
pub struct Exchange {
    /// How it ended, or why it did not.
    pub result: Result<ExitStatus, Cause>,
    /// What it wrote.
    pub stdout: Output,
    /// What it complained of.
    pub stderr: Output,
    /// Whether a process that it left behind kept an output open.
    pub left_behind: bool,
}

/// What a program wrote.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Output {
    /// The beginning.
    pub kept: Vec<u8>,
    /// The length of the whole, in bytes.
    pub total: u64,
}

impl Output {
    /// Whether there was more than was kept.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.total > self.kept.len() as u64
    }

    /// What was kept, as text, without the line ends at its end: as a shell's `$(…)` has it.
    #[must_use]
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        text.trim_end_matches(['\r', '\n']).to_owned()
    }
}

/// Runs a program to its end, or to the deadline; no process of its group outlives this call, nor its being dropped.
pub async fn run(request: &Request, deadline: &Deadline) -> Exchange {
    let (mut stdout, mut stderr) = (Output::default(), Output::default());
    let mut left_behind = false;
    let result = match spawn(request) {
        Ok(mut child) => {
            let limit = request.limit.bytes();
            let feed = feed(child.stdin.take(), request.stdin.as_deref().unwrap_or_default());
            let (out, err) = (child.stdout.take(), child.stderr.take());
            let drain = async {
                tokio::join!(feed, take_in(out, limit, &mut stdout), take_in(err, limit, &mut stderr));
            };
            attend(child, drain, deadline, &mut left_behind).await
        }
        Err(cause) => Err(cause),
    };
    Exchange { result, stdout, stderr, left_behind }
}

fn spawn(request: &Request) -> Result<Child, Cause> {
    let mut command = Command::new(&request.program);
    command
        .args(&request.arguments)
        .envs(request.env.iter().map(|(name, value)| (name, value)))
        .stdin(if request.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some((uid, gid)) = request.user {
        command.uid(uid).gid(gid);
    }
    if !request.folder.as_os_str().is_empty() {
        command.current_dir(&request.folder);
    }
    command.spawn().map_err(|error| {
        let folder =
            Some(&request.folder).filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir());
        let why = match folder {
            // The system says the same of a program and of a folder that is not there.
            Some(folder) => format!("there is no folder `{}`", folder.display()),
            None if error.kind() == io::ErrorKind::NotFound => "there is no such program".to_owned(),
            None => error.to_string(),
        };
        let unsayable = error.kind() == io::ErrorKind::InvalidInput;
        let reason = if unsayable { Reason::Policy } else { Reason::Connect };
        Cause::new(reason, format!("`{}` does not start: {why}", request.program))
    })
}

/// Waits for the child's end, at the deadline brings it about, and buries it and all of its group.
async fn attend(
    mut child: Child,
    drain: impl Future<Output = ()>,
    deadline: &Deadline,
    left_behind: &mut bool,
) -> Result<ExitStatus, Cause> {
    let mut group = Group::of(&child)?;
    let mut drain = pin!(drain.fuse());
    let mut ended = pin!(group.leader_ended().fuse());
    let in_time = during(deadline.race(&mut ended), &mut drain).await.is_some();
    if in_time {
        let open = timeout(GRACE.min(deadline.left()), finished(&mut drain)).await.is_err();
        if open {
            *left_behind = true;
            group.signal(Signal::TERM);
            let _ = timeout(GRACE, finished(&mut drain)).await;
        }
    } else {
        group.signal(Signal::TERM);
        let both = async {
            during(finished(&mut ended), &mut drain).await;
            finished(&mut drain).await;
        };
        let _ = timeout(GRACE, both).await;
    }
    group.signal(Signal::KILL);
    let _ = timeout(BURIAL, finished(&mut ended)).await;
    let buried = timeout(BURIAL, child.wait()).await;
    group.gone = buried.is_ok();
    if !in_time {
        let message = format!("{} before the program ended", deadline.passed());
        return Err(Cause::new(Reason::Timeout(Phase::Exchange), message));
    }
    let lost = |why: String| Cause::new(Reason::Closed, format!("how the program ended is not known: {why}"));
    buried
        .map_err(|_| lost("it could not be waited for".to_owned()))?
        .map_err(|error| lost(error.to_string()))
}

/// A process group with the child that leads it. Until the leader is buried no other group can have its number.
struct Group {
    leader: Pid,
    gone: bool,
}

impl Group {
    fn of(child: &Child) -> Result<Self, Cause> {
        let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let leader =
            leader.ok_or_else(|| Cause::new(Reason::Connect, "the program has no process number"))?;
        Ok(Self { leader, gone: false })
    }

    fn signal(&self, signal: Signal) {
        // A group that is gone already is what was wanted.
        let _ = kill_process_group(self.leader, signal);
    }

    /// Waits until the leader has ended, and leaves it to be buried.
    fn leader_ended(&self) -> impl Future<Output = ()> + use<> {
        let leader = self.leader;
        let wait = move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            rustix::io::retry_on_intr(|| waitid(WaitId::Pid(leader), options))
        };
        tokio::task::spawn_blocking(wait).map(|_| ())
    }
}

impl Drop for Group {
    /// Whoever stops waiting leaves no process behind.
    fn drop(&mut self) {
        if !self.gone {
            self.signal(Signal::KILL);
        }
    }
}

/// What `work` gives, while `beside` goes on beside it.
async fn during<T>(work: impl Future<Output = T>, beside: &mut (impl FusedFuture<Output = ()> + Unpin)) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = &mut *beside, if !beside.is_terminated() => {}
        }
    }
}

/// Waits for the end of what may have ended before.
async fn finished(work: &mut (impl FusedFuture<Output = ()> + Unpin)) {
    if !work.is_terminated() {
        work.await;
    }
}

/// Gives a program what it is to read. One that ends without reading it is no failure.
async fn feed(stdin: Option<ChildStdin>, text: &str) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(text.as_bytes()).await;
        let _ = stdin.shutdown().await;
    }
}

/// Reads to the end, and keeps the beginning.
async fn take_in(from: Option<impl AsyncRead + Unpin>, limit: usize, output: &mut Output) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let room = limit.saturating_sub(output.kept.len());
        output.kept.extend_from_slice(&buffer[..count.min(room)]);
        output.total = output.total.saturating_add(count as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rstest::rstest;
    use tokio::time::Instant;

    use super::*;

    /// Far more than any program here takes, on a machine however busy.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn shell(line: &str) -> Request {
        Request {
            program: "/bin/sh".to_owned(),
            arguments: vec!["-c".to_owned(), line.to_owned()],
            env: Vec::new(),
            folder: PathBuf::new(),
            user: None,
            stdin: None,
            limit: Size(64 << 10),
        }
    }

    async fn within(request: &Request, limit: Duration) -> Exchange {
        let began = Instant::now();
        let exchange = run(request, &Deadline::after(limit)).await;
        let took = began.elapsed();
        assert!(took < limit + PATIENCE, "it took {took:?}");
        exchange
    }

    /// The processes of a group that are still alive.
    fn alive(group: &str) -> Vec<String> {
        let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let stat = fs::read_to_string(entry.unwrap().path().join("stat")).ok()?;
            // The name stands in parentheses and may hold anything; after it: state, parent, group.
            let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            let of_group = fields.get(2) == Some(&group) && !matches!(fields.first(), Some(&("Z" | "X")));
            of_group.then_some(stat)
        });
        processes.collect()
    }

    /// The dead are buried a moment after they were killed.
    async fn await_end(group: &str) {
        let gone = async {
            while !alive(group).is_empty() {
                tokio::task::yield_now().await;
            }
        };
        assert!(timeout(PATIENCE, gone).await.is_ok(), "still there: {:?}", alive(group));
    }

    #[rstest]
    #[case::well("echo hello; echo oh >&2", Some(0), "hello", "oh")]
    #[case::unwell("exit 3", Some(3), "", "")]
    #[case::by_signal("echo last; kill -9 $$", None, "last", "")]
    #[case::nothing_to_read("cat", Some(0), "", "")]
    #[tokio::test]
    async fn a_program_tells_how_it_ended(
        #[case] line: &str,
        #[case] code: Option<i32>,
        #[case] out: &str,
        #[case] err: &str,
    ) {
        let exchange = within(&shell(line), PATIENCE).await;
        assert_eq!(exchange.result.unwrap().code(), code);
        assert_eq!((exchange.stdout.text().as_str(), exchange.stderr.text().as_str()), (out, err));
    }

    #[tokio::test]
    async fn a_program_is_given_its_surroundings() {
        let folder = std::env::temp_dir().canonicalize().unwrap();
        let request = Request {
            env: vec![("COLOUR".to_owned(), "teal".to_owned())],
            stdin: Some("read me".to_owned()),
            folder: folder.clone(),
            ..shell("cat; echo \" $COLOUR\"; pwd -P")
        };
        let exchange = within(&request, PATIENCE).await;
        assert_eq!(exchange.stdout.text(), format!("read me teal\n{}", folder.display()));
    }

    #[rstest]
    #[case::no_program(
        "no-such-program",
        "",
        Reason::Connect,
        "`no-such-program` does not start: there is no such program"
    )]
    #[case::no_folder(
        "true",
        "no-such-folder",
        Reason::Connect,
        "`true` does not start: there is no folder `no-such-folder`"
    )]
    #[case::not_allowed(
        "./Cargo.toml",
        "",
        Reason::Connect,
        "`./Cargo.toml` does not start: Permission denied (os error 13)"
    )]
    #[case::unsayable("a\0b", "", Reason::Policy, "`a\0b` does not start: nul byte found in provided data")]
    #[tokio::test]
    async fn what_does_not_start_says_why(
        #[case] program: &str,
        #[case] folder: &str,
        #[case] reason: Reason,
        #[case] message: &str,
    ) {
        let (program, folder) = (program.to_owned(), PathBuf::from(folder));
        let request = Request { program, folder, arguments: Vec::new(), ..shell("") };
        let exchange = within(&request, PATIENCE).await;
        assert_eq!(exchange.result.unwrap_err(), Cause::new(reason, message));
    }

    #[tokio::test]
    async fn a_group_that_will_not_end_is_ended() {
        // The child takes after its parent: it ignores the signal too, and holds the output open.
        let line = "trap '' TERM; sleep 600 & echo $$; while :; do sleep 600; done";
        let exchange = within(&shell(line), Duration::from_millis(700)).await;
        let cause = exchange.result.unwrap_err();
        assert_eq!(cause.reason, Reason::Timeout(Phase::Exchange));
        assert_eq!(cause.message, "700ms passed before the program ended");
        await_end(&exchange.stdout.text()).await;
    }

    #[tokio::test]
    async fn a_group_that_is_asked_to_end_may_tidy_up() {
        let line = "trap 'echo tidy; exit' TERM; echo $$; while :; do sleep 0.1; done";
        let exchange = within(&shell(line), Duration::from_millis(700)).await;
        assert!(exchange.result.is_err());
        let text = exchange.stdout.text();
        let (group, said) = text.split_once('\n').unwrap();
        assert_eq!(said, "tidy");
        await_end(group).await;
    }

    #[rstest]
    #[case::that_holds_the_output("sleep 600 & echo $$", true)]
    #[case::that_is_quiet("sleep 600 >/dev/null 2>&1 & echo $$", false)]
    #[tokio::test]
    async fn a_child_does_not_outlive_its_parent(#[case] line: &str, #[case] left_behind: bool) {
        let exchange = within(&shell(line), PATIENCE).await;
        assert_eq!(exchange.result.unwrap().code(), Some(0));
        assert_eq!(exchange.left_behind, left_behind);
        await_end(&exchange.stdout.text()).await;
    }

    #[tokio::test]
    async fn who_stops_waiting_leaves_nothing_behind() {
        let told = std::env::temp_dir().join(format!("firedrill-group-{}", std::process::id()));
        let line =
            format!("trap '' TERM; sleep 600 & echo $$ > {0}.new; mv {0}.new {0}; wait", told.display());
        let (request, deadline) = (shell(&line), Deadline::after(PATIENCE));
        let written = async {
            while !told.exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            exchange = run(&request, &deadline) => panic!("it ended: {exchange:?}"),
            () = written => {}
        }
        let group = fs::read_to_string(&told).unwrap();
        fs::remove_file(&told).unwrap();
        await_end(group.trim()).await;
    }

    #[tokio::test]
    async fn of_a_flood_the_beginning_is_kept() {
        let exchange = within(&shell("yes"), Duration::from_millis(500)).await;
        assert_eq!(exchange.result.unwrap_err().reason, Reason::Timeout(Phase::Exchange));
        assert_eq!(exchange.stdout.kept.len(), 64 << 10);
        assert!(exchange.stdout.is_cut());
    }

    #[rstest]
    #[case::read_to_the_end("cat", 1 << 20)]
    #[case::never_read("true", 0)]
    #[case::read_in_part("head -c 10", 10)]
    #[tokio::test]
    async fn a_program_may_read_what_it_likes(#[case] line: &str, #[case] total: u64) {
        let request = Request { stdin: Some("x".repeat(1 << 20)), ..shell(line) };
        let exchange = within(&request, PATIENCE).await;
        assert_eq!(exchange.result.unwrap().code(), Some(0));
        assert_eq!(exchange.stdout.total, total);
    }

    #[tokio::test]
    async fn a_program_that_never_reads_has_its_deadline() {
        let request = Request { stdin: Some("x".repeat(1 << 20)), ..shell("echo $$; sleep 600") };
        let exchange = within(&request, Duration::from_millis(500)).await;
        assert_eq!(exchange.result.unwrap_err().reason, Reason::Timeout(Phase::Exchange));
        await_end(&exchange.stdout.text()).await;
    }
}
