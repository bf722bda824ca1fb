//! The pages about alerts through their router.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use console::access::{Access, OwnHosts, Token};
use console::pages::router;
use console::rules::{Database, RuleSample};
use console::state::{Console, Facts, SharedConsole, write};
use console::store::metrics::Labels;
use monitoring::query::{Expression, Scale};
use monitoring::rules::groups;
use tower::ServiceExt;

const NOW: i64 = 1_796_047_509_000;
const HOUR: i64 = 3_600_000;
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Conditions that hold, by their text.
struct Holding(BTreeMap<String, Vec<(Labels, f64)>>);

impl Database for Holding {
    fn evaluate(&self, expression: &Expression, _: i64) -> Result<Vec<(Labels, f64)>, String> {
        Ok(self.0.get(&expression.to_string()).cloned().unwrap_or_default())
    }

    fn append(&mut self, _: &str, _: i64, _: Vec<RuleSample>) {}
}

fn condition(name: &str) -> String {
    let all = groups(Scale::REAL);
    let mut alerts = all.iter().flat_map(|group| &group.alerts);
    alerts.find(|alert| alert.name == name).expect("an alert").condition.to_string()
}

fn console() -> SharedConsole {
    let access = Access {
        hosts: OwnHosts::new("127.0.0.1:3001".parse().expect("address"), &[]),
        token: Token::configured(TOKEN).digest(),
        cookie: "socialize_console_3001".to_owned(),
    };
    Arc::new(Console::new(access, Facts::default(), Arc::new(|| NOW)))
}

async fn open(console: &SharedConsole, path: &str) -> (StatusCode, String) {
    let request = Request::get(path)
        .header(header::HOST, "localhost:3001")
        .header(header::COOKIE, format!("socialize_console_3001={TOKEN}"));
    let request = request.body(Body::empty()).expect("request");
    let response = router(SharedConsole::clone(console)).oneshot(request).await.expect("response");
    let status = response.status();
    let body = to_bytes(response.into_body(), 8 << 20).await.expect("body");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

/// Evaluations of the last three hours: one alert fires, and one fired until an hour ago.
fn with_alerts(console: &SharedConsole) {
    let dependency = Labels::new([("dependency".into(), "postgres <b>".into())]);
    let missing = (condition("TelemetryMissing"), vec![(Labels::default(), 1.0)]);
    let unreachable = (condition("DependencyUnreachable"), vec![(dependency, 0.0)]);
    let mut rules = write(console.rules());
    for (at, holds) in [
        (NOW - 3 * HOUR, vec![&missing, &unreachable]),
        (NOW - 2 * HOUR, vec![&missing, &unreachable]),
        (NOW - HOUR, vec![&missing]),
        (NOW, vec![&missing]),
    ] {
        rules.evaluate_all(at, &mut Holding(holds.into_iter().cloned().collect()));
    }
}

#[tokio::test]
async fn what_fires_comes_first() {
    let console = console();
    let (status, quiet) = open(&console, "/alerts").await;
    assert_eq!(status, StatusCode::OK);
    assert!(quiet.contains("No alert fires.") && quiet.contains("Nobody is notified."), "{quiet}");
    assert!(quiet.contains("Not watched by the console"));
    with_alerts(&console);
    let (_, page) = open(&console, "/alerts").await;
    assert!(page.contains("One alert fires."), "{page}");
    let first = page.find("Firing and pending").expect("the list");
    let fires = page.find("No API process reports metrics.").expect("the text");
    let groups = page.find("Can the operator trust what he sees?").expect("a group");
    assert!(first < fires && fires < groups);
    assert!(page.contains("fired 2 h ago") || page.contains("fired 120 min ago"), "{page}");
    for alert in monitoring::rules::groups(Scale::REAL).iter().flat_map(|group| &group.alerts) {
        assert!(page.contains(&format!("href=\"/alerts/{}\"", alert.name)), "{}", alert.name);
    }
}

#[tokio::test]
async fn every_alert_has_a_page() {
    let console = console();
    with_alerts(&console);
    for alert in groups(Scale::REAL).iter().flat_map(|group| &group.alerts) {
        let (status, page) = open(&console, &format!("/alerts/{}", alert.name)).await;
        assert_eq!(status, StatusCode::OK, "{}", alert.name);
        for part in ["Impact", "Meaning", "Confirm", "Escalate", "Condition", "Last 30 days"] {
            assert!(page.contains(part), "{}: {part}", alert.name);
        }
    }
}

#[tokio::test]
async fn a_page_shows_state_history_and_links() {
    let console = console();
    with_alerts(&console);
    let (_, page) = open(&console, "/alerts/DependencyUnreachable").await;
    assert!(page.contains("It does not fire."), "{page}");
    assert!(
        page.contains("fired once, for 60 min") && page.contains("<rect class=\"phase-firing\""),
        "{page}"
    );
    assert!(page.contains("dependency postgres &#60;b&#62;"), "values of labels are escaped: {page}");
    assert!(!page.contains("postgres <b>"));
    assert!(page.contains("href=\"/logs?") || page.contains("href=\"/dashboards/"), "{page}");
    let (_, page) = open(&console, "/alerts/TelemetryMissing").await;
    assert!(page.contains("It fires.") && page.contains("for 3 h"), "{page}");
    let (_, page) = open(&console, "/alerts/CollectorDown").await;
    assert!(page.contains("The console does not watch this alert."), "{page}");
}

#[tokio::test]
async fn links_lead_to_pages() {
    let console = console();
    let mut followed = 0;
    for alert in groups(Scale::REAL).iter().flat_map(|group| &group.alerts) {
        let (_, page) = open(&console, &format!("/alerts/{}", alert.name)).await;
        for address in page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            if ["/logs?", "/traces?", "/affected?", "/dashboards/"]
                .iter()
                .any(|path| address.starts_with(path))
            {
                let (status, problem) =
                    open(&console, &address.replace("&#38;", "&").replace("&amp;", "&")).await;
                assert_eq!(status, StatusCode::OK, "{}: {address}: {problem}", alert.name);
                followed += 1;
            }
        }
    }
    assert!(followed > 20, "{followed}");
}

#[tokio::test]
async fn unknown_alerts_are_not_found() {
    let (status, page) = open(&console(), "/alerts/Nothing").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(page.contains("There is no alert Nothing."));
}
