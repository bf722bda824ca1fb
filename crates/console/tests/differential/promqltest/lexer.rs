//! Tokens of PromQL.

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Name(String),
    Number(f64),
    /// A duration in milliseconds.
    Duration(u64),
    Text(String),
    Symbol(&'static str),
}

const SYMBOLS: &[&str] = &[
    "==", "!=", ">=", "<=", "=~", "!~", "+", "-", "*", "/", "%", "^", "(", ")", "{", "}", "[", "]", ",", "=",
    ">", "<", "@", ":",
];

pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '"' | '\'' | '`' => text_token(rest, first)?,
            '0'..='9' | '.' => {
                let is_part = |(position, character): (usize, char)| {
                    character.is_ascii_alphanumeric()
                        || character == '.'
                        || ("+-".contains(character) && is_exponent(&rest[..position]))
                };
                let end = rest.char_indices().find(|part| !is_part(*part)).map_or(rest.len(), |(end, _)| end);
                (number_token(&rest[..end])?, end)
            }
            _ if first.is_ascii_alphabetic() || first == '_' || (first == ':' && rest.len() > 1) => {
                let is_part =
                    |character: char| character.is_ascii_alphanumeric() || "_:.".contains(character);
                let end = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
                let name = &rest[..end.max(1)];
                let token = match name.to_ascii_lowercase().as_str() {
                    "inf" => Token::Number(f64::INFINITY),
                    "nan" => Token::Number(f64::NAN),
                    _ => Token::Name(name.to_owned()),
                };
                (token, end.max(1))
            }
            _ => {
                let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
                let symbol = symbol.ok_or_else(|| format!("unknown character {first}"))?;
                (Token::Symbol(symbol), symbol.len())
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn is_exponent(number: &str) -> bool {
    number.ends_with(['e', 'E']) && !number.starts_with("0x")
}

fn text_token(rest: &str, quote: char) -> Result<(Token, usize), String> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((position, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok((Token::Text(text), position + 1)),
            '\\' if quote != '`' => match characters.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, other)) => text.push(other),
                None => break,
            },
            _ => text.push(character),
        }
    }
    Err("a text without an end".to_owned())
}

fn number_token(text: &str) -> Result<Token, String> {
    if let Ok(number) = text.parse() {
        return Ok(Token::Number(number));
    }
    if let Some(number) = text.strip_prefix("0x") {
        let number = u32::from_str_radix(number, 16).map_err(|_| format!("{text} is not a number"))?;
        return Ok(Token::Number(f64::from(number)));
    }
    duration(text).map(Token::Duration)
}

/// Returns a duration such as `1h30m` in milliseconds; a number without a unit is seconds.
pub(crate) fn duration(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Ok((seconds * 1000.0) as u64);
    }
    let mut total = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().map_err(|_| format!("{text} is not a duration"))?;
        rest = &rest[digits..];
        let end = rest.find(|character: char| character.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "y" => 31_536_000_000,
            _ => return Err(format!("{text} is not a duration")),
        };
        total += number * unit;
        rest = &rest[end..];
    }
    Ok(total)
}
