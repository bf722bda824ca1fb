//! Which labels a metric has, for the compiler.

use std::marker::PhantomData;

use domain::labels::Peer;
use telemetry::catalogue::{Label, LabelSet, prometheus_label};
use telemetry::{ClosedSet, ErrorType};

/// A label that results can be grouped by. Every [`Label`] is one; others have values that only a running process knows.
pub trait LabelName {
    /// The attribute name, in OpenTelemetry's dotted spelling.
    const KEY: &'static str;
}

impl<A: Label> LabelName for A {
    const KEY: &'static str = A::KEY;
}

/// The label set has the label `A`. `Position` says where; the compiler finds it.
pub trait HasLabel<A, Position> {}

/// It is the only one, or one of a set that is written down by hand.
pub enum Only {}
/// It is the first of two.
pub enum First {}
/// It is the second of two.
pub enum Second {}
/// Every series has it, because it says which process sent it.
pub enum Resource {}

impl<A: Label> HasLabel<A, Only> for A {}
impl<A: Label, B: Label> HasLabel<A, First> for (A, B) {}
impl<A: Label, B: Label> HasLabel<B, Second> for (A, B) {}
impl<L: LabelSet> HasLabel<Instance, Resource> for L {}

/// The process that sent a series: `service.instance.id`.
pub enum Instance {}

impl LabelName for Instance {
    const KEY: &'static str = "instance";
}

/// The deployment that a series belongs to: `deployment.environment.name`, which Prometheus makes a label of every series that is sent.
pub enum Environment {}

impl LabelName for Environment {
    const KEY: &'static str = domain::recorded::resource::DEPLOYMENT_ENVIRONMENT_NAME;
}

/// The labels of `http.server.request.duration`.
pub enum ServerRequest {}

/// The template of the route, closed when a process starts.
pub enum Route {}

impl LabelName for Route {
    const KEY: &'static str = "http.route";
}

/// The HTTP method, closed when a process starts.
pub enum RequestMethod {}

impl LabelName for RequestMethod {
    const KEY: &'static str = "http.request.method";
}

/// The status of an answer, closed when a process starts.
pub enum ResponseStatus {}

impl LabelName for ResponseStatus {
    const KEY: &'static str = "http.response.status_code";
}

/// The labels of `http.client.request.duration`.
pub enum ClientCall {}

/// What kind of answer a peer gave: `2xx` to `5xx`. Absent where there was none.
pub enum ResponseStatusClass {}

impl LabelName for ResponseStatusClass {
    const KEY: &'static str = "http.response.status_class";
}

/// Why a call to a peer failed. Absent where it did not.
pub enum CallFailure {}

impl LabelName for CallFailure {
    const KEY: &'static str = "error.type";
}

impl HasLabel<Peer, Only> for ClientCall {}
impl HasLabel<ResponseStatusClass, Only> for ClientCall {}
impl HasLabel<CallFailure, Only> for ClientCall {}
impl HasLabel<Instance, Resource> for ClientCall {}

/// The labels of `socialize.build.info`.
pub enum Build {}

/// The version of a build.
pub enum BuildVersion {}

impl LabelName for BuildVersion {
    const KEY: &'static str = "version";
}

/// The commit of a build.
pub enum BuildCommit {}

impl LabelName for BuildCommit {
    const KEY: &'static str = "commit";
}

impl HasLabel<BuildVersion, Only> for Build {}
impl HasLabel<BuildCommit, Only> for Build {}
impl HasLabel<Instance, Resource> for Build {}

/// The name of an alert.
pub enum AlertName {}

impl LabelName for AlertName {
    const KEY: &'static str = "alertname";
}

/// How soon somebody has to look at an alert.
pub enum AlertSeverity {}

impl LabelName for AlertSeverity {
    const KEY: &'static str = "severity";
}

/// The upper bound of a bucket, which every series of a histogram's buckets has.
pub enum BucketBound {}

impl LabelName for BucketBound {
    const KEY: &'static str = "le";
}

/// Why a request has no answer that is right: the values of its `error.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFailure {
    /// The client went away.
    Cancelled,
    /// A fault of ours, or an answer that the API's document does not mention.
    Internal,
    /// The handler panicked.
    Panic,
    /// Something that it needed was not there.
    Unavailable,
    /// It took too long.
    Timeout,
}

impl RequestFailure {
    /// Those that are the service's fault.
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

/// What the series of a result are told apart by.
pub trait Grouping {
    /// The label names as Prometheus spells them.
    fn keys() -> Vec<String>;
}

/// By nothing: there is one series.
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

/// By two labels.
pub struct Both<A, B>(PhantomData<fn(A, B)>);

impl<A: LabelName, B: LabelName> Grouping for Both<A, B> {
    fn keys() -> Vec<String> {
        vec![prometheus_label(A::KEY), prometheus_label(B::KEY)]
    }
}
