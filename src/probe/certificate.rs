//! What a certificate says of itself, and what of that is not as expected.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;

use super::answer::any_of;
use super::attempt::Breach;
use crate::sample::Reason;
use crate::scenario::certificate::Certificate as Wanted;
use crate::scenario::subject::Subject;
use crate::scenario::template::Scope;

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whom it was issued to, as `C=UA, O=Shop, CN=shop.example`.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// The names and addresses it is for, in its own order.
    pub names: Vec<String>,
    /// When it begins to hold.
    pub from: Timestamp,
    /// When it expires.
    pub until: Timestamp,
    /// Its number, in upper-case hexadecimal digits, a sign before a negative one.
    pub serial: String,
}

/// Why a peer's certificate cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// There is none.
    #[error(
        "the peer has shown no certificate: the connection is not over TLS, or ended before one was shown"
    )]
    Absent,
    /// It is no certificate.
    #[error("the peer's certificate does not read: {0}")]
    Malformed(String),
}

impl Certificate {
    /// The peer's own certificate of the `chain` it presented.
    ///
    /// # Errors
    /// The chain is empty, or its first certificate is malformed.
    pub fn of_peer(chain: &[CertificateDer<'_>]) -> Result<Self, Unreadable> {
        Self::read(chain.first().ok_or(Unreadable::Absent)?)
    }

    /// Reads a certificate; nothing of it is verified.
    ///
    /// # Errors
    /// It is malformed.
    pub fn read(der: &[u8]) -> Result<Self, Unreadable> {
        let malformed = |why: &dyn std::fmt::Display| Unreadable::Malformed(why.to_string());
        let (_, read) = X509Certificate::from_der(der).map_err(|error| malformed(&error))?;
        let alternative = read.subject_alternative_name().map_err(|error| malformed(&error))?;
        let names = alternative.map(|extension| extension.value.general_names.iter().filter_map(name));
        Ok(Self {
            subject: read.subject().to_string(),
            issuer: read.issuer().to_string(),
            names: names.into_iter().flatten().collect(),
            from: moment(read.validity().not_before)?,
            until: moment(read.validity().not_after)?,
            serial: format!("{:X}", read.tbs_certificate.serial),
        })
    }

    /// Whole days until it expires at `now`; negative once it has.
    #[must_use]
    pub fn days_left(&self, now: Timestamp) -> i64 {
        self.until.duration_since(now).as_secs().div_euclid(SignedDuration::from_hours(24).as_secs())
    }
}

/// The names that are hosts; others, as e-mail addresses, are of no use here.
fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        GeneralName::OtherName(..)
        | GeneralName::RFC822Name(_)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    }
}

fn moment(time: ASN1Time) -> Result<Timestamp, Unreadable> {
    Timestamp::from_second(time.timestamp())
        .map_err(|error| Unreadable::Malformed(format!("{time} is no time: {error}")))
}

/// When the peer's certificate expires, or has expired, RFC 3339.
#[must_use]
pub fn until(chain: &[CertificateDer<'_>]) -> Option<String> {
    Certificate::of_peer(chain).ok().map(|certificate| certificate.until.to_string())
}

/// Everything about the peer's certificate that is not as expected at `now`.
pub(super) fn breaches(
    wanted: &Wanted,
    chain: &[CertificateDer<'_>],
    now: Timestamp,
    scope: &Scope,
) -> Vec<Breach> {
    let found = match Certificate::of_peer(chain) {
        Ok(found) => found,
        Err(unreadable) => {
            let label = "a certificate was expected";
            return vec![Breach::new(Reason::Tls, wanted.place, unreadable.to_string(), label)];
        }
    };
    let names = Value::from(found.names.clone());
    #[expect(clippy::cast_precision_loss, reason = "no date is 2^53 days away")]
    let days = Subject::Number(found.days_left(now) as f64);
    let length = Subject::Number(f64::from(u32::try_from(chain.len()).unwrap_or(u32::MAX)));
    let held = [
        (&wanted.days, days, "the number of days the certificate holds"),
        (&wanted.subject, Subject::Text(&found.subject), "the subject of the certificate"),
        (&wanted.issuer, Subject::Text(&found.issuer), "the issuer of the certificate"),
        (&wanted.names, Subject::Json(&names), "the list of names of the certificate"),
        (&wanted.chain, length, "the number of certificates in the chain"),
    ];
    let breaches = held.into_iter().filter_map(|(predicate, subject, what)| {
        let breach = any_of(predicate.as_ref()?, &[subject], scope, Reason::Tls, what)?;
        Some(breach.help(format!("the certificate holds from {} until {}", found.from, found.until)))
    });
    breaches.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::finding::Findings;
    use crate::source::Sources;

    /// A certificate of our own, valid from 2026 to 2027.
    fn issued() -> CertificateDer<'static> {
        static ISSUED: LazyLock<CertificateDer<'static>> = LazyLock::new(|| {
            let names = ["shop.test", "*.shop.test", "10.0.0.1", "::1"].map(ToOwned::to_owned);
            let mut params = rcgen::CertificateParams::new(names).unwrap();
            params.not_before = rcgen::date_time_ymd(2026, 1, 1);
            params.not_after = rcgen::date_time_ymd(2027, 1, 1);
            params.serial_number = Some(vec![0x0a, 0xff].into());
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::OrganizationName, "Shop, Ltd.");
            params.distinguished_name.push(rcgen::DnType::CommonName, "shop.test");
            params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().clone()
        });
        ISSUED.clone()
    }

    fn at(moment: &str) -> Timestamp {
        moment.parse().unwrap()
    }

    fn wanted(yaml: &str) -> Wanted {
        let mut sources = Sources::default();
        let id = sources.add("scenario.yaml", yaml);
        let node = crate::yaml::parse(id, yaml).unwrap().remove(0);
        let mut findings = Findings::default();
        let written: crate::scenario::certificate::CertificateWritten = crate::yaml::read(&node).unwrap();
        let wanted = written.check(node.place, &mut findings);
        assert!(!findings.any_error());
        wanted
    }

    #[test]
    fn a_certificate_says_whom_it_is_for_and_until_when() {
        let read = Certificate::of_peer(&[issued()]).unwrap();
        assert_eq!(
            read,
            Certificate {
                subject: "O=Shop, Ltd., CN=shop.test".into(),
                issuer: "O=Shop, Ltd., CN=shop.test".into(),
                names: ["shop.test", "*.shop.test", "10.0.0.1", "::1"].map(ToOwned::to_owned).into(),
                from: at("2026-01-01T00:00:00Z"),
                until: at("2027-01-01T00:00:00Z"),
                serial: "AFF".into(),
            }
        );
    }

    #[rstest]
    #[case::the_day_before("2026-12-31T00:00:00Z", 1)]
    #[case::almost_a_day("2026-12-31T00:00:01Z", 0)]
    #[case::the_moment_itself("2027-01-01T00:00:00Z", 0)]
    #[case::just_expired("2027-01-01T00:00:01Z", -1)]
    #[case::long_expired("2027-02-01T00:00:00Z", -31)]
    fn days_left_are_whole_and_go_below_zero(#[case] now: &str, #[case] days: i64) {
        assert_eq!(Certificate::of_peer(&[issued()]).unwrap().days_left(at(now)), days);
    }

    #[rstest]
    #[case::enough_days("days: at least 14", &[])]
    #[case::all_at_once("{ days: between 20 and 21, names: contains shop.test, issuer: contains Shop }", &[])]
    #[case::too_few_days("days: at least 30", &["the number of days the certificate holds is 21, expected at least 30"])]
    #[case::another_name("names: contains b.test", &[
        "the list of names of the certificate is [\"shop.test\",\"*.shop.test\",\"10.0.0.1\",\"::1\"], expected contains b.test",
    ])]
    #[case::longer_chain("chain: at least 2", &["the number of certificates in the chain is 1, expected at least 2"])]
    #[case::another_subject("{ subject: ends with x, issuer: matches ^C=US }", &[
        "the subject of the certificate is \"O=Shop, Ltd., CN=shop.test\", expected ends with x",
        "the issuer of the certificate is \"O=Shop, Ltd., CN=shop.test\", expected matches ^C=US",
    ])]
    fn a_certificate_is_held_against_what_is_expected(#[case] yaml: &str, #[case] titles: &[&str]) {
        let now = at("2026-12-10T12:00:00Z");
        let breaches = breaches(&wanted(yaml), &[issued()], now, &Scope::default());
        let found: Vec<_> = breaches.iter().map(|breach| breach.title.as_str()).collect();
        assert_eq!(found, titles);
        assert!(breaches.iter().all(|breach| breach.reason == Reason::Tls));
    }

    #[test]
    fn a_chain_without_certificates_is_a_breach_and_has_no_end() {
        let breaches = breaches(&wanted("days: at least 1"), &[], Timestamp::UNIX_EPOCH, &Scope::default());
        assert_eq!(breaches[0].title, Unreadable::Absent.to_string());
        assert_eq!(until(&[]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let _ = Certificate::read(&bytes);
        }

        #[test]
        fn no_damage_makes_the_reader_panic(at in 0..4096_usize, byte: u8, cut in 0..4096_usize) {
            let mut bytes = issued().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(cut.max(at));
            let _ = Certificate::read(&bytes).map(|read| read.days_left(Timestamp::MIN));
        }
    }
}
