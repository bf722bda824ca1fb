//! The stores that panels query.

use serde::Serialize;

/// The stores, by their names in `deploy/grafana/provisioning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataSource {
    /// The store of metrics.
    Prometheus,
    /// The store of log lines.
    Loki,
    /// The store of traces.
    Tempo,
}

impl DataSource {
    /// Returns the fixed identifier, which is also the name of the store's type.
    pub const fn uid(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Loki => "loki",
            Self::Tempo => "tempo",
        }
    }

    pub(super) const fn reference(self) -> DataSourceRef {
        DataSourceRef { r#type: self.uid(), uid: self.uid() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct DataSourceRef {
    r#type: &'static str,
    uid: &'static str,
}
