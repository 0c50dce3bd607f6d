//! A relay hands on the same bytes, whatever is added and lifted meanwhile.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ANY, Service, add, connect, echo, eventually, flow, relay_to, soon};
use crate::fault::relay::{Effects, Relay};
use crate::scenario::fault::traffic::{Direction, Distribution, Interference, Lag, Requests, Slice};
use crate::units::{Ratio, Size, Throughput};

#[tokio::test]
async fn what_passes_is_counted() {
    let service = Service::echo().await;
    let relay = relay_to(&service).await;
    let mut one = connect(&relay).await;
    let mut other = connect(&relay).await;
    assert_eq!(echo(&mut one, b"hello").await, b"hello");
    assert_eq!(echo(&mut other, b"world!").await, b"world!");
    drop(one);
    eventually(|| relay.effects().open == 1).await;
    let passed = Effects { connections: 2, open: 1, up: 11, down: 11, ..Effects::default() };
    assert_eq!(relay.effects(), passed);
    relay.close().await;
    assert_eq!(soon(other.read(&mut [0; 1])).await.unwrap(), 0);
}

#[tokio::test]
async fn an_end_is_handed_on_and_the_other_way_stays_open() {
    let service = Service::start(|mut stream| async move {
        let mut asked = String::new();
        stream.read_to_string(&mut asked).await.unwrap();
        stream.write_all(format!("you said {asked}").as_bytes()).await.unwrap();
    })
    .await;
    let relay = relay_to(&service).await;
    let mut client = connect(&relay).await;
    client.write_all(b"enough").await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "you said enough");
    eventually(|| relay.effects().open == 0).await;
}

#[tokio::test]
async fn a_service_that_resets_is_heard_to_reset() {
    let service = Service::start(|stream| async move {
        crate::fault::relay::line::reset(&stream);
    })
    .await;
    let relay = relay_to(&service).await;
    let mut client = connect(&relay).await;
    let error = soon(client.read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn without_a_service_clients_are_reset() {
    let gone = Service::echo().await.address;
    let relay = Relay::start(ANY, gone, 1).await.unwrap();
    let mut client = connect(&relay).await;
    let error = soon(client.read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    eventually(|| relay.effects().open == 0).await;
    assert_eq!(relay.effects(), Effects { connections: 1, unanswered: 1, ..Effects::default() });
}

#[tokio::test]
async fn new_connections_go_where_it_is_told() {
    let (first, second) = (Service::echo().await, Service::start(greet).await);
    let relay = relay_to(&first).await;
    let mut old = connect(&relay).await;
    assert_eq!(echo(&mut old, b"still").await, b"still");
    relay.retarget(second.address);
    let mut greeting = [0; 2];
    soon(connect(&relay).await.read_exact(&mut greeting)).await.unwrap();
    assert_eq!(&greeting, b"hi");
    assert_eq!(echo(&mut old, b"here").await, b"here");
}

async fn greet(mut stream: TcpStream) {
    stream.write_all(b"hi").await.unwrap();
}

/// Faults that hold bytes back and lose none.
fn harmless() -> impl Strategy<Value = Interference> {
    let direction = prop_oneof![Just(Direction::Up), Just(Direction::Down), Just(Direction::Both)].boxed();
    let lag = (0u64..4_000, 0u64..4_000).prop_map(|(add, jitter)| Lag {
        add: Duration::from_micros(add),
        jitter: Duration::from_micros(jitter),
        distribution: Distribution::Uniform,
    });
    let requests = || Requests { share: Ratio::ONE, path: None, method: None };
    prop_oneof![
        (lag.clone(), direction.clone())
            .prop_map(|(lag, direction)| Interference::Latency(lag, flow(direction))),
        (20u64..200, direction.clone()).prop_map(|(rate, direction)| {
            Interference::Bandwidth(Throughput::new(rate << 20).unwrap(), flow(direction))
        }),
        direction.clone().prop_map(|direction| Interference::Blackhole(flow(direction))),
        (500u64..9_000, direction.clone()).prop_map(|(size, direction)| {
            let every = Duration::from_micros(50);
            Interference::Slice(Slice { size: Size(size), every }, flow(direction))
        }),
        lag.prop_map(move |lag| Interference::Delay(lag, requests())),
        Just(Interference::Corrupt(requests())),
    ]
}

#[derive(Debug, Clone)]
enum Turn {
    Send(usize),
    Add(Interference),
    Lift(usize),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        4 => (1usize..60_000).prop_map(Turn::Send),
        2 => harmless().prop_map(Turn::Add),
        1 => (0usize..8).prop_map(Turn::Lift),
    ];
    vec(turn, 1..24)
}

/// Takes the turns while an echo comes back, lifts every fault, and gives what was sent and what came back.
async fn play(turns: Vec<Turn>) -> (Vec<u8>, Vec<u8>) {
    let service = Service::echo().await;
    let relay = relay_to(&service).await;
    let (mut read, mut write) = connect(&relay).await.into_split();
    let listener = tokio::spawn(async move {
        let mut heard = Vec::new();
        read.read_to_end(&mut heard).await.unwrap();
        heard
    });
    let (mut sent, mut guards) = (Vec::new(), Vec::new());
    for turn in turns {
        match turn {
            Turn::Send(len) => {
                // No HTTP, and no two pieces alike.
                let piece: Vec<u8> =
                    (0..len).map(|at| u8::try_from((at * 7 + sent.len() * 13) % 251).unwrap()).collect();
                write.write_all(&piece).await.unwrap();
                sent.extend(piece);
            }
            Turn::Add(fault) => guards.push(add(&relay, fault)),
            Turn::Lift(which) if which < guards.len() => drop(guards.remove(which)),
            Turn::Lift(_) => tokio::task::yield_now().await,
        }
    }
    write.shutdown().await.unwrap();
    drop(guards);
    let heard = listener.await.unwrap();
    eventually(|| relay.effects().open == 0).await;
    assert_eq!(relay.shared.force.passed.held.get(), 0);
    (sent, heard)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_byte_is_lost_or_repeated_whatever_is_added_and_lifted(turns in turns()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (sent, heard) = runtime.block_on(soon(play(turns)));
        // Not compared by `assert_eq`, which would print it all.
        prop_assert!(sent == heard, "{} bytes sent, {} heard", sent.len(), heard.len());
    }
}
