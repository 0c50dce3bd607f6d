//! The Prometheus and the Alertmanager of a stack: the user's own files, and what stands in for what is not here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Command;
use crate::finding::{Code, Finding, Findings};
use crate::scenario::template::{Hole, Template};
use crate::source::{At, Place};
use crate::yaml::Entries;

/// A Prometheus with the user's own configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PrometheusWritten {
    /// The configuration as it is in production, beside this file.
    config: At<String>,
    /// Rule files besides those that it names, beside this file.
    #[serde(default)]
    rules: Vec<At<String>>,
    /// Which services are behind each job, in place of any service discovery.
    #[serde(default)]
    scrape: Entries<Vec<At<TargetWritten>>>,
    /// The program, where it is not `prometheus` from `PATH`, and what it is told besides.
    process: Option<At<Command>>,
    /// The image, in containers.
    image: Option<At<Template>>,
}

/// One target of a job.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TargetWritten {
    /// The service that is scraped.
    service: At<String>,
    /// Its port; the one named `http`, or the first.
    port: Option<At<String>>,
    /// The address that it has in production, `host:port`, which is what `instance` shows.
    address: Option<At<String>>,
    /// Labels as a service discovery gives them, `__meta_…` among them.
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// An Alertmanager with the user's own configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertmanagerWritten {
    /// The configuration as it is in production, beside this file.
    config: At<String>,
    /// Template files besides those that it names, beside this file.
    #[serde(default)]
    templates: Vec<At<String>>,
    /// The program, where it is not `prometheus-alertmanager` or `alertmanager` from `PATH`, and what it is told
    /// besides.
    process: Option<At<Command>>,
    /// The image, in containers.
    image: Option<At<Template>>,
}

/// The Prometheus of a stack.
#[derive(Debug, Clone)]
pub struct Prometheus {
    /// Where the stack says so.
    pub place: Place,
    /// Its configuration's file.
    pub config: At<String>,
    /// Rule files besides those that it names.
    pub rules: Vec<At<String>>,
    /// Which services are behind each job.
    pub scrape: BTreeMap<String, Vec<Target>>,
    /// The program.
    pub process: Option<At<Command>>,
    /// The image.
    pub image: Option<At<Template>>,
}

/// A service as a target of a job.
#[derive(Debug, Clone)]
pub struct Target {
    /// The service.
    pub service: At<String>,
    /// Its port; the usual one unless named.
    pub port: Option<At<String>>,
    /// The address that it has in production.
    pub address: Option<String>,
    /// Labels as a service discovery gives them.
    pub labels: BTreeMap<String, String>,
}

/// The Alertmanager of a stack.
#[derive(Debug, Clone)]
pub struct Alertmanager {
    /// Where the stack says so.
    pub place: Place,
    /// Its configuration's file.
    pub config: At<String>,
    /// Template files besides those that it names.
    pub templates: Vec<At<String>>,
    /// The program.
    pub process: Option<At<Command>>,
    /// The image.
    pub image: Option<At<Template>>,
}

impl PrometheusWritten {
    pub(super) fn check(self, place: Place, findings: &mut Findings) -> Prometheus {
        let mut scrape = BTreeMap::new();
        for (job, targets) in self.scrape {
            if targets.is_empty() {
                let title = format!("job `{job}` has no target");
                findings.add(Finding::new(Code::FileValue, job.place, title));
            }
            let targets = targets.into_iter().map(|at| at.value).map(|target| Target {
                service: target.service,
                port: target.port,
                address: target.address.map(|at| at.value),
                labels: target.labels,
            });
            scrape.insert(job.value, targets.collect());
        }
        let Self { config, rules, process, image, .. } = self;
        Prometheus { place, config, rules, scrape, process, image }
    }
}

impl AlertmanagerWritten {
    pub(super) fn check(self, place: Place) -> Alertmanager {
        let Self { config, templates, process, image } = self;
        Alertmanager { place, config, templates, process, image }
    }
}

impl Prometheus {
    pub(super) fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        holes(self.process.as_ref(), self.image.as_ref())
    }
}

impl Alertmanager {
    pub(super) fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        holes(self.process.as_ref(), self.image.as_ref())
    }
}

fn holes<'a>(
    process: Option<&'a At<Command>>,
    image: Option<&'a At<Template>>,
) -> impl Iterator<Item = (&'a Hole, Place)> {
    let of_process = process.into_iter().flat_map(|at| at.holes().map(|hole| (hole, at.place)));
    of_process.chain(image.into_iter().flat_map(|at| at.holes().map(|hole| (hole, at.place))))
}
