//! Wrapping of the prose in rendered documents.

/// Maximum number of characters in a line of prose.
const WIDTH: usize = 100;

/// Wraps the paragraphs and list items of Markdown. Tables, headings, links on lines of their own, comments and
/// code stay as they are. A code span is never broken, so that its command can be copied.
pub(crate) fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut paragraph = String::new();
    let mut is_code = false;
    for line in text.lines() {
        let is_fence = line.starts_with("```");
        let stays = is_code || is_fence || line.is_empty() || line.starts_with(['|', '#', '[', '<', ' ']);
        if stays || is_item(line) {
            push_wrapped(&mut out, &paragraph);
            paragraph.clear();
        }
        is_code ^= is_fence;
        if stays {
            out.push_str(line);
            out.push('\n');
        } else {
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line);
        }
    }
    push_wrapped(&mut out, &paragraph);
    out
}

/// Returns whether a line begins an item of a list.
fn is_item(line: &str) -> bool {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    line.starts_with("- ") || (digits > 0 && line[digits..].starts_with(". "))
}

fn push_wrapped(out: &mut String, paragraph: &str) {
    if paragraph.is_empty() {
        return;
    }
    let marker = if is_item(paragraph) { paragraph.find(' ').map_or(0, |at| at + 1) } else { 0 };
    let mut width = 0;
    for word in words(paragraph) {
        let length = word.chars().count();
        if width > marker && width + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(marker));
            width = marker;
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    out.push('\n');
}

/// Splits a text at spaces outside of code spans.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.split(move |c: char| {
        is_code ^= c == '`';
        c == ' ' && !is_code
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prose_is_wrapped() {
        let long = "word ".repeat(30);
        let (long, first, second) = (long.trim_end(), "word ".repeat(20), "word ".repeat(10));
        let (first, second) = (first.trim_end(), second.trim_end());
        for (text, expected) in [
            (String::new(), String::new()),
            ("one\ntwo\n\nthree\n".to_owned(), "one two\n\nthree\n".to_owned()),
            (long.to_owned(), format!("{first}\n{second}\n")),
            (format!("1. a\n2. {long}"), {
                let first = &first["word ".len()..];
                format!("1. a\n2. {first}\n   word {second}\n")
            }),
            (format!("| {long} |\n```sh\n{long}\n```"), format!("| {long} |\n```sh\n{long}\n```\n")),
            (format!("run `{long}`"), format!("run\n`{long}`\n")),
        ] {
            assert_eq!(wrapped(&text), expected);
        }
    }
}
