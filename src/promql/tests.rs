use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn query(text: &str) -> Query {
    let mut sources = Sources::default();
    let file = sources.add("rules.yml", text);
    Query::read(text, file.place(0, text.len())).unwrap()
}

/// Every part's text, from the whole to the leaves.
fn said(text: &str) -> Vec<String> {
    let query = query(text);
    parts(&query.expr).iter().map(|(way, _)| text[query.range(way)].to_owned()).collect()
}

#[rstest]
#[case::comparison("up{job=\"a\"} == 0", &["up{job=\"a\"} == 0", "up{job=\"a\"}", "0"])]
#[case::ratio(
    "rate(a[5m]) / rate(b[5m]) > 0.05",
    &[
        "rate(a[5m]) / rate(b[5m]) > 0.05", "rate(a[5m]) / rate(b[5m])", "0.05",
        "rate(a[5m])", "rate(b[5m])", "a[5m]", "b[5m]",
    ]
)]
#[case::grouped("sum by (job) (a) > 1", &["sum by (job) (a) > 1", "sum by (job) (a)", "1", "a"])]
#[case::grouped_behind("sum(a) by (job)", &["sum(a) by (job)", "a"])]
#[case::parameter("topk(3, a)", &["topk(3, a)", "a", "3"])]
#[case::joined(
    "a * on (x) group_left (y) b",
    &["a * on (x) group_left (y) b", "a", "b"]
)]
#[case::joined_to_many("a * on (x) group_left b", &["a * on (x) group_left b", "a", "b"])]
#[case::shifted("a offset 5m > b @ end()", &["a offset 5m > b @ end()", "a offset 5m", "b @ end()"])]
#[case::negative("-a < -1", &["-a < -1", "-a", "-1", "a"])]
#[case::subquery("max_over_time(rate(a[1m])[10m:1m])", &[
    "max_over_time(rate(a[1m])[10m:1m])", "rate(a[1m])[10m:1m]", "rate(a[1m])", "a[1m]",
])]
#[case::nameless("{__name__=\"a\"} > bool 1e-3", &["{__name__=\"a\"} > bool 1e-3", "{__name__=\"a\"}", "1e-3"])]
fn every_part_is_found_in_the_text(#[case] text: &str, #[case] wanted: &[&str]) {
    assert_eq!(said(text), wanted);
}

#[rstest]
#[case::plain("expr: up == 0", "up == 0", "0", "0")]
#[case::quoted("expr: \"up{a=\\\"b\\\"} == 0\"", "up{a=\"b\"} == 0", "up{a=\"b\"}", "up{a=\\\"b\\\"}")]
#[case::block("expr: |\n  sum(a)\n    / sum(b)\n  > 1\n", "sum(a)\n  / sum(b)\n> 1\n", "sum(b)", "sum(b)")]
fn a_part_has_its_place_in_the_file(
    #[case] file: &str,
    #[case] value: &str,
    #[case] part: &str,
    #[case] wanted: &str,
) {
    let mut sources = Sources::default();
    let id = sources.add("rules.yml", file);
    let query = Query::read(value, id.place(6, file.len())).unwrap();
    let way = parts(&query.expr).into_iter().find(|(way, _)| &value[query.range(way)] == part).unwrap().0;
    assert_eq!(sources.text(query.place_of(&way, &sources)), wanted);
}

proptest! {
    #[test]
    fn no_text_panics(text in "[a-z0-9_:(){}\\[\\]\"=~!<>+*/,. @#-]{0,60}") {
        if let Ok(query) = Query::read(&text, Sources::default().add("x", text.clone()).place(0, text.len())) {
            for (way, _) in parts(&query.expr) {
                let range = query.range(&way);
                prop_assert!(range.end <= text.len());
            }
        }
    }
}
