//! Digest authentication, RFC 7616: a password that is proven and not sent.

use std::fmt::Write as _;

use http::Method;
use http::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use md5::{Digest as _, Md5};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;

use crate::sample::{Cause, Reason};
use crate::secret::Secret;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// What is asked for, as far as it is proven.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// The path and the query.
    pub(super) target: &'a str,
    /// A number that the target cannot know beforehand.
    pub(super) nonce: u128,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hash {
    Md5,
    Sha256,
}

/// What a target wants digested.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    hash: Hash,
    /// As it was spelled; sent back so.
    algorithm: Option<String>,
    /// Whether the session's nonces go into the first digest.
    session: bool,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// Whether it knows `qop=auth`; before RFC 2617 there was none.
    qop: bool,
    userhash: bool,
}

impl Credentials {
    /// The proof for the strongest of the challenges in an answer's head; `None` where there is none of this kind.
    ///
    /// # Errors
    /// There are only some that are not spoken here.
    pub(super) fn answer(
        &self,
        headers: &HeaderMap,
        asked: &Asked<'_>,
    ) -> Result<Option<HeaderValue>, Cause> {
        let offered: Vec<_> = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .flat_map(|value| challenges(&String::from_utf8_lossy(value.as_bytes())))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("digest"))
            .collect();
        if offered.is_empty() {
            return Ok(None);
        }
        let known = offered.iter().filter_map(|(_, fields)| Challenge::read(fields));
        let challenge = known.max_by_key(|challenge| challenge.hash).ok_or_else(|| {
            Cause::new(
                Reason::Protocol,
                "the target asks for a digest by an algorithm that is not spoken here",
            )
        })?;
        let mut value = HeaderValue::from_str(&challenge.prove(self, asked)).map_err(|_| {
            Cause::new(Reason::Protocol, "what the target wants digested cannot stand in a header")
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl Hash {
    fn of(self, text: &str) -> String {
        let bytes = match self {
            Self::Md5 => Md5::digest(text).to_vec(),
            Self::Sha256 => Sha256::digest(text).to_vec(),
        };
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl Challenge {
    /// `None` where it is of an algorithm or a quality that is not spoken here.
    fn read(fields: &[(String, String)]) -> Option<Self> {
        let field = |name: &str| {
            let found = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        let algorithm = field("algorithm");
        let (hash, session) = match algorithm.unwrap_or("MD5").to_ascii_uppercase().as_str() {
            "MD5" => (Hash::Md5, false),
            "MD5-SESS" => (Hash::Md5, true),
            "SHA-256" => (Hash::Sha256, false),
            "SHA-256-SESS" => (Hash::Sha256, true),
            _ => return None,
        };
        let qop = match field("qop") {
            None => false,
            Some(list) if list.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return None,
        };
        Some(Self {
            hash,
            algorithm: algorithm.map(ToOwned::to_owned),
            session,
            realm: field("realm")?.to_owned(),
            nonce: field("nonce")?.to_owned(),
            opaque: field("opaque").map(ToOwned::to_owned),
            qop,
            userhash: field("userhash").is_some_and(|word| word.eq_ignore_ascii_case("true")),
        })
    }

    fn prove(&self, who: &Credentials, asked: &Asked<'_>) -> String {
        let Self { hash, realm, nonce, .. } = self;
        let hash = |text: String| hash.of(&text);
        let ours = format!("{:032x}", asked.nonce);
        let (user, uri) = (&who.user, asked.target);
        let mut first = hash(format!("{user}:{realm}:{}", who.password.expose()));
        if self.session {
            first = hash(format!("{first}:{nonce}:{ours}"));
        }
        let second = hash(format!("{}:{uri}", asked.method));
        let response = if self.qop {
            hash(format!("{first}:{nonce}:00000001:{ours}:auth:{second}"))
        } else {
            hash(format!("{first}:{nonce}:{second}"))
        };
        let name = match self.userhash {
            true => format!("username=\"{}\"", hash(format!("{user}:{realm}"))),
            false if user.is_ascii() => format!("username=\"{}\"", escaped(user)),
            false => format!("username*=UTF-8''{}", utf8_percent_encode(user, NON_ALPHANUMERIC)),
        };
        let mut proof = format!(
            "Digest {name}, realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{response}\"",
            escaped(realm),
            escaped(nonce),
            escaped(uri)
        );
        if let Some(algorithm) = &self.algorithm {
            let _ = write!(proof, ", algorithm={algorithm}");
        }
        if let Some(opaque) = &self.opaque {
            let _ = write!(proof, ", opaque=\"{}\"", escaped(opaque));
        }
        if self.qop {
            let _ = write!(proof, ", qop=auth, nc=00000001, cnonce=\"{ours}\"");
        } else if self.session {
            let _ = write!(proof, ", cnonce=\"{ours}\"");
        }
        if self.userhash {
            proof += ", userhash=true";
        }
        proof
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The challenges in one header: each a scheme and its fields.
fn challenges(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let value = after.trim_start_matches([' ', '\t']).strip_prefix('=');
        match (word.is_empty(), value) {
            (true, _) if after.is_empty() => return found,
            // What is no word is passed over.
            (true, _) => rest = after.get(1..).unwrap_or_default(),
            (false, None) => {
                found.push((word.to_owned(), Vec::new()));
                rest = after;
            }
            (false, Some(value)) => {
                let (value, after) = field(value.trim_start_matches([' ', '\t']));
                if let Some((_, fields)) = found.last_mut() {
                    fields.push((word.to_owned(), value));
                }
                rest = after;
            }
        }
    }
}

/// A field's value, in quotes or not, and what stands after it.
fn field(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        return (value.to_owned(), after);
    };
    let mut value = String::new();
    let mut signs = quoted.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(signs.next().map(|(_, sign)| sign)),
            _ => value.push(sign),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn proof(challenges: &[&str], user: &str) -> Result<Option<String>, Reason> {
        let values = challenges.iter().map(|value| (WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap()));
        let mut headers = HeaderMap::new();
        values.for_each(|(name, value)| {
            headers.append(name, value);
        });
        let credentials = Credentials { user: user.into(), password: Secret::new("Circle of Life") };
        let asked = Asked { method: &Method::GET, target: "/dir/index.html", nonce: 0xc0ff_ee00 };
        let answer = credentials.answer(&headers, &asked).map_err(|cause| cause.reason)?;
        Ok(answer.map(|value| value.to_str().unwrap().to_owned()))
    }

    /// The example of RFC 7616, section 3.9.1, whose nonce of ours is a text and not a number.
    #[rstest]
    #[case::md5("MD5", Hash::Md5, "8ca523f5e9506fed4657c9700eebdbec")]
    #[case::sha256(
        "SHA-256",
        Hash::Sha256,
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    )]
    fn the_digests_are_those_of_the_standard(#[case] name: &str, #[case] hash: Hash, #[case] response: &str) {
        let fields = challenges(&format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={name}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        ));
        let challenge = Challenge::read(&fields[0].1).unwrap();
        assert_eq!((challenge.hash, challenge.qop, challenge.session), (hash, true, false));
        let first = hash.of("Mufasa:http-auth@example.org:Circle of Life");
        let second = hash.of("GET:/dir/index.html");
        let ours = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let digested = hash.of(&format!("{first}:{}:00000001:{ours}:auth:{second}", challenge.nonce));
        assert_eq!(digested, response);
    }

    #[test]
    fn a_proof_is_written_whole() {
        let wanted = "Digest username=\"Mufasa\", realm=\"a \\\"b\\\"\", nonce=\"n\", uri=\"/dir/index.html\", \
             response=\"RESPONSE\", algorithm=SHA-256, opaque=\"o\", qop=auth, nc=00000001, \
             cnonce=\"000000000000000000000000c0ffee00\"";
        let offered = "Digest realm=\"a \\\"b\\\"\", nonce=n, opaque=\"o\", qop=\"auth\", algorithm=SHA-256";
        let first = Hash::Sha256.of("Mufasa:a \"b\":Circle of Life");
        let second = Hash::Sha256.of("GET:/dir/index.html");
        let ours = "000000000000000000000000c0ffee00";
        let response = Hash::Sha256.of(&format!("{first}:n:00000001:{ours}:auth:{second}"));
        assert_eq!(proof(&[offered], "Mufasa"), Ok(Some(wanted.replace("RESPONSE", &response))));
    }

    #[rstest]
    #[case::none(&[], Ok(None))]
    #[case::others(&["Basic realm=\"x\", Negotiate abc=="], Ok(None))]
    #[case::another_hash(&["Digest realm=x, nonce=y, algorithm=SHA-512-256"], Err(Reason::Protocol))]
    #[case::integrity_alone(&["Digest realm=x, nonce=y, qop=\"auth-int\""], Err(Reason::Protocol))]
    #[case::no_nonce(&["Digest realm=x"], Err(Reason::Protocol))]
    fn what_cannot_be_proven_is_said(
        #[case] offered: &[&str],
        #[case] answer: Result<Option<String>, Reason>,
    ) {
        assert_eq!(proof(offered, "me"), answer);
    }

    #[rstest]
    #[case::two_headers(&["Digest realm=x, nonce=y", "Digest realm=x, nonce=z, algorithm=SHA-256"])]
    #[case::one_header(&["Basic realm=\"b\", Digest realm=x, nonce=z, algorithm=SHA-256, Digest realm=x, nonce=y"])]
    fn the_strongest_challenge_is_answered(#[case] offered: &[&str]) {
        let proof = proof(offered, "me").unwrap().unwrap();
        assert!(proof.contains("nonce=\"z\"") && proof.contains("algorithm=SHA-256"), "{proof}");
    }

    #[rstest]
    #[case::not_ascii("Jäsøn", "Digest realm=x, nonce=y", "username*=UTF-8''J%C3%A4s%C3%B8n, ".to_owned())]
    #[case::hashed(
        "me",
        "Digest realm=x, nonce=y, userhash=true",
        format!("username=\"{}\", ", Hash::Md5.of("me:x"))
    )]
    fn a_user_is_named_as_the_target_wants(#[case] user: &str, #[case] offered: &str, #[case] name: String) {
        let proof = proof(&[offered], user).unwrap().unwrap();
        assert!(proof.starts_with(&format!("Digest {name}")), "{proof}");
    }

    proptest! {
        #[test]
        fn no_challenge_panics(text in "(Digest|Basic)?[ -~\u{80}-\u{ff}]{0,80}") {
            let value = HeaderValue::from_bytes(text.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, value)]);
            let credentials = Credentials { user: "me".into(), password: Secret::new("word") };
            let _ = credentials.answer(&headers, &Asked { method: &Method::GET, target: "/", nonce: 1 });
        }
    }
}
