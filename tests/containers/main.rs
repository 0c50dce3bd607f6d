//! Services in containers, at a real engine, from the images that `ci/images.sh` builds.
#![cfg(test)]

mod bad;
mod registry;
mod runs;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use firedrill::stack::containers::{
    Container, Engine, Error, Impairment, Means, Network, Request, State, Swept,
};
use firedrill::stack::processes::log::Log;
use firedrill::units::{Ratio, Size};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

const REDIS: &str = "firedrill.local/redis:7.0.15";
const EXPORTER: &str = "firedrill.local/redis-exporter:1.45.0";

/// How long anything may take; the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// A run's network at the engine, and all that it starts; removed when this is dropped, also by a failing test.
struct Run {
    id: String,
    engine: Engine,
    network: Network,
    folder: PathBuf,
}

impl Run {
    async fn new(name: &str) -> Self {
        let engine = Engine::connect().await.expect("a container engine answers");
        let id = format!("test-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(format!("firedrill-{id}"));
        std::fs::create_dir_all(&folder).expect("the machine and its engine can be used");
        let network = engine.make_network(&id, 0).await.expect("the machine and its engine can be used");
        Self { id, engine, network, folder }
    }

    fn redis(&self, name: &str) -> Request {
        Request {
            run: self.id.clone(),
            name: name.to_owned(),
            image: REDIS.to_owned(),
            command: ["redis-server", "--save", ""].map(str::to_owned).to_vec(),
            ports: vec![6379],
            scratch: self.folder.clone(),
            ..Request::default()
        }
    }

    async fn start(&self, request: &Request) -> Result<Container, Error> {
        let log = Log::new(self.folder.join(format!("{}.log", request.name)), None);
        self.engine.start(request, &self.network, Arc::new(log)).await
    }

    /// What the engine has under the run's label.
    fn left(&self) -> usize {
        let label = format!("label=firedrill.run={}", self.id);
        let list = |what: &[&str]| {
            let told =
                std::process::Command::new("docker").args(what).args(["-q", "--filter", &label]).output();
            String::from_utf8(told.expect("the machine and its engine can be used").stdout)
                .expect("the machine and its engine can be used")
                .lines()
                .count()
        };
        list(&["ps", "-a"]) + list(&["network", "ls"]) + list(&["volume", "ls"])
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let _ = self.engine.sweep(&self.id).await;
            });
        });
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Whether Redis answers `PING` within half a second.
async fn pongs(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(&answer == b"+PONG\r\n")
    };
    matches!(timeout(Duration::from_millis(500), ask).await, Ok(Ok(true)))
}

async fn comes_to_pong(address: SocketAddr) {
    let began = Instant::now();
    while !pongs(address).await {
        assert!(began.elapsed() < PATIENCE, "Redis does not answer at {address}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn port(container: &Container, inside: u16) -> SocketAddr {
    container.ports()[&inside]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a container engine"]
async fn a_service_is_started_paused_killed_and_started_again() {
    let run = Run::new("life").await;
    let mut redis = run.start(&run.redis("redis")).await.unwrap();
    comes_to_pong(port(&redis, 6379)).await;
    assert!(redis.log().tail().contains("Ready to accept connections"), "{}", redis.log().tail());

    redis.pause().await.unwrap();
    assert!(matches!(redis.state().await.unwrap(), State::Running { paused: true, .. }));
    assert!(!pongs(port(&redis, 6379)).await);
    redis.unpause().await.unwrap();
    comes_to_pong(port(&redis, 6379)).await;

    redis.kill("KILL").await.unwrap();
    let began = Instant::now();
    while redis.state().await.unwrap() != (State::Ended { status: 137, out_of_memory: false }) {
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20)).await;
    }
    redis.start_again().await.unwrap();
    comes_to_pong(port(&redis, 6379)).await;

    redis.stop(Duration::from_secs(5)).await.unwrap();
    assert_eq!(redis.state().await.unwrap(), State::Ended { status: 0, out_of_memory: false });
    let path = run.folder.join("redis.log");
    redis.remove().await.unwrap();
    let log = std::fs::read_to_string(path).unwrap();
    assert!(log.contains("bye bye"), "{log}");
    assert_eq!(log.matches("Ready to accept connections").count(), 2, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a container engine"]
async fn a_service_off_the_network_is_alive_and_unreachable() {
    let run = Run::new("cable").await;
    let mut redis = run.start(&run.redis("redis")).await.unwrap();
    comes_to_pong(port(&redis, 6379)).await;
    redis.disconnect().await.unwrap();
    assert!(!pongs(port(&redis, 6379)).await);
    let inside = redis.execute(&["redis-cli", "ping"].map(str::to_owned), PATIENCE).await.unwrap();
    assert_eq!((inside.status, inside.output.as_slice()), (0, &b"PONG\n"[..]));
    redis.reconnect().await.unwrap();
    comes_to_pong(port(&redis, 6379)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a container engine"]
async fn services_reach_each_other_through_a_listener_at_the_gateway() {
    let run = Run::new("names").await;
    let redis = run.start(&run.redis("redis")).await.unwrap();
    comes_to_pong(port(&redis, 6379)).await;
    let gateway = run.network.gateway.expect("a bridge has a gateway");
    let listener =
        TcpListener::bind((gateway, 6379)).await.expect("the gateway is an address of this machine");
    let to = port(&redis, 6379);
    let relay = tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut to = TcpStream::connect(to).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    let request = Request {
        image: EXPORTER.to_owned(),
        command: Vec::new(),
        env: vec![("REDIS_ADDR".to_owned(), "redis://redis:6379".to_owned())],
        ports: vec![9121],
        hosts: vec![("redis".to_owned(), gateway)],
        ..run.redis("exporter")
    };
    let exporter = run.start(&request).await.unwrap();
    assert!(page_of(port(&exporter, 9121)).await.contains("\nredis_up 1\n"));
    relay.abort();
    let _ = relay.await;
    assert!(page_of(port(&exporter, 9121)).await.contains("\nredis_up 0\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a container engine"]
async fn where_no_relay_stands_services_find_each_other_by_name() {
    let run = Run::new("alias").await;
    let names = run.engine.make_network(&run.id, 1).await.unwrap();
    let [first, second] = ["redis", "other"].map(|name| run.redis(name));
    let (first, second) = (run.start(&first).await.unwrap(), run.start(&second).await.unwrap());
    first.join(&names).await.unwrap();
    second.join(&names).await.unwrap();
    let ask = ["redis-cli", "-h", "redis", "ping"].map(str::to_owned);
    assert_eq!(second.execute(&ask, PATIENCE).await.unwrap().output, b"PONG\n");
}

/// The page of an exporter.
async fn page_of(address: SocketAddr) -> String {
    let began = Instant::now();
    loop {
        let ask = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
            let mut page = String::new();
            stream.read_to_string(&mut page).await?;
            Ok::<_, std::io::Error>(page)
        };
        if let Ok(Ok(page)) = timeout(PATIENCE, ask).await
            && !page.is_empty()
        {
            return page;
        }
        assert!(began.elapsed() < PATIENCE, "the exporter does not answer");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a container engine"]
async fn a_service_has_its_files_and_folders() {
    let run = Run::new("files").await;
    let request = Request {
        files: vec![("/etc/shop/deep/shop.conf".to_owned(), b"port 80\n".to_vec())],
        folders: vec!["/var/shop/data".to_owned()],
        user: Some("nobody".to_owned()),
        env: vec![("SHOP".to_owned(), "open = yes".to_owned())],
        entrypoint: Some("/bin/sh".to_owned()),
        command: [
            "-c",
            "cat /etc/shop/deep/shop.conf; id -un; echo $SHOP; echo kept >/var/shop/data/x; sleep 60",
        ]
        .map(str::to_owned)
        .to_vec(),
        ports: Vec::new(),
        ..run.redis("shop")
    };
    let shop = run.start(&request).await.unwrap();
    let read = ["cat", "/var/shop/data/x"].map(str::to_owned);
    let began = Instant::now();
    while shop.execute(&read, PATIENCE).await.unwrap().output != b"kept\n" {
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(shop.log().tail(), "port 80\nnobody\nopen = yes");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a container engine"]
async fn a_container_has_less_and_then_what_it_had() {
    let run = Run::new("limits").await;
    let redis = run.start(&run.redis("redis")).await.unwrap();
    let had = redis.limits().await.unwrap();
    let before = redis.limit_cpu(100).await.unwrap();
    assert_eq!(before, had);
    // As the container itself sees them, by the first or the second version of control groups.
    let see = |files: &str| {
        ["sh", "-c", &format!("cd /sys/fs/cgroup && cut -d ' ' -f 1 {files} 2>/dev/null")].map(str::to_owned)
    };
    let quota = see("cpu/cpu.cfs_quota_us cpu.max");
    let memory = see("memory/memory.limit_in_bytes memory.max");
    let seen = async |what: &[String]| {
        String::from_utf8(redis.execute(what, PATIENCE).await.unwrap().output).unwrap().trim().to_owned()
    };
    assert_eq!(seen(&quota).await, "10000");
    redis.limit_memory("32MiB".parse::<Size>().unwrap()).await.unwrap();
    assert_eq!(seen(&memory).await, (32 << 20).to_string());
    redis.restore_limits(&before).await.unwrap();
    assert!(["-1", "max"].contains(&seen(&quota).await.as_str()));
    assert!(["9223372036854771712", "max"].contains(&seen(&memory).await.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a container engine"]
async fn an_image_that_is_nowhere_is_named() {
    let run = Run::new("nowhere").await;
    let request = Request { image: "registry.invalid/shop:1".to_owned(), ..run.redis("shop") };
    let began = Instant::now();
    let error = run.start(&request).await.unwrap_err();
    assert!(matches!(&error, Error::NoImage { image, .. } if image == "registry.invalid/shop:1"), "{error}");
    let told = error.to_string();
    assert!(
        told.starts_with("image `registry.invalid/shop:1` is not on this machine and cannot be pulled: "),
        "{told}"
    );
    assert!(began.elapsed() < Duration::from_secs(60));
    // The network alone.
    assert_eq!(run.left(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a container engine"]
async fn a_dropped_service_is_gone_and_a_sweep_finds_the_rest() {
    let run = Run::new("sweep").await;
    let other = Run::new("bystander").await;
    let bystander = other.start(&other.redis("redis")).await.unwrap();
    drop(run.start(&run.redis("dropped")).await.unwrap());
    assert_eq!(run.left(), 1);

    // As after `kill -9`: nobody drops it.
    std::mem::forget(run.start(&run.redis("forgotten")).await.unwrap());
    assert_eq!(run.left(), 2);
    let swept = run.engine.sweep_those(|id| id == run.id).await.unwrap();
    assert_eq!(swept, Swept { containers: 1, networks: 1, volumes: 0 });
    assert_eq!(run.left(), 0);
    comes_to_pong(port(&bystander, 6379)).await;
    assert_eq!(other.left(), 2);
    bystander.remove().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a container engine"]
async fn a_network_that_loses_everything_is_mended() {
    let run = Run::new("loss").await;
    let redis = run.start(&run.redis("redis")).await.unwrap();
    comes_to_pong(port(&redis, 6379)).await;
    let lossy = Impairment { loss: Ratio::ONE, ..Impairment::NONE };
    let bad = redis.impair(&lossy).await.unwrap();
    assert!([[Means::Netem], [Means::Iptables]].iter().any(|means| bad.means() == means), "{bad:?}");
    assert!(!pongs(port(&redis, 6379)).await);
    bad.lift().await.unwrap();
    comes_to_pong(port(&redis, 6379)).await;

    // A container that is gone has taken its network along, and nothing is left to be lifted.
    let bad = redis.impair(&lossy).await.unwrap();
    redis.remove().await.unwrap();
    bad.lift().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a container engine"]
async fn a_share_of_packets_is_lost_at_random() {
    let run = Run::new("share").await;
    let redis = run.start(&run.redis("redis")).await.unwrap();
    // A port at which nobody listens: the kernel counts what arrives for it.
    let to = SocketAddr::new(port(&redis, 6379).ip(), 5000);
    let socket = tokio::net::UdpSocket::bind("0.0.0.0:0").await.unwrap();
    let arrived = async || {
        let read = ["awk", "/^Udp: [0-9]/ { print $3 }", "/proc/net/snmp"].map(str::to_owned);
        let told = String::from_utf8(redis.execute(&read, PATIENCE).await.unwrap().output).unwrap();
        told.trim().parse::<u32>().unwrap()
    };
    let before = arrived().await;
    let lossy = Impairment { loss: Ratio::new(0.3).unwrap(), ..Impairment::NONE };
    let bad = redis.impair(&lossy).await.unwrap();
    for _ in 0..100 {
        for _ in 0..10 {
            socket.send_to(b"x", to).await.unwrap();
        }
        sleep(Duration::from_millis(2)).await;
    }
    let arrived = arrived().await - before;
    let netem = bad.means() == [Means::Netem];
    bad.lift().await.unwrap();
    // Netem loses what leaves; iptables what arrives: of a thousand, within five deviations of seven hundred.
    assert!(if netem { arrived == 1000 } else { (628..=772).contains(&arrived) }, "{arrived}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a container engine"]
async fn a_narrow_network_is_slow_and_what_no_means_can_do_is_said() {
    let run = Run::new("narrow").await;
    let redis = run.start(&run.redis("redis")).await.unwrap();
    comes_to_pong(port(&redis, 6379)).await;
    let fill = ["redis-cli", "setrange", "big", "200000", "x"].map(str::to_owned);
    redis.execute(&fill, PATIENCE).await.unwrap();
    let read = async || {
        let began = Instant::now();
        let mut stream = TcpStream::connect(port(&redis, 6379)).await.unwrap();
        stream.write_all(b"GET big\r\n").await.unwrap();
        let mut all = vec![0; 200_000];
        timeout(PATIENCE, stream.read_exact(&mut all)).await.unwrap().unwrap();
        began.elapsed()
    };
    assert!(read().await < Duration::from_millis(900));
    let narrow = Impairment { rate: Some("100kB/s".parse().unwrap()), ..Impairment::NONE };
    let bad = redis.impair(&narrow).await.unwrap();
    assert!([[Means::Netem], [Means::TokenBucket]].iter().any(|means| bad.means() == means), "{bad:?}");
    let slow = read().await;
    assert!(slow > Duration::from_millis(1500) && slow < Duration::from_secs(6), "{slow:?}");
    bad.lift().await.unwrap();
    assert!(read().await < Duration::from_millis(900));

    let late = Impairment { delay: Duration::from_millis(50), ..Impairment::NONE };
    let bad = redis.impair(&late).await.unwrap();
    match bad.means() {
        [Means::Netem] => assert_eq!(bad.left, Impairment::NONE),
        other => assert_eq!((other, bad.left), (&[Means::Relay][..], late)),
    }
    bad.lift().await.unwrap();
    match redis.impair(&Impairment { duplicate: Ratio::ONE, ..Impairment::NONE }).await {
        Ok(bad) => bad.lift().await.unwrap(),
        Err(error) => {
            assert_eq!(error.to_string(), "netem is not in this kernel, and nothing else duplicates packets");
        }
    }
}
