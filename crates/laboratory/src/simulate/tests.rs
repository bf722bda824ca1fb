//! Teams against a fake API, which has no database but responds like the real one.

use std::collections::HashMap;
use std::time::Duration;

use chrono::DateTime;
use http::{Method, StatusCode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use socialize::platform::secret::Secret;
use uuid::Uuid;

use super::action::{Action, Judgement};
use super::client::{Answer, Request};
use super::intent::Intent;
use super::mailbox::Link;
use super::people::Time;
use super::requests::request_of;
use super::team::{GONE_ENDPOINT, Team};

/// More actions than any team needs.
const MANY: usize = 5_000;

/// A fake API that remembers what was created, so that it can reject like the real one.
#[derive(Default)]
struct PretendApi {
    created: u128,
    items: HashMap<String, PretendItem>,
    /// Undelivered letters: recipient and link.
    letters: Vec<(String, Link)>,
    /// The workspace of each invite, by token.
    invites: HashMap<String, String>,
    /// The endpoint URL of each workspace.
    endpoints: HashMap<String, String>,
}

struct PretendItem {
    status: &'static str,
    revision: i64,
    version: i64,
}

impl PretendApi {
    fn answer(&mut self, request: &Request) -> Answer {
        let body = request.body.clone().unwrap_or_default();
        let segments: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        match (&request.method, &segments[1..]) {
            (_, ["auth", "register"]) => {
                self.write(&body["email"], Link::VerifyEmail(Secret::new("v")));
                ok(202, json!({}))
            }
            (_, ["auth", "request-password-reset"]) => {
                self.write(&body["email"], Link::ResetPassword(Secret::new("r")));
                ok(202, json!({}))
            }
            (_, ["auth", "login" | "refresh"]) => {
                ok(200, json!({"access_token": "a", "refresh_token": "r", "expires_in": 900}))
            }
            (_, ["auth", _]) => ok(204, Value::Null),
            (&Method::GET, [.., "content-items" | "comments" | "organizations"]) => {
                ok(200, json!({"items": []}))
            }
            (
                _,
                ["organizations"]
                | ["organizations", _, "workspaces"]
                | ["feedback-reports"]
                | [.., "comments"],
            ) => ok(201, json!({"id": self.new_id()})),
            (_, ["feedback-reports", _, "screenshot"]) => ok(200, json!({})),
            (&Method::GET, [.., "attachments", _]) => ok(200, Value::Null),
            (_, ["workspaces", workspace, "invites"]) => {
                let token = format!("i{}", self.invites.len());
                self.invites.insert(token.clone(), (*workspace).to_owned());
                self.write(&body["email"], Link::AcceptInvite(Secret::new(token)));
                ok(201, json!({"id": self.new_id()}))
            }
            (_, ["invites", "accept"]) => {
                let workspace = body["token"].as_str().and_then(|token| self.invites.get(token));
                ok(201, json!({"workspace_id": workspace}))
            }
            (&Method::PUT, ["workspaces", workspace, "publishing-endpoint"]) => {
                let url = body["url"].as_str().expect("a URL").to_owned();
                self.endpoints.insert((*workspace).to_owned(), url);
                ok(200, json!({"secret": null}))
            }
            (_, ["workspaces", _, "content-items"]) => {
                let id = self.new_id().to_string();
                self.items.insert(id.clone(), PretendItem { status: "draft", revision: 1, version: 1 });
                self.item(&id)
            }
            (method, ["workspaces", workspace, "content-items", id, rest @ ..]) => {
                self.publish(workspace, id);
                let is_edit = method == Method::PATCH
                    || rest.first().is_some_and(|first| first.starts_with("attachments"));
                self.change(id, is_edit, rest, request, &body)
            }
            _ => panic!("the pretended API knows no {} {}", request.method, request.path),
        }
    }

    /// Publishes a scheduled item, or fails if the endpoint is gone.
    fn publish(&mut self, workspace: &str, id: &str) {
        let item = self.items.get_mut(id).expect("people know what they created");
        if item.status == "scheduled" {
            let is_gone = self.endpoints[workspace].ends_with(GONE_ENDPOINT);
            item.status = if is_gone { "publish_failed" } else { "published" };
        }
    }

    fn change(&mut self, id: &str, is_edit: bool, rest: &[&str], request: &Request, body: &Value) -> Answer {
        let item = self.items.get_mut(id).expect("people know what they created");
        if is_edit && request.if_match.as_deref() != Some(&format!("\"{}\"", item.version)) {
            return ok(412, json!({"code": "version_mismatch"}));
        }
        let next = match (rest, item.status) {
            (_, _) if is_edit => "draft",
            ([], status) => status,
            (["submit"], "draft") => "in_approval",
            (["decisions"], "in_approval") => match body["decision"].as_str() {
                Some("approve") => "approved",
                Some("request_changes") => "changes_requested",
                _ => "rejected",
            },
            (["schedule"], "approved") | (["publish"], "approved" | "publish_failed") => "scheduled",
            (["mark-published"], "approved") => "published",
            (["archive"], "approved") => "archived",
            _ => return ok(409, json!({"code": "transition_refused"})),
        };
        if is_edit || next != item.status {
            item.version += 1;
        }
        item.revision += i64::from(is_edit);
        item.status = next;
        let etag = format!("\"{}\"", item.version);
        match rest {
            ["decisions"] => ok(201, json!({"content_item_status": next})),
            [_] if is_edit => Answer { etag: Some(etag), ..ok(201, json!({"id": self.new_id()})) },
            _ => self.item(id),
        }
    }

    fn item(&self, id: &str) -> Answer {
        let PretendItem { status, revision, version } = &self.items[id];
        let body = json!({"id": id, "status": status, "revision": revision});
        Answer { etag: Some(format!("\"{version}\"")), ..ok(200, body) }
    }

    fn write(&mut self, recipient: &Value, link: Link) {
        self.letters.push((recipient.as_str().unwrap_or_default().to_owned(), link));
    }

    fn new_id(&mut self) -> Uuid {
        self.created += 1;
        Uuid::from_u128(self.created)
    }
}

fn ok(status: u16, body: Value) -> Answer {
    let status = StatusCode::from_u16(status).expect("a status");
    Answer { status, etag: None, retry_after: None, body }
}

/// Creates a team. Every other team has a publishing endpoint.
fn team(seed: u64) -> Team {
    let publishes_to = seed.is_multiple_of(2).then(|| "http://receiver.example".to_owned());
    Team::new(&mut StdRng::seed_from_u64(seed), "test", publishes_to, DateTime::UNIX_EPOCH, Time::ZERO)
}

/// Lets the team work until it is done, and returns its actions.
fn work(team: &mut Team, api: &mut PretendApi) -> Vec<(usize, Action)> {
    let mut order = StdRng::seed_from_u64(1);
    let mut done = Vec::new();
    let mut now = Time::ZERO;
    while !team.is_done(now) {
        assert!(done.len() < MANY, "the team never finishes");
        now += Duration::from_millis(10);
        let person = order.random_range(0..team.people.len());
        let Some(intent) = team.choose(person, now) else { continue };
        done.push((person, intent.action()));
        act(team, api, person, &intent, now);
    }
    done
}

fn act(team: &mut Team, api: &mut PretendApi, person: usize, intent: &Intent, now: Time) -> Judgement {
    let request = request_of(intent, team, person).expect("people only intend what they can do");
    let answer = match intent {
        Intent::MistypePassword => ok(401, json!({"code": "invalid_credentials"})),
        _ => api.answer(&request),
    };
    let answered = Ok(answer);
    let judgement = intent.action().judge(&answered);
    let judgement = team.learn(now, person, intent, judgement, answered.as_ref().ok());
    assert_ne!(judgement, Judgement::Unexpected, "{:?}: {answered:?}", intent.action());
    for (recipient, link) in std::mem::take(&mut api.letters) {
        let person = team.people.iter_mut().find(|person| person.email == recipient);
        person.expect("people write to each other").receive(link);
    }
    judgement
}

#[test]
fn every_team_gets_its_work_done() {
    for seed in 0..30 {
        let mut api = PretendApi::default();
        let mut team = team(seed);
        let done = work(&mut team, &mut api);
        let count = |action: Action| done.iter().filter(|(_, other)| *other == action).count();
        let people = team.people.len();
        let workspaces = team.workspaces.len();
        assert_eq!(count(Action::Register), people);
        assert_eq!(count(Action::VerifyEmail), people);
        assert_eq!(count(Action::CreateOrganization), 1);
        assert_eq!(count(Action::InviteColleague), workspaces * (people - 1));
        assert_eq!(count(Action::AcceptInvite), workspaces * (people - 1));
        assert!(count(Action::DraftContentItem) >= workspaces * 6);
        let (scheduled, marked) =
            (count(Action::ScheduleContentItem), count(Action::MarkContentItemPublished));
        let has_endpoints = team.publishes_to.is_some();
        assert_eq!((scheduled > 0, marked > 0), (has_endpoints, !has_endpoints));
        assert_eq!(api.endpoints.len(), if has_endpoints { workspaces } else { 0 });
        let is_done = |item: &&PretendItem| matches!(item.status, "scheduled" | "published" | "archived");
        assert_eq!(api.items.values().filter(is_done).count(), api.items.len(), "seed {seed}");
    }
}

#[test]
fn every_action_happens_sooner_or_later() {
    let mut done: Vec<Action> = (0..30)
        .flat_map(|seed| work(&mut team(seed), &mut PretendApi::default()))
        .map(|(_, action)| action)
        .collect();
    done.sort_unstable();
    done.dedup();
    // Strangers make the first two. A session is renewed only after a quarter of an hour.
    let others = [Action::CallWithoutToken, Action::CallUnknownPath, Action::RefreshSession];
    let missing: Vec<&Action> = <Action as telemetry::ClosedSet>::ALL
        .iter()
        .filter(|action| !done.contains(action) && !others.contains(action))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_seed_decides_what_people_do() {
    let run = |seed| work(&mut team(seed), &mut PretendApi::default());
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_session_is_renewed_before_it_ends_and_lost_when_refused() {
    let mut api = PretendApi::default();
    let mut team = team(3);
    let mut now = Time::ZERO;
    while team.people[0].session().is_none() {
        now += Duration::from_millis(10);
        if let Some(intent) = team.choose(0, now) {
            act(&mut team, &mut api, 0, &intent, now);
        }
    }
    now += Duration::from_secs(800);
    let intent = team.choose(0, now).expect("something to do");
    assert_eq!(intent.action(), Action::RefreshSession);

    let refusal = Ok(ok(401, json!({"code": "unauthenticated"})));
    let judgement = intent.action().judge(&refusal);
    assert_eq!(judgement, Judgement::Unexpected);
    team.learn(now, 0, &intent, judgement, refusal.as_ref().ok());
    let next = team.choose(0, now).expect("something to do").action();
    assert!(
        matches!(next, Action::LogIn | Action::MistypePassword | Action::RequestPasswordReset),
        "{next:?}"
    );
}

#[test]
fn who_is_told_to_wait_waits() {
    let mut team = team(3);
    let intent = team.choose(0, Time::ZERO).expect("the founder registers");
    let answer =
        Answer { retry_after: Some(Duration::from_secs(30)), ..ok(429, json!({"code": "rate_limited"})) };
    let answered = Ok(answer);
    let judgement = intent.action().judge(&answered);
    assert_eq!(judgement, Judgement::Refused);
    team.learn(Time::ZERO, 0, &intent, judgement, answered.as_ref().ok());
    assert!(team.choose(0, Duration::from_secs(29)).is_none());
    assert!(team.choose(0, Duration::from_secs(30)).is_some());
}

#[test]
fn a_team_that_gets_nowhere_is_given_up() {
    let team = team(3);
    assert!(!team.is_done(Duration::from_secs(180)));
    assert!(team.is_done(Duration::from_secs(181)));
}

#[test]
fn a_success_that_lacks_what_it_should_have_is_unexpected() {
    let mut team = team(3);
    let intent = Intent::CreateOrganization;
    let answered = Ok(ok(201, json!({"name": "no id"})));
    let judgement = intent.action().judge(&answered);
    let judgement = team.learn(Time::ZERO, 0, &intent, judgement, answered.as_ref().ok());
    assert_eq!(judgement, Judgement::Unexpected);
}
