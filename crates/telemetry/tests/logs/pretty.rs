//! Rendering of lines for a terminal.

use proptest::prelude::*;
use telemetry::log::PrettyPrinter;

fn pretty(color: bool, lines: &str) -> String {
    let mut out = Vec::new();
    PrettyPrinter::new(color).render(lines.as_bytes(), &mut out);
    String::from_utf8(out).expect("readable text is UTF-8")
}

const REQUEST: &str = concat!(
    r#"{"timestamp":"2026-11-23T07:31:00.123456Z","level":"info","event":"http.server.request","trace_id":"4bf9","#,
    r#""http.route":"/v1/content-items/{id}","http.response.status_code":503,"duration_ms":12.345678,"#,
    r#""error.type":"timeout"}"#,
    "\n"
);

#[test]
fn a_request_is_one_aligned_line() {
    let job = "{\"timestamp\":\"2026-11-23T07:31:00.2Z\",\"level\":\"error\",\"event\":\"job.run\",\"attempt\":2}\n";
    assert_eq!(
        pretty(false, &format!("{REQUEST}{job}")),
        concat!(
            "07:31:00.123 INFO  http.server.request             12.3 ms 503  trace_id=4bf9 \
             http.route=/v1/content-items/{id} error.type=timeout\n",
            "07:31:00.2Z  ERROR job.run                                      attempt=2\n",
        )
    );
}

#[test]
fn durations_are_readable_at_every_size() {
    for (milliseconds, expected) in [
        ("0.0123", "12 µs"),
        ("0.9", "900 µs"),
        ("1.25", "1.2 ms"),
        ("999.0", "999.0 ms"),
        ("61234", "61.23 s"),
    ] {
        let line = format!("{{\"level\":\"info\",\"event\":\"e\",\"duration_ms\":{milliseconds}}}\n");
        assert!(pretty(false, &line).contains(expected), "{milliseconds}: {}", pretty(false, &line));
    }
}

#[test]
fn colour_is_there_when_wanted_and_only_then() {
    assert!(pretty(true, REQUEST).contains("\u{1b}[32mINFO \u{1b}[0m"), "{}", pretty(true, REQUEST));
    assert!(pretty(true, REQUEST).contains("\u{1b}[31m503 \u{1b}[0m"), "{}", pretty(true, REQUEST));
    assert!(!pretty(false, REQUEST).contains('\u{1b}'));
}

#[test]
fn what_is_no_json_is_shown_without_steering_the_terminal() {
    assert_eq!(pretty(false, "plain \u{1b}[2J text\n"), "plain \\u{1b}[2J text\n");
    assert_eq!(
        pretty(false, "{\"level\":\"info\",\"event\":\"e\",\"host\":\"a\\u001b[2Jb\"}\n")
            .trim_end()
            .rsplit(' ')
            .next(),
        Some("host=a\\u{1b}[2Jb")
    );
}

proptest! {
    #[test]
    fn every_line_stays_one_line_without_control_characters(
        lines in prop::collection::vec(any::<Vec<u8>>(), 0..4),
        name in any::<String>(),
        value in any::<String>(),
    ) {
        let mut input = Vec::new();
        for line in &lines {
            input.extend(line.iter().filter(|byte| **byte != b'\n'));
            input.push(b'\n');
        }
        let (name, value) = (serde_json::json!(name), serde_json::json!(value));
        let line = format!("{{\"level\":{value},\"event\":{value},\"timestamp\":{value},{name}:{value}}}\n");
        input.extend_from_slice(line.as_bytes());
        let expected = input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        let mut out = Vec::new();
        PrettyPrinter::new(false).render(&input, &mut out);
        let text = String::from_utf8(out).expect("readable text is UTF-8");
        prop_assert_eq!(text.matches('\n').count(), expected);
        prop_assert!(!text.chars().any(|character| character.is_control() && character != '\n'));
    }
}
