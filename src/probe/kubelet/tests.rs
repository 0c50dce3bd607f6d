//! What a kubelet decides, by sequences of results; and what it asks, by pages that answer in every way.

use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::get::get;
use super::pod::{Change, Pod, Verdict};
use crate::probe::connect::{Deadline, Options};
use crate::scenario::kubelet::{Role, Rule};

/// A rule as a Pod's spec says it: initial delay, period, successes, failures.
fn rule(delay: u64, period: u64, successes: u32, failures: u32) -> Rule {
    let seconds = Duration::from_secs;
    Rule { initial_delay: seconds(delay), period: seconds(period), timeout: seconds(1), successes, failures }
}

/// What changes for a pod whose probes take no time, and give in turn success, failure or nothing (`s`, `f`,
/// `v`), the last for ever.
fn watch(probes: &[(Role, Rule, &str)], until: u64) -> String {
    let (mut pod, first) = Pod::new(probes.iter().map(|(role, rule, _)| (*role, *rule)));
    let mut changes: Vec<_> = first.map(|change| (0, change)).into_iter().collect();
    let mut made = [0; 3];
    loop {
        let due = probes.iter().enumerate().map(|(number, (role, ..))| (pod.due(*role).unwrap(), number));
        let Some((now, number)) = due.min() else { break };
        if now > Duration::from_secs(until) {
            break;
        }
        let (role, _, results) = probes[number];
        if pod.tick(role, now) {
            let verdict = match results.as_bytes()[made[number].min(results.len() - 1)] {
                b's' => Verdict::Success,
                b'f' => Verdict::Failure,
                _ => Verdict::Void,
            };
            made[number] += 1;
            changes.extend(pod.take(role, now, verdict).into_iter().map(|change| (now.as_secs(), change)));
        }
    }
    let told = changes.into_iter().map(|(at, change)| match change {
        Change::Started => format!("started {at}"),
        Change::Ready => format!("ready {at}"),
        Change::Left => format!("left {at}"),
        Change::Restarted(role) => format!("restarted {at} for {}", role.name()),
    });
    told.collect::<Vec<_>>().join(", ")
}

const S: Role = Role::Startup;
const L: Role = Role::Liveness;
const R: Role = Role::Readiness;

#[rstest]
#[case::no_probe(&[], "ready 0")]
#[case::ready_at_once(&[(R, rule(0, 10, 1, 3), "s")], "ready 0")]
#[case::never_ready(&[(R, rule(0, 10, 1, 3), "f")], "")]
#[case::no_result_is_not_ready(&[(R, rule(0, 10, 1, 3), "v")], "")]
#[case::alive(&[(L, rule(0, 10, 1, 3), "s")], "ready 0")]
#[case::dead(&[(L, rule(0, 10, 1, 3), "f")], "ready 0, restarted 20 for liveness")]
#[case::dead_at_the_first(&[(L, rule(0, 10, 1, 1), "f")], "ready 0, restarted 0 for liveness")]
#[case::a_success_starts_the_count_again(&[(L, rule(0, 1, 1, 3), "ffsfff")], "ready 0, restarted 5 for liveness")]
#[case::no_result_neither_counts_nor_breaks(&[(L, rule(0, 1, 1, 3), "fvfvf")], "ready 0, restarted 4 for liveness")]
#[case::no_result_never_restarts(&[(L, rule(0, 1, 1, 3), "v")], "ready 0")]
#[case::successes_in_a_row(&[(R, rule(0, 1, 2, 3), "sfss")], "ready 3")]
#[case::leaves_after_failures_in_a_row(&[(R, rule(0, 1, 1, 3), "sffsfffs")], "ready 0, left 6, ready 7")]
#[case::leaves_once(&[(R, rule(0, 1, 1, 1), "sfffs")], "ready 0, left 1, ready 4")]
#[case::back_after_successes_in_a_row(&[(R, rule(0, 1, 2, 1), "ssfsfss")], "ready 1, left 2, ready 6")]
#[case::delay_ends_between_ticks(&[(R, rule(5, 2, 1, 3), "s")], "ready 6")]
#[case::delay_ends_at_a_tick(&[(R, rule(10, 10, 1, 3), "s")], "ready 10")]
#[case::delayed_liveness_is_alive(&[(L, rule(100, 1, 1, 1), "f")], "ready 0, restarted 100 for liveness")]
#[case::started(&[(S, rule(0, 1, 1, 30), "ffs")], "started 2, ready 2")]
#[case::never_started(&[(S, rule(0, 1, 1, 3), "f")], "restarted 2 for startup")]
#[case::startup_without_a_result(&[(S, rule(0, 1, 1, 1), "v")], "")]
#[case::startup_is_not_asked_again(&[(S, rule(0, 1, 1, 1), "sf")], "started 0, ready 0")]
#[case::startup_holds_back_readiness(&[(S, rule(0, 1, 1, 9), "fffs"), (R, rule(0, 10, 1, 3), "s")], "started 3, ready 3")]
#[case::readiness_ticks_from_the_start(&[(S, rule(0, 1, 1, 9), "fffs"), (R, rule(0, 10, 1, 3), "fs")], "started 3, ready 13")]
#[case::readiness_still_has_its_delay(&[(S, rule(0, 1, 1, 9), "fs"), (R, rule(8, 5, 1, 3), "s")], "started 1, ready 11")]
#[case::startup_holds_back_liveness(&[(S, rule(0, 1, 1, 9), "fs"), (L, rule(0, 3, 1, 1), "f")], "started 1, ready 1, restarted 3 for liveness")]
#[case::not_ready_is_not_dead(&[(L, rule(0, 1, 1, 1), "s"), (R, rule(0, 1, 1, 1), "sf")], "ready 0, left 1")]
#[case::leaves_before_it_is_restarted(
    &[(L, rule(0, 10, 1, 3), "sf"), (R, rule(0, 5, 1, 2), "ssf")],
    "ready 0, left 15, restarted 30 for liveness"
)]
// MoAI-Flow's deployment: 30 starts of 10 s, liveness every minute after 30 s, readiness every 30 s after 10 s.
#[case::moai_flow(
    &[(S, rule(0, 10, 1, 30), "ffs"), (L, rule(30, 60, 1, 3), "sf"), (R, rule(10, 30, 1, 3), "sf")],
    "started 20, ready 20, left 110, restarted 240 for liveness"
)]
fn a_pod_fares_by_its_probes(#[case] probes: &[(Role, Rule, &str)], #[case] changes: &str) {
    assert_eq!(watch(probes, 250), changes);
}

#[test]
fn of_ticks_that_pass_during_a_probe_one_is_made_up_for() {
    let (mut pod, _) = Pod::new([(L, rule(0, 1, 1, 9))]);
    assert!(pod.tick(L, Duration::ZERO));
    assert_eq!(pod.due(L), Some(Duration::from_secs(1)));
    // The probe took until 3.5 s: what was due at 1 s is made now, what was due at 2 s and 3 s is not.
    assert!(pod.tick(L, Duration::from_millis(3500)));
    assert_eq!(pod.due(L), Some(Duration::from_secs(4)));
}

#[test]
fn a_tick_is_not_taken_before_it_is_due() {
    let (mut pod, _) = Pod::new([(R, rule(0, 10, 1, 3))]);
    assert!(pod.tick(R, Duration::ZERO));
    assert!(!pod.tick(R, Duration::from_secs(9)));
    assert!(pod.tick(R, Duration::from_secs(10)));
}

/// A page that answers by its path, and in `/head` with what it was asked.
async fn serve() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let path = head.split(' ').nth(1).unwrap();
                let _ = stream.write_all(answer(path, &head, port).as_bytes()).await;
                if path == "/silent" {
                    std::future::pending::<()>().await;
                }
                let _ = stream.shutdown().await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    port
}

fn answer(path: &str, head: &str, port: u16) -> String {
    let to =
        |location: &str| format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    match path.split_at(path.rfind('/').unwrap_or(0)) {
        ("/status", status) => format!("HTTP/1.1 {} Said\r\nContent-Length: 0\r\n\r\n", &status[1..]),
        ("/hops", "/0") => answer("/status/200", head, port),
        ("/hops", left) => to(&format!("/hops/{}", left[1..].parse::<u32>().unwrap() - 1)),
        ("", "/silent") => String::new(),
        ("", "/away") => to("http://elsewhere.test/"),
        ("", "/back") => to(&format!("http://127.0.0.1:{port}/head-of-agent")),
        ("", "/loop") => to("/loop"),
        ("", "/file") => to("file:///etc/hosts"),
        ("", "/long") => format!("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n{}", "x".repeat(20000)),
        ("", "/cut") => "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort".to_owned(),
        // Fails with what it was asked, which a failure's sentence does not hold; so by header.
        (_, "/head-of-agent") => {
            answer(if head.contains("kube-probe/1.31") { "/status/200" } else { "/status/500" }, head, port)
        }
        _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
    }
}

async fn ask(path: &str, limit: Duration) -> super::Made {
    let port = serve().await;
    let url = format!("http://127.0.0.1:{port}{path}").parse().unwrap();
    get(&url, &[], &Options::default(), &Deadline::after(limit)).await
}

#[rstest]
#[case::least("/status/200", Verdict::Success, false, "status 200")]
#[case::no_content("/status/204", Verdict::Success, false, "status 204")]
#[case::most("/status/399", Verdict::Success, true, "status 399")]
#[case::redirect_to_nowhere("/status/302", Verdict::Success, true, "status 302")]
#[case::refused("/status/400", Verdict::Failure, false, "status 400")]
#[case::unwell("/status/503", Verdict::Failure, false, "status 503")]
#[case::redirected("/hops/1", Verdict::Success, false, "status 200")]
#[case::redirected_nine_times("/hops/9", Verdict::Success, false, "status 200")]
#[case::redirected_ten_times("/hops/10", Verdict::Failure, false, "redirected 10 times")]
#[case::looping("/loop", Verdict::Failure, false, "redirected 10 times")]
#[case::by_its_address("/back", Verdict::Success, false, "status 200")]
#[case::away(
    "/away",
    Verdict::Success,
    true,
    "redirected to another host, http://elsewhere.test/, and not followed"
)]
#[case::no_address(
    "/file",
    Verdict::Failure,
    false,
    "redirected to `file:///etc/hosts`, which is no address"
)]
#[case::long("/long", Verdict::Success, false, "status 200")]
#[tokio::test]
async fn a_page_succeeds_by_its_status(
    #[case] path: &str,
    #[case] verdict: Verdict,
    #[case] warning: bool,
    #[case] said: &str,
) {
    let made = ask(path, Duration::from_secs(30)).await;
    assert_eq!((made.verdict, made.warning, made.said.as_str()), (verdict, warning, said));
}

#[tokio::test]
async fn a_page_that_breaks_off_gives_no_result() {
    let made = ask("/cut", Duration::from_secs(30)).await;
    assert_eq!(made.verdict, Verdict::Void, "{}", made.said);
}

#[tokio::test]
async fn a_page_that_does_not_come_in_time_fails() {
    let made = ask("/silent", Duration::from_millis(300)).await;
    assert_eq!(made.verdict, Verdict::Failure);
    assert_eq!(made.said, "300ms passed while waiting for the first byte");
}

/// The head of a probe with these headers, in small letters.
async fn head(headers: &[(&'static str, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/health", listener.local_addr().unwrap()).parse().unwrap();
    let headers = headers.iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    let heard = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        String::from_utf8(head).unwrap().to_lowercase()
    };
    let deadline = Deadline::after(Duration::from_secs(30));
    let options = Options::default();
    tokio::join!(get(&url, &headers, &options, &deadline), heard).1
}

#[rstest]
#[case::its_own(&[], &["get /health http/1.1", "user-agent: kube-probe/1.31", "accept: */*", "connection: close"], &["accept-encoding", "firedrill"])]
#[case::theirs(&[("user-agent", "me/1"), ("accept", "text/plain")], &["user-agent: me/1", "accept: text/plain"], &["kube-probe", "*/*"])]
#[case::emptied(&[("user-agent", ""), ("accept", "")], &["host: 127"], &["user-agent", "accept"])]
#[case::host(&[("host", "shop.test")], &["host: shop.test"], &["host: 127"])]
#[case::twice(&[("x-tag", "a"), ("x-tag", "b")], &["x-tag: a\r\n", "x-tag: b\r\n"], &[])]
#[tokio::test]
async fn a_probe_has_the_headers_of_a_kubelet(
    #[case] headers: &[(&'static str, &'static str)],
    #[case] there: &[&str],
    #[case] absent: &[&str],
) {
    let head = head(headers).await;
    assert!(there.iter().all(|part| head.contains(part)), "{head}");
    assert!(!absent.iter().any(|part| head.contains(part)), "{head}");
}
