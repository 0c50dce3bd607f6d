//! Each fault on bytes does what it says, to connections that were open before it too.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Service, add, connect, echo, eventually, flow, relay_to, soon};
use crate::fault::relay::Effect;
use crate::scenario::fault::traffic::{Direction, Distribution, Flow, Interference, Lag, Slice};
use crate::units::{Ratio, Size, Throughput};

fn latency(millis: u64, direction: Direction) -> Interference {
    let lag = Lag {
        add: Duration::from_millis(millis),
        jitter: Duration::ZERO,
        distribution: Distribution::Uniform,
    };
    Interference::Latency(lag, flow(direction))
}

#[rstest]
#[case::down(Direction::Down, 60)]
#[case::up(Direction::Up, 60)]
#[case::both_ways_twice(Direction::Both, 120)]
#[tokio::test]
async fn latency_delays(#[case] direction: Direction, #[case] millis: u64) {
    let service = Service::echo().await;
    let relay = relay_to(&service).await;
    let mut client = connect(&relay).await;
    echo(&mut client, b"before").await;
    let guard = add(&relay, latency(60, direction));
    let began = Instant::now();
    assert_eq!(echo(&mut client, b"hello").await, b"hello");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(millis), "{took:?}");
    let delayed = 5 * millis / 60;
    assert_eq!(guard.effect(), Effect { connections: 1, delayed, ..Effect::default() });
}

#[tokio::test]
async fn latency_that_is_lifted_lets_go_at_once() {
    let service = Service::echo().await;
    let relay = relay_to(&service).await;
    let mut client = connect(&relay).await;
    let guard = add(&relay, latency(3_600_000, Direction::Down));
    client.write_all(b"hello").await.unwrap();
    eventually(|| guard.effect().delayed == 5).await;
    drop(guard);
    let mut heard = [0; 5];
    soon(client.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"hello");
}

#[tokio::test]
async fn two_latencies_add_up_and_lifting_one_leaves_the_other() {
    let service = Service::echo().await;
    let relay = relay_to(&service).await;
    let mut client = connect(&relay).await;
    let _first = add(&relay, latency(40, Direction::Down));
    let second = add(&relay, latency(40, Direction::Up));
    let began = Instant::now();
    echo(&mut client, b"hello").await;
    assert!(began.elapsed() >= Duration::from_millis(80));
    drop(second);
    let began = Instant::now();
    echo(&mut client, b"hello").await;
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(40), "{took:?}");
}

#[tokio::test]
async fn bandwidth_is_shared_by_all_connections() {
    let service = Service::echo().await;
    let relay = relay_to(&service).await;
    let (mut one, mut other) = (connect(&relay).await, connect(&relay).await);
    let rate = Throughput::new(200_000).unwrap();
    let guard = add(&relay, Interference::Bandwidth(rate, flow(Direction::Down)));
    let began = Instant::now();
    let payload = vec![7; 20_000];
    tokio::join!(echo(&mut one, &payload), echo(&mut other, &payload));
    let took = began.elapsed();
    // 40 kB at 200 kB/s, less the one piece that may go at once.
    assert!(took >= Duration::from_millis(180), "{took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(guard.effect().connections, 2);
    assert!(guard.effect().delayed > 0);
}

#[tokio::test]
async fn slices_arrive_one_by_one() {
    let service = Service::echo().await;
    let relay = relay_to(&service).await;
    let mut client = connect(&relay).await;
    let every = Duration::from_millis(10);
    let slice = Slice { size: Size(10), every };
    let _guard = add(&relay, Interference::Slice(slice, flow(Direction::Down)));
    let began = Instant::now();
    client.write_all(&[7; 50]).await.unwrap();
    let (mut total, mut pieces) = (0, Vec::new());
    while total < 50 {
        let len = soon(client.read(&mut [0; 64])).await.unwrap();
        total += len;
        pieces.push(len);
    }
    assert!(began.elapsed() >= every * 4);
    // A reader that is late may find two at once, never one broken.
    assert!(pieces.iter().all(|len| len % 10 == 0), "{pieces:?}");
}

#[rstest]
#[case::before_it_opened(false)]
#[case::while_it_was_open(true)]
#[tokio::test]
async fn a_reset_is_felt(#[case] open: bool) {
    let service = Service::echo().await;
    let relay = relay_to(&service).await;
    let reset = || Interference::Reset(flow(Direction::Both));
    let (mut client, guard) = if open {
        let mut client = connect(&relay).await;
        echo(&mut client, b"before").await;
        (client, add(&relay, reset()))
    } else {
        let guard = add(&relay, reset());
        let mut client = connect(&relay).await;
        client.write_all(b"hello").await.unwrap();
        (client, guard)
    };
    let error = soon(client.read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    eventually(|| guard.effect().cut == 1 && relay.effects().open == 0).await;
    drop(guard);
    assert_eq!(echo(&mut connect(&relay).await, b"after").await, b"after");
}

#[tokio::test]
async fn a_black_hole_is_silent_and_gives_back_what_fell_in() {
    let service = Service::echo().await;
    let relay = relay_to(&service).await;
    let mut client = connect(&relay).await;
    echo(&mut client, b"before").await;
    let guard = add(&relay, Interference::Blackhole(flow(Direction::Up)));
    client.write_all(b"hello").await.unwrap();
    eventually(|| guard.effect().delayed == 5).await;
    assert_eq!(guard.effect(), Effect { connections: 1, delayed: 5, ..Effect::default() });
    assert_eq!((relay.effects().up, relay.effects().down), (6, 6));
    drop(guard);
    let mut heard = [0; 5];
    soon(client.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"hello");
}

#[tokio::test]
async fn a_refusing_port_refuses_and_comes_back() {
    let service = Service::echo().await;
    let relay = relay_to(&service).await;
    let mut client = connect(&relay).await;
    echo(&mut client, b"before").await;
    let guard = add(&relay, Interference::Refuse);
    let refused = soon(TcpStream::connect(relay.address())).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let reset = soon(client.read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    let effect = Effect { connections: 1, cut: 1, refusing: true, ..Effect::default() };
    assert_eq!(guard.effect(), effect);
    let again = add(&relay, Interference::Refuse);
    drop(guard);
    assert!(soon(TcpStream::connect(relay.address())).await.is_err());
    drop(again);
    assert_eq!(echo(&mut connect(&relay).await, b"after").await, b"after");
}

#[tokio::test]
async fn a_limit_ends_the_connection_after_so_many_bytes() {
    let service = Service::echo().await;
    let relay = relay_to(&service).await;
    let mut client = connect(&relay).await;
    echo(&mut client, b"before").await;
    let guard = add(&relay, Interference::Limit(Size(1_000), flow(Direction::Down)));
    client.write_all(&[7; 5_000]).await.unwrap();
    let mut heard = Vec::new();
    soon(client.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(heard, [7; 1_000]);
    assert_eq!(guard.effect().cut, 1);
}

#[tokio::test]
async fn a_share_of_connections_is_struck() {
    let service = Service::echo().await;
    let relay = relay_to(&service).await;
    let share = Ratio::new(0.3).unwrap();
    let guard = add(&relay, Interference::Reset(Flow { direction: Direction::Both, share }));
    let mut reset = 0;
    for _ in 0..50 {
        let mut client = connect(&relay).await;
        client.write_all(b"x").await.unwrap();
        reset += u64::from(soon(client.read(&mut [0; 1])).await.is_err());
    }
    assert_eq!((reset, guard.effect().cut), (STRUCK, STRUCK));
}

/// Of the first fifty connections, with the seed 1.
const STRUCK: u64 = 14;
