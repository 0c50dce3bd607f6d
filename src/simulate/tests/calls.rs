use rstest::rstest;
use tokio::net::TcpListener;

use super::*;

const FRONT: &str = "stand-in: front\nroutes:\n  \
                     - { get: /, text: well, calls: [{ service: back, get: /deep, within: 300ms }] }\n  \
                     - { get: /near, text: well, calls: [{ service: back }] }\n";

/// A stand-in in front of whoever listens at this address.
async fn front(back: SocketAddr) -> StandIn {
    let mut profile = profile(FRONT);
    profile.calls_mut().for_each(|call| call.address = Some(back.to_string()));
    start(&profile, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 1, Box::new(std::io::sink())).await.unwrap()
}

#[rstest]
#[case::well("{ get: /deep, text: deep }", 200, "well")]
#[case::refuses("{ get: /other }", 200, "well")]
#[case::fails("{ get: /deep, status: 503 }", 502, r#"{"error":"`back` answers with 503"}"#)]
#[case::dawdles("{ get: /deep, latency: 30s }", 502, r#"{"error":"`back` does not answer within 300ms"}"#)]
#[tokio::test]
async fn a_stand_in_is_as_well_as_those_it_asks(
    #[case] route: &str,
    #[case] status: u16,
    #[case] body: &str,
) {
    let back = play(&format!("stand-in: back\nroutes: [{route}]\n")).await;
    let front = front(back.address()).await;
    let answer = ask(&front, "GET /", "", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (status, body));
    assert_eq!(ask(&front, "GET /near", "", "").await.status, 200);
}

#[tokio::test]
async fn a_stand_in_that_reaches_nobody_says_so() {
    let back = play("stand-in: back\n").await;
    let gone = back.address();
    back.stop().await;
    let answer = ask(&front(gone).await, "GET /near", "", "").await;
    assert_eq!(answer.status, 502);
    assert!(answer.body.contains("`back` is not reached: "), "{}", answer.body);
}

#[tokio::test]
async fn a_stand_in_alone_asks_nobody() {
    let alone = play(FRONT).await;
    assert_eq!(ask(&alone, "GET /", "", "").await.body, "well");
}

#[tokio::test]
async fn the_trace_of_a_request_goes_on() {
    let back = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let front = front(back.local_addr().unwrap()).await;
    let heard = async {
        let (mut stream, _) = back.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let count = stream.read(&mut head).await.unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&head[..count]).to_lowercase()
    };
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let header = format!("traceparent: {trace}\r\n");
    let (answer, heard) = tokio::join!(ask(&front, "GET /", &header, ""), timeout(DEADLINE, heard));
    let heard = heard.unwrap();
    assert_eq!(answer.status, 200);
    assert!(heard.starts_with("get /deep http/1.1\r\n"), "{heard}");
    let carried = heard.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap();
    assert!(carried.starts_with(&trace[..36]) && carried.ends_with("-00"), "{carried}");
    assert_ne!(carried, trace);
}
