//! Very many at once: of those who ask, and of targets that say nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// How many ask at once.
const ASKING: usize = 10_000;

/// How long all of that may take.
const ALL: Duration = Duration::from_secs(150);

#[test]
fn ten_thousand_probes_at_once_are_answered_or_told_to_come_again() {
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, maximum: limits.maximum }).unwrap();
    let most = limits.maximum.unwrap_or(u64::MAX);
    assert!(most > 12_000, "this takes 12000 open files, and {most} are allowed");
    let folder = Folder::new("asking");
    // It accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hole = silent.local_addr().unwrap();
    folder.scenario("well", &probing("well", target(WELL), "2s"));
    let serving = Serving::start(&folder.0, &["--probe-allow-net", "127.0.0.0/8"]);
    let request = format!(
        "GET /probe?target={hole} HTTP/1.0\r\nhost: x\r\nx-prometheus-scrape-timeout-seconds: 20\r\n\r\n"
    );
    let (address, request) = (serving.address, Arc::new(request));
    let (answered, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let asking: Vec<_> = (0..ASKING)
        .map(|_| {
            let (request, answered, refused) =
                (Arc::clone(&request), Arc::clone(&answered), Arc::clone(&refused));
            runtime.spawn(async move {
                let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                if answer.contains("probe_success 0") {
                    answered.fetch_add(1, Ordering::Relaxed);
                } else {
                    assert!(answer.starts_with("HTTP/1.0 503 "), "{answer}");
                    assert!(answer.ends_with("1000 probes are under way already\n"), "{answer}");
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let all = async {
        for one in asking {
            one.await.unwrap();
        }
    };
    runtime.block_on(async { tokio::time::timeout(ALL, all).await }).expect("all are answered");
    let (answered, refused) = (answered.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    assert_eq!(answered + refused, ASKING);
    assert!(answered >= 1000 && refused > 0, "{answered} were probed, {refused} were told to come again");
    assert_eq!(serving.get("/-/healthy"), "firedrill is healthy.\n");
    assert_eq!(serving.value("firedrill_schedule_missed_total", &[("scenario", "well")]), Some(0.0));
    assert_eq!(serving.end(), Some(0));
}
