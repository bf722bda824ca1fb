//! `#[derive(ClosedSet)]`, which `signal` exports beside its trait of the same name.
//!
//! It parses the tokens itself, because a library that parses all of Rust would double the compile time of
//! the crates of declarations.

use std::fmt::Write;
use std::iter::Peekable;

use proc_macro::{Delimiter, Group, TokenStream, TokenTree, token_stream};

/// Implements `ClosedSet` for an enum without data. A member's spelling is its name in snake case,
/// unless `#[spelling("…")]` gives another. `#[label("…")]` on the enum implements `Label` with
/// this key.
#[proc_macro_derive(ClosedSet, attributes(label, spelling))]
pub fn closed_set(item: TokenStream) -> TokenStream {
    let code = Set::parse(item)
        .map_or_else(|problem| format!("::core::compile_error!({problem:?});"), |set| set.implementation());
    code.parse().expect("the generated code is valid")
}

/// The attributes of an enum as a closed set.
struct Set {
    name: String,
    label: Option<String>,
    members: Vec<Member>,
}

struct Member {
    name: String,
    /// A string literal with its quotation marks.
    spelling: String,
}

type Tokens = Peekable<token_stream::IntoIter>;

impl Set {
    fn parse(item: TokenStream) -> Result<Self, &'static str> {
        let mut tokens = item.into_iter().peekable();
        let label = attribute(&mut tokens, "label")?;
        while tokens.next_if(|token| token.to_string() != "enum").is_some() {}
        tokens.next().ok_or("only an enum can be a closed set")?;
        let name = tokens.next().ok_or("the enum has no name")?.to_string();
        let Some(TokenTree::Group(body)) = tokens.next() else {
            return Err("a closed set has no parameters");
        };
        Ok(Self { name, label, members: members(&body)? })
    }

    fn implementation(&self) -> String {
        let Self { name, label, members } = self;
        let (mut all, mut spellings) = (String::new(), String::new());
        for Member { name, spelling } in members {
            // Writing into a string cannot fail.
            let _ = write!(all, "Self::{name},");
            let _ = write!(spellings, "Self::{name} => {spelling},");
        }
        let label = label.as_ref().map_or_else(String::new, |key| {
            format!("impl ::signal::metric::Label for {name} {{ const KEY: &'static str = {key}; }}")
        });
        format!(
            "impl ::signal::ClosedSet for {name} {{
                const ALL: &'static [Self] = &[{all}];
                #[inline]
                fn as_str(self) -> &'static str {{ match self {{ {spellings} }} }}
                #[inline]
                fn index(self) -> usize {{ self as usize }}
            }}
            {label}"
        )
    }
}

fn members(body: &Group) -> Result<Vec<Member>, &'static str> {
    let mut tokens = body.stream().into_iter().peekable();
    let mut members = Vec::new();
    while tokens.peek().is_some() {
        let spelling = attribute(&mut tokens, "spelling")?;
        let name = tokens.next().ok_or("a member is missing")?.to_string();
        let spelling = spelling.unwrap_or_else(|| format!("{:?}", snake_case(&name)));
        members.push(Member { name, spelling });
        match tokens.next() {
            None => break,
            Some(TokenTree::Punct(comma)) if comma.as_char() == ',' => {}
            Some(_) => return Err("a member of a closed set has neither data nor a number"),
        }
    }
    if members.is_empty() { Err("a closed set has members") } else { Ok(members) }
}

/// Skips the attributes at the beginning, and returns the argument of the one with this name.
fn attribute(tokens: &mut Tokens, name: &str) -> Result<Option<String>, &'static str> {
    let mut found = None;
    while tokens.next_if(|token| token.to_string() == "#").is_some() {
        let Some(TokenTree::Group(group)) = tokens.next() else {
            return Err("an attribute has no content");
        };
        let mut content = group.stream().into_iter();
        if content.next().is_some_and(|path| path.to_string() == name) {
            found = Some(argument(content.next()).ok_or("expected one string literal in parentheses")?);
        }
    }
    Ok(found)
}

fn argument(token: Option<TokenTree>) -> Option<String> {
    let Some(TokenTree::Group(group)) = token else { return None };
    let mut content = group.stream().into_iter();
    let text = content.next()?.to_string();
    let is_alone = group.delimiter() == Delimiter::Parenthesis && content.next().is_none();
    (is_alone && text.starts_with('"')).then_some(text)
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn names_become_spellings() {
        for (name, spelling) in
            [("Ok", "ok"), ("HandedBack", "handed_back"), ("X", "x"), ("DnsFailure", "dns_failure")]
        {
            assert_eq!(snake_case(name), spelling);
        }
    }
}
