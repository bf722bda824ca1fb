//! The subset of Markdown that text panels and the runbook use: headings, paragraphs, lists, code, emphasis
//! and links. Everything else stays text.

use super::svg::escape;

/// Converts Markdown to HTML. HTML in the text is escaped.
pub fn html(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len() * 2);
    let mut block = Block::None;
    for line in markdown.lines() {
        if block == Block::Code {
            if line.trim_start().starts_with("```") {
                block.close(&mut out);
            } else {
                out.push_str(&escape(line));
                out.push('\n');
            }
            continue;
        }
        let text = line.trim();
        let numbered = text.split_once(". ").filter(|(number, _)| {
            !number.is_empty() && number.len() < 4 && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        if text.starts_with("```") {
            block.enter(Block::Code, &mut out);
        } else if text.is_empty() {
            block.close(&mut out);
        } else if let Some(heading) = heading(text) {
            block.close(&mut out);
            out.push_str(&format!("<h4>{}</h4>", inline(heading)));
        } else if let Some(item) = text.strip_prefix("- ").or_else(|| text.strip_prefix("* ")) {
            block.enter(Block::List, &mut out);
            out.push_str(&format!("<li>{}", inline(item)));
        } else if let Some((_, item)) = numbered {
            block.enter(Block::Numbers, &mut out);
            out.push_str(&format!("<li>{}", inline(item)));
        } else {
            if block == Block::None {
                block.enter(Block::Paragraph, &mut out);
            } else {
                out.push(' ');
            }
            out.push_str(&inline(text));
        }
    }
    block.close(&mut out);
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    None,
    Paragraph,
    List,
    Numbers,
    Code,
}

impl Block {
    fn tags(self) -> (&'static str, &'static str) {
        match self {
            Self::None => ("", ""),
            Self::Paragraph => ("<p>", "</p>"),
            Self::List => ("<ul>", "</ul>"),
            Self::Numbers => ("<ol>", "</ol>"),
            Self::Code => ("<pre>", "</pre>"),
        }
    }

    fn enter(&mut self, next: Self, out: &mut String) {
        if *self != next {
            self.close(out);
            out.push_str(next.tags().0);
            *self = next;
        }
    }

    fn close(&mut self, out: &mut String) {
        out.push_str(self.tags().1);
        *self = Self::None;
    }
}

fn heading(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches('#');
    (rest.len() < text.len()).then(|| rest.strip_prefix(' ')).flatten()
}

/// Converts code, bold text and links within a line.
fn inline(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(['`', '*', '[']) {
        out.push_str(&escape(&rest[..start]));
        let here = &rest[start..];
        let converted = code(here).or_else(|| bold(here)).or_else(|| link(here));
        let length = converted.as_ref().map_or(1, |(_, length)| *length);
        match converted {
            Some((html, _)) => out.push_str(&html),
            None => out.push_str(&escape(&here[..length])),
        }
        rest = &here[length..];
    }
    out.push_str(&escape(rest));
    out
}

fn code(text: &str) -> Option<(String, usize)> {
    let inside = text.strip_prefix('`')?;
    let end = inside.find('`').filter(|end| *end > 0)?;
    Some((format!("<code>{}</code>", escape(&inside[..end])), end + 2))
}

fn bold(text: &str) -> Option<(String, usize)> {
    let inside = text.strip_prefix("**")?;
    let end = inside.find("**").filter(|end| *end > 0)?;
    Some((format!("<strong>{}</strong>", inline(&inside[..end])), end + 4))
}

/// Converts links to pages of the console and to https addresses. Others stay text.
fn link(text: &str) -> Option<(String, usize)> {
    let inside = text.strip_prefix('[')?;
    let (title, after) = inside.split_once("](")?;
    let (address, _) = after.split_once(')')?;
    if title.contains(['[', ']']) {
        return None;
    }
    let length = title.len() + address.len() + 4;
    let is_own = address.starts_with('/') && !address.starts_with("//") || address.starts_with('#');
    let html = if is_own || address.starts_with("https://") {
        format!("<a href=\"{}\">{}</a>", escape(address), inline(title))
    } else {
        inline(title)
    };
    Some((html, length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_subset_is_converted() {
        let cases = [
            ("One\ntwo.\n\nThree.", "<p>One two.</p><p>Three.</p>"),
            (
                "## A `b`\n- c\n- **d**\n\ne",
                "<h4>A <code>b</code></h4><ul><li>c<li><strong>d</strong></ul><p>e</p>",
            ),
            ("1. a\n2. b", "<ol><li>a<li>b</ol>"),
            ("```\n<a> *b*\n```", "<pre>&lt;a&gt; *b*\n</pre>"),
            ("[a](/b?c=1&d) [e](javascript:f) 2 * 3", "<p><a href=\"/b?c=1&amp;d\">a</a> e 2 * 3</p>"),
            ("<script>", "<p>&lt;script&gt;</p>"),
            ("[a](//evil.example)", "<p>a</p>"),
        ];
        for (markdown, expected) in cases {
            assert_eq!(html(markdown), expected, "{markdown}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_harmless(text in "[\\[\\]()`*# \n<>a-c1.:/-]{0,60}") {
            let html = html(&text);
            prop_assert!(!html.contains("<script") && !html.contains("<a>"));
        }
    }
}
