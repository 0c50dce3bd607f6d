//! A bad network for one container: lost, late and mangled packets, made where its own network begins.
//!
//! The kernel's netem does all of it. Where a kernel has none, what can be had without is done by other means, and
//! the rest is left to whoever asked: a relay can delay, nothing else can duplicate packets. All of it stands in the
//! container's own network namespace, and is gone with that also after `kill -9`.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::container::{Container, State};
use super::error::{Error, one_line};
use crate::units::{Ratio, Throughput};

/// What is wrong with the network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Impairment {
    /// Packets that leave the container do so later by this.
    pub delay: Duration,
    /// More or less.
    pub jitter: Duration,
    /// So many are lost.
    pub loss: Ratio,
    /// So many are sent twice.
    pub duplicate: Ratio,
    /// So many have a wrong bit.
    pub corrupt: Ratio,
    /// So many overtake those that are delayed.
    pub reorder: Ratio,
    /// So much leaves the container at most.
    pub rate: Option<Throughput>,
}

impl Impairment {
    /// Nothing is wrong.
    pub const NONE: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: Ratio::ZERO,
        duplicate: Ratio::ZERO,
        corrupt: Ratio::ZERO,
        reorder: Ratio::ZERO,
        rate: None,
    };
}

/// How a bad network is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    /// By netem, on what leaves the container.
    Netem,
    /// By random drops of what arrives, with iptables.
    Iptables,
    /// By a token bucket on what leaves the container.
    TokenBucket,
    /// Not here: by a relay before the service.
    Relay,
}

impl Means {
    /// As reports say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Netem => "netem",
            Self::Iptables => "iptables (netem is not in this kernel)",
            Self::TokenBucket => "tbf (netem is not in this kernel)",
            Self::Relay => "a relay (netem is not in this kernel)",
        }
    }
}

/// A bad network that was made. Dropped, it stays until the container goes: lift it.
#[derive(Debug)]
#[must_use = "it is lifted by `lift`"]
pub struct Impaired {
    within: Within,
    undo: Vec<Vec<String>>,
    means: Vec<Means>,
    /// What no means here could do, and a relay can: delay and jitter.
    pub left: Impairment,
}

/// The most a command of the kernel's tools may take.
const LIMIT: Duration = Duration::from_secs(5);

impl Container {
    /// Makes the container's network as bad as is wanted, with whatever this kernel has for it.
    ///
    /// # Errors
    /// When the container does not run, this process may not enter its network, a tool is missing, or the kernel
    /// can do no such thing.
    pub async fn impair(&self, wanted: &Impairment) -> Result<Impaired, Error> {
        let State::Running { pid, .. } = self.state().await? else {
            return Err(Error::Unable(format!("`{}` does not run, and has no network", self.name)));
        };
        let within = Within { pid };
        let interfaces = within.interfaces().await?;
        let mut impaired = Impaired { within, undo: Vec::new(), means: Vec::new(), left: Impairment::NONE };
        match impaired.make(&interfaces, wanted).await {
            Ok(()) => Ok(impaired),
            Err(error) => {
                // The half of it that was made must not stay.
                let _ = impaired.lift().await;
                Err(error)
            }
        }
    }
}

impl Impaired {
    /// How it was made.
    #[must_use]
    pub fn means(&self) -> &[Means] {
        &self.means
    }

    /// Makes the network good again; that the container and its network are gone is as good.
    ///
    /// # Errors
    /// When one of the commands fails.
    pub async fn lift(mut self) -> Result<(), Error> {
        let mut first = Ok(());
        while let Some(command) = self.undo.pop() {
            let undone = self.within.run(&command).await;
            if self.within.is_there() && first.is_ok() {
                first = undone.map(|_| ());
            }
        }
        first
    }

    async fn make(&mut self, interfaces: &[String], wanted: &Impairment) -> Result<(), Error> {
        for interface in interfaces {
            match self.within.run(&netem(interface, wanted)).await {
                Ok(_) => {
                    self.undo.push(words(&["tc", "qdisc", "del", "dev", interface, "root"]));
                    self.means.push(Means::Netem);
                }
                Err(Error::Unable(why)) if is_unknown_kind(&why) => self.make_do(interface, wanted).await?,
                Err(error) => return Err(error),
            }
        }
        self.means.sort_unstable();
        self.means.dedup();
        Ok(())
    }

    /// What can be done without netem.
    async fn make_do(&mut self, interface: &str, wanted: &Impairment) -> Result<(), Error> {
        let impossible = [
            ("duplicates packets", wanted.duplicate),
            ("corrupts packets", wanted.corrupt),
            ("reorders packets", wanted.reorder),
        ];
        if let Some((what, _)) = impossible.iter().find(|(_, share)| *share != Ratio::ZERO) {
            return Err(Error::Unable(format!("netem is not in this kernel, and nothing else {what}")));
        }
        if wanted.loss != Ratio::ZERO {
            let rule = |what: &str| {
                let share = format!("{:.6}", wanted.loss.share());
                let rule = ["-w", "2", what, "INPUT", "-i", interface, "-m", "statistic", "--mode", "random"];
                let drop = [
                    "--probability",
                    share.as_str(),
                    "-m",
                    "comment",
                    "--comment",
                    "firedrill",
                    "-j",
                    "DROP",
                ];
                words(&[&["iptables"], &rule[..], &drop[..]].concat())
            };
            self.within.run(&rule("-I")).await?;
            self.undo.push(rule("-D"));
            self.means.push(Means::Iptables);
        }
        if let Some(rate) = wanted.rate {
            self.within.run(&bucket(interface, rate)).await?;
            self.undo.push(words(&["tc", "qdisc", "del", "dev", interface, "root"]));
            self.means.push(Means::TokenBucket);
        }
        if !wanted.delay.is_zero() {
            self.left = Impairment { delay: wanted.delay, jitter: wanted.jitter, ..Impairment::NONE };
            self.means.push(Means::Relay);
        }
        Ok(())
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn netem(interface: &str, wanted: &Impairment) -> Vec<String> {
    let mut command = words(&["tc", "qdisc", "add", "dev", interface, "root", "netem"]);
    if !wanted.delay.is_zero() {
        command.push("delay".to_owned());
        command.extend([wanted.delay, wanted.jitter].map(|time| format!("{}us", time.as_micros())));
    }
    let shares = [
        ("loss", wanted.loss),
        ("duplicate", wanted.duplicate),
        ("corrupt", wanted.corrupt),
        ("reorder", wanted.reorder),
    ];
    for (name, share) in shares.into_iter().filter(|(_, share)| *share != Ratio::ZERO) {
        command.extend([name.to_owned(), format!("{:.4}%", share.share() * 100.0)]);
    }
    if let Some(rate) = wanted.rate {
        command.extend(["rate".to_owned(), bits(rate)]);
    }
    command
}

/// A token bucket that holds a tenth of a second, or as much as one large packet.
fn bucket(interface: &str, rate: Throughput) -> Vec<String> {
    let burst = format!("{}", (rate.bytes_per_second() / 10).max(4096));
    let rate = bits(rate);
    let rest = ["rate", &rate, "burst", &burst, "latency", "400ms"];
    words(&[&["tc", "qdisc", "add", "dev", interface, "root", "tbf"], &rest[..]].concat())
}

fn bits(rate: Throughput) -> String {
    format!("{}bit", rate.bytes_per_second().saturating_mul(8))
}

fn is_unknown_kind(why: &str) -> bool {
    why.contains("qdisc kind is unknown") || why.contains("qdisc not found")
}

/// The network namespace of a process.
#[derive(Debug, Clone, Copy)]
struct Within {
    pid: u32,
}

impl Within {
    /// Whether there is such a process.
    fn is_there(self) -> bool {
        std::path::Path::new(&format!("/proc/{}/ns/net", self.pid)).exists()
    }

    /// The interfaces that lead out.
    async fn interfaces(self) -> Result<Vec<String>, Error> {
        let told = self.run(&words(&["ip", "-o", "link", "show", "up"])).await?;
        let names = told.lines().filter_map(|line| {
            let name = line.split(": ").nth(1)?.split('@').next()?;
            (name != "lo").then(|| name.to_owned())
        });
        let names: Vec<_> = names.collect();
        if names.is_empty() {
            return Err(Error::Unable("the container is on no network".to_owned()));
        }
        Ok(names)
    }

    /// Runs a tool of the kernel's network within, and gives what it says.
    async fn run(self, command: &[String]) -> Result<String, Error> {
        let program = command.first().map_or("", String::as_str);
        let mut entering = Command::new("nsenter");
        entering.args(["-t", &self.pid.to_string(), "-n", "--"]).args(command);
        entering.stdin(Stdio::null()).kill_on_drop(true);
        // Where a user's PATH may not look.
        entering.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
        let ended = match timeout(LIMIT, entering.output()).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(error)) => return Err(Error::Unable(format!("`nsenter` does not start: {error}"))),
            Err(_) => {
                return Err(Error::Unable(format!("`{program}` takes longer than {} s", LIMIT.as_secs())));
            }
        };
        if ended.status.success() {
            return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
        }
        Err(Error::Unable(explain(program, &String::from_utf8_lossy(&ended.stderr))))
    }
}

/// What a tool's complaint means.
fn explain(program: &str, complaint: &str) -> String {
    let complaint = one_line(complaint);
    let denied = complaint.contains("ermission denied") || complaint.contains("not permitted");
    if denied {
        format!(
            "a container's network is only changed by root on the engine's machine (CAP_SYS_ADMIN and CAP_NET_ADMIN): {complaint}"
        )
    } else if complaint.contains("failed to execute") {
        let package = if program == "iptables" { "iptables" } else { "iproute2" };
        format!("`{program}` is not in PATH: install {package}")
    } else if complaint.contains("No such file or directory") {
        format!(
            "the container's network cannot be entered from here: the engine is on another machine ({complaint})"
        )
    } else {
        format!("`{program}` fails: {complaint}")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn netem_is_told_all_that_is_wanted_and_no_more() {
        let ratio = |share| Ratio::new(share).unwrap();
        let wanted = Impairment {
            delay: Duration::from_millis(100),
            jitter: Duration::from_micros(1500),
            loss: ratio(0.3),
            reorder: ratio(0.0005),
            rate: Some("1MiB/s".parse().unwrap()),
            ..Impairment::NONE
        };
        let told = "tc qdisc add dev eth0 root netem delay 100000us 1500us loss 30.0000% reorder 0.0500% rate 8388608bit";
        assert_eq!(netem("eth0", &wanted).join(" "), told);
        assert_eq!(netem("eth1", &Impairment::NONE).join(" "), "tc qdisc add dev eth1 root netem");
    }

    #[test]
    fn a_bucket_holds_a_packet_at_least() {
        let told = bucket("eth0", "1KiB/s".parse().unwrap()).join(" ");
        assert_eq!(told, "tc qdisc add dev eth0 root tbf rate 8192bit burst 4096 latency 400ms");
    }

    #[rstest]
    #[case::netem(
        "tc",
        "Error: Specified qdisc kind is unknown.",
        "`tc` fails: Error: Specified qdisc kind is unknown"
    )]
    #[case::missing(
        "iptables",
        "nsenter: failed to execute iptables: No such file or directory",
        "`iptables` is not in PATH: install iptables"
    )]
    #[case::denied(
        "tc",
        "nsenter: cannot open /proc/7/ns/net: Permission denied",
        "a container's network is only changed by root on the engine's machine (CAP_SYS_ADMIN and CAP_NET_ADMIN): nsenter: cannot open /proc/7/ns/net: Permission denied"
    )]
    #[case::elsewhere(
        "tc",
        "nsenter: cannot open /proc/7/ns/net: No such file or directory",
        "the container's network cannot be entered from here: the engine is on another machine (nsenter: cannot open /proc/7/ns/net: No such file or directory)"
    )]
    fn a_complaint_says_what_to_do(#[case] program: &str, #[case] complaint: &str, #[case] told: &str) {
        assert_eq!(explain(program, complaint), told);
        assert_eq!(is_unknown_kind(complaint), complaint.contains("unknown"));
    }
}
