//! Texts of the runbook, which mark code with backticks.

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// True if it is code.
    pub(super) code: bool,
    pub(super) text: String,
}

/// Splits a text at its backticks. A link such as `[name](address)` becomes its name.
pub(super) fn parts(text: &str) -> Vec<Part> {
    let pieces = text.split('`').enumerate();
    let parts = pieces.map(|(position, piece)| {
        let code = position % 2 == 1;
        Part { code, text: if code { piece.to_owned() } else { without_addresses(piece) } }
    });
    parts.filter(|part| !part.text.is_empty()).collect()
}

fn without_addresses(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let (Some((head, name)), Some((_, tail))) = (before.rsplit_once('['), after.split_once(')')) else {
            break;
        };
        out.push_str(head);
        out.push_str(name);
        rest = tail;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_apart() {
        let shown = |text: &str| -> Vec<(bool, String)> {
            parts(text).into_iter().map(|part| (part.code, part.text)).collect()
        };
        let text = |text: &str| (false, text.to_owned());
        let code = |text: &str| (true, text.to_owned());
        assert_eq!(shown("Run `a b` now."), [text("Run "), code("a b"), text(" now.")]);
        assert_eq!(shown("`a`"), [code("a")]);
        assert_eq!(shown("See [the log](docs/a.md#b), [x"), [text("See the log, [x")]);
        assert_eq!(shown(""), []);
    }
}
