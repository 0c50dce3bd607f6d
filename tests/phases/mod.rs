//! How long each phase took, as curl has it too.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Folder, Nginx};

/// What the handshake, the first byte and the last byte of the answer are held up by.
const HELD: [(&str, Duration); 3] = [
    ("tls", Duration::from_millis(150)),
    ("wait", Duration::from_millis(300)),
    ("transfer", Duration::from_millis(200)),
];

/// How far our figure and curl's may lie apart, each the least of its rounds.
const APART: Duration = Duration::from_millis(40);

/// A busy machine only ever adds to a figure: rounds go on until the least of each agree, at most so long.
const ROUNDS: usize = 20;

/// What a clock of whole milliseconds, read at another moment, may take away.
const GRAIN: Duration = Duration::from_millis(2);

/// Serves `talk` to whoever comes.
fn serve(talk: impl Fn(TcpStream) -> io::Result<()> + Copy + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // Who goes away early is no failure of ours.
            thread::spawn(move || talk(stream).ok());
        }
    });
    address
}

/// An answer whose head and second half are held up.
fn slow(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    thread::sleep(HELD[1].1);
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\nhalf")?;
    thread::sleep(HELD[2].1);
    stream.write_all(b"half")
}

/// A way to `to` on which the first that comes back, which is of the handshake, is held up.
fn holding(to: SocketAddr) -> SocketAddr {
    serve(move |client| {
        let server = TcpStream::connect(to)?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
        thread::spawn(move || {
            io::copy(&mut from_client, &mut to_server).ok();
            to_server.shutdown(Shutdown::Write).ok();
        });
        let (mut from_server, mut to_client) = (server, client);
        from_server.peek(&mut [0])?;
        thread::sleep(HELD[0].1);
        io::copy(&mut from_server, &mut to_client)?;
        to_client.shutdown(Shutdown::Write)
    })
}

/// By their names.
type Phases = BTreeMap<&'static str, Duration>;

const NAMES: [&str; 6] = ["resolve", "connect", "tls", "wait", "transfer", "total"];

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}\n{err}");
    out.into_owned()
}

/// curl's figures are moments since it began.
fn by_curl(url: &str, nginx: &Nginx) -> Phases {
    let figures = "%{time_namelookup} %{time_connect} %{time_appconnect} %{time_starttransfer} %{time_total}";
    let mut curl = Command::new("curl");
    curl.args(["-4", "--http1.1", "--silent", "--fail", "--output", "/dev/null", "-w", figures, "--cacert"]);
    let out = run(curl.arg(nginx.certificate()).arg(url));
    let at: Vec<_> = out.split(' ').map(|text| Duration::from_secs_f64(text.parse().unwrap())).collect();
    let began = std::iter::once(&Duration::ZERO).chain(&at);
    let spans = at.iter().zip(began).map(|(end, began)| end.checked_sub(*began).unwrap());
    let mut phases: Phases = NAMES.into_iter().zip(spans).collect();
    phases.insert("total", at[4]);
    phases
}

/// Ours; what curl counts as waiting begins with the sending.
fn by_us(url: &str, nginx: &Nginx, folder: &Folder) -> Phases {
    let path = folder.0.join("scenario.yaml");
    let ca = nginx.certificate();
    let scenario = format!(
        "scenario: phases\nsteps:\n  - http: {{ get: '{url}', version: HTTP/1.1, network: {{ family: ipv4 }}, \
         tls: {{ ca: '{}' }} }}\n",
        ca.display()
    );
    std::fs::write(&path, scenario).unwrap();
    let mut firedrill = Command::new(env!("CARGO_BIN_EXE_firedrill"));
    let events = run(firedrill.args(["run", "--quiet", "--report", "json=-"]).arg(&path));
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut attempts =
        events.map(|event| event["event"]["attempted"].clone()).filter(|attempt| !attempt.is_null());
    let attempt = attempts.next().unwrap();
    let phases = &attempt["evidence"]["hops"][0]["phases"];
    let span = |name: &str| Duration::from_nanos(phases[name].as_u64().unwrap());
    let wait = span("send") + span("wait");
    let all = NAMES[..5].iter().map(|name| if *name == "wait" { wait } else { span(name) });
    let mut phases: Phases = NAMES.into_iter().zip(all).collect();
    phases.insert("total", phases.values().sum());
    phases
}

#[test]
#[ignore = "needs nginx and curl"]
fn curl_measures_the_same_phases() {
    let nginx = Nginx::start(serve(slow)).unwrap();
    let folder = Folder::new().unwrap();
    let url = format!("https://localhost:{}/slow", holding(nginx.https).port());
    let (mut ours, mut theirs) = (Phases::new(), Phases::new());
    for _ in 0..ROUNDS {
        for (least, measured) in
            [(&mut ours, by_us(&url, &nginx, &folder)), (&mut theirs, by_curl(&url, &nginx))]
        {
            // Who wakes up late after one phase takes that from the next.
            let (mut took, mut held) = (Duration::ZERO, Duration::ZERO);
            for (name, least) in HELD {
                (took, held) = (took + measured[name], held + least);
                assert!(took + GRAIN >= held, "{name} ends sooner than it can: {measured:?}");
            }
            for (name, span) in measured {
                least.entry(name).and_modify(|known| *known = span.min(*known)).or_insert(span);
            }
        }
        if NAMES.iter().all(|name| ours[name].abs_diff(theirs[name]) <= APART) {
            return;
        }
    }
    panic!("after {ROUNDS} rounds\n  ours: {ours:?}\ncurl's: {theirs:?}");
}
