//! Parts of SVG as text.

use std::fmt::Write;

/// Text in which special characters of HTML are escaped.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
    out
}

/// JSON for a `script` element, escaped so that it cannot close the element.
pub(super) fn json_for_script(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()).replace('<', "\\u003c")
}

/// Appends a coordinate with one decimal, without trailing zeros.
pub(super) fn push_coordinate(out: &mut String, value: f64) {
    let tenths = (value * 10.0).round() as i64;
    if tenths < 0 {
        out.push('-');
    }
    // Writing into a string cannot fail.
    let _ = match tenths.abs() % 10 {
        0 => write!(out, "{}", tenths.abs() / 10),
        rest => write!(out, "{}.{rest}", tenths.abs() / 10),
    };
}

/// Appends a letter of a path and two coordinates.
pub(super) fn push_point(out: &mut String, letter: char, x: f64, y: f64) {
    out.push(letter);
    push_coordinate(out, x);
    out.push(' ');
    push_coordinate(out, y);
}

/// Appends a rectangle to a path.
pub(super) fn push_rectangle(out: &mut String, x: f64, y: f64, width: f64, height: f64) {
    push_point(out, 'M', x, y);
    out.push('h');
    push_coordinate(out, width);
    out.push('v');
    push_coordinate(out, height);
    out.push('h');
    push_coordinate(out, -width);
    out.push('z');
}

/// Returns a share of the width as text: `12.5%`.
pub(super) fn percent(share: f64) -> String {
    let mut text = String::new();
    push_coordinate(&mut text, share * 100.0);
    text.push('%');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_become_elements() {
        assert_eq!(escape("<a b=\"c\" d='&'>"), "&lt;a b=&quot;c&quot; d=&#39;&amp;&#39;&gt;");
        assert_eq!(json_for_script(&"</script>"), "\"\\u003c/script>\"");
    }

    #[test]
    fn coordinates_are_short() {
        let text = |value| {
            let mut text = String::new();
            push_coordinate(&mut text, value);
            text
        };
        assert_eq!([text(0.0), text(-0.04), text(12.34), text(-3.96)], ["0", "0", "12.3", "-4"]);
        assert_eq!(percent(0.125), "12.5%");
    }
}
