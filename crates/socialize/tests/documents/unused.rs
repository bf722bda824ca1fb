//! Every declared operation, label, event, field and metric is used. A declaration that nothing uses would
//! still become a series, an entry of the allow-list and a line in a document.

use std::fmt::Debug;

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::{
    ActivityWindow, AuthFailureReason, BlobOperation, ConnectionPool, ConnectionState, DatabaseSystem,
    Dependency, Disk, EmailLimit, EmailOutcome, EmailResult, EmailTemplate, ErrorCode, JobKind, Loop, Peer,
    PublishingEndpointChange, PublishingOutcome, Quota, Role, SmtpStage, StatusGauge,
};
use catalogue::recorded::EVENT_FIELDS;
use domain::audit::AuditAction;
use telemetry::{ClosedSet, JobOutcome};

use crate::sources::{File, group, product};

/// Members of `T` that the product never names.
fn unused_members<T: ClosedSet + Debug>(files: &[File]) -> Vec<String> {
    let name = std::any::type_name::<T>().rsplit("::").next().expect("a name");
    let is_used = |member: &str| {
        let path = [name, "::", member].map(str::to_owned);
        files.iter().any(|file| file.tokens.windows(3).any(|tokens| tokens == path))
    };
    let members = T::ALL.iter().map(|member| format!("{member:?}"));
    members.filter(|member| !is_used(member)).map(|member| format!("{name}::{member}")).collect()
}

#[test]
fn a_member_of_a_closed_set_is_used() {
    let files = product();
    let unused = [
        unused_members::<ActivityWindow>(&files),
        unused_members::<AuditAction>(&files),
        unused_members::<AuthFailureReason>(&files),
        unused_members::<BlobOperation>(&files),
        unused_members::<ConnectionPool>(&files),
        unused_members::<ConnectionState>(&files),
        unused_members::<DatabaseOperation>(&files),
        unused_members::<DatabaseSystem>(&files),
        unused_members::<Dependency>(&files),
        unused_members::<Disk>(&files),
        unused_members::<EmailLimit>(&files),
        unused_members::<EmailOutcome>(&files),
        unused_members::<EmailResult>(&files),
        unused_members::<EmailTemplate>(&files),
        unused_members::<ErrorCode>(&files),
        unused_members::<JobKind>(&files),
        unused_members::<JobOutcome>(&files),
        unused_members::<Loop>(&files),
        unused_members::<Peer>(&files),
        unused_members::<PublishingEndpointChange>(&files),
        unused_members::<PublishingOutcome>(&files),
        unused_members::<Quota>(&files),
        unused_members::<Role>(&files),
        unused_members::<SmtpStage>(&files),
        unused_members::<StatusGauge>(&files),
    ];
    assert_eq!(unused.concat(), Vec::<String>::new());
}

/// Constants whose type ends with `of_type` and that nothing uses.
fn unused_constants(files: &[File], of_type: &str) -> Vec<String> {
    let mut found = 0;
    let mut unused = Vec::new();
    for file in files {
        for tokens in file.tokens.windows(4) {
            let is_declared = matches!(tokens[0].as_str(), "const" | "static") && tokens[2] == ":";
            if is_declared && tokens[3].ends_with(of_type) {
                found += 1;
                if !is_used(files, &tokens[1]) {
                    unused.push(tokens[1].clone());
                }
            }
        }
    }
    assert!(found > 15, "only {found} constants were found");
    unused
}

/// Returns whether anything but its declaration names this constant.
fn is_used(files: &[File], name: &str) -> bool {
    files.iter().flat_map(|file| &file.tokens).filter(|token| *token == name).count() > 1
}

#[test]
fn a_metric_is_recorded() {
    assert_eq!(unused_constants(&product(), "Metric"), Vec::<String>::new());
}

#[test]
fn a_key_is_written() {
    assert_eq!(unused_constants(&product(), "Key"), Vec::<String>::new());
}

#[test]
fn a_field_of_an_event_is_written() {
    let written: Vec<String> = product().iter().flat_map(|file| written_fields(&file.tokens)).collect();
    let is_written = |field: &&str| written.iter().any(|written| written == field);
    let unused: Vec<_> = EVENT_FIELDS.iter().filter(|field| !is_written(field)).collect();
    assert_eq!(unused, Vec::<&&str>::new());
}

/// Returns the names to the left of an equals sign in the arguments of the macros of `tracing`.
fn written_fields(tokens: &[String]) -> Vec<String> {
    let is_macro = |name: &str| matches!(name, "event" | "error" | "warn" | "info" | "debug" | "trace");
    let is_call = |start: &&[String]| start.len() > 2 && is_macro(&start[0]) && start[1] == "!";
    let calls = (0..tokens.len()).map(|position| &tokens[position..]).filter(is_call);
    let arguments =
        calls.flat_map(|call| group(&call[2..]).split(|token| matches!(&**token, "," | "(" | ")")));
    let fields = arguments.filter_map(|argument| {
        let end = argument.iter().position(|token| token == "=")?;
        Some(argument[..end].concat().trim_matches('"').to_owned())
    });
    fields.collect()
}
