//! Text that came from outside, made fit to print: it steers no terminal, breaks no file and fits its column.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::finding::{Drawing, Excerpt};

/// `text` with all that could steer a terminal, turn the direction of writing or hide other text made visible,
/// as compilers show it: `␛` for an escape, `�` for what has no picture. Line breaks stay, tabs become spaces.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(|sign| sign != '\n' && steers(sign)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for sign in text.replace("\r\n", "\n").chars() {
        match sign {
            '\n' => shown.push(sign),
            '\t' => shown.push_str("    "),
            _ if steers(sign) => shown.push(picture(sign)),
            _ => shown.push(sign),
        }
    }
    Cow::Owned(shown)
}

/// `text`, [`printable`] and on one line.
#[must_use]
pub fn on_one_line(text: &str) -> String {
    printable(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `text`, [`printable`] and without meaning in HTML, in an element or in a quoted attribute.
#[must_use]
pub fn in_html(text: &str) -> String {
    let text = printable(text);
    let mut shown = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            _ => shown.push(sign),
        }
    }
    shown
}

/// Whether a character does anything but stand there: controls (C0, DEL, C1), marks and overrides of direction,
/// line separators, invisible tags, and what XML does not allow.
pub(crate) fn steers(sign: char) -> bool {
    sign.is_control()
        || matches!(sign,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

/// What is shown in the place of a character that steers.
fn picture(sign: char) -> char {
    match sign {
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(sign)).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        _ => '\u{fffd}',
    }
}

/// `text` with nothing in it that a CI runner would obey: runners read commands from what a job prints, at the
/// beginning of a line (`::add-mask::`) or anywhere in it (`##[add-mask]`), and a target's words are among it.
pub(crate) fn inert(text: &str) -> Cow<'_, str> {
    const ANYWHERE: [&str; 3] = ["##[", "##vso[", "##teamcity["];
    let begins = |line: &str| line.trim_start().starts_with("::");
    if !text.lines().any(begins) && !ANYWHERE.iter().any(|mark| text.contains(mark)) {
        return Cow::Borrowed(text);
    }
    let line = |line: &str| if begins(line) { line.replacen("::", ":\\:", 1) } else { line.to_owned() };
    let quieted: String = text.split_inclusive('\n').map(line).collect();
    Cow::Owned(
        ANYWHERE.iter().fold(quieted, |text, mark| text.replace(mark, &mark.replacen("##", "#\\#", 1))),
    )
}

/// A drawing that can be rendered wherever it came from: printable, and with labels that lie within their text.
pub(crate) fn fit_to_draw(drawing: &Drawing) -> Drawing {
    let mut fit = drawing.clone();
    fit.title = printable(&fit.title).into_owned();
    fit.code = fit.code.map(|code| on_one_line(&code));
    fit.help = fit.help.map(|help| printable(&help).into_owned());
    fit.excerpts.iter_mut().for_each(fit_excerpt);
    fit
}

/// Files have fewer lines; a saved run may have been written by anybody.
const LAST_LINE: usize = 1 << 30;

fn fit_excerpt(excerpt: &mut Excerpt) {
    excerpt.path = on_one_line(&excerpt.path);
    excerpt.first_line = excerpt.first_line.min(LAST_LINE);
    // Labels count bytes, so what stands in a character's place must be as long. Controls of one byte are left
    // to the renderer, which shows them in the same way.
    excerpt.text = (excerpt.text.chars())
        .map(|sign| match sign.len_utf8() {
            2 if steers(sign) => '\u{b7}',
            3 if steers(sign) => '\u{fffd}',
            4 if steers(sign) => '\u{10fffd}',
            _ => sign,
        })
        .collect();
    for label in &mut excerpt.labels {
        label.text = printable(&label.text).into_owned();
        // A masked secret makes a text shorter than its labels knew it.
        label.end = boundary(&excerpt.text, label.end);
        label.start = boundary(&excerpt.text, label.start).min(label.end);
    }
}

/// The nearest character boundary at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Columns that `text` takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text` in at most `room` columns; `more` stands at the end of one that was longer.
pub(crate) fn cut<'t>(text: &'t str, room: usize, more: &str) -> Cow<'t, str> {
    /// Signs without a width of their own could otherwise pile up without end.
    const MOST_PER_COLUMN: usize = 4;
    let few = text.chars().nth(room.saturating_mul(MOST_PER_COLUMN)).is_none();
    if few && width(text) <= room {
        return Cow::Borrowed(text);
    }
    let Some(mut left) = room.checked_sub(width(more)) else { return Cow::Borrowed("") };
    let fits = |sign: &char| {
        let wide = sign.width().unwrap_or(0);
        left.checked_sub(wide).map(|rest| left = rest).is_some()
    };
    let kept: String = text.chars().take(room.saturating_mul(MOST_PER_COLUMN)).take_while(fits).collect();
    Cow::Owned(kept + more)
}

/// `pieces`, set side by side where they fit into `room` columns, and broken between words where one does not.
pub(crate) fn fold(pieces: &[String], room: usize) -> Vec<String> {
    const BETWEEN: &str = "   ";
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        match lines.last_mut() {
            Some(line) if width(line) + BETWEEN.len() + width(piece) <= room => {
                *line += BETWEEN;
                *line += piece;
            }
            _ => lines.extend(wrap(piece, room)),
        }
    }
    lines
}

/// `text` in lines of at most `room` columns, broken between words; a word that is longer is broken too.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for mut word in text.split(' ') {
        while let Some(line) = lines.last_mut() {
            let space = usize::from(!line.is_empty());
            if width(line) + space + width(word) <= room {
                line.push_str(if space == 1 { " " } else { "" });
                line.push_str(word);
                break;
            }
            if !line.is_empty() {
                lines.push(String::new());
                continue;
            }
            let end = end_of_columns(word, room.max(2));
            line.push_str(&word[..end]);
            word = &word[end..];
            lines.push(String::new());
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// The byte after the last character within `room` columns; after the first one at least.
fn end_of_columns(text: &str, room: usize) -> usize {
    let mut used = 0;
    let beyond = text.char_indices().find(|(at, sign)| {
        used += sign.width().unwrap_or(0);
        *at > 0 && used > room
    });
    beyond.map_or(text.len(), |(at, _)| at)
}

/// A count with its thousands set apart: `12,000`.
pub(crate) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `1 step`, `8 steps`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
