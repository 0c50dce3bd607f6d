//! What a certificate must be, as written and as checked.

use schemars::JsonSchema;
use serde::Deserialize;

use super::expect::wanted;
use super::predicate::{Domain, Predicate};
use super::template::Hole;
use crate::finding::{Code, Finding, Findings};
use crate::source::{At, Place};
use crate::yaml::Json;

/// What the certificate of the peer must be. Of a chain, its own certificate is looked at.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateWritten {
    /// Whole days until it expires, negative once it has: `at least 14`.
    #[schemars(with = "Option<Predicate>")]
    days: Option<Json>,
    /// Whom it was issued to, as `C=UA, O=Shop, CN=shop.example`.
    #[schemars(with = "Option<Predicate>")]
    subject: Option<Json>,
    /// Who issued it, as `C=US, O=Let's Encrypt, CN=R11`.
    #[schemars(with = "Option<Predicate>")]
    issuer: Option<Json>,
    /// The names and addresses it is for, a list: `contains shop.example`.
    #[schemars(with = "Option<Predicate>")]
    names: Option<Json>,
    /// How many certificates the peer shows, its own among them.
    #[schemars(with = "Option<Predicate>")]
    chain: Option<Json>,
}

/// What the certificate of the peer must be, checked.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// Where it was written.
    pub place: Place,
    /// Whole days until it expires.
    pub days: Option<At<Predicate>>,
    /// Whom it was issued to.
    pub subject: Option<At<Predicate>>,
    /// Who issued it.
    pub issuer: Option<At<Predicate>>,
    /// The names it is for.
    pub names: Option<At<Predicate>>,
    /// How many certificates the peer shows.
    pub chain: Option<At<Predicate>>,
}

impl CertificateWritten {
    /// Checks what was written at `place`.
    pub fn check(self, place: Place, findings: &mut Findings) -> Certificate {
        let all = [&self.days, &self.subject, &self.issuer, &self.names, &self.chain];
        if all.iter().all(|one| one.is_none()) {
            let finding =
                Finding::new(Code::ScenarioExpectation, place, "nothing is expected of the certificate");
            findings.add(finding.help("say what is expected of it: `{ days: at least 14 }`"));
        }
        Certificate {
            place,
            days: wanted(self.days, Domain::Number, findings),
            subject: wanted(self.subject, Domain::Value, findings),
            issuer: wanted(self.issuer, Domain::Value, findings),
            names: wanted(self.names, Domain::Value, findings),
            chain: wanted(self.chain, Domain::Number, findings),
        }
    }
}

impl Certificate {
    /// Every hole, with its place.
    pub fn holes(&self) -> impl Iterator<Item = (&Hole, Place)> {
        let all = [&self.days, &self.subject, &self.issuer, &self.names, &self.chain].into_iter().flatten();
        all.flat_map(|at| at.holes().map(|hole| (hole, at.place)))
    }
}
