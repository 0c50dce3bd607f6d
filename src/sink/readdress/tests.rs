use rstest::rstest;

use super::*;
use crate::source::Sources;
use crate::yaml::{as_elder, parse, print};

/// The text re-addressed, and what was found; files with `here` in their name are here.
fn turned(text: &str) -> (String, Vec<String>) {
    let mut sources = Sources::default();
    let id = sources.add("alertmanager.yml", text);
    let mut config = as_elder(parse(id, text).unwrap().remove(0), text);
    let ends = Ends { http: "127.0.0.1:8000".to_owned(), smtp: "127.0.0.1:2500".to_owned() };
    let findings = readdress(&mut config, &ends, &|path| path.contains("here"), &Mask::default());
    let found = findings.iter().map(|finding| format!("{}: {}", finding.code, finding.title)).collect();
    // As one line.
    let printed = print(&config).lines().map(str::trim_start).collect::<Vec<_>>().join(" ");
    (printed.replace("{ ", "{").replace(" }", "}").replace("[ ", "[").replace(" ]", "]"), found)
}

/// A receiver with one integration, under a `global` of `global`.
fn one(global: &str, section: &str, integration: &str) -> (String, Vec<String>) {
    let (text, found) =
        turned(&format!("global: {{{global}}}\nreceivers: [{{name: a, {section}: [{integration}]}}]"));
    (text.replace("{\"global\": {}, \"receivers\": [{\"name\": \"a\", ", ""), found)
}

#[rstest]
#[case::webhook(
    "",
    "webhook_configs",
    "{url: 'https://x.test/secret'}",
    r#""webhook_configs": [{"url": "http://127.0.0.1:8000/r/a/0/webhook"}]}]}"#
)]
#[case::file(
    "",
    "discord_configs",
    "{webhook_url_file: /here}",
    r#""discord_configs": [{"webhook_url": "http://127.0.0.1:8000/r/a/0/discord"}]}]}"#
)]
#[case::global(
    "slack_api_url: 'https://x.test/secret'",
    "slack_configs",
    "{channel: b}",
    r#""slack_configs": [{"channel": "b", "api_url": "http://127.0.0.1:8000/r/a/0/slack"}]}]}"#
)]
#[case::token(
    "",
    "slack_configs",
    "{app_token: secret}",
    r#""slack_configs": [{"app_token": "firedrill", "app_url": "http://127.0.0.1:8000/r/a/0/slack/api/chat.postMessage"}]}]}"#
)]
#[case::method(
    "",
    "slack_configs",
    "{api_url: 'https://slack.com/api/chat.postMessage'}",
    r#""slack_configs": [{"api_url": "http://127.0.0.1:8000/r/a/0/slack/api/chat.postMessage"}]}]}"#
)]
#[case::changes(
    "",
    "slack_configs",
    "{api_url: 'https://slack.com/api/chat.postMessage', update_message: true}",
    r#""slack_configs": [{"api_url": "https://slack.com/api/chat.postMessage", "update_message": true, "http_config": {"proxy_url": "http://a:0@127.0.0.1:8000", "tls_config": {"insecure_skip_verify": true}}}]}]}"#
)]
#[case::built_in(
    "", "telegram_configs", "{bot_token_file: /here, chat_id: 1}",
    r#""telegram_configs": [{"chat_id": 1, "bot_token": "firedrill", "api_url": "http://127.0.0.1:8000/r/a/0/telegram"}]}]}"#
)]
#[case::template_stays(
    "", "pagerduty_configs", "{routing_key: '{{.CommonLabels.key}}'}",
    r#""pagerduty_configs": [{"routing_key": "{{.CommonLabels.key}}", "url": "http://127.0.0.1:8000/r/a/0/pagerduty"}]}]}"#
)]
#[case::by_proxy(
    "", "pagerduty_configs", "{service_key: secret}",
    r#""pagerduty_configs": [{"service_key": "firedrill", "http_config": {"proxy_url": "http://a:0@127.0.0.1:8000", "tls_config": {"insecure_skip_verify": true}}}]}]}"#
)]
#[case::signed(
    "", "sns_configs", "{topic_arn: 'arn:aws:sns:eu-west-1:1:t', sigv4: {profile: p, role_arn: r}}",
    r#""sns_configs": [{"topic_arn": "arn:aws:sns:eu-west-1:1:t", "sigv4": {"region": "eu-west-1", "access_key": "firedrill", "secret_key": "firedrill"}, "api_url": "http://127.0.0.1:8000/r/a/0/sns"}]}]}"#
)]
#[case::jira(
    "", "jira_configs", "{api_url: 'https://x.test/rest/api/3', resolve_transition: Done it}",
    r#""jira_configs": [{"api_url": "http://127.0.0.1:8000/r/a/0/jira/tDone~20it/t/rest/api/3", "resolve_transition": "Done it"}]}]}"#
)]
#[case::mail(
    "", "email_configs", "{smarthost: 'x.test:25', require_tls: no, auth_password: secret, tls_config: {ca_file: /here}}",
    r#""email_configs": [{"smarthost": "127.0.0.1:2500", "require_tls": no, "auth_password": "firedrill", "tls_config": {"insecure_skip_verify": true}, "hello": "/r/a/0/email"}]}]}"#
)]
#[case::http(
    "", "webhook_configs",
    "{url: 'http://x.test', http_config: {proxy_url: 'http://p.test', tls_config: {ca_file: /here}, follow_redirects: false, \
     authorization: {type: Basic, credentials: secret}, http_headers: {A: {values: [b]}, C: {files: [/here]}}}}",
    r#""webhook_configs": [{"url": "http://127.0.0.1:8000/r/a/0/webhook", "http_config": {"follow_redirects": false, "authorization": {"type": "Basic", "credentials": "firedrill"}, "http_headers": {"A": {"values": ["b"]}, "C": {"secrets": ["firedrill"]}}}}]}]}"#
)]
#[case::oauth2(
    "", "webhook_configs",
    "{url: 'http://x.test', http_config: {oauth2: {client_id: c, client_secret: secret, token_url: 'https://x.test', scopes: [s]}}}",
    r#""webhook_configs": [{"url": "http://127.0.0.1:8000/r/a/0/webhook", "http_config": {"oauth2": {"client_id": "c", "client_secret": "firedrill", "token_url": "http://127.0.0.1:8000/oauth2/token", "scopes": ["s"]}}}]}]}"#
)]
fn an_integration_ends_at_the_sink(
    #[case] global: &str,
    #[case] section: &str,
    #[case] integration: &str,
    #[case] expected: &str,
) {
    assert_eq!(one(global, section, integration), (expected.to_owned(), Vec::new()));
}

#[rstest]
#[case::no_address("slack_configs", "{}", &["alertmanager/address: `slack_configs[0]` of receiver `a` has no `api_url`, and `global` has no `slack_api_url`"])]
#[case::no_url("webhook_configs", "{}", &["alertmanager/address: `webhook_configs[0]` of receiver `a` has no `url`"])]
#[case::no_host("webhook_configs", "{url: 'http://'}", &["alertmanager/address: this is no address"])]
#[case::no_scheme("webhook_configs", "{url: 'ftp://x.test'}", &["alertmanager/address: this is no address of HTTP"])]
#[case::template("webhook_configs", "{url: '{{ .x }}'}", &[])]
#[case::two_addresses("webhook_configs", "{url: 'http://x.test', url_file: /here}", &["alertmanager/address: `webhook_configs[0]` of receiver `a` has an address, and one in a file"])]
#[case::no_key("pagerduty_configs", "{}", &["alertmanager/credential: `pagerduty_configs[0]` of receiver `a` has no `routing_key` or `service_key`"])]
#[case::no_global_key("opsgenie_configs", "{}", &["alertmanager/credential: `opsgenie_configs[0]` of receiver `a` has no `api_key`, and `global` has no `opsgenie_api_key`"])]
#[case::two_keys("pagerduty_configs", "{routing_key: k, routing_key_file: /here}", &["alertmanager/credential: `routing_key` is given, and in a file, too"])]
#[case::no_file("pagerduty_configs", "{routing_key_file: /gone}", &["alertmanager/secret-file: the file `/gone` is not here"])]
#[case::no_smarthost("email_configs", "{to: a}", &["alertmanager/address: `email_configs[0]` of receiver `a` has no `smarthost`, and `global` has no `smtp_smarthost`"])]
#[case::no_port("email_configs", "{to: a, smarthost: x.test}", &["alertmanager/address: `x.test` is no address of a mail server"])]
#[case::unknown("slakc_configs", "{}", &["alertmanager/kind: `slakc_configs` is no kind of integration that can be re-addressed"])]
fn what_would_not_work_is_found_and_not_mended(
    #[case] section: &str,
    #[case] integration: &str,
    #[case] expected: &[&str],
) {
    assert_eq!(one("", section, integration).1, expected);
}

#[test]
fn everything_else_stays_as_it_is() {
    let text = "{\"global\": {\"resolve_timeout\": \"5m\"}, \"route\": {\"receiver\": \"a\", \"group_by\": [\"...\"], \
                \"routes\": [{\"matchers\": [\"x=\\\"y\\\"\"], \"continue\": yes, \"group_wait\": \"1s\"}]}, \
                \"inhibit_rules\": [{\"equal\": [\"z\"]}], \"templates\": [\"here*.tmpl\"], \"receivers\": [{\"name\": \"a\"}]}";
    assert_eq!(turned(text), (text.to_owned(), Vec::new()));
}

#[test]
fn secrets_and_addresses_leave_global_too() {
    let global = "slack_api_url_file: /gone, opsgenie_api_key: secret, smtp_smarthost: 'x.test:25', smtp_auth_password: secret, \
                  smtp_hello: x, http_config: {proxy_url: 'http://p.test'}";
    let (text, found) = one(global, "opsgenie_configs", "{}");
    assert_eq!(
        text,
        r#"{"global": {"opsgenie_api_key": "firedrill", "smtp_auth_password": "firedrill", "smtp_hello": "x", "http_config": {}}, "receivers": [{"name": "a", "opsgenie_configs": [{"api_url": "http://127.0.0.1:8000/r/a/0/opsgenie"}]}]}"#
    );
    assert_eq!(found, ["alertmanager/secret-file: the file `/gone` is not here"]);
}

#[test]
fn what_is_replaced_is_masked() {
    let text = "global: {slack_api_url: 'https://x.test/T0KEN'}\n\
                receivers: [{name: a, pagerduty_configs: [{routing_key: k3y, url: 'https://y.test/'}]}]";
    let mut sources = Sources::default();
    let id = sources.add("alertmanager.yml", text);
    let mut config = parse(id, text).unwrap().remove(0);
    let (ends, mask) = (Ends { http: "h:1".to_owned(), smtp: "s:1".to_owned() }, Mask::default());
    assert_eq!(readdress(&mut config, &ends, &|_| true, &mask), []);
    assert_eq!(
        mask.apply(text),
        "global: {slack_api_url: '***'}\nreceivers: [{name: a, pagerduty_configs: [{routing_key: ***, url: '***'}]}]"
    );
}
