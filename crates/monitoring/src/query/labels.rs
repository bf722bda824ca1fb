//! Type-level sets of labels, so that the compiler knows which labels a metric has.

use std::marker::PhantomData;

use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::{DatabaseSystem, Peer};
use signal::metric::{Label, LabelSet, prometheus_label};
use signal::{ClosedSet, ErrorType};

/// A label by which results can be grouped. Every [`Label`] implements it; labels with values known only at
/// run time do, too.
pub trait LabelName {
    /// The attribute name in OpenTelemetry's dotted form.
    const KEY: &'static str;
}

impl<A: Label> LabelName for A {
    const KEY: &'static str = A::KEY;
}

/// Implemented if a label set contains the label `A`. `Position` makes implementations distinct;
/// the compiler infers it.
pub trait HasLabel<A, Position> {}

/// Position of the only label, or of any label in a hand-written set.
pub enum Only {}
/// Position of the first of two labels.
pub enum First {}
/// Position of the second of two labels.
pub enum Second {}
/// Position of labels that only failures have.
pub enum Failure {}
/// Position of the labels that every series has, because they identify the sending process.
pub enum Resource {}

impl<A: Label> HasLabel<A, Only> for A {}
impl<A: Label, B: Label> HasLabel<A, First> for (A, B) {}
impl<A: Label, B: Label> HasLabel<B, Second> for (A, B) {}
impl<L: LabelSet> HasLabel<Instance, Resource> for L {}

/// The labels of `db.client.operation.duration` that exist from the start.
pub(crate) type DatabaseCall = (DatabaseOperation, DatabaseSystem);

impl HasLabel<ErrorType, Failure> for DatabaseCall {}

/// The process that sent a series: `service.instance.id`.
pub enum Instance {}

impl LabelName for Instance {
    const KEY: &'static str = "instance";
}

/// The deployment of a series: `deployment.environment.name`, which Prometheus adds as a label to
/// every series that is pushed.
pub enum Environment {}

impl LabelName for Environment {
    const KEY: &'static str = catalogue::recorded::resource::DEPLOYMENT_ENVIRONMENT_NAME;
}

/// The labels of `http.server.request.duration`.
pub enum ServerRequest {}

/// The route template; closed when a process starts.
pub enum Route {}

impl LabelName for Route {
    const KEY: &'static str = "http.route";
}

/// The HTTP method; closed when a process starts.
pub enum RequestMethod {}

impl LabelName for RequestMethod {
    const KEY: &'static str = "http.request.method";
}

/// The response status; closed when a process starts.
pub enum ResponseStatus {}

impl LabelName for ResponseStatus {
    const KEY: &'static str = "http.response.status_code";
}

/// The labels of `http.client.request.duration`.
pub enum ClientCall {}

/// The reason why a call to a peer failed. Absent on success.
pub enum CallFailure {}

impl LabelName for CallFailure {
    const KEY: &'static str = "error.type";
}

impl HasLabel<Peer, Only> for ClientCall {}
impl HasLabel<ResponseStatus, Only> for ClientCall {}
impl HasLabel<CallFailure, Only> for ClientCall {}
impl HasLabel<Instance, Resource> for ClientCall {}

/// The labels of `socialize.build.info`.
pub enum Build {}

/// The version label of a build.
pub enum BuildVersion {}

impl LabelName for BuildVersion {
    const KEY: &'static str = "version";
}

/// The commit label of a build.
pub enum BuildCommit {}

impl LabelName for BuildCommit {
    const KEY: &'static str = "commit";
}

impl HasLabel<BuildVersion, Only> for Build {}
impl HasLabel<BuildCommit, Only> for Build {}
impl HasLabel<Instance, Resource> for Build {}

/// The `alertname` label.
pub enum AlertName {}

impl LabelName for AlertName {
    const KEY: &'static str = "alertname";
}

/// The severity of an alert: how soon it needs attention.
pub enum AlertSeverity {}

impl LabelName for AlertSeverity {
    const KEY: &'static str = "severity";
}

/// Reasons why a request has no successful response: the values of its `error.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFailure {
    /// The client disconnected.
    Cancelled,
    /// A defect of Socialize, or a status that the OpenAPI document does not mention.
    Internal,
    /// The handler panicked.
    Panic,
    /// A dependency of the handler was unavailable.
    Unavailable,
    /// The request timed out.
    Timeout,
}

impl RequestFailure {
    /// The failures that are the service's fault.
    pub const OURS: &'static [Self] = &[Self::Internal, Self::Panic, Self::Unavailable, Self::Timeout];
}

impl ClosedSet for RequestFailure {
    const ALL: &'static [Self] =
        &[Self::Cancelled, Self::Internal, Self::Panic, Self::Unavailable, Self::Timeout];

    fn as_str(self) -> &'static str {
        let error_type = match self {
            Self::Cancelled => ErrorType::Cancelled,
            Self::Internal => ErrorType::Internal,
            Self::Panic => ErrorType::Panic,
            Self::Unavailable => ErrorType::Unavailable,
            Self::Timeout => ErrorType::Timeout,
        };
        error_type.as_str()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl Label for RequestFailure {
    const KEY: &'static str = "error.type";
}

impl HasLabel<Route, Only> for ServerRequest {}
impl HasLabel<RequestMethod, Only> for ServerRequest {}
impl HasLabel<ResponseStatus, Only> for ServerRequest {}
impl HasLabel<RequestFailure, Only> for ServerRequest {}
impl HasLabel<Instance, Resource> for ServerRequest {}

/// The labels that distinguish the series of a result.
pub trait Grouping {
    /// Returns the label names as Prometheus spells them.
    fn keys() -> Vec<String>;
}

/// No labels: there is one series.
#[derive(Clone, Copy, Debug)]
pub enum Total {}

impl Grouping for Total {
    fn keys() -> Vec<String> {
        Vec::new()
    }
}

impl<A: LabelName> Grouping for A {
    fn keys() -> Vec<String> {
        vec![prometheus_label(A::KEY)]
    }
}

/// Two labels.
pub struct Both<A, B>(PhantomData<fn(A, B)>);

impl<A: LabelName, B: LabelName> Grouping for Both<A, B> {
    fn keys() -> Vec<String> {
        vec![prometheus_label(A::KEY), prometheus_label(B::KEY)]
    }
}
