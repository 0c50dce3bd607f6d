//! Many at once: 10,000 who ask `/probe`, 2,000 targets beside 200 that hang. Nobody waits for others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::*;

const CALLS: usize = 10_000;

/// What `serve` may take at its most, in KiB; a debug build holds more of each connection than a release.
const MEMORY: u64 = 1 << 20;

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    Good,
    Bad,
    Refused,
}

/// Who answers everybody well, or who lets everybody in and says nothing.
fn peer(answers: bool) -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let listener = socket.listen(4096).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if !answers {
                held.push(stream);
                continue;
            }
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(WELL.as_bytes()).await;
            });
        }
    });
    address
}

/// Reads one answer from a connection that stays open: its status, its head and its body.
async fn read(stream: &mut TcpStream) -> (u16, String, String) {
    let mut said = Vec::new();
    loop {
        let read = stream.read_buf(&mut said).await.expect("the connection is not broken");
        assert!(read > 0, "the connection is not ended: {}", String::from_utf8_lossy(&said));
        let text = String::from_utf8_lossy(&said);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() == length.parse::<usize>().unwrap() {
            return (head[9..12].parse().unwrap(), head.to_owned(), body.to_owned());
        }
    }
}

/// Connects, waits until all have, asks for a probe within this time, and says what is answered.
async fn call(serving: SocketAddr, target: SocketAddr, seconds: u8, all: Arc<Barrier>) -> Answer {
    let mut stream = TcpStream::connect(serving).await.unwrap();
    all.wait().await;
    let asked = format!(
        "GET /probe?target={target} HTTP/1.1\r\nhost: x\r\nx-prometheus-scrape-timeout-seconds: {seconds}\r\n\r\n"
    );
    stream.write_all(asked.as_bytes()).await.unwrap();
    let (status, head, body) = read(&mut stream).await;
    if status == 503 {
        assert!(head.contains("\r\nretry-after: 1\r\n"), "{head}");
        assert!(body.ends_with(" probes are under way already\n"), "{body}");
        return Answer::Refused;
    }
    assert_eq!(status, 200, "{body}");
    match value(&parse(&body, Dialect::Text).unwrap(), "probe_success", &[]) {
        Some(1.0) => Answer::Good,
        Some(0.0) => Answer::Bad,
        other => panic!("{other:?}: {body}"),
    }
}

/// Asks again and again until everybody else was answered, and says how often.
async fn look(serving: SocketAddr, path: &str, over: Arc<AtomicBool>) -> usize {
    let mut times = 0;
    while !over.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(serving).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        assert_eq!(read(&mut stream).await.0, 200, "{path}");
        times += 1;
    }
    times
}

/// How much memory a process has had at its most, in KiB.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn each_of_ten_thousand_who_ask_at_once_is_answered_and_nobody_else_waits() {
    // Two ends of each connection are in this process and in the other; both have this limit.
    let files = firedrill::load::files::raise();
    assert!(files.is_none_or(|files| files >= 16_000), "{files:?} files are too few for this test");
    let folder = Folder::new("crowd");
    folder.scenario("well", &probing("well", target(WELL), "200ms"));
    let serving = Serving::start(&folder.0, &["--probe-allow-net", "127.0.0.0/8"]);
    let passed = [("scenario", "well"), ("conclusion", "pass")];
    let before = serving.value("firedrill_scenario_runs_total", &passed).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let address = serving.address;
    let (answers, looks) = runtime.block_on(async {
        let (well, silent) = (peer(true), peer(false));
        let (over, all) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(CALLS)));
        let looking =
            ["/-/healthy", "/metrics"].map(|path| tokio::spawn(look(address, path, Arc::clone(&over))));
        let mut calls = JoinSet::new();
        for number in 0..CALLS {
            let is_well = number % 2 == 0;
            // All are on this machine, which may take long to get round to each.
            let (target, seconds) = if is_well { (well, 60) } else { (silent, 5) };
            let all = Arc::clone(&all);
            calls.spawn(async move { (is_well, call(address, target, seconds, all).await) });
        }
        let answers = calls.join_all().await;
        over.store(true, Ordering::Relaxed);
        let mut looks = Vec::new();
        for one in looking {
            looks.push(one.await.unwrap());
        }
        (answers, looks)
    });
    let times = |wanted: (bool, Answer)| answers.iter().filter(|answer| **answer == wanted).count();
    let wrong = times((true, Answer::Bad)) + times((false, Answer::Good));
    assert_eq!(wrong, 0, "who is well is told to be, who is silent is not");
    let (good, bad) = (times((true, Answer::Good)), times((false, Answer::Bad)));
    assert!(good > 0 && bad > 0, "{good} good, {bad} bad");
    let calls = |result: &str| serving.value("firedrill_probe_calls_total", &[("result", result)]);
    let counted = |many: usize| Some(f64::from(u32::try_from(many).unwrap()));
    assert_eq!((calls("made"), calls("refused")), (counted(good + bad), counted(CALLS - good - bad)));
    assert_eq!(serving.value("firedrill_probe_calls_under_way", &[]), Some(0.0));
    assert!(looks.iter().all(|times| *times > 1), "{looks:?}");
    let failed = [("scenario", "well"), ("conclusion", "fail")];
    assert_eq!(serving.value("firedrill_scenario_runs_total", &failed), Some(0.0));
    assert!(serving.value("firedrill_scenario_runs_total", &passed).unwrap() > before);
    let peak = peak(serving.child.id());
    assert!(peak < MEMORY, "{peak} KiB");
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn where_there_is_no_room_whoever_says_nothing_leaves() {
    let folder = Folder::new("no-room");
    folder.scenario("well", &probing("well", target(WELL), "200ms"));
    let serving = Serving::start_by(&["sh", "-c", "ulimit -n 128 && exec \"$0\" \"$@\""], &folder.0, &[]);
    let slow: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(serving.address).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nx-slow: ").unwrap();
            stream
        })
        .collect();
    // Each asks on a connection of its own, behind all of those.
    assert_eq!(serving.get("/-/healthy"), "firedrill is healthy.\n");
    serving.until("firedrill_port_clients_sent_away_total", &[], |sent_away| sent_away > 90.0);
    let passed = [("scenario", "well"), ("conclusion", "pass")];
    let before = serving.value("firedrill_scenario_runs_total", &passed).unwrap();
    serving.until("firedrill_scenario_runs_total", &passed, |passed| passed > before);
    let failed = [("scenario", "well"), ("conclusion", "fail")];
    assert_eq!(serving.value("firedrill_scenario_runs_total", &failed), Some(0.0));
    drop(slow);
    assert_eq!(serving.end(), Some(0));
}

#[test]
fn targets_that_hang_delay_no_other() {
    let folder = Folder::new("hang");
    // They accept, and say nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hole = silent.local_addr().unwrap();
    let (came, held) = mpsc::channel();
    std::thread::spawn(move || silent.incoming().flatten().try_for_each(|stream| came.send(stream)));
    for n in 0..200 {
        folder.scenario(&format!("silent-{n}"), &format!(
            "scenario: silent-{n}\nevery: 1s\nsteps:\n  - name: open\n    websocket: {{ url: 'ws://{hole}/' }}\n    timeout: 10m\n"
        ));
    }
    let well = target(WELL);
    for n in 0..2000 {
        folder.scenario(&format!("well-{n}"), &probing(&format!("well-{n}"), well, "30s"));
    }
    let serving = Serving::start(&folder.0, &[]);
    let began = Instant::now();
    let ended = |page: &str, name: &str, conclusion: &str| {
        let (of, how) = (format!("scenario=\"{name}-"), format!("conclusion=\"{conclusion}\""));
        let runs = page.lines().filter(|line| {
            line.starts_with("firedrill_scenario_runs_total{") && line.contains(&of) && line.contains(&how)
        });
        runs.filter(|line| !line.ends_with(" 0")).count()
    };
    let page = loop {
        let page = serving.get("/metrics");
        let passed = ended(&page, "well", "pass");
        if passed == 2000 {
            break page;
        }
        assert!(began.elapsed() < PATIENCE, "{passed} of 2000 have passed");
        std::thread::sleep(Duration::from_secs(1));
    };
    for conclusion in ["pass", "fail", "inconclusive", "not_measured"] {
        assert_eq!(ended(&page, "silent", conclusion), 0, "they hang still");
    }
    assert_eq!(ended(&page, "well", "fail"), 0);
    assert_eq!(held.try_iter().count(), 200);
    assert_eq!(serving.end(), Some(0));
}
