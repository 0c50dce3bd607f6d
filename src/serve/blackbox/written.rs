//! `blackbox.yml` as it is written: the keys of its modules.

use serde::{Deserialize, Deserializer, de};

use super::pattern::Pattern;
use crate::secret::Secret;
use crate::source::At;
use crate::yaml::{Entries, Json};

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) modules: Entries<Module>,
}

/// A way to probe.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Module {
    pub(super) prober: At<String>,
    pub(super) timeout: Option<Time>,
    pub(super) http: Option<Http>,
    pub(super) tcp: Option<Tcp>,
    pub(super) dns: Option<Dns>,
    pub(super) icmp: Option<Icmp>,
    pub(super) grpc: Option<Grpc>,
    pub(super) unix: Option<Unix>,
    pub(super) websocket: Option<WebSocket>,
}

/// `http:`, with the keys of Prometheus's own HTTP clients among its own.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "the names of keys in the file")]
pub(super) struct Http {
    pub(super) valid_status_codes: Vec<i64>,
    pub(super) valid_http_versions: Vec<String>,
    pub(super) preferred_ip_protocol: String,
    pub(super) ip_protocol_fallback: Option<bool>,
    pub(super) skip_resolve_phase_with_proxy: bool,
    pub(super) no_follow_redirects: Option<bool>,
    pub(super) fail_if_ssl: bool,
    pub(super) fail_if_not_ssl: bool,
    pub(super) method: Option<At<String>>,
    pub(super) headers: Entries<At<String>>,
    pub(super) fail_if_body_matches_regexp: Vec<Pattern>,
    pub(super) fail_if_body_not_matches_regexp: Vec<Pattern>,
    pub(super) fail_if_body_json_matches_cel: Option<Json>,
    pub(super) fail_if_body_json_not_matches_cel: Option<Json>,
    pub(super) fail_if_header_matches: Vec<HeaderMatch>,
    pub(super) fail_if_header_not_matches: Vec<HeaderMatch>,
    pub(super) body: String,
    pub(super) body_file: Option<At<String>>,
    pub(super) compression: Option<At<String>>,
    pub(super) body_size_limit: Option<Bytes>,
    pub(super) enable_http3: Option<At<bool>>,
    pub(super) basic_auth: Option<Basic>,
    pub(super) authorization: Option<Authorization>,
    pub(super) oauth2: Option<Json>,
    pub(super) bearer_token: Option<At<Hidden>>,
    pub(super) bearer_token_file: Option<At<String>>,
    pub(super) tls_config: Tls,
    pub(super) follow_redirects: Option<bool>,
    pub(super) enable_http2: Option<bool>,
    pub(super) http_headers: Option<Json>,
    pub(super) proxy_url: Option<At<String>>,
    pub(super) no_proxy: Option<Json>,
    pub(super) proxy_from_environment: Option<At<bool>>,
    pub(super) proxy_connect_header: Option<Json>,
}

/// One of `fail_if_header_…`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderMatch {
    pub(super) header: At<String>,
    pub(super) regexp: At<Pattern>,
    #[serde(default)]
    pub(super) allow_missing: bool,
}

/// `basic_auth:`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Basic {
    pub(super) username: String,
    pub(super) username_file: Option<At<String>>,
    pub(super) password: Option<Hidden>,
    pub(super) password_file: Option<At<String>>,
}

/// `authorization:`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Authorization {
    #[serde(rename = "type")]
    pub(super) kind: Option<At<String>>,
    pub(super) credentials: Option<Hidden>,
    pub(super) credentials_file: Option<At<String>>,
}

/// `tls_config:`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tls {
    pub(super) ca: Option<At<String>>,
    pub(super) cert: Option<At<String>>,
    pub(super) key: Option<At<Hidden>>,
    pub(super) ca_file: Option<At<String>>,
    pub(super) cert_file: Option<At<String>>,
    pub(super) key_file: Option<At<String>>,
    pub(super) server_name: Option<String>,
    pub(super) insecure_skip_verify: bool,
    pub(super) min_version: Option<At<String>>,
    pub(super) max_version: Option<At<String>>,
}

/// One of `query_response`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub(super) struct QueryResponse {
    pub(super) expect: Option<Pattern>,
    pub(super) send: String,
    pub(super) starttls: bool,
    pub(super) labels: Vec<Label>,
    pub(super) expect_bytes: Option<Json>,
    pub(super) send_bytes: Option<Json>,
}

/// A label of `probe_expect_info`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Label {
    pub(super) name: String,
    pub(super) value: String,
}

/// `tcp:`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tcp {
    pub(super) preferred_ip_protocol: String,
    pub(super) ip_protocol_fallback: Option<bool>,
    pub(super) source_ip_address: Option<At<String>>,
    pub(super) query_response: Vec<QueryResponse>,
    pub(super) tls: bool,
    pub(super) tls_config: Tls,
}

/// `unix:`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Unix {
    pub(super) query_response: Vec<QueryResponse>,
    pub(super) tls: bool,
    pub(super) tls_config: Tls,
}

/// `icmp:`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Icmp {
    pub(super) preferred_ip_protocol: String,
    pub(super) ip_protocol_fallback: Option<bool>,
    pub(super) source_ip_address: Option<At<String>>,
    pub(super) payload_size: Option<At<i64>>,
    pub(super) dont_fragment: Option<At<bool>>,
    pub(super) ttl: Option<At<i64>>,
}

/// `dns:`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names of keys in the file")]
pub(super) struct Dns {
    #[serde(default)]
    pub(super) preferred_ip_protocol: String,
    pub(super) ip_protocol_fallback: Option<bool>,
    #[serde(default)]
    pub(super) dns_over_tls: bool,
    #[serde(default)]
    pub(super) tls_config: Tls,
    pub(super) source_ip_address: Option<At<String>>,
    pub(super) transport_protocol: Option<String>,
    pub(super) query_class: Option<At<String>>,
    pub(super) query_name: At<String>,
    pub(super) query_type: Option<At<String>>,
    pub(super) recursion_desired: Option<bool>,
    pub(super) valid_rcodes: Option<Vec<String>>,
    #[serde(default)]
    pub(super) validate_answer_rrs: Records,
    #[serde(default)]
    pub(super) validate_authority_rrs: Records,
    #[serde(default)]
    pub(super) validate_additional_rrs: Records,
}

/// What the records of a section must be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "the names of keys in the file")]
pub(in crate::serve) struct Records {
    pub(in crate::serve) fail_if_matches_regexp: Vec<Pattern>,
    pub(in crate::serve) fail_if_all_match_regexp: Vec<Pattern>,
    pub(in crate::serve) fail_if_not_matches_regexp: Vec<Pattern>,
    pub(in crate::serve) fail_if_none_matches_regexp: Vec<Pattern>,
}

/// `grpc:`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Grpc {
    pub(super) service: String,
    pub(super) tls: bool,
    pub(super) tls_config: Tls,
    pub(super) ip_protocol_fallback: Option<bool>,
    pub(super) preferred_ip_protocol: String,
    pub(super) metadata: Entries<Vec<String>>,
}

/// `websocket:`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WebSocket {
    pub(super) preferred_ip_protocol: String,
    pub(super) ip_protocol_fallback: Option<bool>,
    pub(super) http_config: WebSocketClient,
    pub(super) headers: Entries<HeaderValues>,
    pub(super) query_response: Vec<QueryResponse>,
}

/// What of Prometheus's own HTTP clients an upgrade has a use for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WebSocketClient {
    pub(super) basic_auth: Option<Basic>,
    pub(super) authorization: Option<Authorization>,
    pub(super) bearer_token: Option<At<Hidden>>,
    pub(super) bearer_token_file: Option<At<String>>,
    pub(super) tls_config: Tls,
}

/// The values of one header.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HeaderValues {
    pub(super) values: Vec<At<String>>,
    pub(super) secrets: Vec<Hidden>,
    pub(super) files: Vec<At<String>>,
}

/// A secret in the file.
#[derive(Clone)]
pub(super) struct Hidden(pub(super) Secret);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|value| Self(Secret::new(value)))
    }
}

/// A duration as Go writes it: `5s`, `1m30s`, `500ms`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Time(pub(super) f64);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        seconds(&text)
            .map(Self)
            .ok_or_else(|| de::Error::custom(format!("`{text}` is not a duration like `5s`")))
    }
}

/// The units of a duration, in seconds.
const UNITS: [(&str, f64); 7] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

fn seconds(text: &str) -> Option<f64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0.0);
    }
    let mut sum = 0.0;
    loop {
        let end = rest.find(|sign: char| !sign.is_ascii_digit() && sign != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let (unit, each) = UNITS.into_iter().find(|(unit, _)| {
            let after = rest[end..].strip_prefix(unit);
            after.is_some_and(|after| !after.starts_with(char::is_alphabetic))
        })?;
        sum += number * each;
        rest = &rest[end + unit.len()..];
        if rest.is_empty() {
            break;
        }
    }
    Some(sign * sum)
}

/// A size in bytes: `10MB` is 10 MiB, as the exporter has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) u64);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        bytes(&text).map(Self).ok_or_else(|| de::Error::custom(format!("`{text}` is not a size like `10MB`")))
    }
}

fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|sign: char| !sign.is_ascii_digit())?;
    let number: u64 = text[..end].parse().ok()?;
    let steps = match text[end..].trim_end_matches('B').trim_end_matches('i') {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        "E" => 6,
        _ => return None,
    };
    text.ends_with('B').then_some(())?;
    number.checked_mul(1024u64.checked_pow(steps)?)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("5s", Some(5.0))]
    #[case("1m30s", Some(90.0))]
    #[case("500ms", Some(0.5))]
    #[case("1.5s", Some(1.5))]
    #[case("-1s", Some(-1.0))]
    #[case("0", Some(0.0))]
    #[case("5", None)]
    #[case("", None)]
    #[case("1d", None)]
    #[case("s", None)]
    fn a_duration_is_as_go_reads_it(#[case] text: &str, #[case] read: Option<f64>) {
        assert_eq!(seconds(text), read);
    }

    #[rstest]
    #[case("10MB", Some(10 << 20))]
    #[case("1KiB", Some(1024))]
    #[case("7B", Some(7))]
    #[case("7", None)]
    #[case("MB", None)]
    #[case("99999999EB", None)]
    fn a_size_counts_in_1024s(#[case] text: &str, #[case] read: Option<u64>) {
        assert_eq!(bytes(text), read);
    }
}
