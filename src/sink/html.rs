//! HTML as the text that is read in it; enough for notifications.

/// The text of `html`: tags left out, lines where a browser would break them, characters by their names.
pub(super) fn text(html: &str) -> String {
    let mut out = String::with_capacity(html.len() / 2);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        push(&rest[..at], &mut out);
        let inside = &rest[at + 1..];
        if let Some(comment) = inside.strip_prefix("!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        if !inside.starts_with(|sign: char| sign.is_ascii_alphabetic() || matches!(sign, '/' | '!')) {
            out.push('<');
            rest = inside;
            continue;
        }
        let end = inside.find('>').unwrap_or(inside.len());
        let name = inside[..end].trim_start_matches('/');
        let name = &name[..name.find(|sign: char| !sign.is_ascii_alphanumeric()).unwrap_or(name.len())];
        rest = inside.get(end + 1..).unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "head" | "style" | "script" | "title" if !inside.starts_with('/') => rest = after(rest, name),
            "br" | "p" | "div" | "tr" | "table" | "li" | "ul" | "ol" | "h1" | "h2" | "h3" | "h4" | "pre" => {
                out.push('\n');
            }
            "td" | "th" => out.push(' '),
            _ => {}
        }
    }
    push(rest, &mut out);
    tidy(&out)
}

/// What follows the end of the element `name`.
fn after<'h>(html: &'h str, name: &str) -> &'h str {
    let named = |at: &usize| html.as_bytes().get(at + 2..at + 2 + name.len());
    let closes = |at: &usize| named(at).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()));
    let at = html.match_indices("</").map(|(at, _)| at).find(closes);
    at.and_then(|at| html[at..].find('>').map(|end| &html[at + end + 1..])).unwrap_or_default()
}

/// No character has a longer name that is known here, with its `&` and `;`.
const LONGEST_NAME: usize = 11;

/// Text between tags, where line breaks are spaces.
fn push(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.extend(rest[..at].chars().map(|sign| if sign == '\n' || sign == '\r' { ' ' } else { sign }));
        rest = &rest[at..];
        let end = rest.bytes().take(LONGEST_NAME).position(|byte| byte == b';');
        let named = end.and_then(|end| Some((entity(&rest[1..end])?, end)));
        let (sign, length) = named.unwrap_or(('&', 0));
        out.push(sign);
        rest = &rest[length + 1..];
    }
    out.extend(rest.chars().map(|sign| if sign == '\n' || sign == '\r' { ' ' } else { sign }));
}

/// The character of a name or number.
fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => None,
    }
}

/// `text` with the characters that have names, and with its line breaks.
pub(super) fn unescape(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let mut out = String::with_capacity(line.len());
        push(line, &mut out);
        out
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Single spaces, and no empty lines.
fn tidy(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::lines("<p>one<br/>two</p><div>three\nfour</div>", "one\ntwo\nthree four")]
    #[case::left_out("<head><style>a{}</style></head><STYLE>b</STYLE>c<!-- d -->e", "ce")]
    #[case::entities("a &lt;b&gt; &#34;c&#x22; &amp;amp; &bogus; & d", "a <b> \"c\" &amp; &bogus; & d")]
    #[case::no_tag("1 < 2 and 3 > 2", "1 < 2 and 3 > 2")]
    #[case::unfinished("a<b", "a")]
    #[case::never_closed("a<style>b", "a")]
    fn tags_become_lines(#[case] html: &str, #[case] expected: &str) {
        assert_eq!(text(html), expected);
    }
}
