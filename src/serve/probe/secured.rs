//! What TLS showed, as the series of `blackbox_exporter`.

use std::fmt::Write as _;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{AttributeTypeAndValue, FromDer as _, GeneralName, X509Certificate, X509Name};

use super::sheet::{Sheet, labels};
use crate::probe::certificate::Certificate;
use crate::probe::trust::{Agreed, TlsOptions, machine_certificates};

/// What stands for a moment that there is none of: the first of Go's own time.
const NEVER: f64 = -62_135_596_800.0;

/// Shows what a peer showed: the certificates, whether they were accepted or not, and what was agreed on.
pub(super) async fn show(
    chain: &[CertificateDer<'static>],
    agreed: Option<&Agreed>,
    tls: &TlsOptions,
    sheet: &mut Sheet,
) {
    let ends: Vec<Timestamp> = chain.iter().filter_map(|one| end(one)).collect();
    if let Some(first) = ends.iter().min() {
        let help = "Returns earliest SSL cert expiry in unixtime";
        sheet.set("probe_ssl_earliest_cert_expiry", help, unixtime(*first));
    }
    let (Some(agreed), Some(leaf)) = (agreed, chain.first()) else { return };
    let roots = match &tls.ca {
        _ if tls.skip_verify => None,
        Some(own) => Some(own.clone()),
        None => machine_certificates().await.ok(),
    };
    let last = roots.and_then(|roots| last_end(chain, &roots)).map_or(NEVER, unixtime);
    let help = "Returns last SSL chain expiry in timestamp seconds";
    sheet.set("probe_ssl_last_chain_expiry_timestamp_seconds", help, last);
    if let Some(leaf) = Leaf::read(leaf) {
        let own = labels([
            ("fingerprint_sha256", &leaf.fingerprint),
            ("subject", &leaf.subject),
            ("issuer", &leaf.issuer),
            ("subjectalternative", &leaf.names),
            ("serialnumber", &leaf.serial),
        ]);
        sheet.set_with("probe_ssl_last_chain_info", "Contains SSL leaf certificate information", own, 1.0);
    }
    let version = labels([("version", agreed.version)]);
    sheet.set_with(
        "probe_tls_version_info",
        "Returns the TLS version used or NaN when unknown",
        version,
        1.0,
    );
    let suite = labels([("cipher", &agreed.suite)]);
    sheet.set_with("probe_tls_cipher_info", "Returns the TLS cipher negotiated during handshake", suite, 1.0);
}

fn end(certificate: &[u8]) -> Option<Timestamp> {
    Certificate::read(certificate).ok().map(|read| read.until)
}

#[expect(clippy::cast_precision_loss, reason = "every value of a metric is a float")]
pub(super) fn unixtime(at: Timestamp) -> f64 {
    at.as_second() as f64
}

/// The most that is tried to find a way from a certificate to an authority.
const MOST_STEPS: usize = 10;

/// When the last of the chains ends that lead from the peer's certificate to an authority that is trusted; one ends
/// with the first of its certificates. Whether they were signed so was verified before.
fn last_end(chain: &[CertificateDer<'_>], roots: &[CertificateDer<'_>]) -> Option<Timestamp> {
    let read =
        |all: &[CertificateDer<'_>]| -> Vec<Link> { all.iter().filter_map(|one| Link::read(one)).collect() };
    let (shown, roots) = (read(chain), read(roots));
    let leaf = shown.first()?;
    let mut last: Option<Timestamp> = None;
    let mut open = vec![(leaf, leaf.end, 0)];
    while let Some((at, end, steps)) = open.pop() {
        let anchors = roots.iter().filter(|root| root.subject == at.issuer || root.subject == at.subject);
        for root in anchors {
            let end = end.min(root.end);
            last = Some(last.map_or(end, |last| last.max(end)));
        }
        if steps < MOST_STEPS && open.len() < MOST_STEPS * MOST_STEPS {
            let above =
                shown.iter().skip(1).filter(|one| one.subject == at.issuer && one.subject != at.subject);
            open.extend(above.map(|one| (one, end.min(one.end), steps + 1)));
        }
    }
    last
}

/// What leads from one certificate to another.
struct Link {
    subject: Vec<u8>,
    issuer: Vec<u8>,
    end: Timestamp,
}

impl Link {
    fn read(der: &[u8]) -> Option<Self> {
        let (_, read) = X509Certificate::from_der(der).ok()?;
        let (subject, issuer) = (read.subject().as_raw().to_owned(), read.issuer().as_raw().to_owned());
        Some(Self { subject, issuer, end: end(der)? })
    }
}

/// What labels say of the peer's own certificate.
struct Leaf {
    fingerprint: String,
    subject: String,
    issuer: String,
    names: String,
    serial: String,
}

impl Leaf {
    fn read(der: &[u8]) -> Option<Self> {
        let (_, read) = X509Certificate::from_der(der).ok()?;
        let alternative = read.subject_alternative_name().ok().flatten();
        let names: Vec<&str> = alternative.map_or_else(Vec::new, |extension| {
            let names = extension.value.general_names.iter().filter_map(|name| {
                let GeneralName::DNSName(name) = name else { return None };
                Some(*name)
            });
            names.collect()
        });
        let serial = read.raw_serial();
        let serial = serial.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(serial);
        Some(Self {
            fingerprint: hex(&Sha256::digest(der)),
            subject: name(read.subject()),
            issuer: name(read.issuer()),
            names: names.join(","),
            serial: hex(serial).to_uppercase(),
        })
    }
}

/// Bytes in lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The parts of a name that have a word, from the last to the first as RFC 2253 has them, each with the last number
/// of its identifier below 2.5.4.
const PARTS: [(u8, &str); 9] = [
    (5, "SERIALNUMBER"),
    (3, "CN"),
    (17, "POSTALCODE"),
    (9, "STREET"),
    (8, "ST"),
    (7, "L"),
    (11, "OU"),
    (10, "O"),
    (6, "C"),
];

/// A name as Go prints it.
fn name(of: &X509Name<'_>) -> String {
    let all: Vec<&AttributeTypeAndValue<'_>> = of.iter_attributes().collect();
    let value = |attribute: &AttributeTypeAndValue<'_>| escaped(attribute.as_str().unwrap_or_default());
    let known = PARTS.iter().filter_map(|(number, word)| {
        let mut values: Vec<_> = all.iter().filter(|one| is(one, *number)).map(|one| value(one)).collect();
        // Of those that there should be one of, Go takes the last.
        if matches!(number, 3 | 5) {
            values.drain(..values.len().saturating_sub(1));
        }
        let values: Vec<_> = values.into_iter().map(|value| format!("{word}={value}")).collect();
        (!values.is_empty()).then(|| values.join("+"))
    });
    let other = all.iter().rev().filter(|one| !PARTS.iter().any(|(number, _)| is(one, *number))).map(|one| {
        let mut der = vec![u8::try_from(one.attr_value().header.tag().0).unwrap_or_default()];
        let data = one.as_slice();
        der.push(u8::try_from(data.len()).unwrap_or(u8::MAX));
        der.extend(data);
        format!("{}=#{}", one.attr_type(), hex(&der))
    });
    known.chain(other).collect::<Vec<_>>().join(",")
}

fn is(attribute: &AttributeTypeAndValue<'_>, number: u8) -> bool {
    attribute.attr_type().as_bytes() == [0x55, 4, number]
}

/// A value with what means something in a name escaped.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(value.len());
    for (at, sign) in value.chars().enumerate() {
        let special = matches!(sign, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (sign == ' ' && (at == 0 || at == last))
            || (sign == '#' && at == 0);
        if special {
            out.push('\\');
        }
        out.push(sign);
    }
    out
}
