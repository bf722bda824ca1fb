//! The checks of the database say the same as the vocabulary and the limits that the code is written with.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use domain::approval::RequiredApprovals;
use domain::limits;
use domain::vocabulary::{
    Channel, ContentItemStatus, Decision, EmailTokenPurpose, FeedbackKind, FeedbackStatus, InviteStatus,
    JobStatus, OrganizationRole, SessionEndReason, WorkspaceRole,
};
use telemetry::ClosedSet;

/// The condition of every named check in the migrations, without line breaks.
fn checks() -> BTreeMap<String, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut checks = BTreeMap::new();
    for file in files {
        let sql = fs::read_to_string(&file).unwrap();
        let sql: Vec<&str> =
            sql.lines().map(|line| line.split("--").next().unwrap_or_default().trim()).collect();
        for statement in sql.join(" ").split("constraint ").skip(1) {
            let Some((name, condition)) = statement.split_once(" check (") else { continue };
            // A constraint of another sort, followed by a check of the next statement.
            if name.contains(' ') {
                continue;
            }
            // A later migration that changes a check replaces what an earlier one said.
            checks.insert(name.to_owned(), up_to_closing_parenthesis(condition).trim().to_owned());
        }
    }
    checks
}

fn up_to_closing_parenthesis(text: &str) -> &str {
    let mut depth = 1;
    for (position, character) in text.char_indices() {
        depth += match character {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth == 0 {
            return &text[..position];
        }
    }
    panic!("unbalanced parentheses in a check: {text}")
}

/// The values of `column in ('a', 'b')`.
fn listed(condition: &str) -> Vec<String> {
    let (_, list) = condition.split_once(" in (").expect("a closed set is checked by a list");
    list.trim_end_matches(')').split(',').map(|value| value.trim().trim_matches('\'').to_owned()).collect()
}

/// The bounds of `char_length(column) between 1 and 2`.
fn bounds(condition: &str) -> RangeInclusive<usize> {
    let (column, bounds) = condition.split_once(" between ").expect("a length is checked between two bounds");
    assert!(column.starts_with("char_length("), "lengths are counted in characters: {condition}");
    let (low, high) = bounds.split_once(" and ").expect("two bounds");
    low.parse().unwrap()..=high.parse().unwrap()
}

fn names<T: ClosedSet>() -> Vec<String> {
    T::ALL.iter().map(|value| value.as_str().to_owned()).collect()
}

#[test]
fn closed_sets_in_the_database_equal_the_vocabulary() {
    let expected: BTreeMap<&str, Vec<String>> = [
        ("approval_decisions_decision_known", names::<Decision>()),
        ("content_items_channel_known", names::<Channel>()),
        ("content_items_status_known", names::<ContentItemStatus>()),
        ("email_tokens_purpose_known", names::<EmailTokenPurpose>()),
        ("feedback_reports_kind_known", names::<FeedbackKind>()),
        ("feedback_reports_status_known", names::<FeedbackStatus>()),
        ("jobs_status_known", names::<JobStatus>()),
        ("organization_members_role_known", names::<OrganizationRole>()),
        ("sessions_ended_reason_known", names::<SessionEndReason>()),
        ("workspace_invites_role_known", names::<WorkspaceRole>()),
        ("workspace_invites_status_known", names::<InviteStatus>()),
        ("workspace_members_role_known", names::<WorkspaceRole>()),
    ]
    .into();
    let checks = checks();
    let found: BTreeMap<&str, Vec<String>> = checks
        .iter()
        .filter(|(name, _)| name.ends_with("_known"))
        .map(|(name, condition)| (name.as_str(), listed(condition)))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn lengths_in_the_database_equal_the_limits_of_the_api() {
    let expected: BTreeMap<&str, RangeInclusive<usize>> = [
        ("approval_decisions_note_length", limits::DECISION_NOTE),
        ("comments_body_length", limits::COMMENT_BODY),
        ("content_revisions_body_length", limits::CONTENT_BODY),
        ("content_revisions_title_length", limits::CONTENT_TITLE),
        ("feedback_reports_body_length", limits::FEEDBACK_BODY),
        ("idempotency_keys_key_length", limits::IDEMPOTENCY_KEY),
        ("jobs_deduplication_key_length", limits::JOB_DEDUPLICATION_KEY),
        ("organizations_name_length", limits::ORGANIZATION_NAME),
        ("users_display_name_length", limits::DISPLAY_NAME),
        ("users_email_length", limits::EMAIL),
        ("workspace_invites_email_length", limits::EMAIL),
        ("workspaces_name_length", limits::WORKSPACE_NAME),
    ]
    .into();
    let checks = checks();
    let found: BTreeMap<&str, RangeInclusive<usize>> = checks
        .iter()
        .filter(|(name, _)| name.ends_with("_length"))
        .map(|(name, condition)| (name.as_str(), bounds(condition)))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_range_of_required_approvals_equals_that_of_the_state_machine() {
    let expected = format!(
        "required_approvals between {} and {}",
        RequiredApprovals::MIN.get(),
        RequiredApprovals::MAX.get()
    );
    assert_eq!(checks()["workspaces_required_approvals_range"], expected);
}
