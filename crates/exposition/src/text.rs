//! Lines of the Prometheus text format.

/// One line with a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name with its suffix, such as `_bucket`.
    pub name: String,
    /// Labels in the order of the line.
    pub labels: Vec<(String, String)>,
    /// Value, which may be infinite or not a number.
    pub value: f64,
}

/// One metric in the text format.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapedFamily {
    /// Name without suffixes.
    pub name: String,
    /// Unescaped help text.
    pub help: String,
    /// Type, such as `counter`.
    pub kind: String,
    /// Lines in the order of the text.
    pub samples: Vec<Sample>,
}

/// Parses the text format as strictly as its description allows:
/// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details>.
///
/// # Panics
/// If the text breaks a rule of the format.
pub fn parse(text: &str) -> Vec<ScrapedFamily> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line must end with a line feed");
    let mut families: Vec<ScrapedFamily> = Vec::new();
    for line in text.split_terminator('\n') {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(is_name(name, true), "{line}");
            assert!(families.iter().all(|family| family.name != name), "{name} occurs twice");
            let (name, help) = (name.to_owned(), unescape(help, false));
            families.push(ScrapedFamily { name, help, kind: String::new(), samples: Vec::new() });
            continue;
        }
        // A comment, which is ignored.
        if line.starts_with('#') && !line.starts_with("# TYPE ") {
            continue;
        }
        let family = families.last_mut().unwrap_or_else(|| panic!("no metric was announced: {line}"));
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(name == family.name && family.kind.is_empty() && family.samples.is_empty(), "{line}");
            assert!(["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind), "{line}");
            kind.clone_into(&mut family.kind);
            continue;
        }
        let sample = parse_sample(line);
        let suffix = sample
            .name
            .strip_prefix(&family.name)
            .unwrap_or_else(|| panic!("not of {}: {line}", family.name));
        let suffixes: &[&str] =
            if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(suffixes.contains(&suffix), "{line}");
        family.samples.push(sample);
    }
    families
}

fn parse_sample(line: &str) -> Sample {
    let name_end = line.find(['{', ' ']).expect("a name");
    let (name, mut rest) = line.split_at(name_end);
    assert!(is_name(name, true), "{line}");
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (key, quoted) = rest.split_once("=\"").expect("a label");
            assert!(is_name(key, false), "{line}");
            assert!(labels.iter().all(|(known, _)| known != key), "{key} occurs twice: {line}");
            let end = closing_quote(quoted);
            labels.push((key.to_owned(), unescape(&quoted[..end], true)));
            rest = &quoted[end + 1..];
            match rest.strip_prefix(',') {
                Some(next) => rest = next,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').expect("a closing brace");
    }
    let value = match rest.strip_prefix(' ').expect("a blank before the value") {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        number => {
            assert!(number.bytes().all(|b| b.is_ascii_digit() || b"+-.e".contains(&b)), "{line}");
            number.parse().expect("a number")
        }
    };
    Sample { name: name.to_owned(), labels, value }
}

fn is_name(name: &str, of_metric: bool) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || (of_metric && c == ':');
    !name.is_empty() && name.chars().all(allowed) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn closing_quote(text: &str) -> usize {
    let mut is_escaped = false;
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !is_escaped => return position,
            byte => is_escaped = byte == b'\\' && !is_escaped,
        }
    }
    panic!("no closing quote: {text}");
}

fn unescape(text: &str, is_label: bool) -> String {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '\\' => match characters.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if is_label => '"',
                other => panic!("\\{other:?} is no escape: {text}"),
            },
            '"' if is_label => panic!("a quote that is not escaped: {text}"),
            other => other,
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_format_forbids_is_refused() {
        let refused = [
            "# HELP a b",
            "a 1\n",
            "# HELP a b\n# TYPE a number\n",
            "# HELP a b\n# HELP a b\n",
            "# HELP a b\\q\n",
            "# HELP a b\n# TYPE a gauge\nb 1\n",
            "# HELP a b\n# TYPE a gauge\na{b=\"c\"d\"} 1\n",
            "# HELP a b\n# TYPE a gauge\na{b=\"c\",b=\"d\"} 1\n",
            "# HELP a b\n# TYPE a gauge\na{b-c=\"d\"} 1\n",
            "# HELP a b\n# TYPE a gauge\na inf\n",
            "# HELP a b\n# TYPE a gauge\na  1\n",
            "# HELP a b\n# TYPE a histogram\na 1\n",
        ];
        for text in refused {
            let parsed = std::panic::catch_unwind(|| parse(text));
            assert!(parsed.is_err(), "{text} was read as {parsed:?}");
        }
    }
}
