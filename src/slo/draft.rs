//! An SLO as checked by itself, with the names in it not yet looked up.

use super::alert::PolicyDraft;
use super::indicator::{Indicator, check_indicator};
use super::metadata::{Metadata, check_description};
use super::objective::ObjectiveDraft;
use super::reference::Ref;
use super::window::{Window, check_windows};
use super::written::{MetadataWritten, MethodWritten, SloSpec};
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};

/// An SLO whose references are still names.
#[derive(Debug, Clone)]
pub(super) struct SloDraft {
    pub(super) metadata: Metadata,
    pub(super) service: At<String>,
    pub(super) about: Option<String>,
    pub(super) window: Window,
    /// What is measured; `None` in a composite, where each objective says so.
    pub(super) indicator: Option<Ref<Option<Indicator>>>,
    pub(super) objectives: Vec<ObjectiveDraft>,
    pub(super) policies: Vec<Ref<Option<PolicyDraft>>>,
}

impl SloSpec {
    /// Checks an SLO; `None` when nothing could be judged by it.
    pub(super) fn check(self, metadata: MetadataWritten, findings: &mut Findings) -> Option<SloDraft> {
        let metadata = metadata.check(findings);
        let at = metadata.name.place;
        check_description(self.description.as_ref(), findings);
        let window = check_windows(self.time_window, at, findings);
        let method = self.budgeting_method.map_or_else(
            || {
                let title = "the SLO has no `budgetingMethod`; `Occurrences` is assumed";
                let finding = Finding::new(Code::SloAssumed, at, title);
                findings.add(finding.help("write `budgetingMethod: Occurrences`"));
                MethodWritten::Occurrences
            },
            |method| method.value,
        );
        let own = self.indicator.as_ref().map(|own| own.place);
        let own = own.or(self.indicator_ref.as_ref().map(|name| name.place));
        let indicator = check_indicator(self.indicator, self.indicator_ref, findings);
        let places: Vec<Place> = self.objectives.value.iter().map(|objective| objective.place).collect();
        if places.is_empty() {
            findings.add(Finding::new(Code::SloObjective, self.objectives.place, "the SLO promises nothing"));
        }
        let objectives: Vec<_> = self
            .objectives
            .value
            .into_iter()
            .map(|objective| objective.value.check(objective.place, method, findings))
            .collect();
        let policies = self.alert_policies.0.into_iter();
        let policies = policies.filter_map(|at| at.value.check(at.place, findings)).collect();
        check_composite(own, &places, &objectives, at, findings);
        Some(SloDraft {
            metadata,
            service: self.service,
            about: self.description.map(|at| at.value),
            window: window?,
            indicator,
            objectives: objectives.into_iter().flatten().collect(),
            policies,
        })
    }
}

/// Either the SLO has an indicator, which stands at `own`, or every objective has one of its own.
fn check_composite(
    own: Option<Place>,
    places: &[Place],
    objectives: &[Option<ObjectiveDraft>],
    slo: Place,
    findings: &mut Findings,
) {
    let drafts =
        || objectives.iter().zip(places).filter_map(|(draft, place)| Some((draft.as_ref()?, *place)));
    let Some((_, first)) = drafts().find(|(draft, _)| draft.indicator.is_some()) else {
        let weights = drafts().filter_map(|(draft, _)| draft.weight);
        findings.extend(weights.map(|weight| {
            let title = "only an objective with an indicator of its own has a weight";
            Finding::new(Code::SloComposite, weight.place, title)
        }));
        if own.is_none() && objectives.iter().all(Option::is_some) {
            let finding = Finding::new(Code::SloIndicator, slo, "the SLO has no indicator");
            findings.add(finding.help("add `indicatorRef: NAME`, or `indicator` with `metadata` and `spec`"));
        }
        return;
    };
    if let Some(own) = own {
        let title = "an SLO has one indicator, or one for each objective";
        let finding = Finding::new(Code::SloComposite, own, title).label("the SLO's own");
        findings.add(finding.also(first, "this objective has one too"));
    } else {
        let lacking = drafts().filter(|(draft, _)| draft.indicator.is_none());
        findings.extend(lacking.map(|(_, place)| {
            let title = "in a composite each objective has an indicator";
            Finding::new(Code::SloComposite, place, title).also(first, "as this one has")
        }));
    }
    if let ([_], Some(weight)) = (objectives, drafts().find_map(|(draft, _)| draft.weight)) {
        let title = "a weight needs another objective to weigh against";
        findings.add(Finding::new(Code::SloComposite, weight.place, title));
    }
}
