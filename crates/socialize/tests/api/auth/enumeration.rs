//! No sequence of requests without a session reveals the state of an address.
//!
//! Every sequence of up to three requests is sent for an address in each state, from a network without
//! history. Clients must see the same status, code, body and headers, and the server must do the same work:
//! password hashes and database operations.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use serde_json::json;
use test_support::TestApp;

use super::*;
use crate::world::without_rate_limits;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Never used.
    Unknown,
    /// Registered but not confirmed.
    Pending,
    Verified,
    /// Has an account with many failed log-ins.
    Locked,
    /// Has a pending invite but no account.
    Invited,
    /// Had an account that was erased.
    Erased,
}

const STATES: [State; 6] =
    [State::Unknown, State::Pending, State::Verified, State::Locked, State::Invited, State::Erased];

#[derive(Clone, Copy, Debug)]
enum Step {
    Register,
    /// With the password of the first step's registration.
    LogIn,
    ResendVerification,
    RequestReset,
    AcceptInvite,
}

const STEPS: [Step; 5] =
    [Step::Register, Step::LogIn, Step::ResendVerification, Step::RequestReset, Step::AcceptInvite];

/// The visible response to a request, and the work that it caused.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    headers: Vec<(String, String)>,
    body: Value,
    hashes: u64,
    operations: Vec<u64>,
}

/// Number of failed log-ins allowed to one account from one network: more than a sequence has.
const FAILURES_ALLOWED: usize = 4;

/// Password with which the attacker registers addresses.
const GUESS: &str = "a password of the prober";

/// Brings an address into a state. Rows are inserted directly, because there are thousands of addresses.
async fn bring_about(test: &TestApp, state: State, email: &str, password_hash: &str) {
    let now = test.app.clock.now();
    let statements: &[&'static str] = match state {
        State::Unknown => &[],
        State::Pending => &["insert into pending_registrations
                                 (id, email, display_name, password_hash, created_at, expires_at)
                             values (gen_random_uuid(), $1, 'Ada', $2, $3, $3 + interval '1 day')"],
        State::Verified | State::Locked => &["insert into users
                                 (id, email, display_name, password_hash, email_verified_at, created_at)
                             values (gen_random_uuid(), $1, 'Ada', $2, $3, $3)"],
        State::Invited => &["with inviter as (
                                 select $2::text as unused, created_by, w.id
                                 from organizations o join workspaces w on w.organization_id = o.id limit 1
                             )
                             insert into workspace_invites
                                 (id, workspace_id, email, role, status, invited_by, created_at, expires_at)
                             select gen_random_uuid(), id, $1, 'author', 'pending', created_by, $3,
                                 $3 + interval '1 day'
                             from inviter"],
        State::Erased => &["insert into users (id, email, display_name, password_hash, created_at)
                            select id, 'erased-' || id || '@erased.invalid', 'Erased', $2, $3
                            from (select gen_random_uuid() as id, $1::text as email) erased"],
    };
    for statement in statements {
        sqlx::query(*statement)
            .bind(email)
            .bind(password_hash)
            .bind(now)
            .execute(test.pool())
            .await
            .unwrap_or_else(|error| panic!("{state:?}: {error}"));
    }
    if state == State::Locked {
        let subject = test.app.tokens.code(&[b"log-ins to", email.as_bytes()]);
        sqlx::query(
            "insert into rate_limits (subject, events, forget_at)
             values ($1, array_fill($2::timestamptz, array[$3]), $2 + interval '15 minutes')",
        )
        .bind(&subject[..])
        .bind(now)
        .bind(3 * FAILURES_ALLOWED as i32)
        .execute(test.pool())
        .await
        .expect("a reached limit");
    }
}

async fn send(test: &TestApp, step: Step, email: &str, peer: SocketAddr) -> Answer {
    let (path, body) = match step {
        Step::Register => {
            ("auth/register", json!({"email": email, "display_name": "Ada", "password": GUESS}))
        }
        Step::LogIn => ("auth/login", json!({"email": email, "password": GUESS})),
        Step::ResendVerification => ("auth/resend-verification", json!({"email": email})),
        Step::RequestReset => ("auth/request-password-reset", json!({"email": email})),
        Step::AcceptInvite => ("invites/accept", json!({"token": "AAAA"})),
    };
    let mut request = test.request(None, Method::POST, &format!("/v1/{path}"), &body, &[]);
    request.extensions_mut().insert(ConnectInfo(peer));
    test.send(request).await
}

async fn look(test: &TestApp, step: Step, email: &str, peer: SocketAddr) -> Seen {
    let hashes = test.app.passwords.computed();
    test.log_lines();
    let answer = send(test, step, email, peer).await;
    let headers = answer.headers.iter().filter(|(name, _)| *name != "x-request-id");
    let lines = test.log_lines();
    let requests = lines.iter().filter(|line| line["event"] == "http.server.request");
    Seen {
        status: answer.status.as_u16(),
        headers: headers.map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect(),
        body: without_request_id(&answer),
        hashes: test.app.passwords.computed() - hashes,
        operations: requests.map(|line| line["db.operations"].as_u64().unwrap_or_default()).collect(),
    }
}

fn sequences() -> Vec<Vec<Step>> {
    let mut all: Vec<Vec<Step>> = Vec::new();
    let mut longest: Vec<Vec<Step>> = vec![Vec::new()];
    for _ in 0..3 {
        longest = longest
            .iter()
            .flat_map(|sequence| STEPS.iter().map(|step| [sequence.as_slice(), &[*step]].concat()))
            .collect();
        all.extend(longest.iter().cloned());
    }
    all
}

#[tokio::test]
async fn no_sequence_of_requests_tells_the_states_of_an_address_apart() {
    let test = TestApp::start_with_settings(|settings| {
        without_rate_limits(settings);
        settings.rate_limits.login_failures.count = FAILURES_ALLOWED.try_into().expect("not zero");
    })
    .await;
    let (organization, _) = test.organization().await;
    test.workspace(organization, 1).await;
    verified(&test, "owner@example.com").await;
    let password_hash: String =
        sqlx::query_scalar("select password_hash from users where email = 'owner@example.com'")
            .fetch_one(test.pool())
            .await
            .expect("a hash");
    let sequences = sequences();
    assert_eq!(sequences.len(), 5 + 25 + 125);
    let mut compared = 0;
    for (number, sequence) in sequences.iter().enumerate() {
        let mut unknown: Vec<Seen> = Vec::new();
        for state in STATES {
            let peer = SocketAddr::from(([10, state as u8, 0, number as u8], 40_000));
            let email = format!("{state:?}-{number}@example.com").to_lowercase();
            bring_about(&test, state, &email, &password_hash).await;
            let mut seen = Vec::new();
            for step in sequence {
                seen.push(look(&test, *step, &email, peer).await);
            }
            if state == State::Unknown {
                unknown = seen;
            } else {
                assert_eq!(seen, unknown, "{sequence:?} for an address that is {state:?}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, sequences.len() * (STATES.len() - 1));
}

/// The same after enough failures to block log-ins from unknown networks.
#[tokio::test]
async fn an_account_under_attack_looks_like_any_other_address() {
    let test = TestApp::start().await;
    verified(&test, "attacked@example.com").await;
    super::login_limits::attack(&test, "attacked@example.com").await;
    let mut all = Vec::new();
    for email in ["attacked@example.com", "unknown@example.com"] {
        let mut seen = Vec::new();
        for (number, step) in
            [Step::LogIn, Step::Register, Step::LogIn, Step::RequestReset, Step::LogIn].iter().enumerate()
        {
            seen.push(look(&test, *step, email, SocketAddr::from(([203, 0, 113, number as u8], 1))).await);
        }
        all.push(seen);
    }
    assert_eq!(all[0], all[1]);
}
