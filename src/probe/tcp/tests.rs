//! Sessions with peers that behave and peers that do not, in memory and on a paused clock.

use std::future::pending;

use proptest::prelude::*;
use rstest::rstest;
use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream, duplex};
use tokio::time::sleep;

use super::*;

const EXCHANGE: Reason = Reason::Timeout(Phase::Exchange);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Ten seconds of a paused clock with a peer that has the other end of the connection; 100 bytes are held.
async fn with<F>(steps: Vec<Act>, peer: impl FnOnce(DuplexStream) -> F) -> Exchange
where
    F: Future<Output = ()> + Send + 'static,
{
    let to = "redis.test:6379".parse().unwrap();
    let request = Request { limit: Size(100), ..Request::new(to, steps) };
    let (ours, theirs) = duplex(64);
    tokio::spawn(peer(theirs));
    speak(ours, &request, &Deadline::after(ms(10_000)), Exchange::after(Trail::default())).await
}

/// The same with a peer that writes `bytes` and stays.
async fn told(steps: Vec<Act>, bytes: impl Into<Vec<u8>>) -> Exchange {
    let bytes = bytes.into();
    with(steps, |mut stream| async move {
        let _ = stream.write_all(&bytes).await;
        pending::<()>().await;
    })
    .await
}

/// Answers every `PING` line with `PONG`, and leaves on any other.
async fn redis(stream: DuplexStream) {
    let (read, mut write) = tokio::io::split(stream);
    let mut lines = BufReader::new(read).lines();
    while let Some("PING") = lines.next_line().await.unwrap().as_deref() {
        write.write_all(b"+PONG\r\n").await.unwrap();
    }
    write.write_all(b"+OK\r\n").await.unwrap();
}

fn send(text: &'static str) -> Act {
    Act::Send(Bytes::from_static(text.as_bytes()))
}

fn expect(check: Check) -> Act {
    Act::Expect(Expect { check, within: None })
}

fn pong() -> Check {
    Check::line(|line| match line {
        "+PONG" => Ok(()),
        other => Err(Cause::new(Reason::Body, format!("`{other}` is not `+PONG`"))),
    })
}

fn failed(exchange: &Exchange) -> (Option<usize>, Reason, &str) {
    let Failure { act, cause } = exchange.result.as_ref().unwrap_err();
    (*act, cause.reason, &cause.message)
}

#[tokio::test(start_paused = true)]
async fn redis_answers_a_ping_and_quits() {
    let steps = vec![
        send("PING\r\n"),
        expect(pong()),
        send("QUIT\r\n"),
        expect(Check::contains("+OK\r\n")),
        Act::Closed,
    ];
    let exchange = with(steps, redis).await;
    assert_eq!(exchange.result, Ok(()));
    assert_eq!(exchange.last.as_deref(), Some(b"+OK\r\n".as_slice()));
    let done: Vec<_> = exchange.acts.iter().map(|done| (done.what, done.count)).collect();
    let expected =
        [(What::Send, 0), (What::Expect, 1), (What::Send, 0), (What::Expect, 1), (What::Closed, 0)];
    assert_eq!(done, expected);
    assert_eq!(exchange.acts[1].received[0].text, "+PONG\\r\\n");
}

#[rstest]
#[case::contains(Check::contains("world"), "hello world!", "hello world")]
#[case::contains_nothing(Check::contains(""), "x", "")]
#[case::pattern(Check::matches(Regex::new(r"SSH-\d\.\d").unwrap()), "SSH-2.0-x", "SSH-2.0")]
#[case::line(pong(), "+PONG\nmore", "+PONG\n")]
#[tokio::test(start_paused = true)]
async fn an_expectation_uses_the_bytes_it_matches(
    #[case] check: Check,
    #[case] bytes: &'static str,
    #[case] used: &str,
) {
    let rest = Check::new(|bytes| if bytes.is_empty() { Heard::More } else { Heard::Enough(bytes.len()) });
    let first = told(vec![expect(check.clone())], bytes).await;
    assert_eq!(first.result, Ok(()));
    assert_eq!(first.last.as_deref(), Some(used.as_bytes()));
    let both = told(vec![expect(check), expect(rest)], bytes).await;
    assert_eq!(both.last.as_deref(), Some(&bytes.as_bytes()[used.len()..]));
}

#[tokio::test(start_paused = true)]
async fn two_answers_in_one_piece_meet_two_expectations() {
    let exchange = told(vec![expect(pong()), expect(pong())], "+PONG\r\n+PONG\r\n").await;
    assert_eq!(exchange.result, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn another_line_fails_with_the_reason_of_its_check() {
    let exchange = told(vec![expect(pong())], "-ERR no\r\n").await;
    assert_eq!(failed(&exchange), (Some(0), Reason::Body, "`-ERR no` is not `+PONG`"));
    assert_eq!(exchange.acts[0].received.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_no_text_fails() {
    let exchange = told(vec![expect(pong())], *b"\xff\n").await;
    assert_eq!(failed(&exchange), (Some(0), Reason::Body, "line is not UTF-8: `\\xff`"));
}

#[rstest]
#[case::silent("", "nothing came")]
#[case::unfinished("+PO", "only `+PO` came")]
#[tokio::test(start_paused = true)]
async fn a_peer_that_says_too_little_is_left_in_time(#[case] bytes: &'static str, #[case] what: &str) {
    let within = Some(ms(250));
    let exchange = told(vec![Act::Expect(Expect { check: pong(), within })], bytes).await;
    let message = format!("250ms passed while exchanging messages: {what}");
    assert_eq!(failed(&exchange), (Some(0), EXCHANGE, &*message));
    assert_eq!(exchange.acts[0].took, ms(250));
}

#[tokio::test(start_paused = true)]
async fn one_byte_a_second_is_left_at_the_deadline() {
    let exchange = with(vec![expect(Check::contains("z"))], |mut stream| async move {
        while stream.write_u8(b'a').await.is_ok() {
            sleep(ms(1000)).await;
        }
    })
    .await;
    let message = "10s passed while exchanging messages: only `aaaaaaaaaa` came";
    assert_eq!(failed(&exchange), (Some(0), EXCHANGE, message));
    assert_eq!(exchange.phases.get(Phase::Exchange), Some(ms(10_000)));
}

#[rstest]
#[case::send(Act::Send(Bytes::from_static(&[b'x'; 1000])), "the bytes were not taken")]
#[case::closed(Act::Closed, "the peer did not close")]
#[tokio::test(start_paused = true)]
async fn a_peer_that_neither_reads_nor_closes_is_left_at_the_deadline(#[case] act: Act, #[case] what: &str) {
    let exchange = told(vec![act], "").await;
    let message = format!("10s passed while exchanging messages: {what}");
    assert_eq!(failed(&exchange), (Some(0), EXCHANGE, &*message));
}

#[rstest]
#[case::expecting(expect(Check::contains("z")), &format!("not among the first 100B: `{}`", "a".repeat(100)))]
#[case::seeing_closed(Act::Closed, "over 100B came where the peer had to close")]
#[tokio::test(start_paused = true)]
async fn a_flood_is_over_the_limit(#[case] act: Act, #[case] message: &str) {
    let exchange =
        with(vec![act], |mut stream| async move { while stream.write_all(b"aaaaaaa").await.is_ok() {} })
            .await;
    assert_eq!(failed(&exchange), (Some(0), Reason::Limit, message));
}

#[tokio::test(start_paused = true)]
async fn what_ends_at_the_limit_is_within_it() {
    let line = "x".repeat(99) + "z" + "and more";
    assert_eq!(told(vec![expect(Check::contains("z"))], line).await.result, Ok(()));
}

#[rstest]
#[case::silently("", "connection closed by the peer: nothing came")]
#[case::unfinished("+PO", "connection closed by the peer: only `+PO` came")]
#[tokio::test(start_paused = true)]
async fn a_close_before_the_answer_is_early(#[case] bytes: &'static str, #[case] message: &str) {
    let exchange = with(vec![send("PING\r\n"), expect(pong())], |mut stream| async move {
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        pending::<()>().await;
    })
    .await;
    assert_eq!(failed(&exchange), (Some(1), Reason::Closed, message));
}

#[tokio::test(start_paused = true)]
async fn nothing_can_be_sent_to_a_peer_that_is_gone() {
    let exchange = with(vec![Act::Closed, send("PING\r\n")], |stream| async { drop(stream) }).await;
    assert_eq!(failed(&exchange), (Some(1), Reason::Closed, "nothing can be sent: broken pipe"));
}

proptest! {
    #[test]
    fn no_bytes_make_a_check_use_more_than_came(text: String, bytes: Vec<u8>) {
        let pattern = Regex::new(&regex::escape(&text)).unwrap();
        for check in [Check::contains(text), Check::matches(pattern), Check::line(|_| Ok(()))] {
            if let Heard::Enough(used) = (check.0)(&bytes) {
                prop_assert!(used <= bytes.len());
            }
        }
    }
}
