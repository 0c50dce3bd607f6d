use rstest::rstest;

use super::variable::fill;
use super::*;
use crate::yaml::parse;

#[rstest]
#[case::plain("rate(x[5m])", Ok("rate(x[5m])"))]
#[case::dollar("up{job=\"$job\"}", Ok("up{job=\"web\"}"))]
#[case::braces("up{job=~\"${job:regex}\"}", Ok("up{job=~\"web\"}"))]
#[case::brackets("up{job=\"[[job]]\"}", Ok("up{job=\"web\"}"))]
#[case::own("rate(x[$__rate_interval])", Ok("rate(x[5m])"))]
#[case::end_of_a_pattern("up{job=~\"web$\"}", Ok("up{job=~\"web$\"}"))]
#[case::group_of_a_pattern(
    "label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\")",
    Ok("label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\")")
)]
#[case::subquery("max_over_time(up[1h:[[job]]])", Ok("max_over_time(up[1h:web])"))]
#[case::unknown("up{job=\"$jop\"}", Err("jop at 8..12"))]
fn variables_are_filled_in(#[case] text: &str, #[case] wanted: Result<&str, &str>) {
    let values = Values::from([("job".to_owned(), "web".to_owned())]);
    let filled = fill(text, &values).map_err(|one| format!("{} at {:?}", one.name, one.range));
    assert_eq!(filled, wanted.map(str::to_owned).map_err(str::to_owned));
}

#[test]
fn panels_are_found_wherever_they_stand() {
    let json = r#"{
	"dashboard": {
		"title": "Shop",
		"templating": { "list": [
			{ "name": "job", "type": "query", "query": { "query": "label_values(up{env=\"$env\"}, job)" } },
			{ "name": "env", "type": "custom", "query": "live,test", "multi": true, "current": { "value": ["live", "test"] } },
			{ "name": "step", "type": "interval", "query": "1m,5m" }
		] },
		"rows": [{ "panels": [{ "title": "Old", "targets": [{ "expr": "up" }] }] }],
		"panels": [
			{ "type": "row", "panels": [{ "title": "Within", "targets": [{ "expr": "down" }, { "expr": "" }] }] },
			{ "title": "Logs", "datasource": { "type": "loki" }, "targets": [{ "expr": "{app=\"x\"}" }] }
		]
	}
}"#;
    let mut sources = Sources::default();
    let id = sources.add("shop.json", json);
    let documents = parse(id, json).unwrap();
    assert!(is_dashboard(&documents[0]));
    let board = Dashboard::read(&documents[0]);
    let queries: Vec<_> =
        board.queries.iter().map(|one| (one.panel.as_str(), one.written.value.as_str())).collect();
    assert_eq!(queries, [("Old", "up"), ("Within", "down")]);
    let saved: Vec<_> = board.saved().into_iter().collect();
    let wanted = [("env", "live|test"), ("job", ".+"), ("step", "1m")];
    assert_eq!(saved, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let Gives::LabelValues { of, label, .. } = &board.variables[0].gives else {
        panic!("{:?}", board.variables)
    };
    assert_eq!((of.as_deref(), label.as_str()), (Some("up{env=\"$env\"}"), "job"));
}
