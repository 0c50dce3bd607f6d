//! An Alertmanager configuration as written, as far as it says who is told of what.

use serde::Deserialize;

use crate::promql::PromDuration;
use crate::source::At;
use crate::yaml::{Entries, Json};

/// A configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigWritten {
    #[expect(dead_code, reason = "it says nothing of who is told")]
    pub(super) global: Option<Json>,
    pub(super) route: Option<At<RouteWritten>>,
    #[serde(default)]
    pub(super) inhibit_rules: Vec<At<InhibitionWritten>>,
    #[serde(default)]
    pub(super) receivers: Vec<At<ReceiverWritten>>,
    #[expect(dead_code, reason = "it says nothing of who is told")]
    pub(super) templates: Option<Json>,
    #[serde(default)]
    pub(super) mute_time_intervals: Vec<IntervalWritten>,
    #[serde(default)]
    pub(super) time_intervals: Vec<IntervalWritten>,
    #[expect(dead_code, reason = "it says nothing of who is told")]
    pub(super) tracing: Option<Json>,
}

/// A route.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteWritten {
    pub(super) receiver: Option<At<String>>,
    pub(super) group_by: Option<At<Vec<At<String>>>>,
    #[serde(default, rename = "match")]
    pub(super) matches: Entries<At<String>>,
    #[serde(default)]
    pub(super) match_re: Entries<At<String>>,
    #[serde(default)]
    pub(super) matchers: Vec<At<String>>,
    #[serde(default)]
    pub(super) mute_time_intervals: Vec<At<String>>,
    #[serde(default)]
    pub(super) active_time_intervals: Vec<At<String>>,
    #[serde(default, rename = "continue")]
    pub(super) continues: bool,
    #[serde(default)]
    pub(super) routes: Vec<At<RouteWritten>>,
    pub(super) group_wait: Option<At<PromDuration>>,
    pub(super) group_interval: Option<At<PromDuration>>,
    pub(super) repeat_interval: Option<At<PromDuration>>,
}

/// What keeps alerts quiet while others fire.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InhibitionWritten {
    #[serde(default)]
    #[expect(dead_code, reason = "newer versions log it")]
    pub(super) name: String,
    #[serde(default)]
    pub(super) source_match: Entries<At<String>>,
    #[serde(default)]
    pub(super) source_match_re: Entries<At<String>>,
    #[serde(default)]
    pub(super) source_matchers: Vec<At<String>>,
    #[serde(default)]
    pub(super) target_match: Entries<At<String>>,
    #[serde(default)]
    pub(super) target_match_re: Entries<At<String>>,
    #[serde(default)]
    pub(super) target_matchers: Vec<At<String>>,
    #[serde(default)]
    pub(super) equal: Vec<At<String>>,
}

/// Named times.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IntervalWritten {
    pub(super) name: At<String>,
    #[serde(default)]
    pub(super) time_intervals: Vec<At<TimesWritten>>,
}

/// Times: all that is said has to hold, and of each list one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimesWritten {
    pub(super) times: Option<Vec<At<DayTimesWritten>>>,
    pub(super) weekdays: Option<Vec<At<String>>>,
    pub(super) days_of_month: Option<Vec<At<String>>>,
    pub(super) months: Option<Vec<At<String>>>,
    pub(super) years: Option<Vec<At<String>>>,
    pub(super) location: Option<At<String>>,
}

/// Times of a day.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DayTimesWritten {
    pub(super) start_time: At<String>,
    pub(super) end_time: At<String>,
}

/// Declares a receiver's lists of integrations, and the word by which each kind is known.
macro_rules! integrations {
    ($($key:ident: $kind:literal, $resolved:literal;)*) => {
        /// Who is told.
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct ReceiverWritten {
            pub(super) name: At<String>,
            $(#[serde(default)] $key: Vec<At<Json>>,)*
        }

        impl ReceiverWritten {
            /// Its integrations: of which kind, as written, and whether the end is told unless said otherwise.
            pub(super) fn integrations(self) -> Vec<(&'static str, At<Json>, bool)> {
                let mut all = Vec::new();
                $(all.extend(self.$key.into_iter().map(|one| ($kind, one, $resolved)));)*
                all
            }
        }
    };
}

integrations! {
    discord_configs: "discord", true;
    email_configs: "email", false;
    incidentio_configs: "incidentio", true;
    jira_configs: "jira", true;
    mattermost_configs: "mattermost", true;
    msteams_configs: "msteams", true;
    msteamsv2_configs: "msteamsv2", true;
    opsgenie_configs: "opsgenie", true;
    pagerduty_configs: "pagerduty", true;
    pushover_configs: "pushover", true;
    rocketchat_configs: "rocketchat", false;
    slack_configs: "slack", false;
    sns_configs: "sns", true;
    telegram_configs: "telegram", true;
    victorops_configs: "victorops", true;
    webex_configs: "webex", true;
    webhook_configs: "webhook", true;
    wechat_configs: "wechat", false;
}
