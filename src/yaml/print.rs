//! A tree as text that every YAML reader takes for the same tree: JSON, but that numbers stand as they were written.

use std::fmt::Write as _;

use super::tree::{Kind, Node};

/// Prints `node` on lines of its own.
#[must_use]
pub fn print(node: &Node) -> String {
    let mut out = String::new();
    put(node, 0, &mut out);
    out.push('\n');
    out
}

fn put(node: &Node, depth: usize, out: &mut String) {
    match &node.kind {
        Kind::Null => out.push_str("null"),
        Kind::Bool(_, written) | Kind::Int(_, written) | Kind::Float(_, written) => out.push_str(written),
        Kind::Text(text) => quote(text, out),
        Kind::List(items) if items.is_empty() => out.push_str("[]"),
        Kind::Map(entries) if entries.is_empty() => out.push_str("{}"),
        Kind::List(items) => {
            for (index, item) in items.iter().enumerate() {
                begin(if index == 0 { "[" } else { "," }, depth + 1, out);
                put(item, depth + 1, out);
            }
            begin("", depth, out);
            out.push(']');
        }
        Kind::Map(entries) => {
            for (index, (key, value)) in entries.iter().enumerate() {
                begin(if index == 0 { "{" } else { "," }, depth + 1, out);
                quote(&key.name, out);
                out.push_str(": ");
                put(value, depth + 1, out);
            }
            begin("", depth, out);
            out.push('}');
        }
    }
}

fn begin(sign: &str, depth: usize, out: &mut String) {
    out.push_str(sign);
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// In double quotes, with the escapes that JSON and YAML share.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for sign in text.chars() {
        match sign {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // What YAML does not take as it is, or takes for the end of a line.
            _ if sign.is_control()
                || matches!(sign, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                // A string takes all that is written to it.
                let _ = write!(out, "\\u{:04x}", u32::from(sign));
            }
            _ => out.push(sign),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Sources;
    use crate::yaml::parse;

    fn read(text: &str) -> Node {
        let mut sources = Sources::default();
        let id = sources.add("a.yaml", text);
        parse(id, text).expect("the text is YAML").remove(0)
    }

    #[test]
    fn a_tree_is_printed_as_json_with_its_numbers_as_written() {
        let node = read(
            "a: [1.10, 0x1F, yes, ~, true]\n'b c': {}\nd: []\n? e\n: |\n  two\n  \"lines\"\nf: \"\\u0085\\x7f\"\n",
        );
        assert_eq!(
            print(&node),
            "{\n  \"a\": [\n    1.10,\n    0x1F,\n    \"yes\",\n    null,\n    true\n  ],\n  \"b c\": {},\n  \
             \"d\": [],\n  \"e\": \"two\\n\\\"lines\\\"\\n\",\n  \"f\": \"\\u0085\\u007f\"\n}\n"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_back_as_it_was(text in "\\PC*|[\\x00-\\u{a0}\\u{2020}-\\u{2030}]*") {
            let mut out = String::new();
            quote(&text, &mut out);
            proptest::prop_assert_eq!(read(&out).kind, Kind::Text(text));
        }
    }
}
