//! What a stack's monitoring is asked as a whole: dashboards by its Prometheus, routes by its Alertmanager.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::drill::{Boxed, Ground};
use super::walk::Walker;
use crate::audit::{self, Dashboard, Live};
use crate::drill::{ask_route, led_away};
use crate::event::{Failure, Outcome, StepId};
use crate::finding::{Drawing, Finding, Severity, excerpts};
use crate::route::Config;
use crate::sample::Reason;
use crate::scenario::monitoring::{Board, Monitoring, Routed};
use crate::source::{At, Place};

/// How long it may take until every target was scraped.
const PATIENCE: Duration = Duration::from_secs(60);

impl Walker {
    /// Asks, and says what is not as expected.
    pub(super) fn ask_monitoring<'a>(
        &'a mut self,
        id: &'a StepId,
        asked: &'a Monitoring,
    ) -> Boxed<'a, (Outcome, Option<String>)> {
        Box::pin(async move {
            let judged = match asked {
                Monitoring::Dashboard(board) => self.show(board).await,
                Monitoring::Route(routed) => self.lead(routed).await,
            };
            match judged {
                Err(why) => self.unmeasured(id, why),
                Ok(failures) if failures.is_empty() => (Outcome::Passed, None),
                Ok(failures) => {
                    self.told(id, failures);
                    (Outcome::Failed, None)
                }
            }
        })
    }

    /// What a dashboard does not show.
    async fn show(&self, board: &Board) -> Result<Vec<Failure>, String> {
        let ground = self.ground.as_ref().ok_or("the stack has no Prometheus")?;
        let tree = board.tree.as_ref().ok_or("the dashboard was not read")?;
        let client = ground.prometheus().clone();
        audit::wait_for_scrapes(&client, PATIENCE).await.map_err(|error| error.to_string())?;
        let live = Live::look(client).await.map_err(|error| error.to_string())?;
        let shown = audit::check_dashboard(&Dashboard::read(tree), &live, &self.sources).await;
        let findings = shown.map_err(|error| error.to_string())?;
        Ok(findings.iter().map(|finding| self.unshown(finding, board)).collect())
    }

    fn unshown(&self, finding: &Finding, board: &Board) -> Failure {
        let finding = finding.clone().also(board.file.place, "has to show something");
        let drawing = Drawing { severity: Severity::Error, ..finding.draw(&self.sources) };
        Failure { reason: Reason::Body, drawing }
    }

    /// Whom an alert does not reach that it has to, and whom it reaches that it has not.
    async fn lead(&self, routed: &Routed) -> Result<Vec<Failure>, String> {
        let ground = self.ground.as_ref();
        let of_stack = || ground.and_then(|ground| ground.routing());
        let Some(routing) = routed.routing.as_ref().or_else(of_stack) else {
            return Err("there are no routes".to_owned());
        };
        let by_file: BTreeSet<String> =
            routing.routes_of(&routed.labels).iter().map(|route| route.receiver.value.clone()).collect();
        let mut failures = self.judge_route(routed, routing, &by_file);
        let running = ground.filter(|_| routed.config.is_none()).map(Arc::as_ref);
        if let Some(instruments) = running.map(Ground::instruments) {
            let Some(led) =
                ask_route(instruments, &routed.labels).await.map_err(|error| error.to_string())?
            else {
                return Ok(failures);
            };
            if led.receivers != by_file {
                let title = format!(
                    "Alertmanager leads it to {}, and its file to {}",
                    list(&led.receivers),
                    list(&by_file)
                );
                failures.push(self.misled(title, &[(routed.place, "these labels", true)], None));
            }
            if let Some(why) = led.kept_quiet {
                failures.push(self.misled(why, &[(routed.place, "nobody is told of this", true)], None));
            }
        }
        Ok(failures)
    }

    fn judge_route(&self, routed: &Routed, routing: &Config, told: &BTreeSet<String>) -> Vec<Failure> {
        let whom = list(told);
        let missing = routed.reaches.iter().filter(|name| !told.contains(&name.value));
        let missing = missing.map(|name: &At<String>| {
            let (taken, help) = led_away(&routed.labels, told, name, routing);
            let title = format!("this does not reach `{name}`: its routes lead to {whom}");
            let mut labels: Vec<(Place, &str, bool)> = vec![(name.place, "expected here", true)];
            labels.extend(taken.as_ref().map(|(place, text)| (*place, text.as_str(), false)));
            self.misled(title, &labels, Some(help))
        });
        let spared = routed.spares.iter().filter(|name| told.contains(&name.value));
        let spared = spared.map(|name| {
            let route = routing.routes_of(&routed.labels);
            let route = route.into_iter().find(|route| route.receiver.value == name.value);
            let mut labels = vec![(name.place, "must not be told", true)];
            labels.extend(route.map(|route| (route.receiver.place, "told by this route", false)));
            self.misled(format!("this reaches `{name}`"), &labels, None)
        });
        missing.chain(spared).collect()
    }

    fn misled(&self, title: String, labels: &[(Place, &str, bool)], help: Option<String>) -> Failure {
        let excerpts = excerpts(labels.iter().copied(), &self.sources);
        let drawing = Drawing { severity: Severity::Error, code: None, title, excerpts, help };
        Failure { reason: Reason::Alert, drawing }
    }
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
