//! Variables as Compose writes them, read as ours.

use crate::yaml::{Kind, Node};

/// The node with every `$NAME`, `${NAME}` and `${NAME:-default}` in its texts as `${env.NAME…}`.
///
/// # Errors
/// The first node in whose text there is something else, and what.
pub(super) fn interpolated(node: &Node) -> Result<Node, (Node, String)> {
    let kind = match &node.kind {
        Kind::Text(text) => Kind::Text(translated(text).map_err(|why| (node.clone(), why))?),
        Kind::List(items) => Kind::List(items.iter().map(interpolated).collect::<Result<_, _>>()?),
        Kind::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| Ok((key.clone(), interpolated(value)?)));
            Kind::Map(entries.collect::<Result<_, _>>()?)
        }
        plain @ (Kind::Null | Kind::Bool(..) | Kind::Int(..) | Kind::Float(..)) => plain.clone(),
    };
    Ok(Node { place: node.place, kind })
}

fn translated(text: &str) -> Result<String, String> {
    let mut read = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        read.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(escaped) = after.strip_prefix('$') {
            // Before a brace a single one would begin a hole of ours.
            read.push_str(if escaped.starts_with('{') { "$$" } else { "$" });
            rest = escaped;
        } else if let Some(hole) = after.strip_prefix('{') {
            let end = hole.find('}').ok_or("`${` is not closed by `}`")?;
            read.push_str(&filled(&hole[..end])?);
            rest = &hole[end + 1..];
        } else {
            let end = after.find(|sign: char| !is_of_a_name(sign)).unwrap_or(after.len());
            if end == 0 {
                return Err("`$` begins no variable here: write `$$` for the sign itself".to_owned());
            }
            read.push_str(&filled(&after[..end])?);
            rest = &after[end..];
        }
    }
    Ok(read + rest)
}

/// What stands between braces, as ours. A variable that is not set is empty, as in Compose, unless it must be set.
fn filled(hole: &str) -> Result<String, String> {
    let end = hole.find(|sign: char| !is_of_a_name(sign)).unwrap_or(hole.len());
    let (name, more) = hole.split_at(end);
    if name.is_empty() {
        return Err(format!("`${{{hole}}}` names no variable"));
    }
    if more.is_empty() {
        return Ok(format!("${{env.{name}:-}}"));
    }
    if more.starts_with(":?") || more.starts_with('?') {
        return Ok(format!("${{env.{name}}}"));
    }
    match more.strip_prefix(":-").or_else(|| more.strip_prefix('-')) {
        Some(default) if !default.contains('$') => Ok(format!("${{env.{name}:-{default}}}")),
        Some(_) => Err(format!("in `${{{hole}}}` the default is a variable itself")),
        None => Err(format!("`${{{hole}}}` is of a form that is not known here")),
    }
}

fn is_of_a_name(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || sign == '_'
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing("redis:7", "redis:7")]
    #[case::alone("$TAG", "${env.TAG:-}")]
    #[case::in_text("redis:$TAG-alpine", "redis:${env.TAG:-}-alpine")]
    #[case::braces("redis:${TAG}", "redis:${env.TAG:-}")]
    #[case::default("${TAG:-7}", "${env.TAG:-7}")]
    #[case::default_if_unset("${TAG-7}", "${env.TAG:-7}")]
    #[case::must_be_set("${TAG:?say which}", "${env.TAG}")]
    #[case::a_sign("5$$", "5$")]
    #[case::a_hole_that_is_none("$${TAG}", "$${TAG}")]
    fn a_variable_is_read(#[case] text: &str, #[case] read: &str) {
        assert_eq!(translated(text).as_deref(), Ok(read));
    }

    #[rstest]
    #[case::open("${TAG", "`${` is not closed by `}`")]
    #[case::nameless("${}", "`${}` names no variable")]
    #[case::no_name("5$ each", "`$` begins no variable here: write `$$` for the sign itself")]
    #[case::alternative("${TAG:+x}", "`${TAG:+x}` is of a form that is not known here")]
    #[case::nested("${TAG:-$OTHER}", "in `${TAG:-$OTHER}` the default is a variable itself")]
    fn what_is_no_variable_of_ours_is_refused(#[case] text: &str, #[case] why: &str) {
        assert_eq!(translated(text).unwrap_err(), why);
    }
}
