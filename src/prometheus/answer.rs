//! An answer of Prometheus's HTTP API, and of those that answer like it (Thanos, Mimir, `VictoriaMetrics`).
//!
//! The caller bounds the bytes of an answer; what it becomes in memory is then a small multiple of them.

use jiff::{SignedDuration, Timestamp, Unit};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::exposition::{Labels, MOST_SERIES};

/// What the API answered, and what it has to say about that.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T> {
    /// What was asked for: [`Data`] of a query.
    pub data: T,
    /// What may make the answer wrong: a block that could not be read, a store that did not answer.
    pub warnings: Vec<String>,
    /// What may be wrong with the question: a `rate` of what is no counter.
    pub infos: Vec<String>,
}

/// Why an answer has nothing to give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It is not what the API answers.
    #[error("this is not an answer of Prometheus's API: {0}")]
    Malformed(String),
    /// It says that the question failed.
    #[error("{kind}: {message}")]
    Failed {
        /// The API's word for it: `bad_data`, `timeout`, `execution`, `unavailable`.
        kind: String,
        /// The API's own sentence.
        message: String,
    },
}

/// What a query gave.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub enum Data {
    /// One number, without labels.
    Scalar(Point),
    /// One point for each series, all at the same moment.
    Vector(Vec<Sample>),
    /// Points of each series, over a range.
    Matrix(Vec<Series>),
    /// A text.
    String(Text),
}

impl Data {
    /// The API's name of it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "scalar",
            Self::Vector(_) => "vector",
            Self::Matrix(_) => "matrix",
            Self::String(_) => "string",
        }
    }

    fn series(&self) -> usize {
        match self {
            Self::Scalar(_) | Self::String(_) => 1,
            Self::Vector(samples) => samples.len(),
            Self::Matrix(series) => series.len(),
        }
    }
}

/// A number at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "(f64, String)")]
pub struct Point {
    /// When, to the millisecond.
    pub at: Timestamp,
    /// The number, exactly; may be infinite or not a number.
    pub value: f64,
}

/// A text at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "(f64, String)")]
pub struct Text {
    /// When, to the millisecond.
    pub at: Timestamp,
    /// The text.
    pub value: String,
}

/// A native histogram at a moment; its buckets are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "(f64, HistogramWritten)")]
pub struct Histogram {
    /// When, to the millisecond.
    pub at: Timestamp,
    /// How many were observed.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
}

#[derive(Deserialize)]
struct HistogramWritten {
    count: String,
    sum: String,
}

/// One series at one moment: it has either a number or a histogram.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "SampleWritten")]
pub struct Sample {
    /// The labels, `__name__` among them where it was kept.
    pub labels: Labels,
    /// What it is.
    pub value: Value,
}

#[derive(Deserialize)]
struct SampleWritten {
    metric: Labels,
    value: Option<Point>,
    histogram: Option<Histogram>,
}

/// What one series is at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A number.
    Number(Point),
    /// A native histogram.
    Histogram(Histogram),
}

/// One series over a range.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Series {
    /// The labels, `__name__` among them where it was kept.
    #[serde(rename = "metric")]
    pub labels: Labels,
    /// Its numbers, in the order of time.
    #[serde(rename = "values", default)]
    pub points: Vec<Point>,
    /// Its native histograms, in the order of time.
    #[serde(default)]
    pub histograms: Vec<Histogram>,
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct SuccessWritten<T> {
    data: Option<T>,
    warnings: Option<Vec<String>>,
    infos: Option<Vec<String>>,
}

/// What is read first, of any answer: the data of a failure may be anything.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusWritten {
    status: Status,
    error_type: Option<String>,
    error: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Success,
    Error,
}

/// Reads an answer whose data are a `T`.
///
/// # Errors
///
/// When it is not an answer of the API, or says that the question failed.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<Answer<T>, NoAnswer> {
    let malformed = |error: serde_json::Error| NoAnswer::Malformed(error.to_string());
    let written: StatusWritten = serde_json::from_slice(body).map_err(malformed)?;
    if written.status == Status::Error {
        let kind = written.error_type.unwrap_or_else(|| "error".to_owned());
        return Err(NoAnswer::Failed { kind, message: written.error.unwrap_or_default() });
    }
    let SuccessWritten { data, warnings, infos } = serde_json::from_slice(body).map_err(malformed)?;
    let data = data.ok_or_else(|| NoAnswer::Malformed("it has no data".to_owned()))?;
    Ok(Answer { data, warnings: warnings.unwrap_or_default(), infos: infos.unwrap_or_default() })
}

/// Reads the answer to a query.
///
/// # Errors
///
/// As [`read`], and when it has more than [`MOST_SERIES`] series.
pub fn read_query(body: &[u8]) -> Result<Answer<Data>, NoAnswer> {
    let answer: Answer<Data> = read(body)?;
    match answer.data.series() {
        0..=MOST_SERIES => Ok(answer),
        more => Err(NoAnswer::Malformed(format!("it has {more} series, more than {MOST_SERIES}"))),
    }
}

impl TryFrom<(f64, String)> for Point {
    type Error = String;

    fn try_from((at, value): (f64, String)) -> Result<Self, String> {
        Ok(Self { at: moment(at)?, value: number(&value)? })
    }
}

impl TryFrom<(f64, String)> for Text {
    type Error = String;

    fn try_from((at, value): (f64, String)) -> Result<Self, String> {
        Ok(Self { at: moment(at)?, value })
    }
}

impl TryFrom<(f64, HistogramWritten)> for Histogram {
    type Error = String;

    fn try_from((at, written): (f64, HistogramWritten)) -> Result<Self, String> {
        Ok(Self { at: moment(at)?, count: number(&written.count)?, sum: number(&written.sum)? })
    }
}

impl TryFrom<SampleWritten> for Sample {
    type Error = String;

    fn try_from(written: SampleWritten) -> Result<Self, String> {
        let value = match (written.value, written.histogram) {
            (Some(point), None) => Value::Number(point),
            (None, Some(histogram)) => Value::Histogram(histogram),
            (None, None) => return Err("a series has no value".to_owned()),
            (Some(_), Some(_)) => return Err("a series has a number and a histogram".to_owned()),
        };
        Ok(Self { labels: written.metric, value })
    }
}

/// Seconds since 1970, to the millisecond.
fn moment(seconds: f64) -> Result<Timestamp, String> {
    let wrong = || format!("`{seconds:e}` is no time");
    let since = SignedDuration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    let exact = Timestamp::from_duration(since).map_err(|_| wrong())?;
    exact.round(Unit::Millisecond).map_err(|_| wrong())
}

/// A number as Go prints it.
fn number(text: &str) -> Result<f64, String> {
    let number = match text {
        "NaN" => Some(f64::NAN),
        "+Inf" | "Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        // What Rust reads beyond that (`nan`, `infinity`, and `1e999` as infinity) is none of Go's.
        _ => text.parse().ok().filter(|number: &f64| number.is_finite()),
    };
    number.ok_or_else(|| format!("{text:?} is no number"))
}

/// Labels as Prometheus prints them: `up{instance="a:80", job="a"}`.
#[must_use]
pub fn describe(labels: &Labels) -> String {
    let name = labels.get("__name__").map_or("", String::as_str);
    let others = labels.iter().filter(|(label, _)| *label != "__name__");
    let others: Vec<_> = others.map(|(label, value)| format!("{label}={value:?}")).collect();
    if others.is_empty() && !name.is_empty() {
        name.to_owned()
    } else {
        format!("{name}{{{}}}", others.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn success(data: &str) -> Vec<u8> {
        format!(r#"{{"status":"success","data":{data}}}"#).into_bytes()
    }

    fn at(millisecond: i64) -> Timestamp {
        Timestamp::from_millisecond(millisecond).unwrap()
    }

    #[test]
    fn a_vector_has_a_value_for_each_series() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"up","job":"web"},"value":[1435781451.781,"1"]},
            {"metric":{},"histogram":[1435781451.781,{"count":"4","sum":"0.5","buckets":[[0,"0","1","4"]]}]}
        ]},"warnings":["a store did not answer"],"infos":["not a counter"]}"#;
        let moment = at(1_435_781_451_781);
        let labels: Labels = [("__name__", "up"), ("job", "web")].map(|(a, b)| (a.into(), b.into())).into();
        let number = Sample { labels, value: Value::Number(Point { at: moment, value: 1.0 }) };
        let histogram = Histogram { at: moment, count: 4.0, sum: 0.5 };
        let histogram = Sample { labels: Labels::new(), value: Value::Histogram(histogram) };
        let wanted = Answer {
            data: Data::Vector(vec![number, histogram]),
            warnings: vec!["a store did not answer".to_owned()],
            infos: vec!["not a counter".to_owned()],
        };
        assert_eq!(read_query(body), Ok(wanted));
    }

    #[test]
    fn a_matrix_has_points_for_each_series() {
        let body = success(
            r#"{"resultType":"matrix","result":[{"metric":{"job":"a"},"values":[[1,"2"],[1.5,"+Inf"]]}]}"#,
        );
        let points = vec![Point { at: at(1000), value: 2.0 }, Point { at: at(1500), value: f64::INFINITY }];
        let labels: Labels = [("job".to_owned(), "a".to_owned())].into();
        let series = Series { labels, points, histograms: Vec::new() };
        assert_eq!(read_query(&body).unwrap().data, Data::Matrix(vec![series]));
    }

    #[rstest]
    #[case::scalar(r#"{"resultType":"scalar","result":[1,"0.05"]}"#, Data::Scalar(Point { at: at(1000), value: 0.05 }))]
    #[case::string(
        r#"{"resultType":"string","result":[1,"text"]}"#,
        Data::String(Text { at: at(1000), value: "text".to_owned() })
    )]
    #[case::empty(r#"{"resultType":"vector","result":[]}"#, Data::Vector(Vec::new()))]
    #[case::in_another_order(r#"{"result":[],"resultType":"matrix"}"#, Data::Matrix(Vec::new()))]
    #[case::with_more_in_it(
        r#"{"resultType":"vector","result":[],"stats":{"a":[1]}}"#,
        Data::Vector(Vec::new())
    )]
    fn data_read(#[case] data: &str, #[case] wanted: Data) {
        assert_eq!(read_query(&success(data)).unwrap().data, wanted);
    }

    #[rstest]
    #[case::nothing("", "EOF while parsing a value at line 1 column 0")]
    #[case::a_page("<html>", "expected value at line 1 column 1")]
    #[case::no_status("{}", "missing field `status` at line 1 column 2")]
    #[case::another_status(
        r#"{"status":"odd"}"#,
        "unknown variant `odd`, expected `success` or `error` at line 1 column 15"
    )]
    #[case::no_data(r#"{"status":"success"}"#, "it has no data")]
    #[case::no_value(
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}"#,
        "a series has no value at line 1 column 74"
    )]
    #[case::no_number(
        r#"{"status":"success","data":{"resultType":"scalar","result":[1,"one"]}}"#,
        "\"one\" is no number at line 1 column 69"
    )]
    #[case::no_time(
        r#"{"status":"success","data":{"resultType":"scalar","result":[1e300,"1"]}}"#,
        "`1e300` is no time at line 1 column 71"
    )]
    fn what_is_no_answer_is_said(#[case] body: &str, #[case] why: &str) {
        assert_eq!(read_query(body.as_bytes()), Err(NoAnswer::Malformed(why.to_owned())));
    }

    #[rstest]
    #[case::plain(
        r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
        "bad_data: parse error"
    )]
    #[case::with_data(
        r#"{"status":"error","data":{"odd":1},"errorType":"execution","error":"too many samples"}"#,
        "execution: too many samples"
    )]
    #[case::terse(r#"{"status":"error"}"#, "error: ")]
    fn a_failure_says_why(#[case] body: &str, #[case] why: &str) {
        assert_eq!(read_query(body.as_bytes()).unwrap_err().to_string(), why);
    }

    #[rstest]
    #[case("NaN", f64::NAN)]
    #[case("+Inf", f64::INFINITY)]
    #[case("-Inf", f64::NEG_INFINITY)]
    #[case("0.1", 0.1)]
    #[case("-0", -0.0)]
    #[case("1e-323", 1e-323)]
    #[case("9007199254740993", 9_007_199_254_740_992.0)]
    fn numbers_read_exactly(#[case] text: &str, #[case] wanted: f64) {
        let read = number(text).unwrap();
        assert!(read.total_cmp(&wanted).is_eq(), "{read} is not {wanted}");
    }

    #[rstest]
    fn what_go_does_not_print_is_no_number(
        #[values("", "nan", "infinity", "1e999", " 1", "0x1p3")] text: &str,
    ) {
        assert_eq!(number(text), Err(format!("{text:?} is no number")));
    }

    #[test]
    fn too_many_series_are_refused() {
        let one = r#"{"metric":{},"value":[1,"1"]},"#.repeat(MOST_SERIES);
        let body = success(&format!(
            r#"{{"resultType":"vector","result":[{one}{{"metric":{{}},"value":[1,"1"]}}]}}"#
        ));
        let why = "this is not an answer of Prometheus's API: it has 200001 series, more than 200000";
        assert_eq!(read_query(&body).unwrap_err().to_string(), why);
    }

    #[rstest]
    #[case::whole(&[("__name__", "up"), ("job", "a\nb")], r#"up{job="a\nb"}"#)]
    #[case::name_alone(&[("__name__", "up")], "up")]
    #[case::nameless(&[("job", "a")], r#"{job="a"}"#)]
    #[case::nothing(&[], "{}")]
    fn series_are_described(#[case] labels: &[(&str, &str)], #[case] wanted: &str) {
        let labels = labels.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(describe(&labels), wanted);
    }

    proptest! {
        #[test]
        fn a_number_printed_reads_as_itself(value in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            prop_assert_eq!(number(&value.to_string()).map(f64::to_bits), Ok(value.to_bits()));
        }
    }
}
