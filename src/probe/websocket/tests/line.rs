//! Acts on an upgraded connection.

use futures_util::{SinkExt, StreamExt};
use rstest::rstest;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;

/// Says back whatever it is told.
async fn echo(mut peer: Peer) {
    while let Some(Ok(message)) = peer.next().await {
        if message.is_text() || message.is_binary() {
            peer.send(message).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn text_and_binary_come_back_and_the_session_closes() {
    let binary = Frame::Binary(Bytes::from_static(b"\x00\xff"));
    let steps = vec![
        Act::Send(text("hi")),
        Act::Receive(saying("hi")),
        Act::Send(binary.clone()),
        Act::Receive(receive(1)),
        Act::Ping { within: None },
        Act::Close { code: 1000 },
    ];
    let exchange = with(steps, echo).await;
    assert_eq!(exchange.result, Ok(()));
    assert_eq!(exchange.last, Some(binary));
    let done: Vec<_> = exchange.acts.iter().map(|done| done.what).collect();
    assert_eq!(done, [What::Send, What::Receive, What::Send, What::Receive, What::Ping, What::Close]);
    let received: Vec<_> =
        exchange.acts.iter().flat_map(|done| &done.received).map(ToString::to_string).collect();
    assert_eq!(received, ["`hi`", r"`\u{0}\xff`"]);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_does_not_match_fails_with_the_reason_of_its_check() {
    let steps = vec![Act::Send(text("no")), Act::Receive(saying("yes"))];
    let exchange = with(steps, echo).await;
    assert_eq!(failed(&exchange), (Some(1), Reason::Body, "not `yes`"));
    assert_eq!(exchange.acts[1].received[0].text, "no");
}

async fn silent(peer: Peer) {
    let _held = peer;
    pending::<()>().await;
}

#[rstest]
#[case::receive(Act::Receive(Receive { within: Some(ms(500)), ..receive(1) }), 500, "500ms", "0 of 1 frames came")]
#[case::receive_until_the_deadline(Act::Receive(receive(1)), 10_000, "10s", "0 of 1 frames came")]
#[case::ping(Act::Ping { within: Some(ms(100)) }, 100, "100ms", "no pong came")]
#[case::close(Act::Close { code: 1000 }, 10_000, "10s", "our close with 1000 was not answered")]
#[case::closed(Act::Closed { code: None }, 10_000, "10s", "the peer did not close")]
#[case::send(Act::Send(text(&"x".repeat(100_000))), 10_000, "10s", "the message was not taken")]
#[tokio::test(start_paused = true)]
async fn a_peer_silent_after_the_upgrade_is_left_in_time(
    #[case] act: Act,
    #[case] took: u64,
    #[case] limit: &str,
    #[case] what: &str,
) {
    let exchange = with(vec![act], silent).await;
    let message = format!("{limit} passed while exchanging messages: {what}");
    assert_eq!(failed(&exchange), (Some(0), EXCHANGE, &*message));
    assert_eq!(exchange.acts[0].took, ms(took));
    assert_eq!(exchange.phases.get(Phase::Exchange), Some(ms(took)));
}

#[tokio::test(start_paused = true)]
async fn a_frame_of_one_byte_a_second_is_left_in_time() {
    let within = Some(ms(3500));
    let exchange = with(vec![Act::Receive(Receive { within, ..receive(1) })], |mut peer| async move {
        for byte in *b"\x81\x7dhello" {
            let _ = peer.get_mut().write_u8(byte).await;
            sleep(ms(1000)).await;
        }
    })
    .await;
    let message = "3s500ms passed while exchanging messages: 0 of 1 frames came";
    assert_eq!(failed(&exchange), (Some(0), EXCHANGE, message));
    assert_eq!(exchange.acts[0].took, ms(3500));
}

/// A frame a second.
async fn clock(mut peer: Peer) {
    while peer.send(Message::text("tick")).await.is_ok() {
        sleep(ms(1000)).await;
    }
}

#[rstest]
#[case::all(receive(10), "3 of 10 frames came")]
#[case::skipping(Receive { skip: true, ..saying("tock") }, "0 of 1 frames came, 3 did not match, the last: not `tock`")]
#[tokio::test(start_paused = true)]
async fn a_limit_is_for_all_frames_together(#[case] receive: Receive, #[case] what: &str) {
    let exchange = with(vec![Act::Receive(Receive { within: Some(ms(2500)), ..receive })], clock).await;
    let message = format!("2s500ms passed while exchanging messages: {what}");
    assert_eq!(failed(&exchange), (Some(0), EXCHANGE, &*message));
}

#[tokio::test(start_paused = true)]
async fn frames_passed_over_are_counted() {
    let exchange = with(vec![Act::Receive(Receive { skip: true, ..saying("c") })], |mut peer| async move {
        for said in ["a", "b", "c"] {
            peer.send(Message::text(said)).await.unwrap();
        }
        pending::<()>().await;
    })
    .await;
    assert_eq!(exchange.result, Ok(()));
    assert_eq!((exchange.acts[0].count, exchange.acts[0].skipped), (1, 2));
    assert_eq!(exchange.last, Some(text("c")));
}

#[rstest]
#[case::skipping(Act::Receive(Receive { skip: true, ..saying("b") }), b"\x81\x01a")]
#[case::pinging(Act::Ping { within: None }, b"\x81\x01a")]
#[case::closing(Act::Close { code: 1000 }, b"\x81\x01a")]
#[case::seeing_closed(Act::Closed { code: None }, b"\x82\x00")]
#[case::pings_for_a_receive(Act::Receive(receive(1)), b"\x89\x00")]
#[case::pongs_for_a_ping(Act::Ping { within: None }, b"\x8a\x00")]
#[tokio::test(start_paused = true)]
async fn a_flood_of_frames_is_over_the_limit(#[case] act: Act, #[case] frame: &'static [u8]) {
    let exchange = with(vec![act], |peer| flood(peer.into_inner(), frame)).await;
    assert_eq!(failed(&exchange), (Some(0), Reason::Limit, "over 500 frames came that were not awaited"));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_bytes_is_over_the_limit() {
    const FRAME: &[u8] = b"\x82\x40................................................................";
    let steps = vec![Act::Receive(Receive { skip: true, ..saying("b") })];
    let exchange = with(steps, |peer| flood(peer.into_inner(), FRAME)).await;
    assert_eq!(failed(&exchange), (Some(0), Reason::Limit, "over 20kB of frames came that were not awaited"));
}

async fn flood(mut stream: DuplexStream, frame: &'static [u8]) {
    while stream.write_all(frame).await.is_ok() {}
}

#[rstest]
#[case::whole(b"\x82\x7e\x03\xe9", "a message has 1001 bytes or more, over the limit of 1kB")]
#[case::announced(
    b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
    "a message has 9223372036854775807 bytes or more, over the limit of 1kB"
)]
#[case::in_pieces(
    [[0x02, 0x7e, 0x03, 0xe8].as_slice(), &[0; 1000], &[0x80, 0x01, 0x00]].concat(),
    "a message has 1001 bytes or more, over the limit of 1kB"
)]
#[tokio::test(start_paused = true)]
async fn an_oversized_message_is_over_the_limit(#[case] bytes: impl Into<Vec<u8>>, #[case] message: &str) {
    let exchange = told(vec![Act::Receive(receive(1))], bytes).await;
    assert_eq!(failed(&exchange), (Some(0), Reason::Limit, message));
}

/// A session with a peer that upgrades, writes `bytes` and stays.
async fn told(steps: Vec<Act>, bytes: impl Into<Vec<u8>>) -> Exchange {
    let bytes = bytes.into();
    with(steps, |mut peer| async move {
        let _ = peer.get_mut().write_all(&bytes).await;
        pending::<()>().await;
    })
    .await
}

#[rstest]
#[case::invalid_utf8(b"\x81\x02\xc3\x28", "a text frame is not UTF-8")]
#[case::reserved_bit(b"\xc1\x01a", "the peer breaks the protocol: reserved bits are non-zero")]
#[case::masked(b"\x81\x81\0\0\0\0a", "the peer breaks the protocol: received a masked frame from server")]
#[case::orphan(b"\x80\x01a", "the peer breaks the protocol: continue frame but nothing to continue")]
#[case::ping_in_pieces(b"\x09\x01a", "the peer breaks the protocol: fragmented control frame")]
#[case::half_a_code(b"\x88\x01\x03", "the peer breaks the protocol: invalid close sequence")]
#[tokio::test(start_paused = true)]
async fn a_malformed_frame_breaks_the_protocol(#[case] bytes: &[u8], #[case] message: &str) {
    let exchange = told(vec![Act::Receive(receive(1))], bytes).await;
    assert_eq!(failed(&exchange), (Some(0), Reason::Protocol, message));
}

#[tokio::test(start_paused = true)]
async fn frames_around_a_pong_keep_their_order() {
    let steps = ["a", "b", "c", "d"].map(|said| Act::Receive(saying(said)));
    let steps = std::iter::once(Act::Ping { within: None }).chain(steps).collect();
    let exchange = with(steps, |mut peer| async move {
        for said in ["a", "b"] {
            peer.send(Message::text(said)).await.unwrap();
        }
        // Reading the ping readies the pong; it is written before the next frame.
        assert!(peer.next().await.unwrap().unwrap().is_ping());
        for said in ["c", "d"] {
            peer.send(Message::text(said)).await.unwrap();
        }
        pending::<()>().await;
    })
    .await;
    assert_eq!(exchange.result, Ok(()));
    assert_eq!(exchange.acts.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_ping_takes_its_round_trip() {
    let exchange = with(vec![Act::Ping { within: Some(ms(100)) }], |mut peer| async move {
        sleep(ms(40)).await;
        while peer.next().await.is_some() {}
    })
    .await;
    assert_eq!(exchange.result, Ok(()));
    assert_eq!(exchange.acts[0].took, ms(40));
}

#[tokio::test(start_paused = true)]
async fn a_pong_nobody_asked_for_answers_no_ping() {
    let exchange = told(vec![Act::Ping { within: Some(ms(100)) }], *b"\x8a\x04ping").await;
    let message = "100ms passed while exchanging messages: no pong came";
    assert_eq!(failed(&exchange), (Some(0), EXCHANGE, message));
}

#[tokio::test(start_paused = true)]
async fn a_ping_of_the_peer_is_answered_while_receiving() {
    let exchange = with(vec![Act::Receive(saying("alive"))], |mut peer| async move {
        peer.send(Message::Ping("are you".into())).await.unwrap();
        assert_eq!(peer.next().await.unwrap().unwrap(), Message::Pong("are you".into()));
        peer.send(Message::text("alive")).await.unwrap();
        pending::<()>().await;
    })
    .await;
    assert_eq!(exchange.result, Ok(()));
}

#[rstest]
#[case::stated(Some(1000), b"\x88\x02\x03\xe8")]
#[case::any(None, b"\x88\x02\x03\xf3")]
#[case::without_a_code(Some(1005), b"\x88\x00")]
#[case::any_without_a_code(None, b"\x88\x00")]
#[case::after_data(Some(1000), b"\x81\x01a\x88\x02\x03\xe8")]
#[tokio::test(start_paused = true)]
async fn an_expected_close_is_seen(#[case] code: Option<u16>, #[case] bytes: &[u8]) {
    assert_eq!(told(vec![Act::Closed { code }], bytes).await.result, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_close_of_the_peer_is_answered() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let exchange = with(vec![Act::Closed { code: Some(1001) }], |mut peer| async move {
        peer.close(Some(CloseFrame { code: 1001.into(), reason: "".into() })).await.unwrap();
        tell.send(peer.next().await.unwrap().unwrap()).unwrap();
    })
    .await;
    assert_eq!(exchange.result, Ok(()));
    assert_eq!(
        told.await.unwrap(),
        Message::Close(Some(CloseFrame { code: 1001.into(), reason: "".into() }))
    );
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_close_frame_is_1006() {
    let exchange = with(vec![Act::Closed { code: Some(1006) }], |peer| async { drop(peer) }).await;
    assert_eq!(exchange.result, Ok(()));
}

#[rstest]
#[case::other_code(
    Some(1000),
    b"\x88\x08\x03\xf3broken",
    "expected a close with 1000: the peer closes with 1011 `broken`"
)]
#[case::no_code(Some(1000), b"\x88\x00", "expected a close with 1000: the peer closes without a code")]
#[case::dropped(Some(1000), b"", "expected a close with 1000: connection closed without a close frame")]
#[case::any_dropped(None, b"", "expected a close frame: connection closed without a close frame")]
#[tokio::test(start_paused = true)]
async fn another_close_than_expected_fails(
    #[case] code: Option<u16>,
    #[case] bytes: &'static [u8],
    #[case] message: &str,
) {
    let exchange = with(vec![Act::Closed { code }], move |mut peer| async move {
        peer.get_mut().write_all(bytes).await.unwrap();
    })
    .await;
    assert_eq!(failed(&exchange), (Some(0), Reason::Closed, message));
}

#[rstest]
#[case::receiving(Act::Receive(receive(2)), "before the frame that was awaited")]
#[case::pinging(Act::Ping { within: None }, "before the pong")]
#[tokio::test(start_paused = true)]
async fn an_early_close_fails_the_act_it_meets(#[case] act: Act, #[case] when: &str) {
    let exchange = with(vec![Act::Receive(saying("a")), act], |mut peer| async move {
        peer.send(Message::text("a")).await.unwrap();
        peer.close(Some(CloseFrame { code: 1011.into(), reason: "oops".into() })).await.unwrap();
        pending::<()>().await;
    })
    .await;
    let message = format!("the peer closes with 1011 `oops`, {when}");
    assert_eq!(failed(&exchange), (Some(1), Reason::Closed, &*message));
    assert_eq!(exchange.acts.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_can_be_sent_after_the_peer_has_closed() {
    let steps = vec![Act::Closed { code: Some(1000) }, Act::Send(text("late"))];
    let exchange = told(steps, *b"\x88\x02\x03\xe8").await;
    let message = "nothing can be sent: connection closed earlier without a close frame";
    assert_eq!(failed(&exchange), (Some(1), Reason::Closed, message));
}

#[rstest]
#[case::same(4000, b"\x88\x02\x0f\xa0")]
#[case::normal(4000, b"\x88\x02\x03\xe8")]
#[case::none(4000, b"\x88\x00")]
#[tokio::test(start_paused = true)]
async fn our_close_may_be_answered_with(#[case] code: u16, #[case] bytes: &[u8]) {
    assert_eq!(told(vec![Act::Close { code }], bytes).await.result, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn our_close_answered_with_an_error_fails() {
    let exchange = told(vec![Act::Close { code: 1000 }], *b"\x88\x02\x03\xf3").await;
    let message = "our close with 1000 is answered otherwise: the peer closes with 1011";
    assert_eq!(failed(&exchange), (Some(0), Reason::Closed, message));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_close_still_takes_its_leave() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let exchange = with(vec![Act::Send(text("hi"))], |mut peer| async move {
        let mut heard = Vec::new();
        while let Some(Ok(message)) = peer.next().await {
            heard.push(message);
        }
        tell.send(heard).unwrap();
    })
    .await;
    assert_eq!(exchange.result, Ok(()));
    let goodbye = Message::Close(Some(CloseFrame { code: 1000.into(), reason: "".into() }));
    assert_eq!(told.await.unwrap(), [Message::text("hi"), goodbye]);
}
