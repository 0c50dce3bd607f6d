//! Queries to what answers as a Prometheus does, and to what does not.

use rstest::rstest;
use tokio::io::AsyncWriteExt;

use super::peer::{answering, read_head, serve};
use super::rehearsal::Folder;

const UP: &str = r#"{"resultType":"vector","result":[
    {"metric":{"__name__":"up","job":"web"},"value":[1435781451.781,"1"]},
    {"metric":{"__name__":"up","job":"db"},"value":[1435781451.781,"0"]}]}"#;
const ONE: &str = r#"{"resultType":"scalar","result":[1435781451.781,"0.04"]}"#;
const NAN: &str = r#"{"resultType":"vector","result":[{"metric":{"job":"web"},"value":[1,"NaN"]}]}"#;
const INF: &str = r#"{"resultType":"vector","result":[{"metric":{"job":"web"},"value":[1,"+Inf"]}]}"#;
const NONE: &str = r#"{"resultType":"vector","result":[]}"#;
const RANGE: &str = r#"{"resultType":"matrix","result":[{"metric":{"job":"web"},"values":[[1,"1"]]}]}"#;
const HISTOGRAM: &str =
    r#"{"resultType":"vector","result":[{"metric":{"job":"web"},"histogram":[1,{"count":"2","sum":"3"}]}]}"#;

fn success(data: &str) -> String {
    page("200 OK", &format!(r#"{{"status":"success","data":{data}}}"#))
}

fn warned(text: &str) -> String {
    page("200 OK", &format!(r#"{{"status":"success","data":{UP},"warnings":["{text}"]}}"#))
}

fn page(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What is wrong with an answer.
async fn failures(answer: String, expect: &str) -> Vec<String> {
    let address = answering(answer).await;
    let expect = if expect.is_empty() { String::new() } else { format!(", expect: {{ {expect} }}") };
    let step = format!("- {{ promql: {{ url: 'http://{address}', query: up }}{expect} }}");
    Folder::new(&format!("promql_{}", address.port())).run(&step, &[]).await.failures()
}

#[rstest]
#[case::nothing_expected(success(UP), "")]
#[case::a_scalar(success(ONE), "value: under 0.05, any_value: 0.04, series: 1")]
#[case::every_value(success(UP), "value: between 0 and 1")]
#[case::any_value(success(UP), "any_value: at least 1")]
#[case::labels(success(UP), "labels: { job: 'matches ^(web|db)$', env: not exists }")]
#[case::no_series(success(NONE), "series: 0")]
#[case::no_value_to_be_wrong(success(NONE), "series: at most 1, value: 5, any_value: 5, labels: { job: x }")]
#[case::infinite(success(INF), "value: over 5")]
#[case::a_histogram_among_series(success(HISTOGRAM), "series: 1, labels: { job: web }")]
#[case::warnings_expected(warned("a store did not answer"), "warnings: 1")]
#[case::an_info_of_old(warned("PromQL info: metric might not be a counter"), "warnings: 0")]
#[tokio::test]
async fn an_answer_as_expected_passes(#[case] answer: String, #[case] expect: &str) {
    assert_eq!(failures(answer, expect).await, Vec::<String>::new());
}

#[rstest]
#[case::empty(success(NONE), "value: under 5", &["body: the query gives no series"])]
#[case::a_value(success(UP), "value: 1", &["body: `up{job=\"db\"}` is 0, expected 1"])]
#[case::no_value(success(UP), "any_value: over 1", &["body: the first value is 1, expected over 1"])]
#[case::count(success(UP), "series: at least 3", &["body: the number of series is 2, expected at least 3"])]
#[case::label(success(UP), "labels: { job: web }", &["body: label `job` of `up{job=\"db\"}` is \"db\", expected \"web\""])]
#[case::no_number(success(NAN), "value: not under 5", &["body: `{job=\"web\"}` is NaN, which is never as expected"])]
#[case::no_number_among_any(success(NAN), "any_value: not under 5", &["body: no series has a number: `{job=\"web\"}` is NaN, which is never as expected"])]
#[case::a_range(success(RANGE), "", &["body: the query gives a matrix, which has no value to judge"])]
#[case::a_histogram(
    success(HISTOGRAM), "value: 5",
    &["body: `{job=\"web\"}` is a histogram: ask for its `histogram_quantile` or `histogram_count`"]
)]
#[case::a_warning(warned("a store did not answer"), "", &["body: the answer comes with a warning: a store did not answer"])]
#[case::no_warning(success(UP), "warnings: at least 1", &["body: the number of warnings is 0, expected at least 1"])]
#[case::refused(
    page("400 Bad Request", r#"{"status":"error","errorType":"bad_data","error":"1:3: parse error"}"#), "",
    &["status: the query failed: bad_data: 1:3: parse error"]
)]
#[case::another_page(page("404 Not Found", "404 page not found"), "", &["status: status is 404 Not Found, not a success"])]
#[case::a_page(
    page("200 OK", "<html>"), "",
    &["json: this is not an answer of Prometheus's API: expected value at line 1 column 1"]
)]
#[case::two_things(success(UP), "value: 1, series: 1", &[
    "body: the number of series is 2, expected 1", "body: `up{job=\"db\"}` is 0, expected 1"
])]
#[tokio::test]
async fn an_answer_that_is_not_as_expected_says_why(
    #[case] answer: String,
    #[case] expect: &str,
    #[case] wanted: &[&str],
) {
    assert_eq!(failures(answer, expect).await, wanted);
}

#[tokio::test]
async fn an_answer_is_read_up_to_a_limit() {
    let address = answering(success(UP)).await;
    let step = format!("- promql: {{ url: 'http://{address}', query: up, limit: 100B }}");
    let failures = Folder::new("promql_limit").run(&step, &[]).await.failures();
    assert!(failures.len() == 1 && failures[0].starts_with("limit: "), "{failures:?}");
}

#[tokio::test]
async fn a_query_goes_where_the_api_is() {
    let (told, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let address = serve(move |mut stream| {
        let told = told.clone();
        async move {
            told.send(read_head(&mut stream).await).unwrap();
            let _ = stream.write_all(success(UP).as_bytes()).await;
        }
    })
    .await;
    let steps = format!(
        "- promql: {{ url: 'http://{address}/prom/', query: 'sum(up{{job=\"web\"}}) + 1', bearer: \"${{secret.T}}\", headers: {{ X-Scope: shop }} }}
  capture: {{ job: {{ json: '$.data.result[0].metric.job' }} }}
- exec: {{ command: [echo, \"${{job}}\"] }}
  expect: {{ stdout: web }}"
    );
    let run = Folder::new("promql_path").run(&steps, &[("T", "s3cret")]).await;
    assert_eq!(run.failures(), Vec::<String>::new());
    let head = asked.recv().await.unwrap().to_lowercase();
    assert!(
        head.starts_with("get /prom/api/v1/query?query=sum%28up%7bjob%3d%22web%22%7d%29+%2b+1 http/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("authorization: bearer s3cret\r\n") && head.contains("x-scope: shop\r\n"),
        "{head}"
    );
    let (_, evidence) = run.attempts()[0];
    assert_eq!(evidence.state.as_deref(), Some("vector of 2 series"));
    assert_eq!(evidence.body.as_deref(), Some("up{job=\"web\"} 1\nup{job=\"db\"} 0"));
}
