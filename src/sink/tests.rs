use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// Sends `text` and returns all that comes until the other side closes.
async fn exchange(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: sink\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn mail(greeting: &str, log_in: &str, text: &str) -> String {
    format!(
        "EHLO {greeting}\r\n{log_in}MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n{text}\r\n.\r\nQUIT\r\n"
    )
}

#[tokio::test]
async fn what_comes_over_http_is_known_by_its_path() {
    let sink = open(Listen::default()).await.unwrap();
    let path = Line { receiver: Some("on call".to_owned()), kind: Kind::Slack, index: 1 }.path();
    let body = r##"{"channel":"#a","attachments":[{"title":"[FIRING:1] Down","color":"danger","text":"<no value>"}]}"##;
    let answer = exchange(sink.listens().http, &post(&path, body)).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
    let by_hand = exchange(sink.listens().http, &post("/slack/anything", "{\"text\":\"hello\"}")).await;
    assert!(by_hand.starts_with("HTTP/1.1 200 OK"), "{by_hand}");
    let all = sink.close().await;
    assert_eq!(
        all.iter().map(|delivery| delivery.receiver.as_deref()).collect::<Vec<_>>(),
        [Some("on call"), None]
    );
    let mut first = serde_json::to_value(&*all[0]).unwrap();
    first["at"].take();
    let expected = serde_json::json!({
        "number": 1, "at": null, "receiver": "on call", "kind": "slack", "index": 1, "status": "firing",
        "key": { "said": "Down" }, "to": "#a", "title": "[FIRING:1] Down", "text": "<no value>", "alerts": [],
        "problems": ["a template has no value: `<no value>`"], "raw": body,
    });
    assert_eq!(first, expected);
}

#[tokio::test]
async fn nobody_is_addressed_elsewhere_and_no_tunnel_leads_out() {
    let sink = open(Listen::default()).await.unwrap();
    let lost = exchange(sink.listens().http, &post("/pigeon", "{}")).await;
    assert!(lost.starts_with("HTTP/1.1 404") && lost.contains("`/pigeon` is no receiver's"), "{lost}");
    let out = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
    let out = exchange(sink.listens().http, out).await;
    assert!(out.starts_with("HTTP/1.1 403") && out.ends_with("no way leads out of the sink\n"), "{out}");
    let large = "x".repeat(super::desk::LARGEST + 1);
    let refused = exchange(sink.listens().http, &post("/slack", &large)).await;
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
    assert_eq!(sink.deliveries(), []);
}

#[tokio::test]
async fn a_mail_is_known_by_its_greeting() {
    let sink = open(Listen::default()).await.unwrap();
    let path = Line { receiver: Some("on call".to_owned()), kind: Kind::Email, index: 0 }.path();
    let text = "Subject: [RESOLVED] Down\r\n\r\nall is well\r\n..and dotted";
    let said = exchange(sink.listens().smtp, &mail(&path, "", text)).await;
    let expected = "220 firedrill ESMTP\r\n250-firedrill\r\n250-SIZE 1048576\r\n250-8BITMIME\r\n250-STARTTLS\r\n\
                    250 AUTH CRAM-MD5 LOGIN PLAIN\r\n250 ok\r\n250 ok\r\n354 end with a line that is a dot\r\n\
                    250 2.0.0 ok\r\n221 bye\r\n";
    assert_eq!(said, expected);
    let delivery = sink.wait_for(|_| true, soon()).await.unwrap();
    assert_eq!((delivery.receiver.as_deref(), delivery.kind), (Some("on call"), Kind::Email));
    assert_eq!((delivery.status, delivery.text.as_str()), (Status::Resolved, "all is well\n.and dotted"));
    assert_eq!(delivery.to.as_deref(), Some("c@d.test"));
}

#[rstest::rstest]
#[case::plain("AUTH PLAIN AGEAYg==\r\n", "235 2.7.0 welcome\r\n")]
#[case::plain_asked("AUTH PLAIN\r\nAGEAYg==\r\n", "334 \r\n235 2.7.0 welcome\r\n")]
#[case::login(
    "AUTH LOGIN\r\nYQ==\r\nYg==\r\n",
    "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 2.7.0 welcome\r\n"
)]
#[case::cram("AUTH CRAM-MD5\r\nYSBi\r\n", "334 PDEuMUBmaXJlZHJpbGw+\r\n235 2.7.0 welcome\r\n")]
#[case::cancelled("AUTH LOGIN\r\n*\r\n", "334 VXNlcm5hbWU6\r\n501 5.5.2 authentication cancelled\r\n")]
#[case::unknown("AUTH NTLM\r\n", "504 5.5.4 no such mechanism\r\n")]
#[case::order(
    "RCPT TO:<a@b.test>\r\nDATA\r\nVRFY x\r\n",
    "503 5.5.1 MAIL comes first\r\n503 5.5.1 RCPT comes first\r\n502 5.5.1 not known here\r\n"
)]
#[tokio::test]
async fn a_client_logs_in_as_it_likes(#[case] lines: &str, #[case] expected: &str) {
    let sink = open(Listen::default()).await.unwrap();
    let said = exchange(sink.listens().smtp, &format!("HELO a\r\n{lines}QUIT\r\n")).await;
    assert_eq!(said, format!("220 firedrill ESMTP\r\n250 firedrill\r\n{expected}221 bye\r\n"));
}

#[tokio::test]
async fn a_receiver_misbehaves_until_its_guard_is_dropped() {
    let sink = open(Listen::default()).await.unwrap();
    let line = |kind| Line { receiver: Some("pager".to_owned()), kind, index: 0 }.path();
    let told = post(&line(Kind::Webhook), "{}");
    let mut answers = Vec::new();
    for trouble in
        [Trouble::Status(StatusCode::BAD_GATEWAY), Trouble::TooMany(Duration::from_secs(3)), Trouble::Close]
    {
        let troubled = sink.misbehave("pager", trouble, None);
        let http = exchange(sink.listens().http, &told).await;
        let smtp = exchange(sink.listens().smtp, &mail(&line(Kind::Email), "", "x")).await;
        answers.push(
            http.lines()
                .filter(|line| line.starts_with("HTTP") || line.starts_with("retry"))
                .collect::<Vec<_>>()
                .join(" "),
        );
        answers.push(smtp.lines().nth(6).unwrap_or("closed").to_owned());
        assert_eq!(troubled.met(), 2);
    }
    let expected = [
        "HTTP/1.1 502 Bad Gateway",
        "451 4.3.0 in trouble, on purpose",
        "HTTP/1.1 429 Too Many Requests retry-after: 3",
        "450 4.7.1 too many, on purpose",
        "",
        "closed",
    ];
    assert_eq!(answers, expected);
    assert_eq!(sink.deliveries(), []);
    assert!(exchange(sink.listens().http, &told).await.starts_with("HTTP/1.1 200"));
    assert_eq!(sink.deliveries().len(), 1);
}

#[tokio::test]
async fn closing_ends_what_hangs() {
    let sink = open(Listen::default()).await.unwrap();
    let mut troubled = sink.misbehave("pager", Trouble::Hang, None);
    let told = post(&Line { receiver: Some("pager".to_owned()), kind: Kind::Webhook, index: 0 }.path(), "{}");
    let address = sink.listens().http;
    let asking = tokio::spawn(async move { exchange(address, &told).await });
    assert!(troubled.meets(1, soon()).await);
    assert_eq!(sink.close().await, []);
    assert_eq!(asking.await.unwrap(), "");
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_with_its_deadline() {
    let sink = open(Listen::default()).await.unwrap();
    assert_eq!(sink.wait_for(|_| true, Instant::now() + Duration::from_secs(5)).await, None);
}
