use ::http::{Request, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use rstest::rstest;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;

type Client = WebSocketStream<TcpStream>;

async fn connect(
    stand_in: &StandIn,
    path: &str,
    headers: &[(&'static str, &'static str)],
) -> Result<(Client, Response<Option<Vec<u8>>>), Error> {
    let mut request: Request<()> = format!("ws://{}{path}", stand_in.address()).into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(stand_in.address()).await?;
    timeout(DEADLINE, client_async(request, stream)).await.unwrap()
}

async fn open(stand_in: &StandIn, path: &str) -> Client {
    connect(stand_in, path, &[("authorization", "Bearer demo-token")]).await.unwrap().0
}

async fn hear(client: &mut Client) -> Message {
    timeout(DEADLINE, client.next()).await.unwrap().unwrap().unwrap()
}

async fn say(client: &mut Client, message: Message) {
    timeout(DEADLINE, client.send(message)).await.unwrap().unwrap();
}

fn json_of(message: &Message) -> Value {
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

#[tokio::test]
async fn prices_come_after_the_subscription_is_confirmed() {
    let shop = play(SHOP).await;
    let mut client = open(&shop, "/prices").await;
    say(&mut client, Message::text("anything")).await;
    say(&mut client, Message::text(r#"{"subscribe":"EUR"}"#)).await;
    assert_eq!(json_of(&hear(&mut client).await), json!({ "ok": true }));
    for sequence in 1..=5 {
        let price = json_of(&hear(&mut client).await);
        assert_eq!((&price["currency"], &price["sequence"]), (&json!("EUR"), &json!(sequence)));
    }
}

#[tokio::test]
async fn connections_are_counted_while_they_last() {
    let shop = play(SHOP).await;
    let mut client = open(&shop, "/prices").await;
    assert_eq!(exposed(&shop, "ws_connections_active", &[]).await, Some(1.0));
    client.close(None).await.unwrap();
    until_exposed(&shop, "ws_connections_active", 0.0).await;
}

#[rstest]
#[case::no_token("/prices", &[], 401)]
#[case::a_wrong_token("/prices", &[("authorization", "Bearer x")], 401)]
#[case::an_unknown_path("/price", &[], 404)]
#[case::an_old_version(
    "/prices", &[("authorization", "Bearer demo-token"), ("sec-websocket-version", "8")], 426
)]
#[tokio::test]
async fn a_wrong_request_is_refused(
    #[case] path: &str,
    #[case] headers: &[(&'static str, &'static str)],
    #[case] status: u16,
) {
    let shop = play(SHOP).await;
    let Err(Error::Http(reply)) = connect(&shop, path, headers).await else { panic!("not refused") };
    assert_eq!(reply.status().as_u16(), status);
}

#[tokio::test]
async fn a_plain_request_is_asked_to_upgrade() {
    let answer = get(&play(SHOP).await, "/prices").await;
    assert_eq!(answer.status, 426);
    assert!(answer.head.contains("upgrade: websocket"), "{}", answer.head);
}

const CHATTY: &str = r#"
stand-in: a
websockets:
  - path: /echo
    echo: true
    subprotocols: [v2.chat, v1.chat]
    replies: [{ when: { text: hi }, send: { text: "hello ${sequence}" } }]
  - path: /ticks
    stream: { every: 1ms, send: { text: tick } }
  - path: /later
    stream: { every: 1ms, send: { text: tick }, after: first message }
metrics:
  families:
    sent_total: { type: counter, counts: messages sent, by: [route] }
    received_total: { type: counter, counts: messages received, by: [route] }
    connections_total: { type: counter, counts: connections }
"#;

#[tokio::test]
async fn a_message_is_replied_to_or_echoed() {
    let stand_in = play(CHATTY).await;
    let mut client = open(&stand_in, "/echo").await;
    let bytes = Message::binary(vec![0, 255]);
    let talk = [
        (Message::text("hi"), Message::text("hello 1")),
        (Message::text("ho"), Message::text("ho")),
        (bytes.clone(), bytes),
        (Message::text("hi"), Message::text("hello 2")),
    ];
    for (said, heard) in talk {
        say(&mut client, said).await;
        assert_eq!(hear(&mut client).await, heard);
    }
    let echo = [("route", "/echo")];
    assert_eq!(exposed(&stand_in, "sent_total", &echo).await, Some(4.0));
    assert_eq!(exposed(&stand_in, "received_total", &echo).await, Some(4.0));
    assert_eq!(exposed(&stand_in, "connections_total", &[]).await, Some(1.0));
}

#[tokio::test]
async fn a_stream_may_begin_at_once_or_with_the_first_message() {
    let stand_in = play(CHATTY).await;
    assert_eq!(hear(&mut open(&stand_in, "/ticks").await).await, Message::text("tick"));
    let mut later = open(&stand_in, "/later").await;
    say(&mut later, Message::Ping("x".into())).await;
    assert_eq!(hear(&mut later).await, Message::Pong("x".into()), "nothing comes before the first message");
    say(&mut later, Message::text("go")).await;
    assert_eq!(hear(&mut later).await, Message::text("tick"));
}

#[rstest]
#[case::the_best_of_ours("v1.chat, v2.chat", Some("v2.chat"))]
#[case::the_one_there_is("v0.chat,v1.chat", Some("v1.chat"))]
#[tokio::test]
async fn a_subprotocol_is_chosen(#[case] offered: &'static str, #[case] chosen: Option<&str>) {
    let stand_in = play(CHATTY).await;
    let (_, reply) = connect(&stand_in, "/echo", &[("sec-websocket-protocol", offered)]).await.unwrap();
    let answered = reply.headers().get("sec-websocket-protocol").map(|value| value.to_str().unwrap());
    assert_eq!(answered, chosen);
}

#[tokio::test]
async fn a_close_is_answered_by_the_same_close() {
    let stand_in = play(CHATTY).await;
    let mut client = open(&stand_in, "/echo").await;
    let frame = close_frame(CloseCode::Normal, "bye");
    say(&mut client, Message::Close(Some(frame.clone()))).await;
    assert_eq!(hear(&mut client).await, Message::Close(Some(frame)));
}

fn close_frame(
    code: CloseCode,
    reason: &'static str,
) -> tokio_tungstenite::tungstenite::protocol::CloseFrame {
    tokio_tungstenite::tungstenite::protocol::CloseFrame { code, reason: reason.into() }
}

#[tokio::test]
async fn a_message_above_the_limit_ends_the_connection() {
    let stand_in = play(CHATTY).await;
    let mut client = open(&stand_in, "/echo").await;
    // The server may close before it has read all of this.
    let _ = timeout(DEADLINE, client.send(Message::binary(vec![0; (1 << 20) + 1]))).await.unwrap();
    let end = timeout(DEADLINE, client.next()).await.unwrap();
    match end {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(frame.code, CloseCode::Size),
        Some(Err(_)) | None => {}
        Some(Ok(other)) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn stopping_says_goodbye() {
    let stand_in = play(CHATTY).await;
    let mut client = open(&stand_in, "/echo").await;
    let heard = async {
        let heard = hear(&mut client).await;
        // Reading on completes the client's part of closing.
        while client.next().await.is_some() {}
        heard
    };
    let ((), heard) = tokio::join!(stand_in.stop(), heard);
    assert_eq!(heard, Message::Close(Some(close_frame(CloseCode::Away, ""))));
}
