//! A form of texts and files as it goes over the wire, RFC 7578.

use bytes::Bytes;

/// A field with everything filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    /// What a file is said to be called.
    pub(super) filename: Option<String>,
    /// Its media type; a header's value.
    pub(super) media: Option<String>,
    pub(super) content: Bytes,
}

/// What stands between fields, by a number that no field holds.
pub(super) fn boundary(number: u128) -> String {
    format!("firedrill-{number:032x}")
}

/// The fields as one body.
pub(super) fn encode(fields: &[Field], boundary: &str) -> Bytes {
    let mut body = Vec::new();
    for field in fields {
        let name = quoted(&field.name);
        body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        body.extend_from_slice(format!("Content-Disposition: form-data; name=\"{name}\"").as_bytes());
        if let Some(filename) = &field.filename {
            body.extend_from_slice(format!("; filename=\"{}\"", quoted(filename)).as_bytes());
        }
        body.extend_from_slice(b"\r\n");
        if let Some(media) = &field.media {
            body.extend_from_slice(format!("Content-Type: {media}\r\n").as_bytes());
        }
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(&field.content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body.into()
}

/// A name as browsers write it: what would end it or its line is percent-encoded.
fn quoted(name: &str) -> String {
    name.replace('\r', "%0D").replace('\n', "%0A").replace('"', "%22")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_follow_one_another() {
        let fields = [
            Field { name: "note".into(), filename: None, media: None, content: "two\r\nlines".into() },
            Field {
                name: "a \"b\"\r\nc".into(),
                filename: Some("ä.png".into()),
                media: Some("image/png".into()),
                content: Bytes::from_static(&[0x89, 0x50]),
            },
        ];
        let body = encode(&fields, &boundary(0xf1));
        let wanted = b"--firedrill-000000000000000000000000000000f1\r\n\
            Content-Disposition: form-data; name=\"note\"\r\n\r\ntwo\r\nlines\r\n\
            --firedrill-000000000000000000000000000000f1\r\n\
            Content-Disposition: form-data; name=\"a %22b%22%0D%0Ac\"; filename=\"\xc3\xa4.png\"\r\n\
            Content-Type: image/png\r\n\r\n\x89P\r\n\
            --firedrill-000000000000000000000000000000f1--\r\n";
        assert_eq!(body.as_ref(), wanted);
    }

    #[test]
    fn a_form_without_fields_is_its_end() {
        assert_eq!(encode(&[], "b"), "--b--\r\n");
    }
}
