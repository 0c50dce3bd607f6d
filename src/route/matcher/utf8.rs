//! Matchers by the rules of UTF-8: names and values in any script, quoted where they hold what means something.

use std::str::Chars;

use super::{Matcher, Op};

/// A word or sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    Open,
    Close,
    Comma,
    Operator(Op),
    /// With its quotes.
    Quoted(&'t str),
    Bare(&'t str),
}

/// Reads matchers, which commas separate; braces around them come in pairs.
pub(super) fn read(text: &str) -> Result<Vec<Matcher>, String> {
    let mut lexer = Lexer { text, rest: text.chars() };
    let mut next = lexer.next()?;
    let open = next == Some(Token::Open);
    if open {
        next = lexer.next()?;
    }
    let mut matchers = Vec::new();
    while let Some(token) = next.filter(|token| *token != Token::Close) {
        matchers.push(lexer.matcher(token)?);
        next = lexer.next()?;
        match next {
            Some(Token::Comma) => next = lexer.next()?,
            Some(Token::Close) | None => {}
            Some(Token::Open | Token::Operator(_) | Token::Quoted(_) | Token::Bare(_)) => {
                return Err(format!("a comma is missing before `{}`", lexer.last()));
            }
        }
    }
    match (open, next) {
        (true, Some(_)) => match lexer.next()? {
            None => Ok(matchers),
            Some(_) => Err(format!("`{}` stands behind the end", lexer.last())),
        },
        (false, None) => Ok(matchers),
        (true, None) => Err("`}` is missing at the end".to_owned()),
        (false, Some(_)) => Err("`}` has no `{`".to_owned()),
    }
}

struct Lexer<'t> {
    text: &'t str,
    rest: Chars<'t>,
}

impl<'t> Lexer<'t> {
    fn at(&self) -> usize {
        self.text.len() - self.rest.as_str().len()
    }

    /// The sign that was read last.
    fn last(&self) -> &'t str {
        let before = &self.text[..self.at()];
        before.char_indices().next_back().map_or("", |(at, _)| &before[at..])
    }

    fn matcher(&mut self, first: Token<'t>) -> Result<Matcher, String> {
        let name = self.text_of(Some(first), "name")?;
        let op = match self.next()? {
            Some(Token::Operator(op)) => op,
            _other => return Err(format!("one of `=`, `!=`, `=~`, `!~` is missing behind `{name}`")),
        };
        let value = self.next()?;
        Matcher::new(name, op, self.text_of(value, "value")?)
    }

    fn text_of(&self, token: Option<Token<'t>>, what: &str) -> Result<String, String> {
        match token {
            Some(Token::Bare(text)) => Ok(text.to_owned()),
            Some(Token::Quoted(text)) => {
                unquoted(text).ok_or_else(|| format!("`{text}` has an escape that is none"))
            }
            None => Err(format!("a label {what} is missing at the end")),
            Some(Token::Open | Token::Close | Token::Comma | Token::Operator(_)) => {
                Err(format!("a label {what} is missing before `{}`", self.last()))
            }
        }
    }

    fn next(&mut self) -> Result<Option<Token<'t>>, String> {
        let written = self.rest.as_str().trim_start();
        let Some(sign) = written.chars().next() else {
            self.rest = "".chars();
            return Ok(None);
        };
        let (token, length) = match sign {
            '{' => (Token::Open, 1),
            '}' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '"' => {
                let length = quoted(written).ok_or_else(|| format!("`{written}` is not closed"))?;
                (Token::Quoted(&written[..length]), length)
            }
            '=' | '!' => {
                let two = written.get(..2).and_then(Op::of).map(|op| (op, 2));
                let op = two.or_else(|| Op::of(&written[..1]).map(|op| (op, 1)));
                let (op, length) = op.ok_or_else(|| "`!` is followed by `=` or `~`".to_owned())?;
                (Token::Operator(op), length)
            }
            sign if is_reserved(sign) => return Err(format!("`{sign}` has to stand in quotes")),
            _ => {
                let length = written.find(is_reserved).unwrap_or(written.len());
                (Token::Bare(&written[..length]), length)
            }
        };
        self.rest = written[length..].chars();
        Ok(Some(token))
    }
}

/// What means something outside of quotes.
fn is_reserved(sign: char) -> bool {
    sign.is_whitespace() || "{}!=~,\\\"'`".contains(sign)
}

/// The length of a text in quotes, with them.
fn quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, sign) in text.char_indices().skip(1) {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// What a text in quotes says, by the escapes of Go; `None` where it has others, or is none in UTF-8.
fn unquoted(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut signs = text[1..text.len() - 1].chars();
    while let Some(sign) = signs.next() {
        let mut letter = [0; 4];
        match sign {
            '\n' => return None,
            '\\' => {
                match signs.next()? {
                    'a' => bytes.push(7),
                    'b' => bytes.push(8),
                    'f' => bytes.push(12),
                    'n' => bytes.push(b'\n'),
                    'r' => bytes.push(b'\r'),
                    't' => bytes.push(b'\t'),
                    'v' => bytes.push(11),
                    sign @ ('\\' | '"') => bytes.push(u8::try_from(sign).ok()?),
                    'x' => bytes.push(u8::try_from(code(&mut signs, 2, 16)?).ok()?),
                    'u' => bytes
                        .extend(char::from_u32(code(&mut signs, 4, 16)?)?.encode_utf8(&mut letter).bytes()),
                    'U' => bytes
                        .extend(char::from_u32(code(&mut signs, 8, 16)?)?.encode_utf8(&mut letter).bytes()),
                    first @ '0'..='7' => {
                        let first = first.to_digit(8)?;
                        bytes.push(u8::try_from(first * 64 + code(&mut signs, 2, 8)?).ok()?);
                    }
                    _ => return None,
                }
            }
            sign => bytes.extend(sign.encode_utf8(&mut letter).bytes()),
        }
    }
    String::from_utf8(bytes).ok()
}

fn code(signs: &mut Chars<'_>, digits: usize, radix: u32) -> Option<u32> {
    (0..digits).try_fold(0u32, |code, _| Some(code.checked_mul(radix)? + signs.next()?.to_digit(radix)?))
}
