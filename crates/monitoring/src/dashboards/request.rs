//! The path of one request. A user sends its id, which every error response contains and which is its
//! trace id.

use catalogue::keys;
use catalogue::labels::{EmailTemplate, JobKind};
use signal::JobOutcome;

use crate::grafana::{Band, Choice, Dashboard, Panel, Period, Target, explore_trace};
use crate::query::{Field, RequestFailure, RequestMethod, Route, all_lines, spans};
use crate::rules::DashboardUid;

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: DashboardUid::Request,
        title: "Socialize: Request",
        description: "What happened to the request with this id, and what did it cause later?",
        range: Period::Hours(24),
        refresh: None,
        choices: &[Choice::RequestId],
        bands: vec![
            Band::Panels(9, vec![of_request()]),
            Band::Panels(9, vec![caused()]),
            Band::Panels(6, vec![trace()]),
        ],
    }
}

fn id() -> &'static str {
    Choice::RequestId.variable()
}

fn of_request() -> Panel {
    let fields = [
        Field::label::<RequestMethod>(),
        Field::label::<Route>(),
        Field::STATUS,
        Field::key(&keys::ERROR_CODE),
        Field::label::<RequestFailure>(),
        Field::ERROR_CAUSE,
        Field::CODE_LOCATION,
        Field::DURATION,
        Field::key(&keys::ORGANIZATION_ID),
        Field::key(&keys::WORKSPACE_ID),
        Field::key(&keys::USER_ID),
    ];
    Panel::logs(
        1,
        "Lines of the request",
        "Write the request_id of the error answer into the box above, and choose a range that holds the time of the \
         request. Method, route, status, code, error type, cause, place in the source, milliseconds, organization, \
         workspace, user.",
    )
    .width(24)
    .when_nothing("No line with this id in the range")
    .link(explore_trace("Open its trace", id()))
    .ask(Target::lines(&all_lines().of_trace(id()).showing(&fields)))
}

fn caused() -> Panel {
    let fields = [
        Field::label::<JobKind>(),
        Field::label::<EmailTemplate>(),
        Field::label::<JobOutcome>(),
        Field::ERROR_CAUSE,
        Field::key(&keys::JOB_ID),
        Field::key(&keys::JOB_ATTEMPT),
        Field::DURATION,
    ];
    Panel::logs(
        2,
        "What it caused later",
        "Runs of the jobs that the request enqueued: kind, outcome, cause, id of the job, attempt, milliseconds. Each \
         has a trace of its own, which its line leads to. A job without a line has not run yet, or after the range.",
    )
    .width(24)
    .when_nothing("No job of this request ran in the range")
    .ask(Target::lines(&all_lines().caused_by_trace(id()).showing(&fields)))
}

fn trace() -> Panel {
    Panel::table(
        3,
        "Its trace",
        "Click the id to see where the time went. A trace appears half a minute after its request and is kept for a \
         week; a sampled deployment has none for most requests.",
    )
    .width(24)
    .when_nothing("No trace with this id in the range")
    .ask(Target::traces(&spans().of_trace(id())))
}
