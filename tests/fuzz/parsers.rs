//! What reads a target's bytes and needs no connection for it.

use firedrill::exposition::{self, Dialect};
use firedrill::probe::certificate::Certificate;
use firedrill::probe::cookies::Jar;
use firedrill::probe::grpc;
use firedrill::probe::icmp::packet::Echo;
use firedrill::probe::logs::lines::Lines;
use firedrill::prometheus::answer;
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use proptest::prelude::*;

use super::cases;
use super::mutate::{mutated, mutated_text};

const PAGES: [&str; 2] = [
    "# HELP a_total How often.\n# TYPE a_total counter\na_total{code=\"200\",path=\"\\\"/\\\"\"} 1.5e3 1732276800123\n\
     # TYPE h histogram\nh_bucket{le=\"0.1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 0.5\nh_count 2\nq -Inf\n",
    "# TYPE a counter\n# UNIT a_seconds seconds\na_total{x=\"é\"} 1 1.5 # {trace_id=\"a\"} 0.5 1.2\na_created 1\n\
     # TYPE s stateset\ns{s=\"on\"} 1\n{\"a.b\",\"c.d\"=\"x\"} NaN\n# EOF\n",
];

#[test]
fn metrics_pages() {
    proptest!(cases(400, 1), |(page in mutated_text(&PAGES))| {
        for dialect in [Dialect::Text, Dialect::OpenMetrics] {
            if let Ok(families) = exposition::parse(&page, dialect) {
                let printed = exposition::print(&families, dialect);
                prop_assert!(printed.len() < 64 * (page.len() + 64), "{} bytes of {}", printed.len(), page.len());
            }
        }
    });
}

const ANSWERS: [&str; 4] = [
    r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"a"},"value":[1435781451.781,"1"]}]},"warnings":["x"]}"#,
    r#"{"status":"success","data":{"result":[{"metric":{},"values":[[1,"NaN"]],"histograms":[[1,{"count":"1","sum":"2"}]]}],"resultType":"matrix"}}"#,
    r#"{"status":"success","data":{"resultType":"scalar","result":[1,"+Inf"]}}"#,
    r#"{"status":"error","errorType":"bad_data","error":"1:3: parse error"}"#,
];

#[test]
fn answers_of_prometheus() {
    proptest!(cases(400, 1), |(body in mutated(ANSWERS.map(|text| text.as_bytes().to_vec()).into()))| {
        match answer::read_query(&body) {
            Ok(answer) => {
                let told = format!("{answer:?}").len();
                prop_assert!(told < 64 * (body.len() + 64), "{} bytes", told);
            }
            Err(why) => prop_assert!(!why.to_string().is_empty()),
        }
    });
}

#[test]
fn health_by_grpc() {
    let sound = vec![b"\0\0\0\0\x02\x08\x01".to_vec(), b"\0\0\0\0\x05\x12\x01a\x08\x02".to_vec()];
    proptest!(cases(400, 1), |(body in mutated(sound))| {
        let _ = grpc::answer(&body).map(|said| said.to_string());
    });
}

#[test]
fn echoes() {
    let request = |peer: &str| Echo::new(peer.parse().unwrap(), 24, 7).request(3);
    let mut raw = vec![0x45; 20];
    raw.extend(request("127.0.0.1"));
    let sound = vec![request("127.0.0.1"), request("::1"), raw];
    proptest!(cases(400, 1), |(bytes in mutated(sound), raw: bool, six: bool)| {
        let echo = Echo::new(if six { "::1" } else { "127.0.0.1" }.parse().unwrap(), 24, 7);
        let _ = echo.replied(&bytes, raw);
    });
}

#[test]
fn cookies() {
    let sound = vec![
        b"a=b; Path=/; Domain=shop.test; Max-Age=10; Secure; HttpOnly; SameSite=Lax".to_vec(),
        b"id=\"x\"; Expires=Wed, 21 Oct 2099 07:28:00 GMT".to_vec(),
    ];
    proptest!(cases(400, 1), |(value in mutated(sound))| {
        let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
        let headers: HeaderMap = [(SET_COOKIE, value)].into_iter().collect();
        let (mut jar, now) = (Jar::default(), jiff::Timestamp::UNIX_EPOCH);
        jar.store(&"https://a.shop.test/x/y".parse().unwrap(), &headers, now);
        for url in ["https://shop.test/", "http://a.shop.test/x", "https://other.test/"] {
            let url = url.parse().unwrap();
            let sent = jar.header_for(&url, now);
            prop_assert!(sent.is_none() || url.host_str() != Some("other.test"), "{sent:?}");
        }
    });
}

#[test]
fn certificates() {
    let made = rcgen::generate_simple_self_signed(["shop.test".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let sound = vec![made.cert.der().to_vec()];
    proptest!(cases(400, 1), |(der in mutated(sound))| {
        let _ = Certificate::read(&der).map(|certificate| certificate.days_left(jiff::Timestamp::UNIX_EPOCH));
    });
}

#[test]
fn lines_of_a_log() {
    let sound =
        vec![b"{\"level\":\"INFO\",\"msg\":\"a\\u0000b\"}\r\n{}\n".to_vec(), b"\n \xff\xfe\n".repeat(9)];
    proptest!(cases(400, 1), |(bytes in mutated(sound), limit in 1..64_usize, chunk in 1..32_usize)| {
        let (mut lines, mut longest) = (Lines::new(limit), 0);
        for chunk in bytes.chunks(chunk) {
            lines.feed(chunk, |line| longest = longest.max(line.bytes.len()));
        }
        lines.finish(|line| longest = longest.max(line.bytes.len()));
        prop_assert!(longest <= limit);
    });
}
