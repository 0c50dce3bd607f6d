//! Modules that open a WebSocket and talk on it.

use http::HeaderName;

use super::client::{self, Auth, Tls};
use super::talk::{Turn, turns};
use super::{Preference, preference, written};
use crate::finding::Findings;

/// An upgrade and what is said then.
#[derive(Debug, Clone)]
pub(in crate::serve) struct WebSocket {
    pub(in crate::serve) preference: Preference,
    pub(in crate::serve) headers: Vec<(HeaderName, client::Value)>,
    pub(in crate::serve) turns: Vec<Turn>,
    pub(in crate::serve) auth: Auth,
    pub(in crate::serve) tls: Tls,
}

impl written::WebSocket {
    pub(super) fn check(self, findings: &mut Findings) -> WebSocket {
        let mut headers = Vec::new();
        for (name, values) in self.headers {
            headers.extend(client::values(&name, values, findings));
        }
        let written::WebSocketClient {
            basic_auth,
            authorization,
            bearer_token,
            bearer_token_file,
            tls_config,
        } = self.http_config;
        let written = client::Written {
            basic: basic_auth,
            authorization,
            token: bearer_token,
            token_file: bearer_token_file,
        };
        WebSocket {
            preference: preference(&self.preferred_ip_protocol, self.ip_protocol_fallback),
            headers,
            turns: turns(self.query_response, findings),
            auth: client::auth(written, findings),
            tls: tls_config.check(findings),
        }
    }
}
