use std::io::Write;
use std::sync::{Arc, Mutex};

use super::*;

/// A log that is read while it is written.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn lines(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

async fn logging(text: &str, paper: &Paper, back: Option<SocketAddr>) -> StandIn {
    let mut profile = profile(text);
    profile.calls_mut().for_each(|call| call.address = back.map(|back| back.to_string()));
    start(&profile, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 1, Box::new(paper.clone())).await.unwrap()
}

const LOG: &str = "log:\n  answered: { level: INFO, what: \"${method} ${path} ${status}\", trace_id: \"${trace}\", span_id: \"${span}\" }\n  \
                   failed: { level: ERROR, status: \"${status}\", trace_id: \"${trace}\" }\n";

#[tokio::test]
async fn a_request_is_logged_under_its_trace_by_each_it_passed() {
    let (near, far) = (Paper::default(), Paper::default());
    let back =
        logging(&format!("stand-in: back\nroutes: [{{ get: /deep, text: deep }}]\n{LOG}"), &far, None).await;
    let front = "stand-in: front\nroutes: [{ get: /, text: well, calls: [{ service: back, get: /deep }] }]\n";
    let front = logging(&format!("{front}{LOG}"), &near, Some(back.address())).await;
    let traceparent = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    assert_eq!(ask(&front, "GET /", traceparent, "").await.status, 200);
    // Nothing of what every stand-in has is a request to a route.
    assert_eq!(ask(&front, "GET /health", traceparent, "").await.status, 200);
    let (near, far) = (near.lines(), far.lines());
    assert_eq!((near.len(), far.len()), (1, 1));
    assert_eq!(near[0]["what"], "GET / 200");
    assert_eq!(far[0]["what"], "GET /deep 200");
    assert_eq!(near[0]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(far[0]["trace_id"], near[0]["trace_id"]);
    assert_ne!(far[0]["span_id"], near[0]["span_id"]);
}

#[tokio::test]
async fn what_fails_is_logged_as_a_failure() {
    let paper = Paper::default();
    let alone =
        logging(&format!("stand-in: alone\nroutes: [{{ get: /, status: 503 }}]\n{LOG}"), &paper, None).await;
    assert_eq!(ask(&alone, "GET /", "", "").await.status, 503);
    let lines = paper.lines();
    assert_eq!((&lines[0]["level"], &lines[0]["status"]), (&"ERROR".into(), &503.into()));
}

#[tokio::test]
async fn traces_that_begin_here_are_recorded_as_often_as_declared() {
    let paper = Paper::default();
    let text = "stand-in: alone\nsampling: 0%\nroutes: [{ get: /, text: well }]\nlog: { answered: { sampled: \"${sampled}\" } }\n";
    let alone = logging(text, &paper, None).await;
    for traceparent in ["", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"] {
        assert_eq!(ask(&alone, "GET /", traceparent, "").await.status, 200);
    }
    let sampled: Vec<_> = paper.lines().iter().map(|line| line["sampled"].clone()).collect();
    assert_eq!(sampled, [false, true]);
}
