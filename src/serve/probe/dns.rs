//! A module's question to a name server.

use std::str::FromStr as _;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::choose::{authority, choose, split};
use super::sheet::{Sheet, size, truth};
use super::{Attempt, failed};
use crate::probe::dns::{Question, Server, Transport, ask};
use crate::sample::{Cause, Phase, Reason};
use crate::serve::blackbox::{Dns, Pattern, Records};

const PHASES: &str = "probe_dns_duration_seconds";
const PHASES_HELP: &str = "Duration of DNS request by phase";

/// Makes one attempt.
pub(super) async fn attempt(module: &Dns, at: &Attempt<'_>, sheet: &mut Sheet) -> Result<(), Cause> {
    sheet.phases(
        PHASES,
        PHASES_HELP,
        &["resolve", "connect", "request"].map(|phase| (phase, Duration::ZERO)),
    );
    count(sheet, [0, 0, 0]);
    answered(sheet, false);
    known(module)?;
    let (host, port) = split(at.target, Some(if module.over_tls { 853 } else { 53 }))?;
    let chosen = choose(&host, port, module.preference, at, sheet).await;
    sheet.phases(PHASES, PHASES_HELP, &[("resolve", chosen.took)]);
    let transport = transport(module)?;
    let mut options = at.options();
    options.address = Some(chosen.address?);
    options.tls = module.tls.options().await.map_err(|why| failed(why.to_string()))?;
    let question = Question::of(name(&module.name)?, module.kind, module.class, module.recursion);
    let question = question.map_err(failed)?;
    let server = Server { transport, at: authority(&host, port)? };
    let asked = ask(&question, &server, &options, &at.deadline).await;
    let of = |wanted: &[Phase]| {
        let times =
            asked.tries.iter().flat_map(|one| wanted.iter().filter_map(|phase| one.phases.get(*phase)));
        times.fold(Duration::ZERO, Duration::saturating_add)
    };
    let connect = of(&[Phase::Connect, Phase::Tls]);
    let request = of(&[Phase::Send, Phase::Wait, Phase::Exchange]);
    sheet.phases(PHASES, PHASES_HELP, &[("connect", connect), ("request", request)]);
    let message = asked.result?;
    answered(sheet, true);
    count(sheet, [message.answers.len(), message.authorities.len(), message.additionals.len()]);
    if module.kind == RecordType::SOA {
        serial(&message, sheet);
    }
    judge(module, &message, sheet)
}

fn answered(sheet: &mut Sheet, so: bool) {
    sheet.set(
        "probe_dns_query_succeeded",
        "Displays whether or not the query was executed successfully",
        truth(so),
    );
}

fn count(sheet: &mut Sheet, [answers, authorities, additionals]: [usize; 3]) {
    let help = |what: &str| format!("Returns number of entries in the {what} resource record list");
    sheet.set("probe_dns_answer_rrs", &help("answer"), size(answers));
    sheet.set("probe_dns_authority_rrs", &help("authority"), size(authorities));
    sheet.set("probe_dns_additional_rrs", &help("additional"), size(additionals));
}

fn serial(message: &Message, sheet: &mut Sheet) {
    let last = message.answers.iter().rev().find_map(|record| {
        let RData::SOA(soa) = &record.data else { return None };
        Some(soa.serial)
    });
    sheet.set("probe_dns_serial", "Returns the serial number of the zone", last.map_or(0.0, f64::from));
}

/// Whether the transport is one at all; the exporter looks at this before it looks the server up.
fn known(module: &Dns) -> Result<(), Cause> {
    match module.transport.as_str() {
        "udp" | "tcp" => Ok(()),
        other => Err(failed(format!("`transport_protocol` is `udp` or `tcp`, not `{other}`"))),
    }
}

fn transport(module: &Dns) -> Result<Transport, Cause> {
    match (module.transport.as_str(), module.over_tls) {
        ("tcp", true) => Ok(Transport::Tls),
        (_, true) => Err(failed("over TLS, `transport_protocol` is `tcp`".to_owned())),
        ("tcp", false) => Ok(Transport::Tcp),
        (_, false) => Ok(Transport::Udp),
    }
}

fn name(written: &str) -> Result<Name, Cause> {
    let name = Name::from_str_relaxed(written).or_else(|_| Name::from_str(written));
    let mut name = name.map_err(|why| failed(format!("`{written}` is no name to be asked about: {why}")))?;
    name.set_fqdn(true);
    Ok(name)
}

fn judge(module: &Dns, message: &Message, sheet: &mut Sheet) -> Result<(), Cause> {
    let code = message.metadata.response_code;
    let known =
        module.rcodes.as_ref().map(|all| all.iter().map(|word| rcode(word)).collect::<Result<Vec<_>, _>>());
    let valid = known.transpose()?.unwrap_or_else(|| vec![ResponseCode::NoError]);
    if !valid.contains(&code) {
        return Err(Cause::new(Reason::Dns, format!("the server answers {code}, which is not valid")));
    }
    let sections = [
        (&module.answer, &message.answers, "answer"),
        (&module.authority, &message.authorities, "authority"),
        (&module.additional, &message.additionals, "additional"),
    ];
    for (wanted, records, section) in sections {
        let lines: Vec<String> = records.iter().map(line).collect();
        for one in &lines {
            sheet.say(format!("{section}: {one}"));
        }
        trouble(wanted, &lines)
            .map_or(Ok(()), |why| Err(Cause::new(Reason::Body, format!("{section}: {why}"))))?;
    }
    Ok(())
}

/// The code that a word stands for.
fn rcode(word: &str) -> Result<ResponseCode, Cause> {
    let known = [
        ("NOERROR", ResponseCode::NoError),
        ("FORMERR", ResponseCode::FormErr),
        ("SERVFAIL", ResponseCode::ServFail),
        ("NXDOMAIN", ResponseCode::NXDomain),
        ("NOTIMP", ResponseCode::NotImp),
        ("REFUSED", ResponseCode::Refused),
        ("YXDOMAIN", ResponseCode::YXDomain),
        ("YXRRSET", ResponseCode::YXRRSet),
        ("NXRRSET", ResponseCode::NXRRSet),
        ("NOTAUTH", ResponseCode::NotAuth),
        ("NOTZONE", ResponseCode::NotZone),
        ("BADSIG", ResponseCode::BADSIG),
        ("BADVERS", ResponseCode::BADVERS),
        ("BADKEY", ResponseCode::BADKEY),
        ("BADTIME", ResponseCode::BADTIME),
        ("BADMODE", ResponseCode::BADMODE),
        ("BADNAME", ResponseCode::BADNAME),
        ("BADALG", ResponseCode::BADALG),
        ("BADTRUNC", ResponseCode::BADTRUNC),
        ("BADCOOKIE", ResponseCode::BADCOOKIE),
    ];
    let found = known.into_iter().find(|(name, _)| *name == word).map(|(_, code)| code);
    found.ok_or_else(|| failed(format!("`{word}` is no response code")))
}

/// A record as a line of a zone file, with tabs, as the exporter's own library prints it.
fn line(record: &Record) -> String {
    let data = record.data.to_string();
    format!(
        "{}\t{}\t{}\t{}\t{data}",
        record.name.to_ascii(),
        record.ttl,
        record.dns_class,
        record.record_type()
    )
}

fn trouble(wanted: &Records, lines: &[String]) -> Option<String> {
    let Records {
        fail_if_matches_regexp,
        fail_if_all_match_regexp,
        fail_if_not_matches_regexp,
        fail_if_none_matches_regexp,
    } = wanted;
    let matches = |pattern: &Pattern, line: &String| pattern.is_match(line.as_bytes());
    let wants_some = !(fail_if_not_matches_regexp.is_empty() && fail_if_none_matches_regexp.is_empty());
    if lines.is_empty() && wants_some {
        return Some("there are no records, and some have to match".to_owned());
    }
    for line in lines {
        if let Some(bad) = fail_if_matches_regexp.iter().find(|pattern| matches(pattern, line)) {
            return Some(format!("`{line}` matches `{bad}`"));
        }
        if let Some(bad) = fail_if_not_matches_regexp.iter().find(|pattern| !matches(pattern, line)) {
            return Some(format!("`{line}` does not match `{bad}`"));
        }
    }
    let all = fail_if_all_match_regexp.iter().all(|pattern| lines.iter().all(|line| matches(pattern, line)));
    // The exporter fails here where not all match; that is what its users have.
    if !fail_if_all_match_regexp.is_empty() && !all {
        return Some("not all records match `fail_if_all_match_regexp`".to_owned());
    }
    let any =
        fail_if_none_matches_regexp.iter().any(|pattern| lines.iter().any(|line| matches(pattern, line)));
    (!fail_if_none_matches_regexp.is_empty() && !any)
        .then(|| "no record matches `fail_if_none_matches_regexp`".to_owned())
}
