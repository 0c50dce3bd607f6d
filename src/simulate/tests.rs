//! Stand-ins over real sockets.

mod calls;
mod exposed;
mod http;
mod logs;
mod websocket;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{StandIn, start};
use crate::scenario::profile::{self, Profile};
use crate::source::Sources;
use crate::yaml;

const SHOP: &str = include_str!("../../fixtures/shop/shop.yaml");

/// Nothing here takes this long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(20);

fn profile(text: &str) -> Profile {
    let file = Sources::default().add("profile.yaml", text);
    profile::check(&yaml::parse(file, text).unwrap()[0]).unwrap()
}

async fn play(text: &str) -> StandIn {
    play_seeded(text, 1).await
}

async fn play_seeded(text: &str, seed: u64) -> StandIn {
    start(&profile(text), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), seed, Box::new(std::io::sink()))
        .await
        .unwrap()
}

struct Answer {
    status: u16,
    /// Lower case, without the status line.
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Asks once: `GET /items`, header lines, body.
async fn ask(stand_in: &StandIn, what: &str, headers: &str, body: &str) -> Answer {
    let request = format!(
        "{what} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(stand_in.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    };
    let reply = timeout(DEADLINE, exchange).await.unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let head = head.split_once("\r\n").unwrap().1.to_lowercase();
    Answer { status, head, body: body.to_owned() }
}

async fn get(stand_in: &StandIn, path: &str) -> Answer {
    ask(stand_in, &format!("GET {path}"), "", "").await
}

/// The value of the one series called `name` that stands on the page with these labels.
async fn exposed(stand_in: &StandIn, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    use crate::exposition::{Dialect, parse};
    let page = get(stand_in, "/metrics").await;
    let families = parse(&page.body, Dialect::from_content_type(&page.head)).unwrap();
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut found = families.iter().flat_map(|family| &family.samples);
    found.find(|sample| sample.name == name && sample.labels == labels).map(|sample| sample.value)
}

/// Waits until a series has this value.
async fn until_exposed(stand_in: &StandIn, name: &str, value: f64) {
    let wait =
        async { while exposed(stand_in, name, &[]).await.is_none_or(|is| (is - value).abs() > 0.0) {} };
    timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("`{name}` never became {value}"));
}
