//! Every kind of receiver that Alertmanager has: one file, one line here, one row of documentation each.

mod discord;
mod email;
mod incidentio;
mod jira;
mod mattermost;
mod msteams;
mod msteamsv2;
mod opsgenie;
mod pagerduty;
mod pushover;
mod rocketchat;
mod slack;
mod sns;
mod telegram;
#[cfg(test)]
mod tests;
mod victorops;
mod webex;
mod webhook;
mod wechat;

use std::sync::{Mutex, PoisonError};

use serde::{Serialize, Serializer};

use self::jira::Issues;
use super::request::{Answer, Request};
use crate::yaml::Node;

/// Declares every kind with its file, so that none can be forgotten.
macro_rules! kinds {
    ($(#[doc = $doc:literal] $kind:ident = $file:ident;)*) => {
        /// A kind of integration, by the vendor it notifies.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $(#[doc = $doc] $kind,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// What is known of the vendor.
            pub(super) fn vendor(self) -> &'static Vendor {
                match self { $(Self::$kind => &$file::VENDOR,)* }
            }
        }
    };
}

kinds! {
    /// A program of one's own.
    Webhook = webhook;
    /// Slack, by an incoming webhook or its API.
    Slack = slack;
    /// PagerDuty, events of version 1 and 2.
    Pagerduty = pagerduty;
    /// Opsgenie.
    Opsgenie = opsgenie;
    /// VictorOps, now Splunk On-Call.
    Victorops = victorops;
    /// Pushover.
    Pushover = pushover;
    /// A Telegram bot.
    Telegram = telegram;
    /// Discord, by a webhook.
    Discord = discord;
    /// Microsoft Teams, by a connector.
    Msteams = msteams;
    /// Microsoft Teams, by a flow.
    Msteamsv2 = msteamsv2;
    /// Webex.
    Webex = webex;
    /// Amazon SNS.
    Sns = sns;
    /// WeChat Work.
    Wechat = wechat;
    /// Rocket.Chat.
    Rocketchat = rocketchat;
    /// Mattermost, by an incoming webhook.
    Mattermost = mattermost;
    /// Jira: an issue opened and closed.
    Jira = jira;
    /// incident.io.
    Incidentio = incidentio;
    /// Mail.
    Email = email;
}

/// What is known of a vendor: its place in Alertmanager's configuration, and what it answers.
pub(super) struct Vendor {
    /// In paths and reports.
    pub(super) name: &'static str,
    /// Its list in a receiver.
    pub(super) section: &'static str,
    /// How it is reached.
    pub(super) way: Way,
    /// What it does not work without: all of these, of each any.
    pub(super) needs: &'static [&'static [Credential]],
    /// What else there is to do for it to be heard.
    pub(super) also: fn(&mut Node),
    /// What it answers over HTTP.
    pub(super) receive: fn(&Request<'_>) -> Answer,
}

/// How a vendor is reached.
pub(super) enum Way {
    /// At an address in the configuration.
    Url(Address),
    /// At an address in Alertmanager's own code, where only a proxy comes between.
    Proxy,
    /// By the first, but by the second where this is so of the integration.
    UrlOrProxy(Address, fn(&Node) -> bool),
    /// By SMTP.
    Mail,
}

/// Where a vendor's address stands.
pub(super) struct Address {
    /// In the integration; it may be in a file, `KEY_file`.
    pub(super) key: &'static str,
    /// In `global`; it may be in a file, too.
    pub(super) global: Option<&'static str>,
    /// Whether Alertmanager has one where nobody gives any.
    pub(super) built_in: bool,
    /// What a vendor's path goes on with, given the integration and the address it had.
    pub(super) tail: fn(&Node, Option<&str>) -> String,
    /// What may be given in its place.
    pub(super) by_token: Option<ByToken>,
}

/// An address that goes with a token.
pub(super) struct ByToken {
    pub(super) url: &'static str,
    pub(super) global_url: &'static str,
    pub(super) token: Credential,
}

/// A secret that an integration has by itself, from a file (`KEY_file`), or from `global`.
pub(super) struct Credential {
    pub(super) key: &'static str,
    pub(super) global: Option<&'static str>,
}

impl Credential {
    /// One that is not in `global`.
    pub(super) const fn own(key: &'static str) -> Self {
        Self { key, global: None }
    }

    /// One that may be in `global`.
    pub(super) const fn shared(key: &'static str, global: &'static str) -> Self {
        Self { key, global: Some(global) }
    }
}

/// Nothing follows the line's path.
pub(super) fn no_tail(_: &Node, _: Option<&str>) -> String {
    String::new()
}

/// There is nothing else to do.
pub(super) fn nothing(_: &mut Node) {}

/// What stands where a secret stood.
pub(super) const DUMMY: &str = "firedrill";

/// What vendors remember from one request to the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    issues: Mutex<Issues>,
}

impl Memory {
    fn issues(&self) -> std::sync::MutexGuard<'_, Issues> {
        self.issues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kind {
    /// The name in paths and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.vendor().name
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The kind whose list in a receiver is called so.
    #[must_use]
    pub fn of_section(section: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.vendor().section == section)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
