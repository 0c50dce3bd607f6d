//! A mail as it is read: its subject, its text, and what belongs to one thread.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::html;
use super::message::Message;

/// Base64 as mail has it, with or without its last signs.
const LOOSE: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Parts within parts, and how many of them.
const DEEPEST: usize = 5;
const MOST_PARTS: usize = 50;

/// More of a subject is not read.
const LONGEST_SUBJECT: usize = 2_000;

/// What a mail says; its lines end with a line feed alone.
pub(super) fn read(mail: &[u8], recipients: &[String]) -> Message {
    let mail = String::from_utf8_lossy(mail);
    let (head, body) = split(&mail);
    let mut parts = Vec::new();
    collect(&head, body, 0, &mut parts);
    let of = |kind: &str| parts.iter().find(|part| part.kind == kind).map(|part| part.text.as_str());
    // What shows nothing is no alternative: Alertmanager sends HTML alone.
    let plain = of("text/plain").filter(|text| !text.trim().is_empty());
    let text = plain
        .map_or_else(|| of("text/html").map(html::text).unwrap_or_default(), |text| text.trim().to_owned());
    let subject: String = value(&head, "subject").unwrap_or_default().chars().take(LONGEST_SUBJECT).collect();
    let title = words(&subject);
    let listed = of("text/html").map(html::text).unwrap_or_default();
    let mut texts: Vec<_> = parts.into_iter().map(|part| part.text).collect();
    texts.push(title.clone());
    let alerts = super::listing::read(if listed.is_empty() { &text } else { &listed });
    Message {
        vendor_key: value(&head, "references").or_else(|| value(&head, "in-reply-to")),
        to: Some(recipients.join(", ")),
        title,
        text,
        alerts,
        texts,
        ..Message::default()
    }
}

/// A part that is shown.
struct Part {
    kind: String,
    text: String,
}

/// Headers with their lines joined, and what follows them.
fn split(mail: &str) -> (Vec<(String, String)>, &str) {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut rest = mail;
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        if line.is_empty() {
            break;
        }
        match (line.starts_with([' ', '\t']), headers.last_mut(), line.split_once(':')) {
            (true, Some((_, value)), _) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (_, _, Some((name, value))) => {
                headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
            (_, _, None) => {}
        }
    }
    (headers, rest)
}

fn value(head: &[(String, String)], name: &str) -> Option<String> {
    head.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
}

/// The parts of a body, decoded.
fn collect(head: &[(String, String)], body: &str, depth: usize, parts: &mut Vec<Part>) {
    let kind = value(head, "content-type").unwrap_or_else(|| "text/plain".to_owned());
    let name = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if parts.len() >= MOST_PARTS {
        return;
    }
    let Some(boundary) =
        parameter(&kind, "boundary").filter(|_| name.starts_with("multipart/") && depth < DEEPEST)
    else {
        let text = match value(head, "content-transfer-encoding")
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "quoted-printable" => quoted_printable(body),
            "base64" => {
                let digits: String = body.split_ascii_whitespace().collect();
                LOOSE
                    .decode(digits)
                    .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
            }
            _ => body.to_owned(),
        };
        parts.push(Part { kind: name, text });
        return;
    };
    let delimiter = format!("--{boundary}");
    let mut begun: Option<usize> = None;
    let mut at = 0;
    for line in body.split_inclusive('\n') {
        let end = at + line.len();
        let bare = line.trim_end();
        if bare == delimiter || bare.strip_suffix("--") == Some(delimiter.as_str()) {
            if let Some(start) = begun {
                let (head, body) = split(&body[start..at]);
                collect(&head, body, depth + 1, parts);
            }
            begun = (bare == delimiter).then_some(end);
        }
        at = end;
    }
}

/// A parameter of a header: `boundary=x` or `boundary="x"`.
fn parameter(header: &str, name: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn quoted_printable(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'=' {
            bytes.push(byte);
            continue;
        }
        match (rest.next(), hex(rest.clone().next())) {
            (Some(b'\n') | None, _) => {}
            (Some(first), Some(low)) if hex(Some(first)).is_some() => {
                bytes.push(hex(Some(first)).unwrap_or_default() * 16 + low);
                rest.next();
            }
            (Some(first), _) => bytes.extend([b'=', first]),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(byte: Option<u8>) -> Option<u8> {
    char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A header's encoded words, decoded; those in other alphabets than UTF-8 and ASCII stay as they are.
fn words(header: &str) -> String {
    let mut out = String::new();
    let mut rest = header;
    let mut after_word = false;
    while let Some(at) = rest.find("=?") {
        let (before, encoded) = rest.split_at(at);
        // White space between two of them is none.
        if !after_word || !before.trim().is_empty() {
            out.push_str(before);
        }
        let said = word(&encoded[2..]);
        after_word = said.is_some();
        let (text, length) = said.unwrap_or_else(|| ("=?".to_owned(), 0));
        out.push_str(&text);
        rest = &encoded[2 + length..];
    }
    out.push_str(rest);
    out
}

/// An encoded word after its `=?`: what it says, and how long it is with its end.
fn word(text: &str) -> Option<(String, usize)> {
    let (charset, rest) = text.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (content, _) = rest.split_once("?=")?;
    let known = ["utf-8", "us-ascii", "ascii"].iter().any(|name| charset.eq_ignore_ascii_case(name));
    if !known || content.contains(' ') {
        return None;
    }
    let said = match encoding {
        "Q" | "q" => quoted_printable(&content.replace('_', " ")),
        "B" | "b" => String::from_utf8_lossy(&LOOSE.decode(content).ok()?).into_owned(),
        _ => return None,
    };
    Some((said, charset.len() + encoding.len() + content.len() + 4))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::sink::delivery::{Alert, Key, Status};

    #[rstest]
    #[case::plain("Disk full", "Disk full")]
    #[case::q("=?utf-8?q?=5BFIRING:1=5D_Caf=C3=A9?=", "[FIRING:1] Café")]
    #[case::b("=?UTF-8?B?Q2Fmw6k=?= is down", "Café is down")]
    #[case::two("=?utf-8?q?one?= =?utf-8?q?_two?= three", "one two three")]
    #[case::other("=?iso-8859-1?q?=E9?=", "=?iso-8859-1?q?=E9?=")]
    #[case::broken("a =? b", "a =? b")]
    fn a_header_is_decoded(#[case] header: &str, #[case] expected: &str) {
        assert_eq!(words(header), expected);
    }

    #[test]
    fn a_mail_is_read_whatever_its_parts_are_packed_in() {
        let mail = "Subject: =?utf-8?q?=5BRESOLVED=5D?=\n Down\nReferences: <1@am>\nContent-Type: multipart/mixed;\n  \
                    boundary=\"b1\"\n\npreamble\n"
            .to_owned()
            + "--b1\nContent-Type: multipart/alternative; boundary=b2\n\n--b2\nContent-Transfer-Encoding: quoted-printable\n\
               Content-Type: text/plain; charset=UTF-8\n\nCaf=C3=A9 is =\nup =3D)\n--b2\nContent-Type: text/html\n\
               Content-Transfer-Encoding: base64\n\nPHA+TGFiZWxzPGJyPmEgPSA8YnI+am9iID0geDwv\ncD4=\n--b2--\n--b1--\nepilogue\n";
        let message = read(mail.as_bytes(), &["a@b.test".to_owned(), "c@d.test".to_owned()]);
        assert_eq!((message.title.as_str(), message.text.as_str()), ("[RESOLVED] Down", "Café is up =)"));
        assert_eq!(message.to.as_deref(), Some("a@b.test, c@d.test"));
        assert_eq!((message.status(), message.key()), (Status::Resolved, Key::Vendor("<1@am>".to_owned())));
        let job = Alert {
            status: Status::Unsaid,
            labels: [("job".to_owned(), "x".to_owned())].into(),
            annotations: [].into(),
        };
        assert_eq!(message.alerts, [job]);
    }

    proptest::proptest! {
        #[test]
        fn no_mail_is_too_strange(mail in "\\PC*", tail in "(Content-Type: multipart/a; boundary=|[=?_\\n \t;-]|--|=\\?utf-8\\?q\\?|\\?=)*") {
            read((mail + &tail).as_bytes(), &[]);
            read(tail.as_bytes(), &[]);
        }
    }
}
