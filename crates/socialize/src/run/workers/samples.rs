//! The gauges that a worker samples.

use std::time::Duration;

use catalogue::labels::Loop;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;

use crate::app::App;
use crate::platform::database;
use crate::platform::gauges::{self, GaugeLimits};
use crate::platform::sampler::Sample;
use crate::queue::WorkerSettings;

/// Maximum delay after a failed comparison of gauges. It reads every row, so it must not be retried often.
const LONGEST_PAUSE_OF_COMPARISONS: Duration = Duration::from_secs(300);

/// Returns the samplers of a worker besides the queue's.
pub fn samples(app: &App, settings: &WorkerSettings<App>) -> Vec<Box<dyn Sample>> {
    vec![
        Box::new(Gauges { app: app.clone(), every: settings.gauge_interval }),
        Box::new(GaugeDrift { app: app.clone(), every: settings.gauge_check_interval }),
    ]
}

/// Numbers of domain objects by state.
struct Gauges {
    app: App,
    every: Duration,
}

impl Sample for Gauges {
    fn its_loop(&self) -> Loop {
        Loop::GaugeSampler
    }

    fn every(&self) -> Duration {
        self.every
    }

    fn take<'a>(&'a self, connection: &'a mut PgConnection) -> BoxFuture<'a, database::Result<()>> {
        let app = &self.app;
        let settings = &app.settings;
        let limits =
            GaugeLimits { quotas: &settings.quotas, approval_stale_after: settings.approval_stale_after };
        Box::pin(gauges::sample(&app.database, connection, &app.gauges, limits, app.clock.now()))
    }

    fn report_nothing(&self) {
        self.app.gauges.sample_unknown();
    }
}

/// Differences between those counts and the tables.
struct GaugeDrift {
    app: App,
    every: Duration,
}

impl Sample for GaugeDrift {
    fn its_loop(&self) -> Loop {
        Loop::GaugeChecker
    }

    fn every(&self) -> Duration {
        self.every
    }

    fn statement_timeout(&self) -> Option<Duration> {
        Some(gauges::COMPARISON_LIMIT)
    }

    fn longest_pause(&self) -> Option<Duration> {
        Some(LONGEST_PAUSE_OF_COMPARISONS)
    }

    fn take<'a>(&'a self, connection: &'a mut PgConnection) -> BoxFuture<'a, database::Result<()>> {
        Box::pin(async {
            let differences = gauges::compare(&self.app.database, connection).await?;
            self.app.gauges.compared(&differences);
            Ok(())
        })
    }

    fn report_nothing(&self) {
        self.app.gauges.drift_unknown();
    }
}
