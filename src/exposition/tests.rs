use insta::assert_snapshot;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use rstest::rstest;

use super::Dialect::{OpenMetrics, Text};
use super::*;

/// An excerpt of a shop's page, as a client library of today prints it.
const SHOP: &str = r#"
# HELP shop_requests_total Requests served, by \\ and\nby code.
# TYPE shop_requests_total counter
shop_requests_total{code="200",path="/items"} 1.2077e+06
shop_requests_total{code="500",path="/items",} 3 1732276800123
# TYPE shop_request_seconds histogram
shop_request_seconds_bucket{le="0.1"} 90
shop_request_seconds_bucket{le="+Inf"} 100
shop_request_seconds_sum 7.25
shop_request_seconds_count 100
# a comment; the next family has no type
  shop_queue	{ name = "a \"b\" \\ c\n" , } -Inf
# TYPE shop_gc_seconds summary
shop_gc_seconds{quantile="0.5"} NaN
shop_gc_seconds_sum 0
shop_gc_seconds_count 0
# TYPE "shop.café" gauge
{"shop.café","straße.name"="x"} 0.000001
"#;

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.map(|(name, value)| (name.into(), value.into())).into()
}

/// One line for each sample: its family, type, labels and value.
fn outline(page: &str, dialect: Dialect) -> String {
    let mut outline = String::new();
    for Family { name, kind, help, unit, samples } in parse(page, dialect).unwrap() {
        outline += &format!("{kind} {name:?} help={help:?} unit={unit:?}\n");
        for Sample { name, labels, value, at } in samples {
            let at = at.map_or(String::new(), |at| format!(" at {at}"));
            outline += &format!("  {name} {labels:?} {value}{at}\n");
        }
    }
    outline
}

#[test]
fn a_text_page_reads() {
    assert_snapshot!(outline(SHOP, Text), @r#"
    counter "shop_requests_total" help="Requests served, by \\ and\nby code." unit=""
      shop_requests_total {"code": "200", "path": "/items"} 1207700
      shop_requests_total {"code": "500", "path": "/items"} 3 at 2024-11-22T12:00:00.123Z
    histogram "shop_request_seconds" help="" unit=""
      shop_request_seconds_bucket {"le": "0.1"} 90
      shop_request_seconds_bucket {"le": "+Inf"} 100
      shop_request_seconds_sum {} 7.25
      shop_request_seconds_count {} 100
    unknown "shop_queue" help="" unit=""
      shop_queue {"name": "a \"b\" \\ c\n"} -inf
    summary "shop_gc_seconds" help="" unit=""
      shop_gc_seconds {"quantile": "0.5"} NaN
      shop_gc_seconds_sum {} 0
      shop_gc_seconds_count {} 0
    gauge "shop.café" help="" unit=""
      shop.café {"straße.name": "x"} 0.000001
    "#);
}

#[test]
fn a_text_page_prints_as_openmetrics() {
    assert_snapshot!(print(&parse(SHOP, Text).unwrap(), OpenMetrics), @r#"
    # TYPE shop_requests counter
    # HELP shop_requests Requests served, by \\ and\nby code.
    shop_requests_total{code="200",path="/items"} 1207700
    shop_requests_total{code="500",path="/items"} 3 1732276800.123
    # TYPE shop_request_seconds histogram
    shop_request_seconds_bucket{le="0.1"} 90
    shop_request_seconds_bucket{le="+Inf"} 100
    shop_request_seconds_sum 7.25
    shop_request_seconds_count 100
    # TYPE shop_queue unknown
    shop_queue{name="a \"b\" \\ c\n"} -Inf
    # TYPE shop_gc_seconds summary
    shop_gc_seconds{quantile="0.5"} NaN
    shop_gc_seconds_sum 0
    shop_gc_seconds_count 0
    # TYPE "shop.café" gauge
    {"shop.café","straße.name"="x"} 1e-6
    # EOF
    "#);
}

/// Every type of OpenMetrics, with exemplars and timestamps.
const BAKERY: &str = r#"# TYPE bakery_loaves counter
# HELP bakery_loaves Loaves "sold".
bakery_loaves_total{kind="rye"} 17.0 1520879607.789 # {trace_id="KOO5S4vxi0o"} 1 1520879607.5
bakery_loaves_created{kind="rye"} 1520430000.123 1520879607.789
# TYPE bakery_oven_celsius gauge
# UNIT bakery_oven_celsius celsius
bakery_oven_celsius{} 228 -0.5
bakery_oven_celsius 230 1.5
# TYPE bakery_queue gaugehistogram
bakery_queue_bucket{le="1"} 3 # {} 0.5
bakery_queue_bucket{le="+Inf"} 4
bakery_queue_gcount 4
bakery_queue_gsum -1
# TYPE bakery info
bakery_info{version="1.2"} 1
# TYPE bakery_state stateset
bakery_state{bakery_state="open"} 1
bakery_state{bakery_state="shut"} 0
bakery_unsaid 2
# EOF
"#;

#[test]
fn an_openmetrics_page_reads() {
    assert_snapshot!(outline(BAKERY, OpenMetrics), @r#"
    counter "bakery_loaves" help="Loaves \"sold\"." unit=""
      bakery_loaves_total {"kind": "rye"} 17 at 2018-03-12T18:33:27.789Z
      bakery_loaves_created {"kind": "rye"} 1520430000.123 at 2018-03-12T18:33:27.789Z
    gauge "bakery_oven_celsius" help="" unit="celsius"
      bakery_oven_celsius {} 228 at 1969-12-31T23:59:59.5Z
      bakery_oven_celsius {} 230 at 1970-01-01T00:00:01.5Z
    gaugehistogram "bakery_queue" help="" unit=""
      bakery_queue_bucket {"le": "1"} 3
      bakery_queue_bucket {"le": "+Inf"} 4
      bakery_queue_gcount {} 4
      bakery_queue_gsum {} -1
    info "bakery" help="" unit=""
      bakery_info {"version": "1.2"} 1
    stateset "bakery_state" help="" unit=""
      bakery_state {"bakery_state": "open"} 1
      bakery_state {"bakery_state": "shut"} 0
    unknown "bakery_unsaid" help="" unit=""
      bakery_unsaid {} 2
    "#);
}

#[test]
fn an_openmetrics_page_prints_as_text() {
    assert_snapshot!(print(&parse(BAKERY, OpenMetrics).unwrap(), Text), @r#"
    # TYPE bakery_loaves_total counter
    # HELP bakery_loaves_total Loaves "sold".
    bakery_loaves_total{kind="rye"} 17 1520879607789
    # TYPE bakery_oven_celsius gauge
    bakery_oven_celsius 228 -500
    bakery_oven_celsius 230 1500
    bakery_queue_bucket{le="1"} 3
    bakery_queue_bucket{le="+Inf"} 4
    bakery_queue_gcount 4
    bakery_queue_gsum -1
    # TYPE bakery_info gauge
    bakery_info{version="1.2"} 1
    # TYPE bakery_state gauge
    bakery_state{bakery_state="open"} 1
    bakery_state{bakery_state="shut"} 0
    # TYPE bakery_unsaid untyped
    bakery_unsaid 2
    "#);
}

/// What Prometheus scrapes without complaint, though no producer should print it.
#[rstest]
#[case::nothing("", 0)]
#[case::no_line_feed_at_the_end("a 1", 1)]
#[case::no_space_before_the_value("a{}1", 1)]
#[case::no_comma_between_labels("a{b=\"1\" c=\"2\"} 1", 1)]
#[case::a_series_twice("a 1\na 2", 2)]
#[case::families_interleaved("a 1\nb 1\na{c=\"d\"} 1", 3)]
#[case::a_type_twice("# TYPE a gauge\n# TYPE a counter\na 1", 1)]
#[case::a_type_after_its_samples("a 1\n# TYPE a gauge", 1)]
#[case::an_unknown_escape(r#"a{b="\d"} 1"#, 1)]
#[case::a_comment_without_a_space("#HELP", 0)]
#[case::a_comment_that_begins_like_help("# HELPful", 0)]
#[case::a_unit("# UNIT a b\na 1", 1)]
#[case::the_name_after_a_label(r#"{b="c","a"} 1"#, 1)]
fn text_is_read_leniently(#[case] page: &str, #[case] samples: usize) {
    let families = parse(page, Text).unwrap();
    assert_eq!(families.iter().map(|family| family.samples.len()).sum::<usize>(), samples);
}

#[rstest]
#[case::no_value("a", "line 1: expected a value, found nothing")]
#[case::no_name("{} 1", "line 1: expected a metric name, found `{} 1`")]
#[case::an_empty_name(r#"{""} 1"#, "line 1: the metric's name is empty")]
#[case::two_names(r#"a{"b"} 1"#, "line 1: the metric's name is given twice")]
#[case::a_digit_first("a 1\n1a 1", "line 2: expected a metric name, found `1a 1`")]
#[case::no_number("a one", "line 1: expected a value, found `one`")]
#[case::too_large("a 1e999", "line 1: expected a value, found `1e999`")]
#[case::a_signed_nan("a -NaN", "line 1: expected a value, found `-NaN`")]
#[case::a_carriage_return("a 1\r\n", r"line 1: expected a value, found `1\r`")]
#[case::a_fraction_of_time("a 1 1.5", "line 1: expected a timestamp in whole milliseconds, found `1.5`")]
#[case::the_far_future(
    "a 1 9223372036854775807",
    "line 1: expected a timestamp in whole milliseconds, found `9223372036854775807`"
)]
#[case::a_word_too_many("a 1 2 3", "line 1: `3` follows the sample")]
#[case::an_exemplar("a 1 # {} 1", "line 1: expected a timestamp in whole milliseconds, found `#`")]
#[case::labels_not_closed(r#"a{b="c","#, "line 1: the labels are not closed by `}`")]
#[case::a_label_without_quotes("a{b=c} 1", "line 1: expected a text in quotes, found `c} 1`")]
#[case::a_label_without_a_value("a{b} 1", "line 1: expected `=` after label `b`, found `} 1`")]
#[case::an_empty_label_name(r#"a{""="c"} 1"#, "line 1: a label's name is empty")]
#[case::two_commas(r#"a{b="c",,} 1"#, "line 1: expected a label name, found `,} 1`")]
#[case::a_label_twice(r#"a{b="c",b="d"} 1"#, "line 1: label `b` is given twice")]
#[case::the_name_as_a_label(r#"a{__name__="b"} 1"#, "line 1: label `__name__` is given twice")]
#[case::quotes_not_closed(r#"a{b="c\"} 1"#, r#"line 1: the quotes are not closed: `"c\"} 1`"#)]
#[case::no_such_type("# TYPE a meter", "line 1: `meter` is not a metric type")]
#[case::a_type_of_the_other_dialect("# TYPE a info", "line 1: `info` is not a metric type")]
#[case::help_for_nothing("# HELP 1 2", "line 1: expected a metric name after `# HELP`, found `1 2`")]
#[case::help_for_a_bad_name("# HELP a.b c", "line 1: expected a space after the name `a`, found `.b c`")]
#[case::terminal_escapes("\u{1b}[31m\u{202e}", r"line 1: expected a metric name, found `\u{1b}[31m\u{202e}`")]
#[case::a_page_of_html(
    "<!doctype html><html lang=\"en\"><head><title>Sign in, please</title></head></html>",
    "line 1: expected a metric name, found `<!doctype html><html lang=\"en\"><head><title>Sign in, please<…`"
)]
fn a_malformed_text_page_is_refused(#[case] page: &str, #[case] message: &str) {
    assert_eq!(parse(page, Text).unwrap_err().to_string(), message);
}

#[rstest]
#[case::an_empty_line("\n", "line 1: an empty line, which OpenMetrics does not allow")]
#[case::a_comment(
    "# hello\n",
    "line 1: a comment, which OpenMetrics does not allow: after `# ` stands HELP, TYPE or UNIT"
)]
#[case::an_end_too_early("# EOF\na 1\n", "line 1: the page goes on after `# EOF`")]
#[case::two_spaces("a  1\n", "line 1: expected a value, found nothing")]
#[case::no_space("a{}1\n", "line 1: expected a space before the value, found `1`")]
#[case::a_comma_too_many("a{b=\"c\",} 1\n", "line 1: expected `,` and a label, or `}`, found `} 1`")]
#[case::no_comma("a{b=\"c\"d=\"e\"} 1\n", "line 1: expected `,` and a label, or `}`, found `d=\"e\"} 1`")]
#[case::a_type_of_the_other_dialect("# TYPE a untyped\n", "line 1: `untyped` is not a metric type")]
#[case::a_type_twice("# TYPE a gauge\n# TYPE a gauge\n", "line 2: a second `# TYPE` for `a`")]
#[case::a_foreign_unit("# UNIT a_meters feet\n", "line 1: unit `feet` is not the end of `a_meters`")]
#[case::a_unit_on_info("# TYPE a_b info\n# UNIT a_b b\n", "line 1: `a_b` is of type info and has a unit")]
#[case::a_counter_without_total(
    "# TYPE a counter\na 1\n",
    "line 2: the name of a sample of type counter ends in `_total` or `_created`"
)]
#[case::a_family_in_two_pieces(
    "a 1\nb 1\na{c=\"d\"} 1\n",
    "line 3: `a` can be of this family and of the one in line 1"
)]
#[case::a_clash_of_suffixes(
    "# TYPE a_created gauge\n# TYPE a counter\na_total 1\n",
    "line 2: `a_created` can be of this family and of the one in line 1"
)]
#[case::a_series_twice(
    "a 1\na 2\n",
    "line 2: the series `a` of line 1 comes again without a later timestamp"
)]
#[case::a_series_twice_but_for_an_empty_label(
    "a{b=\"\"} 1 2\na 1 1\n",
    "line 2: the series `a` of line 1 comes again without a later timestamp"
)]
#[case::a_bucket_without_a_bound(
    "# TYPE a histogram\na_bucket 1\n",
    "line 2: `a_bucket`, being of type histogram, needs a label `le`"
)]
#[case::a_bucket_of_half_a_thing(
    "# TYPE a histogram\na_bucket{le=\"1\"} 1.5\n",
    "line 2: `a_bucket`, being of type histogram, should be a whole number of at least 0 and is 1.5"
)]
#[case::a_negative_counter(
    "# TYPE a counter\na_total -1\n",
    "line 2: `a_total`, being of type counter, should be at least 0 and is -1"
)]
#[case::a_quantile_above_one(
    "# TYPE a summary\na{quantile=\"99\"} 1\n",
    "line 2: expected a quantile from 0 to 1, found 99"
)]
#[case::an_info_of_two(
    "# TYPE a info\na_info 2\n",
    "line 2: `a_info`, being of type info, should be 1 and is 2"
)]
#[case::a_state_of_two(
    "# TYPE a stateset\na{a=\"b\"} 2\n",
    "line 2: `a`, being of type stateset, should be 0 or 1 and is 2"
)]
#[case::a_gauge_with_an_exemplar(
    "a 1 # {} 1\n",
    "line 1: only a counter's `_total` and a `_bucket` have an exemplar"
)]
#[case::an_exemplar_without_a_value(
    "a 1 # {}\n",
    "line 1: expected a space before the exemplar's value, found nothing"
)]
#[case::an_endless_timestamp("a 1 +Inf\n", "line 1: expected a timestamp in seconds, found `+Inf`")]
fn a_malformed_openmetrics_page_is_refused(#[case] page: &str, #[case] message: &str) {
    assert_eq!(parse(&format!("{page}# EOF\n"), OpenMetrics).unwrap_err().to_string(), message);
}

#[rstest]
#[case::nothing("", "line 1")]
#[case::cut_short("# TYPE a gauge\na 1", "line 2")]
#[case::another_line_that_ends_so("a 1\n# HELP a # EOF", "line 2")]
fn an_openmetrics_page_without_its_end_is_refused(#[case] page: &str, #[case] line: &str) {
    let message = parse(page, OpenMetrics).unwrap_err().to_string();
    let what = "the page does not end with `# EOF`: it was cut short, or is not OpenMetrics";
    assert_eq!(message, format!("{line}: {what}"));
}

#[test]
fn a_page_of_too_many_series_is_refused() {
    let page = "a 1\n".repeat(MOST_SERIES + 1);
    let refused = parse(&page, Text).unwrap_err();
    assert_eq!(refused.to_string(), "line 200001: more than 200000 series or families");
    assert!(parse(&page[4..], Text).is_ok());
}

#[test]
fn a_page_of_too_many_families_is_refused() {
    let page: String = (0..=MOST_SERIES).map(|n| format!("# TYPE a{n} gauge\n")).collect();
    assert_eq!(parse(&page, Text).unwrap_err().line, MOST_SERIES + 1);
}

#[test]
fn a_gauge_and_a_counter_may_share_a_name() {
    let page = "# TYPE go_bytes gauge\ngo_bytes 1\n# TYPE go_bytes counter\ngo_bytes_total 2\n# EOF";
    let families = parse(page, OpenMetrics).unwrap();
    assert_eq!(find(&families, "go_bytes").unwrap().kind, Kind::Gauge);
    assert_eq!(find(&families, "go_bytes_total").unwrap().kind, Kind::Counter);
}

#[rstest]
#[case::by_name("shop_request_seconds", Some("shop_request_seconds"))]
#[case::by_bucket("shop_request_seconds_bucket", Some("shop_request_seconds"))]
#[case::by_what_it_could_have("shop_request_seconds_created", Some("shop_request_seconds"))]
#[case::by_quoted_name("shop.café", Some("shop.café"))]
#[case::by_another_suffix("shop_request_seconds_total", None)]
#[case::by_a_part_of_the_name("shop_request", None)]
fn a_family_is_found(#[case] name: &str, #[case] found: Option<&str>) {
    let families = parse(SHOP, Text).unwrap();
    assert_eq!(find(&families, name).map(|family| family.name.as_str()), found);
}

#[rstest]
#[case::all_of_a_family("shop_request_seconds", labels([]), 4)]
#[case::by_name("shop_request_seconds_bucket", labels([]), 2)]
#[case::by_label("shop_request_seconds_bucket", labels([("le", "+Inf")]), 1)]
#[case::by_an_absent_label("shop_request_seconds", labels([("le", "")]), 2)]
#[case::by_another_value("shop_request_seconds", labels([("le", "5")]), 0)]
#[case::without_the_parts("shop_gc_seconds", labels([]), 1)]
fn samples_are_selected(#[case] name: &str, #[case] labels: Labels, #[case] count: usize) {
    let families = parse(SHOP, Text).unwrap();
    assert_eq!(find(&families, name).unwrap().select(name, &labels).count(), count);
}

#[rstest]
#[case("text/plain; version=0.0.4", Text)]
#[case("application/openmetrics-text; version=1.0.0; charset=utf-8", OpenMetrics)]
#[case("Application/OpenMetrics-Text", OpenMetrics)]
#[case("", Text)]
fn a_content_type_names_a_dialect(#[case] header: &str, #[case] dialect: Dialect) {
    assert_eq!(Dialect::from_content_type(header), dialect);
}

#[rstest]
fn a_content_type_survives(#[values(Text, OpenMetrics)] dialect: Dialect) {
    assert_eq!(Dialect::from_content_type(dialect.content_type()), dialect);
}

#[test]
fn a_kind_survives_its_name() {
    assert_eq!(Kind::ALL.map(|kind| kind.to_string().parse()), Kind::ALL.map(Ok));
    assert_eq!("untyped".parse(), Ok(Kind::Unknown));
    assert_eq!("meter".parse::<Kind>(), Err(NoKind));
}

/// Samples that a family of this name and type may have in this dialect; `n` keeps their series apart.
fn samples(name: &str, kind: Kind, dialect: Dialect) -> impl Strategy<Value = Vec<Sample>> + use<> {
    let suffixes: Vec<&str> = match (dialect, kind) {
        (Text, Kind::Histogram) => vec!["_bucket", "_count", "_sum"],
        (Text, Kind::Summary) => vec!["", "_count", "_sum"],
        (Text, _) => vec![""],
        (OpenMetrics, _) => kind.suffixes().to_vec(),
    };
    let special = match kind {
        Kind::Histogram | Kind::GaugeHistogram => Some(("le".to_owned(), "0.5")),
        Kind::Summary => Some(("quantile".to_owned(), "0.5")),
        Kind::StateSet => Some((name.to_owned(), "on")),
        Kind::Counter | Kind::Gauge | Kind::Info | Kind::Unknown => None,
    };
    let value = match kind {
        Kind::Gauge | Kind::Unknown => any::<f64>().boxed(),
        Kind::Info | Kind::StateSet => Just(1.0).boxed(),
        Kind::Counter | Kind::Histogram | Kind::GaugeHistogram | Kind::Summary => {
            any::<u32>().prop_map(f64::from).boxed()
        }
    };
    let at = proptest::option::of(-377_705_116_800_000i64..253_402_207_200_000)
        .prop_map(|at| at.map(|millis| Timestamp::from_millisecond(millis).unwrap()));
    let labels = btree_map(prop_oneof!["[a-z]{1,3}", "\\PC{1,4}"], any::<String>(), 0..3);
    let name = name.to_owned();
    vec((select(suffixes), labels, value, at), 0..5).prop_map(move |drawn| {
        let sample = |(n, (suffix, mut labels, value, at)): (usize, (&str, Labels, f64, _))| {
            labels.extend([("nth".to_owned(), n.to_string())]);
            labels.extend(special.clone().map(|(label, value)| (label, value.to_owned())));
            Sample { name: format!("{name}{suffix}"), labels, value, at }
        };
        drawn.into_iter().enumerate().map(sample).collect()
    })
}

/// Families that this dialect can say in full.
fn families(dialect: Dialect) -> impl Strategy<Value = Vec<Family>> {
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.word(dialect).is_some()).collect();
    let family = (select(kinds), prop_oneof!["[a-z:]{0,4}", "\\PC{0,4}"], any::<String>(), any::<bool>());
    vec(family, 0..5).prop_flat_map(move |drawn| {
        let family = |(n, (kind, name, help, unit)): (usize, (Kind, String, String, bool))| {
            let unit = unit && dialect == OpenMetrics && !matches!(kind, Kind::Info | Kind::StateSet);
            let unit = if unit { "seconds" } else { "" };
            let name = format!("f{n}{name}_{}", if unit.is_empty() { "x" } else { unit });
            samples(&name, kind, dialect).prop_map(move |samples| Family {
                name: name.clone(),
                kind,
                help: help.clone(),
                unit: unit.to_owned(),
                samples,
            })
        };
        drawn.into_iter().enumerate().map(family).collect::<Vec<_>>()
    })
}

/// Pieces of which pages are made, to get deep into the reader.
const PIECES: [&str; 28] = [
    "a",
    "a_total",
    "a_bucket",
    "é",
    "{",
    "}",
    "\"",
    "\"le\"",
    "=",
    ",",
    "\\",
    " ",
    "  ",
    "\t",
    "\n",
    "\r",
    "# ",
    "HELP ",
    "TYPE ",
    "UNIT ",
    "counter",
    "histogram",
    "info",
    "1",
    "-1.5e3",
    "NaN",
    "\0",
    "# EOF\n",
];

proptest! {
    #[test]
    fn no_text_panics(page: String) {
        let _ = (parse(&page, Text), parse(&page, OpenMetrics));
    }

    #[test]
    fn no_shuffled_page_panics(pieces in vec(select(&PIECES[..]), 0..60)) {
        let page = pieces.concat() + "\n# EOF";
        let _ = (parse(&page, Text), parse(&page, OpenMetrics));
    }

    // NaN is not equal to itself, but is shown alike.
    #[test]
    fn a_text_page_survives_printing(families in families(Text)) {
        let again = parse(&print(&families, Text), Text).unwrap();
        prop_assert_eq!(format!("{again:?}"), format!("{families:?}"));
    }

    #[test]
    fn an_openmetrics_page_survives_printing(families in families(OpenMetrics)) {
        let again = parse(&print(&families, OpenMetrics), OpenMetrics).unwrap();
        prop_assert_eq!(format!("{again:?}"), format!("{families:?}"));
    }

    #[test]
    fn either_dialect_prints_what_the_other_reads(families in families(OpenMetrics)) {
        let page = print(&families, Text);
        prop_assert!(parse(&page, Text).is_ok(), "{page}");
    }
}
