//! Selections that several panels and rules share, and the meaning of their conditions.

use catalogue::metrics::BUILD_INFO;
use signal::builtin::{HTTP_CLIENT_REQUEST_DURATION, HTTP_SERVER_REQUEST_DURATION};
use signal::metric::{IsGauge, IsHistogram};
use signal::{ClosedSet, DatabaseOutcome, ErrorType};

use super::choice::Choice;
use super::labels::{
    AlertName, AlertSeverity, Both, Build, ClientCall, DatabaseCall, RequestFailure, ResponseStatus, Route,
};
use super::selector::Selector;
use super::{
    Aggregation, Expression, LabelName, MatchOperator, Matcher, Samples, Selection, ServerRequest, Source,
    Vector,
};

/// Selects requests to routes of the API. Requests that match no route are excluded, because most
/// come from scanners. [`unmatched_requests`] selects them separately, so that they can neither
/// hide failures nor make low traffic look high.
pub fn requests() -> Selector<ServerRequest, IsHistogram> {
    every_request().matching::<Route>(MatchOperator::NotEqual, "")
}

/// Selects requests that match no route.
pub fn unmatched_requests() -> Selector<ServerRequest, IsHistogram> {
    every_request().matching::<Route>(MatchOperator::Equal, "")
}

/// Selects all series of `http.server.request.duration`. The catalogue cannot type its labels,
/// because routes are closed only at start.
fn every_request() -> Selector<ServerRequest, IsHistogram> {
    Selector::all(HTTP_SERVER_REQUEST_DURATION.description(), Source::Application)
}

/// Path segments of routes that transfer files. The duration of such a request depends on the
/// client's network.
pub const FILE_SEGMENTS: &[&str] = &["attachments", "screenshot"];

impl<K> Selector<ServerRequest, K> {
    /// Keeps only requests that the service carried out or should have carried out. Requests that
    /// it refused with 4xx and those that the client abandoned are excluded. Ratios use these
    /// requests, because anybody can send the others.
    #[must_use]
    pub fn served(self) -> Self {
        self.matching::<ResponseStatus>(MatchOperator::MatchesNot, "4..").is_not(RequestFailure::Cancelled)
    }

    /// Keeps only requests whose duration depends on the service, which excludes rejected requests and
    /// transfers of files. Abandoned requests are included, because clients abandon slow requests.
    #[must_use]
    pub fn timed(self) -> Self {
        let files =
            FILE_SEGMENTS.iter().flat_map(|segment| [format!(".+/{segment}"), format!(".+/{segment}/.+")]);
        let files = files.collect::<Vec<_>>().join("|");
        self.matching::<ResponseStatus>(MatchOperator::MatchesNot, "4..")
            .matching::<Route>(MatchOperator::MatchesNot, &files)
    }

    /// Keeps only successful requests.
    #[must_use]
    pub fn succeeded(self) -> Self {
        self.matching::<ResponseStatus>(MatchOperator::Matches, "[23]..")
    }

    /// Keeps only attempts to use a workflow. Excludes requests that were forbidden, not found or
    /// rate-limited, and authentication, which strangers also attempt.
    #[must_use]
    pub fn attempts(self) -> Self {
        self.matching::<ResponseStatus>(MatchOperator::MatchesNot, "401|403|404|405|429")
            .matching::<Route>(MatchOperator::MatchesNot, "/v1/auth/.+")
            .is_not(RequestFailure::Cancelled)
    }
}

/// Expected failures of database operations: two users did the same, or a client disconnected.
const EXPECTED_FAILURES: &[DatabaseOutcome] = &[DatabaseOutcome::Conflict, DatabaseOutcome::Cancelled];

impl<K> Selector<DatabaseCall, K> {
    /// Keeps only operations that failed.
    #[must_use]
    pub fn failed(self) -> Self {
        self.matching::<ErrorType>(MatchOperator::NotEqual, "")
    }

    /// Keeps only operations that failed unexpectedly.
    #[must_use]
    pub fn failed_unexpectedly(self) -> Self {
        let is_expected = |failure: &ErrorType| EXPECTED_FAILURES.contains(&(*failure).into());
        let expected: Vec<ErrorType> = ErrorType::ALL.iter().copied().filter(is_expected).collect();
        self.failed().is_none_of(&expected)
    }
}

/// Selects all series of `http.client.request.duration`: outgoing calls.
pub fn calls() -> Selector<ClientCall, IsHistogram> {
    Selector::all(HTTP_CLIENT_REQUEST_DURATION.description(), Source::Application)
}

/// Selects all series of `socialize.build.info`.
pub fn builds() -> Selector<Build, IsGauge> {
    Selector::all(BUILD_INFO.description(), Source::Application)
}

/// Returns the firing alerts, as Prometheus records them.
pub fn firing_alerts() -> Vector<Both<AlertName, AlertSeverity>> {
    let never = crate::severity::Severity::None.as_str();
    let states = Selection {
        name: "ALERTS".to_owned(),
        source: Source::Rules,
        matchers: vec![
            Matcher::new("alertstate", MatchOperator::Equal, "firing"),
            Matcher::new(AlertSeverity::KEY, MatchOperator::NotEqual, never),
        ],
        offset: None,
        at_end: false,
    };
    Samples::<Both<AlertName, AlertSeverity>>::new(Expression::Instant(states)).by(Aggregation::Count)
}

impl<K> Selector<ServerRequest, K> {
    /// Keeps only the routes chosen at the top of the dashboard.
    #[must_use]
    pub fn of_chosen_routes(self) -> Self {
        self.matching::<Route>(MatchOperator::Matches, Choice::Route.variable())
    }
}
