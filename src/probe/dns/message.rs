//! A question as it goes over the wire, and what comes back: whether it answers the question, and its records as text.

use std::fmt::Write as _;
use std::net::IpAddr;

use hickory_proto::op::{Edns, Header, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType as Type};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use crate::sample::{Cause, Reason};
use crate::scenario::dns::RecordType;

/// The largest datagram that is taken: what passes any network in one piece.
pub(super) const DATAGRAM: u16 = 1232;

/// A question, ready to be sent.
#[derive(Debug, Clone)]
pub struct Question {
    /// The question itself.
    query: Query,
    /// What no answer of somebody else's carries.
    id: u16,
    bytes: Vec<u8>,
}

/// What was made of a message that came.
#[derive(Debug)]
pub(super) enum Heard {
    /// The answer.
    Answer(Box<Message>),
    /// The answer's beginning: the rest did not fit a datagram.
    Truncated,
    /// No answer to this question, and why not.
    Stray(&'static str),
    /// The answer, of which nothing can be made.
    Wrong(Cause),
}

impl Question {
    /// A question for the records of type `kind` that `name` has; of an address, for its name.
    ///
    /// # Errors
    /// The name cannot be asked about.
    pub fn new(name: &str, kind: RecordType, recursion: bool) -> Result<Self, Cause> {
        let unaskable = |why: String| {
            Cause::new(Reason::Policy, format!("`{name}` is not a name to be asked about: {why}"))
        };
        let mut asked = match name.parse::<IpAddr>() {
            Ok(address) if kind == RecordType::Ptr => Name::from(address),
            Ok(_) | Err(_) => Name::from_str_relaxed(name).map_err(|source| unaskable(source.to_string()))?,
        };
        asked.set_fqdn(true);
        Self::of(asked, wire(kind), DNSClass::IN, recursion).map_err(unaskable)
    }

    /// A question for the records of any type and class that `name` has.
    pub(crate) fn of(name: Name, kind: Type, class: DNSClass, recursion: bool) -> Result<Self, String> {
        let mut query = Query::query(name, kind);
        query.set_query_class(class);
        let mut message = Message::query();
        message.metadata.recursion_desired = recursion;
        message.add_query(query.clone());
        let mut extension = Edns::new();
        extension.set_max_payload(DATAGRAM);
        message.set_edns(extension);
        let bytes = message.to_vec().map_err(|source| source.to_string())?;
        Ok(Self { query, id: message.metadata.id, bytes })
    }

    /// What is sent.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The name asked about.
    pub(super) fn name(&self) -> &Name {
        &self.query.name
    }

    /// The records in the answer that are of the type asked for.
    pub(super) fn asked_for<'m>(&self, message: &'m Message) -> impl Iterator<Item = &'m Record> {
        let kind = self.query.query_type;
        message.answers.iter().filter(move |record| record.record_type() == kind)
    }

    /// What `bytes` are to this question.
    pub(super) fn hear(&self, bytes: &[u8]) -> Heard {
        let Ok(header) = Header::read(&mut BinDecoder::new(bytes)) else {
            return Heard::Stray("it is too short for a message");
        };
        let head = header.metadata;
        if head.id != self.id {
            return Heard::Stray("it carries another id");
        }
        if head.message_type != MessageType::Response || head.op_code != OpCode::Query {
            return Heard::Stray("it is no answer");
        }
        if head.truncation {
            return Heard::Truncated;
        }
        let wrong = |why: String| Heard::Wrong(Cause::new(Reason::Protocol, why));
        match Message::from_vec(bytes) {
            Err(source) => wrong(format!("the answer is malformed: {source}")),
            Ok(message) if !self.repeated_in(&message) => {
                let other = message.queries.first().map_or_else(|| "no question".to_owned(), describe);
                wrong(format!("the answer is to {other}, not to {}", describe(&self.query)))
            }
            Ok(message) => Heard::Answer(Box::new(message)),
        }
    }

    fn repeated_in(&self, message: &Message) -> bool {
        match message.queries.as_slice() {
            [one] => {
                one.query_type == self.query.query_type
                    && one.query_class == self.query.query_class
                    && one.name.eq_ignore_root(&self.query.name)
            }
            // A server that refuses or cannot read a question need not repeat it.
            [] => message.metadata.response_code != ResponseCode::NoError,
            [..] => false,
        }
    }
}

fn describe(query: &Query) -> String {
    format!("`{} {}`", query.query_type, query.name.to_ascii())
}

fn wire(kind: RecordType) -> Type {
    match kind {
        RecordType::A => Type::A,
        RecordType::Aaaa => Type::AAAA,
        RecordType::Mx => Type::MX,
        RecordType::Txt => Type::TXT,
        RecordType::Cname => Type::CNAME,
        RecordType::Ns => Type::NS,
        RecordType::Soa => Type::SOA,
        RecordType::Srv => Type::SRV,
        RecordType::Caa => Type::CAA,
        RecordType::Ptr => Type::PTR,
    }
}

/// The name that is an alias of itself, by way of others in the answer, if there is one on the way from `name`.
pub(super) fn circle<'m>(name: &'m Name, message: &'m Message) -> Option<&'m Name> {
    let alias = |name: &Name| {
        let owned = message.answers.iter().filter(|record| record.name.eq_ignore_root(name));
        let mut targets = owned.filter_map(|record| {
            let RData::CNAME(target) = &record.data else { return None };
            Some(&target.0)
        });
        targets.next()
    };
    let mut at = name;
    // Each alias leads on once; whoever comes further than there are records has been somewhere twice.
    for _ in 0..message.answers.len() {
        at = alias(at)?;
    }
    alias(at)
}

/// What a record says, as `dig +short` prints it; text without its quotes.
#[expect(clippy::wildcard_enum_match_arm, reason = "what nobody asks for prints itself")]
pub(super) fn data(record: &Record) -> String {
    let name = Name::to_ascii;
    match &record.data {
        RData::CNAME(target) => name(&target.0),
        RData::NS(target) => name(&target.0),
        RData::PTR(target) => name(&target.0),
        RData::MX(mx) => format!("{} {}", mx.preference, name(&mx.exchange)),
        RData::SRV(srv) => format!("{} {} {} {}", srv.priority, srv.weight, srv.port, name(&srv.target)),
        RData::SOA(soa) => {
            let times = [soa.refresh, soa.retry, soa.expire].map(|time| time.cast_unsigned().to_string());
            let names = format!("{} {}", name(&soa.mname), name(&soa.rname));
            format!("{names} {} {} {}", soa.serial, times.join(" "), soa.minimum)
        }
        other => {
            // Some kinds of data have no text and say so by an error.
            let mut text = String::new();
            let _ = write!(text, "{other}");
            text
        }
    }
}

/// A record as a line of a zone file.
pub(super) fn line(record: &Record) -> String {
    format!("{} {} {} {}", record.name.to_ascii(), record.ttl, record.record_type(), data(record))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::rr::rdata::{A, CAA, CNAME, MX, OPT, SOA, SRV, TXT};
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn question() -> Question {
        Question::new("shop.test", RecordType::A, true).unwrap()
    }

    /// An answer to `question` that says `records`.
    fn answer(question: &Question, records: Vec<Record>) -> Message {
        let mut message = Message::response(question.id, OpCode::Query);
        message.add_query(question.query.clone());
        message.add_answers(records);
        message
    }

    fn alias(from: &str, to: &str) -> Record {
        Record::from_rdata(name(from), 60, RData::CNAME(CNAME(name(to))))
    }

    #[rstest]
    #[case::a(RData::A(A(Ipv4Addr::new(192, 0, 2, 1))), "192.0.2.1")]
    #[case::alias(RData::CNAME(CNAME(name("Front.test."))), "Front.test.")]
    #[case::mail(RData::MX(MX::new(10, name("mail.test."))), "10 mail.test.")]
    #[case::text(RData::TXT(TXT::new(vec!["v=spf1 ".into(), "-all".into()])), "v=spf1 -all")]
    #[case::service(RData::SRV(SRV::new(1, 2, 443, name("web.test."))), "1 2 443 web.test.")]
    #[case::zone(
        RData::SOA(SOA::new(name("ns.test."), name("root.test."), 7, 1, 2, -1, 4)),
        "ns.test. root.test. 7 1 2 4294967295 4"
    )]
    #[case::authority(RData::CAA(CAA::new_issue(false, Some(name("ca.test")), vec![])), "0 issue \"ca.test\"")]
    #[case::no_text(RData::OPT(OPT::new(vec![])), "")]
    fn a_record_says_its_data(#[case] data_: RData, #[case] text: &str) {
        assert_eq!(data(&Record::from_rdata(name("x.test."), 60, data_)), text);
    }

    #[test]
    fn an_address_is_asked_for_its_name() {
        let question = Question::new("192.0.2.1", RecordType::Ptr, true).unwrap();
        assert_eq!(question.name().to_ascii(), "1.2.0.192.in-addr.arpa.");
    }

    #[test]
    fn what_is_no_name_cannot_be_asked_about() {
        let cause = Question::new(&"a".repeat(70), RecordType::A, true).unwrap_err();
        assert_eq!(cause.reason, Reason::Policy);
    }

    #[test]
    fn the_answer_to_the_question_is_heard() {
        let question = question();
        let bytes = answer(&question, vec![alias("shop.test.", "web.test.")]).to_vec().unwrap();
        assert!(matches!(question.hear(&bytes), Heard::Answer(message) if message.answers.len() == 1));
    }

    #[rstest]
    #[case::short(|bytes: &mut Vec<u8>| bytes.truncate(11), "it is too short for a message")]
    #[case::id(|bytes: &mut Vec<u8>| bytes[0] ^= 1, "it carries another id")]
    #[case::question(|bytes: &mut Vec<u8>| bytes[2] &= 0x7f, "it is no answer")]
    fn what_answers_something_else_is_passed_over(#[case] spoil: fn(&mut Vec<u8>), #[case] why: &str) {
        let question = question();
        let mut bytes = answer(&question, vec![]).to_vec().unwrap();
        spoil(&mut bytes);
        assert!(matches!(question.hear(&bytes), Heard::Stray(said) if said == why));
    }

    #[test]
    fn a_name_that_points_at_itself_ends_the_reading() {
        let question = question();
        let mut bytes = answer(&question, vec![alias("shop.test.", "web.test.")]).to_vec().unwrap();
        // The alias's target begins after name (2), type, class, ttl and length (10) of the only record.
        let target = u16::try_from(12 + question.name().to_ascii().len() + 1 + 4 + 12).unwrap();
        bytes.truncate(usize::from(target));
        bytes.extend((0xc000 | target).to_be_bytes());
        bytes[usize::from(target) - 2..usize::from(target)].copy_from_slice(&2_u16.to_be_bytes());
        let Heard::Wrong(cause) = question.hear(&bytes) else { panic!("the circle was read") };
        assert_eq!(cause.reason, Reason::Protocol);
        assert!(cause.message.starts_with("the answer is malformed: "), "{cause}");
    }

    #[test]
    fn an_answer_to_another_question_is_wrong() {
        let (asked, other) = (question(), Question::new("bank.test", RecordType::A, true).unwrap());
        let mut message = answer(&other, vec![]);
        message.metadata.id = asked.id;
        let Heard::Wrong(cause) = asked.hear(&message.to_vec().unwrap()) else { panic!("it was taken") };
        assert_eq!(cause.message, "the answer is to `A bank.test.`, not to `A shop.test.`");
    }

    #[rstest]
    #[case::none(&[], None)]
    #[case::way(&[("shop.test.", "a.test."), ("a.test.", "b.test.")], None)]
    #[case::itself(&[("shop.test.", "SHOP.test.")], Some("SHOP.test."))]
    #[case::two(&[("shop.test.", "a.test."), ("a.test.", "shop.test.")], Some("a.test."))]
    #[case::elsewhere(&[("a.test.", "b.test."), ("b.test.", "a.test.")], None)]
    fn a_circle_of_aliases_is_found(#[case] aliases: &[(&str, &str)], #[case] found: Option<&str>) {
        let question = question();
        let message = answer(&question, aliases.iter().map(|(from, to)| alias(from, to)).collect());
        assert_eq!(circle(question.name(), &message).map(Name::to_ascii).as_deref(), found);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), cut in 0_usize..80) {
            let question = question();
            let mut whole = answer(&question, vec![alias("shop.test.", "web.test.")]).to_vec().unwrap();
            whole.truncate(cut.max(12));
            whole.extend(bytes);
            if let Heard::Answer(message) = question.hear(&whole) {
                let _ = circle(question.name(), &message);
                message.all_sections().for_each(|record| drop(line(record)));
            }
        }
    }
}
