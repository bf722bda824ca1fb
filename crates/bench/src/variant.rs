//! The variants of telemetry with which a route is measured.

use clap::ValueEnum;
use telemetry::log::{Level, LevelFilter};
use telemetry::otlp::HistogramAggregation;
use telemetry::{Resource, Sampler, TelemetrySettings};

/// The telemetry that is enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Variant {
    /// No telemetry at all: the bare router.
    None,
    /// Lines from level info, a span for every request, and points.
    AllSignals,
    /// The same with lines from level warn, so that a successful request has only its span and its
    /// points.
    LinesFromWarn,
    /// All signals, but no request is sampled.
    Unsampled,
    /// No endpoint for spans, and lines from level warn.
    NoEndpointWarn,
    /// All signals by axum-tracing-opentelemetry, tracing-subscriber and the OpenTelemetry SDK.
    AxumTracingOpentelemetry,
    /// All signals by the layer of tower-http.
    TowerHttp,
}

/// The layer that makes a span and a line of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UsualLayer {
    /// `axum-tracing-opentelemetry`. The line is the one that `tracing-subscriber` writes when a
    /// span is closed.
    AxumTracingOpentelemetry,
    /// `tower-http`'s layer, with the application's attributes only, and a line written by hand.
    TowerHttp,
}

impl Variant {
    pub(crate) const ALL: &'static [Self] = &[
        Self::None,
        Self::AllSignals,
        Self::Unsampled,
        Self::NoEndpointWarn,
        Self::AxumTracingOpentelemetry,
        Self::TowerHttp,
    ];

    /// The variants that produce the same signals for a request with children.
    pub(crate) const WITH_CHILDREN: &'static [Self] =
        &[Self::None, Self::AllSignals, Self::Unsampled, Self::NoEndpointWarn, Self::TowerHttp];

    /// The variants that consist of Socialize's code only.
    pub(crate) const OWN: &'static [Self] =
        &[Self::None, Self::AllSignals, Self::Unsampled, Self::NoEndpointWarn];

    /// `OWN`, and the variant that shows the cost of a span without its line.
    pub(crate) const OF_CHILDREN: &'static [Self] =
        &[Self::None, Self::AllSignals, Self::LinesFromWarn, Self::Unsampled, Self::NoEndpointWarn];

    /// The variants of the usual crates, which serve as a reference only.
    pub(crate) const USUAL: &'static [Self] = &[Self::AxumTracingOpentelemetry, Self::TowerHttp];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::AllSignals => "all_signals",
            Self::LinesFromWarn => "lines_from_warn",
            Self::Unsampled => "unsampled",
            Self::NoEndpointWarn => "no_endpoint_warn",
            Self::AxumTracingOpentelemetry => "axum_tracing_opentelemetry",
            Self::TowerHttp => "tower_http",
        }
    }

    /// Returns whether the variant uses the usual crates.
    pub(crate) fn is_usual(self) -> bool {
        self.usual_layer().is_some()
    }

    /// Returns the layer of the usual set-up that the variant measures.
    pub(crate) fn usual_layer(self) -> Option<UsualLayer> {
        match self {
            Self::AxumTracingOpentelemetry => Some(UsualLayer::AxumTracingOpentelemetry),
            Self::TowerHttp => Some(UsualLayer::TowerHttp),
            Self::None | Self::AllSignals | Self::LinesFromWarn | Self::Unsampled | Self::NoEndpointWarn => {
                None
            }
        }
    }

    pub(crate) fn settings(self) -> Option<TelemetrySettings> {
        let has_few_lines = matches!(self, Self::LinesFromWarn | Self::NoEndpointWarn);
        let level = if has_few_lines { Level::Warn } else { Level::Info };
        let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let settings = TelemetrySettings {
            sampler: Sampler { ratio: if self == Self::Unsampled { 0.0 } else { 1.0 }, parent_based: true },
            traces: self != Self::NoEndpointWarn,
            exemplars: true,
            levels: LevelFilter::new(level.into()),
            histograms: HistogramAggregation::Exponential,
            resource: Resource {
                attributes: vec![
                    attribute("service.name", "socialize-api"),
                    attribute("service.namespace", "socialize"),
                    attribute("service.version", env!("CARGO_PKG_VERSION")),
                    attribute("service.instance.id", "0190a5a0-0000-7000-8000-000000000000"),
                ],
                scopes: catalogue::scopes::OF_METRICS,
            },
        };
        (self != Self::None).then_some(settings)
    }
}
