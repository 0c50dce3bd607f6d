//! How an integration speaks HTTP: to the sink it goes straight and plain, whoever it logs in as.

use super::secret::Secrets;
use super::{Ends, Line};
use crate::sink::line::spell;
use crate::sink::server::TOKENS;
use crate::sink::vendor::DUMMY;
use crate::yaml::{Kind, Node};

/// Ways around that lead away from the sink.
const DETOURS: [&str; 4] = ["proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header"];

/// Takes out of an `http_config` what would keep a request from the sink; who logs in stays, with other secrets.
pub(super) fn plain(http: &mut Node, ends: &Ends, secrets: &mut Secrets<'_>) {
    for key in DETOURS {
        http.take(key);
    }
    http.take("tls_config");
    secrets.hide(http, "bearer_token");
    for (key, hidden) in [("authorization", &["credentials"][..]), ("basic_auth", &["username", "password"])]
    {
        let Some(login) = http.get_mut(key) else { continue };
        for key in hidden {
            // A name is no secret, but a file that is not here cannot be read.
            if *key != "username" || login.get("username_file").is_some() {
                secrets.hide(login, key);
            }
        }
    }
    if let Some(login) = http.get_mut("oauth2") {
        secrets.hide(login, "client_secret");
        login.take("tls_config");
        for key in DETOURS {
            login.take(key);
        }
        login.set("token_url", Kind::Text(format!("http://{}{TOKENS}", ends.http)));
    }
    headers(http);
}

/// Headers whose values are secret, or in files.
fn headers(http: &mut Node) {
    let headers = http.get_mut("http_headers").and_then(Node::entries_mut);
    for (_, header) in headers.into_iter().flatten() {
        let secret = header.take("secrets");
        let was_secret = header.take("files").is_some() || secret.is_some();
        if was_secret {
            let dummy = header.text(DUMMY);
            header.set("secrets", Kind::List(vec![dummy]));
        }
    }
}

/// Leads an integration whose address is in Alertmanager's code to the sink as its proxy, which it is told by name and
/// password whose line it is. What the sink shows as a certificate is not looked at.
pub(super) fn through(
    integration: &mut Node,
    line: &Line,
    global: &Node,
    ends: &Ends,
    secrets: &mut Secrets<'_>,
) {
    let own = integration.get("http_config").or_else(|| global.get("http_config")).cloned();
    let mut http = own.unwrap_or(Node { place: integration.place, kind: Kind::Map(Vec::new()) });
    plain(&mut http, ends, secrets);
    let receiver = spell(line.receiver.as_deref().unwrap_or_default());
    http.set("proxy_url", Kind::Text(format!("http://{receiver}:{}@{}", line.index, ends.http)));
    let trusting = no_questions(&http);
    http.set("tls_config", trusting);
    integration.set("http_config", http.kind);
}

/// A `tls_config` that takes any certificate.
pub(super) fn no_questions(node: &Node) -> Kind {
    let mut tls = Node { place: node.place, kind: Kind::Map(Vec::new()) };
    tls.set("insecure_skip_verify", Kind::Bool(true, "true".to_owned()));
    tls.kind
}
