use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::units::Size;

const UP: &str = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#;

/// Answers each connection with the next of `answers`, and keeps what was asked; an empty one closes it unheard.
async fn serve(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            asked.push(request(&mut stream).await);
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
        asked
    });
    (address, asked)
}

/// One request, head and body.
async fn request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    loop {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).await.unwrap();
        text += std::str::from_utf8(&bytes[..read]).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if read == 0 || body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return text;
        }
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
}

fn access(address: &str) -> Access {
    let mut access = Access::to(address);
    access.limits.pause = Duration::from_millis(1);
    access.limits.timeout = Duration::from_secs(10);
    access
}

fn client(address: &str) -> Client {
    Client::new(&access(address)).unwrap()
}

async fn ask(client: &Client) -> Result<f64, String> {
    match client.instant("up", None).await {
        Ok(Answer { data: Data::Scalar(point), .. }) => Ok(point.value),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string().replace(client.address(), "ADDRESS")),
    }
}

#[tokio::test]
async fn a_query_is_posted_as_a_form() {
    let (address, asked) = serve(vec![answer("200 OK", "", UP)]).await;
    let mut access = access(&(address + "/prometheus"));
    access.auth = Auth::Basic { user: "me".to_owned(), password: Secret::new("secret") };
    let at = Timestamp::from_millisecond(1_500).unwrap();
    Client::new(&access).unwrap().instant("a + b{c=\"d\"}", Some(at)).await.unwrap();
    let asked = asked.await.unwrap().remove(0);
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /prometheus/api/v1/query HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nauthorization: Basic bWU6c2VjcmV0"), "{head}");
    assert_eq!(body, "query=a+%2B+b%7Bc%3D%22d%22%7D&time=1.500");
}

#[tokio::test]
async fn whoever_only_allows_reading_is_asked_so() {
    let answers = vec![answer("405 Method Not Allowed", "", ""), answer("200 OK", "", UP)];
    let (address, asked) = serve(answers).await;
    assert_eq!(ask(&client(&address)).await, Ok(2.0));
    let asked = asked.await.unwrap();
    assert!(asked[1].starts_with("GET /api/v1/query?query=up HTTP/1.1\r\n"), "{}", asked[1]);
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let answers = vec![
        answer("503 Service Unavailable", "", "starting"),
        answer("429 Too Many Requests", "Retry-After: 0\r\n", ""),
        String::new(),
        answer("200 OK", "", UP),
    ];
    let (address, asked) = serve(answers).await;
    assert_eq!(ask(&client(&address)).await, Ok(2.0));
    assert_eq!(asked.await.unwrap().len(), 4);
}

#[rstest]
#[case::a_mistake(
    1,
    "400 Bad Request",
    "",
    r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
    "ADDRESS/api/v1/query for `up`: refused with `bad_data`: parse error"
)]
#[case::unauthorised(
    1,
    "401 Unauthorized",
    "",
    "",
    "ADDRESS/api/v1/query for `up`: status 401, not allowed; check the user and password, or the token"
)]
#[case::elsewhere(
    1,
    "302 Found",
    "Location: https://login.test/\r\n",
    "",
    "ADDRESS/api/v1/query for `up`: status 302, which sends to `https://login.test/`; give that address, \
     if it is the right one"
)]
#[case::missing(
    1,
    "404 Not Found",
    "",
    "404 page not found",
    "ADDRESS/api/v1/query for `up`: status 404 (tried once): 404 page not found"
)]
#[case::down(
    4,
    "502 Bad Gateway",
    "",
    "\x1b[31mno\nupstream",
    "ADDRESS/api/v1/query for `up`: status 502 (tried 4 times): [31mno upstream"
)]
#[case::a_page(
    1,
    "200 OK",
    "",
    "<html>",
    "ADDRESS/api/v1/query for `up`: this is no answer of a Prometheus: expected value at line 1 column 1; \
     is this its address?"
)]
#[tokio::test]
async fn a_refusal_says_what_was_tried(
    #[case] times: usize,
    #[case] status: &str,
    #[case] headers: &str,
    #[case] body: &str,
    #[case] said: &str,
) {
    let (address, asked) = serve(vec![answer(status, headers, body); times]).await;
    assert_eq!(ask(&client(&address)).await, Err(said.to_owned()));
    asked.await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    let said = ask(&client).await.unwrap_err();
    let wanted = "ADDRESS/api/v1/query for `up`: cannot connect (tried 4 times): Connection refused \
                  (os error 111); is it running, and is this its address?";
    assert_eq!(said, wanted);
}

#[tokio::test]
async fn an_endless_body_is_not_read_to_its_end() {
    let (address, _asked) = serve(vec![answer("200 OK", "", &"x".repeat(100_000))]).await;
    let mut access = access(&address);
    access.limits.body = Size(1000);
    let said = ask(&Client::new(&access).unwrap()).await.unwrap_err();
    assert_eq!(said, "ADDRESS/api/v1/query for `up`: the answer is larger than 1000 bytes; ask for less");
}

#[tokio::test]
async fn silence_is_waited_for_as_long_as_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut access = access(&format!("http://{}", listener.local_addr().unwrap()));
    access.limits.timeout = Duration::from_millis(50);
    access.limits.retries = 1;
    let said = ask(&Client::new(&access).unwrap()).await.unwrap_err();
    let wanted = "ADDRESS/api/v1/query for `up`: no answer within 50ms (tried 2 times); ask for less, or \
                  give it more time";
    assert_eq!(said, wanted);
}

#[tokio::test]
async fn rules_and_alerts_are_read() {
    let rules = r#"{"status":"success","data":{"groups":[{"name":"g","file":"r.yml","interval":15,
        "lastEvaluation":"0001-01-01T00:00:00Z","evaluationTime":0.1,"rules":[
        {"type":"recording","name":"a:b","query":"sum(b)","health":"ok","lastError":""},
        {"type":"alerting","name":"Down","query":"up == 0","state":"firing","duration":60,"keepFiringFor":0,
         "labels":{"severity":"page"},"annotations":{},"health":"err","alerts":[{"labels":{"alertname":"Down"},
         "annotations":{},"state":"pending","activeAt":"2026-01-01T00:00:00.5Z","value":"0e+00"}]}]}]}}"#;
    let (address, _asked) = serve(vec![answer("200 OK", "", rules)]).await;
    let groups = client(&address).rules().await.unwrap().data;
    let group = &groups.groups[0];
    assert_eq!((group.last_evaluation, group.rules[0].state), (None, None));
    let alert = &group.rules[1].alerts[0];
    assert_eq!(alert.state, super::super::AlertState::Pending);
    assert_eq!(alert.active_at.unwrap().to_string(), "2026-01-01T00:00:00.5Z");
}

#[rstest]
#[case(0, "0.000")]
#[case(1_435_781_451_781, "1435781451.781")]
#[case(-1, "-0.001")]
fn a_moment_is_written_in_seconds(#[case] millis: i64, #[case] written: &str) {
    assert_eq!(seconds(Timestamp::from_millisecond(millis).unwrap()), written);
}
