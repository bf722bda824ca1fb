//! Properties of the approval state machine, for every state and every order of actions.
//!
//! Long because the properties share one generator of histories.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use domain::approval::{
    Action, ApprovalRules, ApprovalState, RecordedDecision, Refusal, RequiredApprovals, RevisionNumber,
};
use domain::ids::UserId;
use domain::vocabulary::{ContentItemStatus, Decision};
use proptest::prelude::*;
use signal::ClosedSet;
use uuid::Uuid;

/// Few users, so that the same one often acts twice.
const PEOPLE: u128 = 7;

fn person(number: u128) -> UserId {
    Uuid::from_u128(number).into()
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn rules(required_approvals: i32, allow_self_approval: bool) -> ApprovalRules {
    ApprovalRules { required_approvals: required_approvals.try_into().expect("1 to 5"), allow_self_approval }
}

fn approve(reviewer: u128, revision: i32) -> Action {
    Action::Decide {
        reviewer: person(reviewer),
        revision: RevisionNumber(revision),
        decision: Decision::Approve,
    }
}

fn people() -> impl Strategy<Value = UserId> {
    (0..PEOPLE).prop_map(person)
}

fn revisions() -> impl Strategy<Value = RevisionNumber> {
    prop_oneof![20 => 1..6_i32, 1 => Just(i32::MAX), 1 => any::<i32>()].prop_map(RevisionNumber)
}

fn decisions() -> impl Strategy<Value = Decision> {
    // Mostly approvals, because any other decision ends the approval.
    prop_oneof![6 => Just(Decision::Approve), 1 => Just(Decision::RequestChanges), 1 => Just(Decision::Reject)]
}

fn times() -> impl Strategy<Value = DateTime<Utc>> {
    (-2_i64..=2).prop_map(|hours| now() + TimeDelta::hours(hours))
}

fn all_rules() -> impl Strategy<Value = ApprovalRules> {
    (RequiredApprovals::MIN.get()..=RequiredApprovals::MAX.get(), any::<bool>())
        .prop_map(|(required, own)| rules(required, own))
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        1 => people().prop_map(|author| Action::Edit { author }),
        2 => Just(Action::Submit),
        8 => (people(), revisions(), decisions())
            .prop_map(|(reviewer, revision, decision)| Action::Decide { reviewer, revision, decision }),
        2 => times().prop_map(|at| Action::Schedule { at }),
        1 => Just(Action::Unschedule),
        1 => Just(Action::PublishNow),
        2 => Just(Action::StartPublishing),
        1 => Just(Action::PostponePublishing),
        1 => Just(Action::PublishSucceeded),
        1 => Just(Action::PublishFailed),
        1 => Just(Action::RetryPublish),
    ]
}

fn actions_and_archive() -> impl Strategy<Value = Action> {
    prop_oneof![30 => actions(), 1 => Just(Action::Archive)]
}

/// Generates arbitrary states, including those that no order of actions reaches: a row may have
/// been changed by hand.
fn states() -> impl Strategy<Value = ApprovalState> {
    let recorded = (revisions(), people(), decisions())
        .prop_map(|(revision, reviewer, decision)| RecordedDecision { revision, reviewer, decision });
    (
        prop::sample::select(ContentItemStatus::ALL),
        revisions(),
        people(),
        prop::collection::vec(recorded, 0..8),
        prop::option::of(times()),
        any::<bool>(),
    )
        .prop_map(|(status, revision, revision_author, decisions, scheduled_at, publishing)| {
            ApprovalState { status, revision, revision_author, decisions, scheduled_at, publishing }
        })
}

/// Makes a decision refer to the current revision, like that of a reviewer who has just read it.
fn up_to_date(action: Action, state: &ApprovalState) -> Action {
    match action {
        Action::Decide { reviewer, decision, .. } => {
            Action::Decide { reviewer, decision, revision: state.revision }
        }
        other => other,
    }
}

/// Returns whether an item with this status must have had its current revision approved.
fn implies_approval(status: ContentItemStatus) -> bool {
    use ContentItemStatus::{Approved, PublishFailed, Published, Scheduled};
    matches!(status, Approved | Scheduled | Published | PublishFailed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_action_on_every_state_has_a_result(
        state in states(), action in actions_and_archive(), rules in all_rules(), at in times(),
    ) {
        // A panic, such as an overflow of the revision number, fails the test. Results are
        // deterministic.
        prop_assert_eq!(state.apply(action, rules, at), state.apply(action, rules, at));
    }

    #[test]
    fn an_archived_item_stays_as_it_is(
        state in states(), action in actions_and_archive(), rules in all_rules(), at in times(),
    ) {
        let state = ApprovalState { status: ContentItemStatus::Archived, ..state };
        prop_assert_eq!(state.apply(action, rules, at), Err(Refusal::Archived));
    }

    #[test]
    fn a_published_item_can_only_be_archived(
        state in states(), action in actions(), rules in all_rules(), at in times(),
    ) {
        let state = ApprovalState { status: ContentItemStatus::Published, publishing: false, ..state };
        prop_assert_eq!(state.apply(action, rules, at), Err(Refusal::AlreadyPublished));
        let archived = state.apply(Action::Archive, rules, at).unwrap();
        prop_assert_eq!(archived.status, ContentItemStatus::Archived);
    }

    #[test]
    fn an_edit_makes_a_new_revision_and_voids_what_was_decided(
        state in states(), author in people(), rules in all_rules(), at in times(),
    ) {
        prop_assume!(state.revision.0 < i32::MAX);
        // Decisions on future revisions cannot exist.
        let mut state = state;
        let current = state.revision;
        state.decisions.retain(|recorded| recorded.revision <= current);
        if let Ok(edited) = state.apply(Action::Edit { author }, rules, at) {
            prop_assert_eq!(edited.status, ContentItemStatus::Draft);
            prop_assert_eq!(edited.revision.0, state.revision.0 + 1);
            prop_assert_eq!(edited.revision_author, author);
            prop_assert_eq!(edited.scheduled_at, None);
            prop_assert_eq!(edited.approvals(rules), 0);

            // Reviewers of the old revision can decide on the new one.
            let submitted = edited.apply(Action::Submit, rules, at).unwrap();
            for recorded in &state.decisions {
                if recorded.reviewer != author || rules.allow_self_approval {
                    let again = Action::Decide {
                        reviewer: recorded.reviewer, revision: submitted.revision, decision: Decision::Approve,
                    };
                    prop_assert!(submitted.apply(again, rules, at).is_ok());
                }
            }
        }
    }

    /// Applies random actions to an item and keeps an independent record of the approvals.
    #[test]
    fn nothing_is_approved_by_fewer_eligible_reviewers_than_required(
        first_author in people(),
        rules in all_rules(),
        life in prop::collection::vec((actions_and_archive(), prop::bool::weighted(0.9), times()), 0..60),
    ) {
        let mut state = ApprovalState::draft(first_author);
        let mut authors = BTreeMap::from([(state.revision, first_author)]);
        let mut approved_by: BTreeMap<RevisionNumber, BTreeSet<UserId>> = BTreeMap::new();
        let mut decided = BTreeSet::new();

        for (action, reads_before_deciding, at) in life {
            let action = if reads_before_deciding { up_to_date(action, &state) } else { action };
            let before = state.clone();
            let result = state.apply(action, rules, at);
            prop_assert_eq!(&state, &before, "an action changes only what it returns");
            let Ok(next) = result else { continue };

            match action {
                Action::Edit { author } => {
                    prop_assert!(authors.insert(next.revision, author).is_none(), "a revision never changes");
                }
                Action::Decide { reviewer, revision, decision } => {
                    prop_assert_eq!(revision, before.revision);
                    prop_assert!(decided.insert((revision, reviewer)), "one decision per reviewer and revision");
                    if decision == Decision::Approve {
                        approved_by.entry(revision).or_default().insert(reviewer);
                    } else {
                        prop_assert_ne!(next.status, ContentItemStatus::Approved);
                    }
                }
                _ => {
                    prop_assert_eq!(next.revision, before.revision);
                    prop_assert_eq!(&next.decisions, &before.decisions);
                }
            }

            if implies_approval(next.status) {
                let author = authors[&next.revision];
                let eligible = approved_by
                    .get(&next.revision)
                    .into_iter()
                    .flatten()
                    .filter(|reviewer| rules.allow_self_approval || **reviewer != author)
                    .count();
                prop_assert!(eligible >= rules.required_approvals.get() as usize);
            }
            // Constraints of the table `content_items`.
            prop_assert!(next.status != ContentItemStatus::Scheduled || next.scheduled_at.is_some());
            prop_assert!(next.status == ContentItemStatus::Scheduled || !next.publishing);
            state = next;
        }
    }
}

/// Returns an item with this status that was made by actions alone.
fn item_with_status(status: ContentItemStatus) -> ApprovalState {
    let decide = |decision| Action::Decide { reviewer: person(2), revision: RevisionNumber::FIRST, decision };
    let path: &[Action] = match status {
        ContentItemStatus::Draft => &[],
        ContentItemStatus::InApproval => &[Action::Submit],
        ContentItemStatus::ChangesRequested => &[Action::Submit, decide(Decision::RequestChanges)],
        ContentItemStatus::Rejected => &[Action::Submit, decide(Decision::Reject)],
        ContentItemStatus::Approved => &[Action::Submit, decide(Decision::Approve)],
        ContentItemStatus::Scheduled => &[Action::Submit, decide(Decision::Approve), Action::PublishNow],
        ContentItemStatus::Published => &[
            Action::Submit,
            decide(Decision::Approve),
            Action::PublishNow,
            Action::StartPublishing,
            Action::PublishSucceeded,
        ],
        ContentItemStatus::PublishFailed => {
            &[Action::Submit, decide(Decision::Approve), Action::PublishNow, Action::PublishFailed]
        }
        ContentItemStatus::Archived => &[Action::Archive],
    };
    let state = path.iter().fold(ApprovalState::draft(person(1)), |state, action| {
        state.apply(*action, rules(1, false), now()).expect("the path is one that can be walked")
    });
    assert_eq!(state.status, status);
    state
}

fn names_of_outcomes(state: &ApprovalState) -> [&'static str; 12] {
    [
        Action::Edit { author: person(1) },
        Action::Submit,
        Action::Decide { reviewer: person(3), revision: state.revision, decision: Decision::Approve },
        Action::Schedule { at: now() + TimeDelta::hours(1) },
        Action::Unschedule,
        Action::PublishNow,
        Action::StartPublishing,
        Action::PostponePublishing,
        Action::PublishSucceeded,
        Action::PublishFailed,
        Action::RetryPublish,
        Action::Archive,
    ]
    .map(|action| match state.apply(action, rules(1, false), now()) {
        Ok(next) => next.status.as_str(),
        Err(refusal) => refusal.as_str(),
    })
}

/// The whole machine as a table: the result of each action in each status.
#[test]
#[rustfmt::skip]
fn each_action_on_each_status_has_the_outcome_that_is_written_here() {
    use ContentItemStatus as S;
    let table = [
        //                     edit                 submit               decide: approve      schedule                unschedule           publish now          start publishing     postpone publishing      publish succeeded        publish failed       retry publish         archive
        (S::Draft,            ["draft",             "in_approval",       "not_in_approval",   "not_approved",         "not_scheduled",     "not_approved",      "not_scheduled",     "not_scheduled",         "not_scheduled",         "not_scheduled",     "not_publish_failed", "archived"]),
        (S::InApproval,       ["draft",             "not_draft",         "approved",          "not_approved",         "not_scheduled",     "not_approved",      "not_scheduled",     "not_scheduled",         "not_scheduled",         "not_scheduled",     "not_publish_failed", "archived"]),
        (S::ChangesRequested, ["draft",             "edit_required",     "not_in_approval",   "not_approved",         "not_scheduled",     "not_approved",      "not_scheduled",     "not_scheduled",         "not_scheduled",         "not_scheduled",     "not_publish_failed", "archived"]),
        (S::Rejected,         ["draft",             "edit_required",     "not_in_approval",   "not_approved",         "not_scheduled",     "not_approved",      "not_scheduled",     "not_scheduled",         "not_scheduled",         "not_scheduled",     "not_publish_failed", "archived"]),
        (S::Approved,         ["draft",             "not_draft",         "not_in_approval",   "scheduled",            "not_scheduled",     "scheduled",         "not_scheduled",     "not_scheduled",         "not_scheduled",         "not_scheduled",     "not_publish_failed", "archived"]),
        (S::Scheduled,        ["draft",             "not_draft",         "not_in_approval",   "scheduled",            "approved",          "scheduled",         "scheduled",         "publishing_not_started","publishing_not_started","publish_failed",    "not_publish_failed", "archived"]),
        (S::Published,        ["already_published", "already_published", "already_published", "already_published",    "already_published", "already_published", "already_published", "already_published",     "already_published",     "already_published", "already_published",  "archived"]),
        (S::PublishFailed,    ["draft",             "not_draft",         "not_in_approval",   "scheduled",            "not_scheduled",     "not_approved",      "not_scheduled",     "not_scheduled",         "not_scheduled",         "not_scheduled",     "scheduled",          "archived"]),
        (S::Archived,         ["archived",          "archived",          "archived",          "archived",             "archived",          "archived",          "archived",          "archived",              "archived",              "archived",          "archived",           "archived"]),
    ];
    assert_eq!(table.map(|(status, _)| status), *ContentItemStatus::ALL, "every status has a row");
    for (status, expected) in table {
        assert_eq!(names_of_outcomes(&item_with_status(status)), expected, "{}", status.as_str());
    }

    let publishing = item_with_status(S::Scheduled).apply(Action::StartPublishing, rules(1, false), now()).unwrap();
    assert_eq!(
        names_of_outcomes(&publishing),
        ["publishing_in_progress", "not_draft", "not_in_approval", "publishing_in_progress", "publishing_in_progress", "publishing_in_progress",
         "scheduled", "scheduled", "published", "publish_failed", "not_publish_failed", "publishing_in_progress"],
        "while a delivery is under way",
    );
}

#[test]
fn a_revision_is_approved_by_the_last_of_the_required_reviewers() {
    for required in RequiredApprovals::MIN.get()..=RequiredApprovals::MAX.get() {
        let rules = rules(required, false);
        let mut state = ApprovalState::draft(person(0)).apply(Action::Submit, rules, now()).unwrap();
        for reviewer in 1..=required {
            assert_eq!(state.status, ContentItemStatus::InApproval);
            state = state.apply(approve(reviewer.try_into().unwrap(), 1), rules, now()).unwrap();
        }
        assert_eq!(state.status, ContentItemStatus::Approved);
    }
}

#[test]
fn the_author_of_the_current_revision_decides_only_where_the_workspace_allows_it() {
    let submitted = item_with_status(ContentItemStatus::InApproval);
    assert_eq!(submitted.apply(approve(1, 1), rules(1, false), now()), Err(Refusal::OwnRevision));
    let approved = submitted.apply(approve(1, 1), rules(1, true), now()).unwrap();
    assert_eq!(approved.status, ContentItemStatus::Approved);

    // After another user's edit, the first author is a reviewer like others, and the editor is the
    // author.
    let edited = submitted.apply(Action::Edit { author: person(2) }, rules(1, false), now()).unwrap();
    let resubmitted = edited.apply(Action::Submit, rules(1, false), now()).unwrap();
    assert_eq!(resubmitted.apply(approve(2, 2), rules(1, false), now()), Err(Refusal::OwnRevision));
    assert!(resubmitted.apply(approve(1, 2), rules(1, false), now()).is_ok());
}

#[test]
fn an_approval_by_the_author_stops_counting_when_the_workspace_stops_allowing_it() {
    let submitted = item_with_status(ContentItemStatus::InApproval);
    let state = submitted.apply(approve(1, 1), rules(2, true), now()).unwrap();
    let state = state.apply(approve(2, 1), rules(2, false), now()).unwrap();
    assert_eq!(state.status, ContentItemStatus::InApproval);
    let state = state.apply(approve(3, 1), rules(2, false), now()).unwrap();
    assert_eq!(state.status, ContentItemStatus::Approved);
}

#[test]
fn a_reviewer_decides_once_and_only_on_what_is_current() {
    let rules = rules(2, false);
    let submitted = ApprovalState::draft(person(1)).apply(Action::Submit, rules, now()).unwrap();
    let once = submitted.apply(approve(2, 1), rules, now()).unwrap();
    assert_eq!(once.apply(approve(2, 1), rules, now()), Err(Refusal::AlreadyDecided));
    assert_eq!(once.apply(approve(3, 2), rules, now()), Err(Refusal::NotCurrentRevision));

    let edited = once.apply(Action::Edit { author: person(1) }, rules, now()).unwrap();
    // A reviewer who looks at a page from before the edit learns that there is a newer revision.
    assert_eq!(edited.apply(approve(3, 1), rules, now()), Err(Refusal::NotCurrentRevision));
}

#[test]
fn an_item_is_scheduled_for_the_future_and_published_when_its_time_has_come() {
    let rules = rules(1, false);
    let approved = item_with_status(ContentItemStatus::Approved);
    for at in [now(), now() - TimeDelta::seconds(1)] {
        assert_eq!(approved.apply(Action::Schedule { at }, rules, now()), Err(Refusal::ScheduledTimeInPast));
    }
    let at = now() + TimeDelta::hours(1);
    let scheduled = approved.apply(Action::Schedule { at }, rules, now()).unwrap();
    assert_eq!(scheduled.scheduled_at, Some(at));
    let early = at - TimeDelta::microseconds(1);
    assert_eq!(scheduled.apply(Action::StartPublishing, rules, early), Err(Refusal::NotDue));
    let publishing = scheduled.apply(Action::StartPublishing, rules, at).unwrap();
    assert!(publishing.publishing);
    // A killed worker leaves the delivery in progress; the next one begins again.
    assert_eq!(publishing.apply(Action::StartPublishing, rules, at).as_ref(), Ok(&publishing));

    // Between two attempts the item can be changed.
    let postponed = publishing.apply(Action::PostponePublishing, rules, at).unwrap();
    assert_eq!(postponed, scheduled);
    assert!(postponed.apply(Action::Unschedule, rules, at).is_ok());
}

#[test]
fn refusals_have_distinct_codes_and_messages_and_all_of_them_happen() {
    let codes: BTreeSet<_> = Refusal::ALL.iter().map(|refusal| refusal.as_str()).collect();
    let messages: BTreeSet<_> = Refusal::ALL.iter().map(|refusal| refusal.message()).collect();
    assert_eq!((codes.len(), messages.len()), (Refusal::ALL.len(), Refusal::ALL.len()));
    for (position, refusal) in Refusal::ALL.iter().enumerate() {
        assert_eq!(refusal.index(), position);
    }

    let mut happened = BTreeSet::new();
    let mut see = |state: &ApprovalState, action| {
        if let Err(refusal) = state.apply(action, rules(2, false), now()) {
            happened.insert(refusal.as_str());
        }
    };
    for status in ContentItemStatus::ALL {
        let state = item_with_status(*status);
        let publishing =
            ApprovalState { publishing: *status == ContentItemStatus::Scheduled, ..state.clone() };
        let not_due = ApprovalState { scheduled_at: Some(now() + TimeDelta::hours(1)), ..state.clone() };
        let decided = state.apply(approve(4, 1), rules(2, false), now()).unwrap_or_else(|_| state.clone());
        for state in [state, publishing, not_due, decided] {
            for action in [
                Action::Edit { author: person(1) },
                Action::Submit,
                approve(1, 1),
                approve(4, 1),
                approve(4, 9),
                Action::Schedule { at: now() },
                Action::Unschedule,
                Action::StartPublishing,
                Action::PublishSucceeded,
                Action::RetryPublish,
            ] {
                see(&state, action);
            }
        }
    }
    assert_eq!(happened, codes);
}

#[test]
fn required_approvals_are_one_to_five() {
    for number in [i32::MIN, -1, 0, 6, i32::MAX] {
        assert!(RequiredApprovals::try_from(number).is_err());
        assert!(serde_json::from_value::<RequiredApprovals>(number.into()).is_err());
    }
    for number in 1..=5 {
        let required: RequiredApprovals = serde_json::from_value(number.into()).unwrap();
        assert_eq!(required.get(), number);
        assert_eq!(serde_json::to_value(required).unwrap(), number);
    }
    assert_eq!(
        serde_json::from_value::<RequiredApprovals>(7.into()).unwrap_err().to_string(),
        "expected a number of required approvals from 1 to 5"
    );
}
