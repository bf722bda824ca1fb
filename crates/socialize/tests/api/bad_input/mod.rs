//! Malformed requests: the response to each, and that it changes and records nothing.
//!
//! To add one, add a line to `table.rs`.

mod case;
mod every_route;
mod evidence;
// Rows are easier to compare with one line each.
#[rustfmt::skip]
mod table;

use test_support::TestApp;

use crate::world::World;
use case::Expected;
use evidence::Evidence;

#[tokio::test]
async fn bad_input_is_refused_and_leaves_no_trace() {
    let test = TestApp::start().await;
    let world = World::new(&test, "draft").await;
    table::prepare(&world).await;
    let cases = table::refused();
    assert!(cases.len() >= 60, "only {} cases", cases.len());
    let canaries = cases.iter().filter(|case| case.has_canary()).count();
    assert!(canaries >= 60, "only {canaries} cases would show that text is recorded");
    let mut mistakes = Vec::new();
    for case in &cases {
        let Expected::Refused { status, code, mentions } = case.expected else {
            panic!("{} expects no refusal", case.shown())
        };
        let request = case.request(&world).await;
        let evidence = Evidence::before_a_request(&test).await;
        let answer = test.send(request).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        if answer.status.as_u16() != status || answer.body["code"] != code || !message.contains(mentions) {
            let answer = format!("{} {}", answer.status, answer.body);
            mistakes.push(format!("{}: {answer} and not {status} {code} …{mentions}…", case.shown()));
        }
        let traces = evidence.traces(&answer).await;
        mistakes.extend(traces.into_iter().map(|trace| format!("{}: {trace}", case.shown())));
    }
    assert!(mistakes.is_empty(), "{} mistakes:\n{}", mistakes.len(), mistakes.join("\n"));
}

/// Input that looks unusual but is valid.
#[tokio::test]
async fn unusual_input_is_accepted() {
    let test = TestApp::start().await;
    let world = World::new(&test, "draft").await;
    table::prepare(&world).await;
    let mut mistakes = Vec::new();
    for case in table::accepted() {
        let Expected::Accepted { status, field, value } = case.expected else {
            panic!("{} expects no success", case.shown())
        };
        let answer = test.send(case.request(&world).await).await;
        if answer.status.as_u16() != status || (!field.is_empty() && answer.body[field] != value) {
            mistakes.push(format!("{}: {} {}", case.shown(), answer.status, answer.body));
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}
