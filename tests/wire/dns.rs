//! Questions to name servers that answer, refuse, lie and stall.

use std::net::{Ipv4Addr, SocketAddr};

use firedrill::event::Outcome;
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, NS, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record};
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::peer::{Identity, closed_port, serve};
use super::rehearsal::{Folder, Rehearsed};

/// What is answered to a question, datagram by datagram.
type Answers = fn(Message) -> Vec<Vec<u8>>;

/// A name server on a port of its own, for datagrams and for connections: there it says `on_a_connection` and stays.
async fn server(in_datagrams: Answers, on_a_connection: Answers) -> SocketAddr {
    let (listener, socket) = loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // The same port may be taken for datagrams; another one will do.
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            break (listener, socket);
        }
    };
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut room = vec![0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut room).await {
            for answer in in_datagrams(Message::from_vec(&room[..length]).unwrap()) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                converse(&mut stream, on_a_connection).await;
                std::future::pending::<()>().await;
            });
        }
    });
    address
}

async fn converse(stream: &mut TcpStream, answers: Answers) {
    let length = stream.read_u16().await.unwrap();
    let mut question = vec![0; usize::from(length)];
    stream.read_exact(&mut question).await.unwrap();
    for answer in answers(Message::from_vec(&question).unwrap()) {
        let length = u16::try_from(answer.len()).unwrap();
        let _ = stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat()).await;
    }
}

async fn asked(test: &str, steps: &str) -> Rehearsed {
    Folder::new(&format!("dns_{test}")).run(steps, &[]).await
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn record(owner: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(name(owner), ttl, data)
}

fn alias(from: &str, to: &str) -> Record {
    record(from, 60, RData::CNAME(CNAME(name(to))))
}

fn address(owner: &str, last: u8) -> Record {
    record(owner, 300, RData::A(A(Ipv4Addr::new(192, 0, 2, last))))
}

/// The answer to a question, to be filled.
fn reply(mut question: Message) -> Message {
    question.metadata.message_type = MessageType::Response;
    question.edns = None;
    question
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap()
}

/// `shop.test` by way of `front.test`, with who is in charge.
fn shop(question: Message) -> Vec<Vec<u8>> {
    let mut reply = reply(question);
    reply.add_answers([
        alias("shop.test.", "front.test."),
        address("front.test.", 1),
        address("front.test.", 2),
    ]);
    reply.add_authority(record("test.", 900, RData::NS(NS(name("ns.test.")))));
    reply.add_additional(address("ns.test.", 53));
    vec![bytes(&reply)]
}

fn nobody(question: Message) -> Vec<Vec<u8>> {
    let mut reply = reply(question);
    reply.metadata.response_code = ResponseCode::NXDomain;
    let soa = SOA::new(name("ns.test."), name("root.test."), 7, 60, 60, 60, 30);
    reply.add_authority(record("test.", 30, RData::SOA(soa)));
    vec![bytes(&reply)]
}

fn nothing(question: Message) -> Vec<Vec<u8>> {
    vec![bytes(&reply(question))]
}

fn silence(_: Message) -> Vec<Vec<u8>> {
    Vec::new()
}

fn cut_off(question: Message) -> Vec<Vec<u8>> {
    let mut reply = reply(question);
    reply.metadata.truncation = true;
    let mut bytes = bytes(&reply);
    // As a server that stops in the middle of a record would leave it.
    bytes[7] = 1;
    vec![bytes]
}

fn another_id(question: Message) -> Vec<Vec<u8>> {
    let mut reply = reply(question);
    reply.metadata.id ^= 1;
    vec![bytes(&reply); 3]
}

fn flood(question: Message) -> Vec<Vec<u8>> {
    let one = another_id(question).remove(0);
    vec![one; 100]
}

fn another_question(question: Message) -> Vec<Vec<u8>> {
    let mut reply = reply(question);
    reply.queries[0].name = name("bank.test.");
    vec![bytes(&reply)]
}

fn too_long(question: Message) -> Vec<Vec<u8>> {
    let mut reply = reply(question);
    reply.add_answer(record("shop.test.", 1, RData::TXT(TXT::new(vec!["x".repeat(250); 8]))));
    vec![bytes(&reply)]
}

fn circle(question: Message) -> Vec<Vec<u8>> {
    let mut reply = reply(question);
    reply.add_answers([alias("shop.test.", "front.test."), alias("front.test.", "shop.test.")]);
    vec![bytes(&reply)]
}

fn garbage(question: Message) -> Vec<Vec<u8>> {
    let mut bytes = bytes(&reply(question));
    // Records are announced and none is there.
    bytes[7] = 200;
    vec![bytes]
}

fn pointer(question: Message) -> Vec<Vec<u8>> {
    let mut bytes = bytes(&reply(question));
    bytes[7] = 1;
    let itself = 0xc000 | u16::try_from(bytes.len()).unwrap();
    bytes.extend(itself.to_be_bytes());
    bytes.extend([0; 10]);
    vec![bytes]
}

#[tokio::test]
async fn what_a_server_answers_is_held_against_what_is_expected() {
    let at = server(shop, silence).await;
    let run = asked(
        "answers",
        &format!(
            "- dns: {{ name: shop.test, server: 'udp://{at}' }}
- name: expected
  dns: {{ name: shop.test, server: 'udp://{at}' }}
  expect:
    answers: 192.0.2.2
    count: 2
    ttl: at least 60
    authority: ns.test.
    additional: contains 192.0.2.53
    latency: under 9s
    phases: {{ wait: under 9s }}
- name: unexpected
  dns: {{ name: shop.test, server: 'udp://{at}' }}
  expect: {{ rcode: NXDOMAIN, answers: 192.0.2.9, count: at least 3, ttl: over 60, authority: contains other }}"
        ),
    )
    .await;
    assert_eq!(run.outcomes(), [Outcome::Passed, Outcome::Passed, Outcome::Failed]);
    assert_eq!(
        run.failures(),
        [
            "dns: the server says NOERROR of `shop.test.`, not NXDOMAIN",
            "body: the number of records of the type asked for is 2, expected at least 3",
            "body: the smallest time to live, in seconds, is 60, expected over 60",
            "body: a record of the answer is \"front.test.\", expected \"192.0.2.9\"",
            "body: a record of the authority section is \"ns.test.\", expected contains other",
        ]
    );
    let (_, evidence) = run.attempts()[0];
    assert_eq!(evidence.state.as_deref(), Some("NOERROR, 3 answers"));
    assert_eq!(
        evidence.body.as_deref(),
        Some(
            "; answer\nshop.test. 60 CNAME front.test.\nfront.test. 300 A 192.0.2.1\nfront.test. 300 A 192.0.2.2\n\
             ; authority\ntest. 900 NS ns.test.\n; additional\nns.test. 300 A 192.0.2.53"
        )
    );
}

#[rstest]
#[case::no_name(nobody, "dns: the server says NXDOMAIN of `shop.test.`, not NOERROR", "rcode: NXDOMAIN")]
#[case::no_record(nothing, "dns: `shop.test.` exists and has no such record", "count: 0")]
#[tokio::test]
async fn a_name_without_records_fails_unless_that_is_expected(
    #[case] answers: Answers,
    #[case] failure: &str,
    #[case] expect: &str,
) {
    let at = server(answers, silence).await;
    let step = format!("dns: {{ name: shop.test, server: 'udp://{at}' }}");
    let steps = format!("- {step}\n- name: expected\n  {step}\n  expect: {{ {expect} }}");
    let run = asked(&format!("without_{}", at.port()), &steps).await;
    assert_eq!(run.failures(), [failure]);
    assert_eq!(run.outcomes(), [Outcome::Failed, Outcome::Passed]);
}

#[rstest]
#[case::silent(silence, "timeout(wait): 300ms passed while waiting for the first byte")]
#[case::other_id(
    another_id,
    "timeout(wait): 300ms passed while waiting for the first byte; datagrams that came and do not answer the question: 3"
)]
#[case::other_ids(flood, "protocol: 64 datagrams came and none answers the question")]
#[case::other_question(another_question, "protocol: the answer is to `A bank.test.`, not to `A shop.test.`")]
#[case::too_long(too_long, "limit: the datagram is longer than the 1232 bytes that were asked for")]
#[case::circle(circle, "dns: the aliases of `shop.test.` go in a circle")]
#[case::garbage(garbage, "protocol: the answer is malformed: ")]
#[case::pointer(pointer, "protocol: the answer is malformed: ")]
#[tokio::test]
async fn a_bad_datagram_fails_for_one_reason(#[case] answers: Answers, #[case] failure: &str) {
    let at = server(answers, silence).await;
    let steps = format!("- dns: {{ name: shop.test, server: 'udp://{at}' }}\n  timeout: 300ms");
    let run = asked(&format!("datagram_{}", at.port()), &steps).await;
    let failures = run.failures();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].starts_with(failure), "{failures:?}");
}

#[rstest]
#[case::silent(silence, "timeout(wait): 300ms passed while waiting for the first byte")]
#[case::other_id(another_id, "protocol: what came does not answer the question: it carries another id")]
#[case::cut_off(cut_off, "protocol: the answer is cut off, though not in a datagram")]
#[case::pointer(pointer, "protocol: the answer is malformed: ")]
#[tokio::test]
async fn a_bad_connection_fails_for_one_reason(#[case] answers: Answers, #[case] failure: &str) {
    let at = server(silence, answers).await;
    let steps = format!("- dns: {{ name: shop.test, server: 'tcp://{at}' }}\n  timeout: 300ms");
    let run = asked(&format!("connection_{}", at.port()), &steps).await;
    let failures = run.failures();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert!(failures[0].starts_with(failure), "{failures:?}");
}

#[tokio::test]
async fn an_answer_that_was_cut_off_is_asked_for_again_on_a_connection() {
    let at = server(cut_off, shop).await;
    let step = format!("- dns: {{ name: shop.test, server: 'udp://{at}' }}\n  expect: {{ count: 2 }}");
    let run = asked("cut_off", &step).await;
    assert_eq!(run.outcomes(), [Outcome::Passed]);
    let hops = run.attempts()[0].1.hops.iter().map(|hop| (hop.url.clone(), hop.version.clone().unwrap()));
    let expected =
        [(format!("udp://{at}"), "cut off".to_owned()), (format!("tcp://{at}"), "answered".to_owned())];
    assert_eq!(hops.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn what_somebody_else_sends_is_not_heard() {
    let asked_socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = asked_socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut room = vec![0; 2048];
        while let Ok((length, from)) = asked_socket.recv_from(&mut room).await {
            for answer in shop(Message::from_vec(&room[..length]).unwrap()) {
                let _ = other.send_to(&answer, from).await;
            }
        }
    });
    let run = asked(
        "other_source",
        &format!("- dns: {{ name: shop.test, server: 'udp://{at}' }}\n  timeout: 300ms"),
    )
    .await;
    assert_eq!(run.failures(), ["timeout(wait): 300ms passed while waiting for the first byte"]);
}

#[tokio::test]
async fn a_connection_that_ends_early_is_closed() {
    let at = serve(|mut stream| async move {
        let mut question = [0; 12];
        let _ = stream.read_exact(&mut question).await;
        let _ = stream.write_all(&[0, 200, 1, 2, 3]).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let run = asked("closed", &format!("- dns: {{ name: shop.test, server: 'tcp://{at}' }}")).await;
    let failures = run.failures();
    assert!(failures[0].starts_with("closed: the connection ends before the answer does: "), "{failures:?}");
}

#[rstest]
#[case::asked("- dns: { name: shop.test, server: 'udp://169.254.169.254' }")]
#[case::asked_on_a_connection("- dns: { name: shop.test, server: 'tcp://169.254.169.254' }")]
#[case::echo("- icmp: { host: 169.254.169.254 }")]
#[case::shaken("- tls: { address: '169.254.169.254:443' }")]
#[tokio::test]
async fn what_the_policy_closes_is_not_asked(#[case] step: &str) {
    let run = asked(&format!("closed_{}", step.len()), step).await;
    let failures = run.failures();
    assert!(failures[0].starts_with("policy: `169.254.169.254` must not be connected to: "), "{failures:?}");
}

#[rstest]
#[case::udp("udp", "refused: 127.0.0.1:PORT refuses datagrams")]
#[case::tcp("tcp", "refused: connection refused by 127.0.0.1:PORT")]
#[tokio::test]
async fn nobody_there_is_refused(#[case] scheme: &str, #[case] failure: &str) {
    let at = closed_port().await;
    let steps = format!("- dns: {{ name: shop.test, server: '{scheme}://{at}' }}");
    let run = asked(&format!("refused_{scheme}"), &steps).await;
    assert_eq!(run.failures(), [failure.replace("PORT", &at.port().to_string())]);
}

#[tokio::test]
async fn a_server_is_asked_over_tls() {
    let identity = Identity::new(&["localhost"], &[]);
    let (acceptor, pem) = (identity.acceptor, identity.pem);
    let at = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let length = stream.read_u16().await.unwrap();
            let mut question = vec![0; usize::from(length)];
            stream.read_exact(&mut question).await.unwrap();
            let answer = shop(Message::from_vec(&question).unwrap()).remove(0);
            stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
            stream.flush().await.unwrap();
            let _ = stream.read_u8().await;
        }
    })
    .await;
    let server = format!("server: 'tls://{at}', tls: {{ server_name: localhost");
    let steps = format!(
        "- dns: {{ name: shop.test, {server}, ca: ca.pem }} }}\n- name: untrusted\n  dns: {{ name: shop.test, {server} }} }}"
    );
    let run = Folder::new("dns_tls").with("ca.pem", pem).run(&steps, &[]).await;
    assert_eq!(run.outcomes(), [Outcome::Passed, Outcome::Failed]);
    assert!(run.failures()[0].starts_with("tls: "), "{:?}", run.failures());
}

#[rstest]
#[case::name("name: LONG, server: 'udp://127.0.0.1:9'", "policy: `LONG` is not a name to be asked about: ")]
#[case::server("name: a.test, server: 'udp://'", "policy: `udp://` is not a name server's address: ")]
#[tokio::test]
async fn a_question_that_cannot_be_asked_says_so_before_anything_is_sent(
    #[case] dns: &str,
    #[case] failure: &str,
) {
    let long = |text: &str| text.replace("LONG", &"a".repeat(70));
    let run = asked(&format!("unaskable_{}", dns.len()), &format!("- dns: {{ {} }}", long(dns))).await;
    assert!(run.failures()[0].starts_with(&long(failure)), "{:?}", run.failures());
}

#[rstest]
#[case::server("dns: { name: a.test, server: 127.0.0.1 }", "`127.0.0.1` is not a name server's address")]
#[case::kind("dns: { name: a.test, type: ANY }", "`ANY` is not one of `A`, `AAAA`, ")]
#[case::other_step(
    "http: { get: 'http://a.test' }\n  expect: { answers: exists }",
    "a `http` step has no `answers` to expect"
)]
#[case::loss("dns: { name: a.test }\n  expect: { loss: at most 1% }", "a `dns` step has no `loss` to expect")]
#[case::share(
    "icmp: { host: a.test }\n  expect: { loss: at most 1 }",
    "this is a share: compare with a percentage, like `at most 5%`"
)]
#[case::none("icmp: { host: a.test, count: 0 }", "between 1 and 1000 echoes are asked for")]
#[case::flood("icmp: { host: a.test, interval: 1ms }", "echoes are asked for at most every 10ms")]
#[case::too_long(
    "icmp: { host: a.test, count: 100 }\n  timeout: 1s",
    "the last echo is asked for after 19s800ms, when the step is over"
)]
#[case::port("tls: { address: a.test }", "`a.test` is not `host:port`")]
#[case::starttls("tls: { address: 'a.test:1', starttls: ftp }", "`ftp` is not one of `smtp`, ")]
fn what_cannot_be_is_found_before_the_run(#[case] step: &str, #[case] title: &str) {
    let folder = Folder::new(&format!("dns_findings_{}_{}", step.len(), title.len()));
    let found = folder.findings(&format!("- {step}"));
    assert!(found.contains(title), "{found}");
}
