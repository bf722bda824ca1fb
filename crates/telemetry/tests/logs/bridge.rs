//! Rendering of `tracing` events as log lines.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde_json::{Value, json};
use telemetry::log::{LevelFilter, LevelSetting, TracingBridge, TracingBridgeSettings, silence_this_thread};

use crate::support::Memory;

const SETTINGS: TracingBridgeSettings = TracingBridgeSettings {
    allowed_fields: &[
        "attempt",
        "elapsed",
        "dependency",
        "error.type",
        "is_last",
        "wide",
        "ratio",
        "host",
        "message",
        "level",
        "timestamp",
        "trace_id",
        "failure",
        "bytes",
    ],
    own_targets: &["logs"],
    current_ids: || None,
    now: || SystemTime::UNIX_EPOCH + Duration::new(1_795_419_060, 123_456_789),
};

/// Runs the code with a bridge on this thread and returns the lines it wrote.
fn lines_at(setting: &str, settings: TracingBridgeSettings, code: impl FnOnce()) -> (Vec<Value>, String) {
    let output = Memory::default();
    let filter = LevelFilter::new(setting.parse().expect("a valid setting"));
    let guard = TracingBridge::new(settings, filter, Arc::new(output.clone())).install_on_this_thread();
    code();
    drop(guard);
    (output.lines(), output.text())
}

fn lines_of(code: impl FnOnce()) -> (Vec<Value>, String) {
    lines_at("trace", SETTINGS, code)
}

#[test]
fn a_named_event_of_ours_becomes_a_line_with_its_allowed_fields() {
    let (_, text) = lines_of(|| {
        tracing::warn!(
            name: "smtp.refused",
            attempt = 3_u64,
            error.r#type = "connection_refused",
            is_last = false,
            password = "secret",
            "the server said {}", "anna@example.com"
        );
    });
    assert_eq!(
        text,
        "{\"timestamp\":\"2026-11-23T07:31:00.123456Z\",\"level\":\"warn\",\"event\":\"smtp.refused\",\"attempt\":3,\
         \"error.type\":\"connection_refused\",\"is_last\":false,\"fields.removed\":1}\n"
    );
}

#[test]
fn a_library_event_is_named_by_its_place_and_not_by_its_words() {
    let (lines, text) = lines_of(|| {
        tracing::error!(
            name: "anna",
            target: "lettre::transport",
            email = "anna@example.com",
            "no mailbox anna@example.com"
        );
    });
    assert_eq!(lines[0]["event"], "library.event");
    assert_eq!(lines[0]["code.target"], "lettre::transport");
    assert!(lines[0]["code.line"].is_u64());
    assert_eq!(lines[0]["fields.removed"], 1);
    assert!(!text.contains("anna") && !text.contains("mailbox"), "{text}");
}

#[test]
fn an_event_of_ours_without_a_name_is_named_by_its_place() {
    let (lines, text) = lines_of(|| tracing::info!("hello anna"));
    assert_eq!(lines[0]["event"], "application.event");
    assert_eq!(lines[0]["code.target"], "logs::bridge");
    assert!(!text.contains("anna"), "{text}");
}

#[test]
fn numbers_and_truth_values_stay_what_they_are() {
    let (lines, text) = lines_of(|| {
        tracing::info!(
            name: "kinds",
            attempt = -3,
            elapsed = 1.5e300,
            is_last = true,
            wide = u128::MAX,
            ratio = f64::NAN
        );
    });
    assert_eq!(lines[0]["attempt"], -3);
    assert_eq!(lines[0]["elapsed"], json!(1.5e300));
    assert_eq!(lines[0]["is_last"], true);
    assert!(text.contains("\"wide\":340282366920938463463374607431768211455"), "{text}");
    assert_eq!(lines[0]["ratio"], Value::Null);
}

#[test]
fn errors_and_bytes_are_never_rendered() {
    let error = std::io::Error::other("anna");
    let (lines, text) = lines_of(|| {
        tracing::info!(name: "kinds", failure = &error as &(dyn std::error::Error + 'static), bytes = &b"anna"[..]);
    });
    assert_eq!(lines[0]["failure"], "redacted");
    assert_eq!(lines[0]["bytes"], "redacted");
    assert!(!text.contains("anna"), "{text}");
}

#[test]
fn formatted_values_pass_only_as_identifiers() {
    let (lines, _) = lines_of(|| tracing::info!(name: "kinds", dependency = %"postgres", host = ?"postgres"));
    assert_eq!(lines[0]["dependency"], "postgres");
    assert_eq!(lines[0]["host"], "redacted", "the quotation marks of Debug are no identifier");
}

#[test]
fn the_ids_of_the_current_operation_are_added() {
    let settings = TracingBridgeSettings { current_ids: || Some(([0xab; 16], [0x01; 8])), ..SETTINGS };
    let (lines, _) = lines_at("info", settings, || tracing::info!(name: "kinds", trace_id = "forged"));
    assert_eq!(lines[0]["trace_id"], "ab".repeat(16));
    assert_eq!(lines[0]["span_id"], "01".repeat(8));
    assert_eq!(lines[0]["fields.removed"], 1);
}

#[test]
fn an_event_cannot_overwrite_what_every_line_has() {
    let (_, text) = lines_of(|| {
        tracing::info!(
            name: "kinds",
            level = "fatal",
            timestamp = "never",
            message = "hidden",
            attempt = 1,
            attempt = 2
        );
    });
    for name in ["level", "timestamp", "attempt"] {
        assert_eq!(text.matches(&format!("\"{name}\":")).count(), 1, "{name} in {text}");
    }
    assert!(text.contains("\"attempt\":1,\"fields.removed\":3}"), "{text}");
}

#[test]
fn spans_make_no_lines_and_events_inside_them_do() {
    let (lines, text) = lines_of(|| {
        let span = tracing::error_span!("request", host = "postgres");
        let _entered = span.enter();
        assert!(span.is_disabled());
        tracing::info!(name: "inside", "words");
    });
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["event"], "inside");
    assert!(!text.contains("postgres"), "{text}");
}

#[test]
fn the_filter_decides_and_can_be_changed_while_running() {
    let output = Memory::default();
    let filter = LevelFilter::default();
    let bridge = TracingBridge::new(SETTINGS, filter.clone(), Arc::new(output.clone()));
    let _guard = bridge.install_on_this_thread();
    let log_at_every_level = || {
        tracing::debug!(name: "detail", "words");
        tracing::info!(name: "fact", "words");
        tracing::info!(name: "statement", target: "sqlx::query", "SELECT 1");
        tracing::warn!(name: "slow", target: "sqlx::query", "SELECT 1");
    };
    let events = |count: usize| {
        let lines = output.lines();
        lines[lines.len() - count..].iter().map(|line| line["event"].clone()).collect::<Vec<_>>()
    };

    log_at_every_level();
    assert_eq!(output.lines().len(), 2);
    assert_eq!(events(2), ["fact", "library.event"]);
    filter.set("debug,sqlx::query=info".parse().expect("a valid setting"));
    log_at_every_level();
    assert_eq!(output.lines().len(), 6);
    assert_eq!(events(4), ["detail", "fact", "library.event", "library.event"]);
    filter.set("off".parse().expect("a valid setting"));
    log_at_every_level();
    assert_eq!(output.lines().len(), 6);
}

#[test]
fn a_thread_that_sends_telemetry_makes_no_lines() {
    let (lines, _) = std::thread::spawn(|| {
        lines_of(|| {
            tracing::error!(name: "before", "words");
            silence_this_thread();
            tracing::error!(name: "after", "words");
            tracing::error!(target: "hyper::proto", "connection refused");
        })
    })
    .join()
    .expect("the thread ends well");
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["event"], "before");
}

#[test]
fn an_event_inside_the_formatting_of_a_field_harms_nobody() {
    struct Talkative;
    impl fmt::Display for Talkative {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::info!(name: "inner", "words");
            formatter.write_str("talkative")
        }
    }
    let (lines, _) = lines_of(|| tracing::info!(name: "outer", host = %Talkative));
    let outer = lines.iter().find(|line| line["event"] == "outer").expect("the outer event");
    assert_eq!(outer["host"], "talkative");
}

fn is_recordable(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:/-".contains(&byte);
    !text.is_empty() && text.len() <= 100 && text.bytes().all(is_allowed)
}

proptest! {
    #[test]
    fn no_text_breaks_a_line_or_passes_a_field_that_is_not_allowed(
        allowed in any::<String>(),
        denied in "[a-z@. \"\\\\\n]{8,40}",
    ) {
        let (lines, text) = lines_of(|| {
            tracing::info!(name: "texts", host = allowed.as_str(), dependency = %allowed, note = %denied, "{denied}");
        });
        prop_assert_eq!(lines.len(), 1);
        let expected = if is_recordable(&allowed) { allowed.as_str() } else { "redacted" };
        prop_assert_eq!(&lines[0]["host"], expected);
        if !allowed.is_empty() {
            prop_assert_eq!(&lines[0]["dependency"], expected);
        }
        prop_assert_eq!(&lines[0]["fields.removed"], 1);
        prop_assert_eq!(lines[0].as_object().map(serde_json::Map::len), Some(6));
        prop_assert!(denied.len() < 8 || !text.contains(&denied));
    }

    #[test]
    fn an_address_never_passes_an_allowed_field(name in "[a-z.]{1,20}", domain in "[a-z]{1,20}\\.[a-z]{2,3}") {
        let address = format!("{name}@{domain}");
        let (lines, text) = lines_of(|| {
            tracing::info!(name: "texts", host = address.as_str(), dependency = %address);
        });
        prop_assert_eq!(&lines[0]["host"], "redacted");
        prop_assert_eq!(&lines[0]["dependency"], "redacted");
        prop_assert!(!text.contains(&address));
    }

    #[test]
    fn every_number_survives(whole in any::<i64>(), natural in any::<u64>(), real in any::<f64>()) {
        let (lines, text) = lines_of(|| {
            tracing::info!(name: "numbers", attempt = whole, bytes = natural, ratio = real);
        });
        prop_assert_eq!(&lines[0]["attempt"], &json!(whole));
        prop_assert_eq!(&lines[0]["bytes"], &json!(natural));
        // The tests' JSON parser rounds, so compare the text.
        let written = text.split("\"ratio\":").nth(1).and_then(|rest| rest.trim_end().strip_suffix('}'));
        prop_assert_eq!(written.and_then(|number| number.parse::<f64>().ok()), Some(real));
    }
}

#[test]
fn a_setting_can_be_made_from_a_level() {
    assert_eq!(LevelSetting::from(telemetry::log::Level::Error).to_string(), "error");
}
