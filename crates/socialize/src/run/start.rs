//! Startup of `serve` and `work`, from settings to a running application.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use catalogue::labels::{Dependency, Role};
use catalogue::recorded::{self, resource};
use catalogue::{keys, metrics, scopes};
use signal::names::PIPELINE_FIELDS;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use telemetry::health::{DependencyState, Health, HealthSettings};
use telemetry::log::{LevelFilter, LogSettings, PanicText};
use telemetry::{ClosedSet, ErrorType, Pipeline, PipelineSettings, Resource, Telemetry, TelemetrySettings};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::app::{App, AppSettings, AppState};
use crate::platform::blobs::Blobs;
use crate::platform::clock::Clock;
use crate::platform::database::database_sessions::{self, Parameters};
use crate::platform::database::facts;
use crate::platform::database::migrations::migrator;
use crate::platform::database::requirements::Requirements;
use crate::platform::database::schema::Schema;
use crate::platform::database::{Database, DatabaseError, Pool};
use crate::platform::disks;
use crate::platform::gauges::GaugeSignals;
use crate::platform::mail::Mail;
use crate::platform::outbound::Outbound;
use crate::platform::passwords::Passwords;
use crate::platform::rate_limit::RateLimits;
use crate::platform::signals::Signals;
use crate::platform::token::Tokens;
use crate::platform::version::{COMMIT, VERSION};
use crate::queue::Queue;
use crate::run::config::{DatabaseSettings, Settings};

/// A started application with its telemetry threads.
pub struct Started {
    pub app: App,
    /// Shut down last.
    pub pipeline: Pipeline,
}

/// Starts telemetry, the pool and the health checks. The database may be down: requests fail until it is up.
///
/// # Errors
/// Returns an error if the log file, a sender or the database URL is unusable.
pub async fn start(settings: &Settings, role: Role) -> anyhow::Result<Started> {
    let telemetry = Telemetry::new(telemetry_settings(settings, role));
    let pipeline = Pipeline::start(&telemetry, pipeline_settings(settings))?;
    report_role(&telemetry, role);

    let health: Arc<OnceLock<Health<Dependency>>> = Arc::default();
    let known_health = health.clone();
    let is_down = move || known_health.get().is_some_and(|health| health.is_down(Dependency::Postgres));
    let statement_timeout = settings.database.limits.statement_timeout;
    let database = Database::new(pool(&settings.database)?, statement_timeout, &telemetry, is_down);
    let mail = Mail::new(settings.mail.clone(), &telemetry)?;
    let known_health = health.clone();
    let is_down = move || known_health.get().is_some_and(|health| health.is_down(Dependency::BlobStore));
    let blobs = Blobs::new(settings.blobs.clone(), &telemetry, is_down)?;
    let schema = Schema::unknown(settings.database.limits.may_be_newer);
    let requirements = Requirements::unknown();
    let ping = Ping {
        options: connect_options(&settings.database)?,
        requirements: requirements.clone(),
        schema: schema.clone(),
    };
    let checks = || start_health(ping, mail.clone(), blobs.clone());
    let health = health.get_or_init(checks).clone();
    report_health(&telemetry, &health);

    let log_file = settings.log.file.as_ref().map(|file| file.path.as_path());
    disks::report(&telemetry, log_file, &settings.blobs.store);

    let outbound = Outbound::new(&settings.outbound, &telemetry)?;
    let clock = Clock::default();
    let app_settings = AppSettings {
        public_url: settings.public_url.clone(),
        request_timeout: settings.listen.request_timeout,
        body_timeout: settings.listen.body_timeout,
        upload_timeout: settings.listen.upload_timeout,
        trusted_peers: settings.listen.trusted_peers.clone(),
        trusted_trace_peers: settings.listen.trusted_trace_peers.clone(),
        password_hashing: settings.password_hashing,
        rate_limits: settings.rate_limits,
        quotas: settings.quotas,
        approval_stale_after: settings.process.approval_stale_after,
    };
    let tokens = Tokens::new(&settings.server_secret);
    let app = App::new(AppState {
        signals: Signals::new(&telemetry),
        queue: Queue::new(&telemetry, &database, &clock),
        gauges: GaugeSignals::new(&telemetry),
        mail,
        blobs,
        outbound,
        passwords: Passwords::new(app_settings.password_hashing)?,
        rate_limits: RateLimits::new(&app_settings.rate_limits, &database, &tokens, &clock),
        database,
        settings: app_settings,
        clock,
        tokens,
        health,
        requirements,
        schema,
        telemetry,
    });
    Ok(Started { app, pipeline })
}

fn telemetry_settings(settings: &Settings, role: Role) -> TelemetrySettings {
    let otlp = settings.otlp.as_ref();
    TelemetrySettings {
        sampler: otlp.map(|otlp| otlp.sampler).unwrap_or_default(),
        traces: otlp.is_some_and(|otlp| otlp.traces.is_some()),
        exemplars: otlp.is_none_or(|otlp| otlp.exemplars),
        levels: LevelFilter::new(settings.log.levels.clone()),
        histograms: otlp.map(|otlp| otlp.histograms).unwrap_or_default(),
        resource: resource(settings, role),
    }
}

/// Resource of this process. `OTEL_RESOURCE_ATTRIBUTES` takes precedence over detected values.
fn resource(settings: &Settings, role: Role) -> Resource {
    let said = settings.otlp.as_ref().map(|otlp| otlp.resource.clone()).unwrap_or_default();
    let known = [
        (
            resource::SERVICE_NAME,
            said.service_name.unwrap_or_else(|| recorded::service_name(role).to_owned()),
        ),
        (resource::SERVICE_NAMESPACE, recorded::SERVICE_NAMESPACE.to_owned()),
        (resource::SERVICE_VERSION, VERSION.to_owned()),
        (resource::SERVICE_INSTANCE_ID, Uuid::new_v4().to_string()),
        (resource::DEPLOYMENT_ENVIRONMENT_NAME, settings.environment.clone()),
        (resource::TELEMETRY_SDK_NAME, recorded::TELEMETRY_SDK.to_owned()),
        (resource::TELEMETRY_SDK_LANGUAGE, "rust".to_owned()),
        (resource::TELEMETRY_SDK_VERSION, VERSION.to_owned()),
        (resource::PROCESS_PID, std::process::id().to_string()),
        (resource::PROCESS_CREATION_TIME, telemetry::process::creation_time()),
    ];
    let host_name = telemetry::process::host_name().map(|name| (resource::HOST_NAME, name));
    let mut attributes = said.attributes;
    for (key, value) in known.into_iter().chain(host_name) {
        if !attributes.iter().any(|(said, _)| said == key) {
            attributes.push((key.to_owned(), value));
        }
    }
    Resource { attributes, scopes: scopes::OF_METRICS }
}

fn pipeline_settings(settings: &Settings) -> PipelineSettings {
    let allowed = [keys::NAMES, recorded::EVENT_FIELDS, PIPELINE_FIELDS].concat();
    PipelineSettings {
        log: LogSettings {
            stdout: settings.log.stdout,
            file: settings.log.file.clone(),
            ..LogSettings::default()
        },
        traces: settings.otlp.as_ref().and_then(|otlp| otlp.traces.clone()),
        metrics: settings.otlp.as_ref().and_then(|otlp| otlp.metrics.clone()),
        // Once per process, so the list may live as long as the process.
        allowed_fields: allowed.leak(),
        own_targets: &["socialize", "telemetry"],
        panic_text: PanicText::Hidden,
    }
}

/// Creates a pool that connects on first use.
///
/// # Errors
/// Returns an error if the URL is unusable; the message does not quote it.
pub fn pool(settings: &DatabaseSettings) -> anyhow::Result<Pool> {
    let pool = PgPoolOptions::new()
        .max_connections(settings.limits.connections)
        .acquire_timeout(settings.limits.acquire_timeout);
    let parameters = Parameters::new(settings.limits.statement_timeout);
    Ok(database_sessions::pool(pool, connect_options(settings)?, parameters))
}

/// Connection options without limits.
///
/// # Errors
/// Returns an error if the URL is unusable; the message does not quote it.
pub(crate) fn connect_options(settings: &DatabaseSettings) -> anyhow::Result<PgConnectOptions> {
    let options: PgConnectOptions = settings
        .url
        .expose()
        .parse()
        .ok()
        .context("SOCIALIZE_DATABASE_URL: the options in the URL are not known")?;
    // PgBouncer refuses unknown startup parameters, and no float is read as text.
    Ok(options.application_name("socialize").extra_float_digits(None))
}

/// Starts health checks of the dependencies, on separate connections: an exhausted pool does not mean that
/// the database is down.
fn start_health(ping: Ping, mail: Mail, blobs: Blobs) -> Health<Dependency> {
    let check = move || {
        let ping = ping.clone();
        async move { ping.send().await }
    };
    let check_mail = move || {
        let mail = mail.clone();
        async move { mail.check().await }
    };
    let check_blobs = move || {
        let blobs = blobs.clone();
        async move { blobs.check().await }
    };
    Health::builder(HealthSettings::default())
        .required(Dependency::Postgres, check)
        .optional(Dependency::Email, check_mail)
        // Only routes with files need it, and they fail at once while it is down.
        .optional(Dependency::BlobStore, check_blobs)
        .start()
}

#[derive(Clone)]
struct Ping {
    options: PgConnectOptions,
    requirements: Requirements,
    schema: Schema,
}

impl Ping {
    /// Checks that the database responds and is suitable, and reads its schema.
    async fn send(&self) -> Result<(), ErrorType> {
        let failed = |error| DatabaseError::from(error).error_type;
        let session = self.requirements.session(&self.options).await.map_err(failed)?;
        // Without a session it responds, and its schema does not matter yet.
        let Some(mut connection) = session else { return Ok(()) };
        self.schema.refresh(&mut connection).await?;
        connection.close().await.map_err(failed)
    }
}

fn report_health(telemetry: &Telemetry, health: &Health<Dependency>) {
    let health = health.clone();
    telemetry.meter().observe(&metrics::DEPENDENCY_UP, move |dependency| {
        match health.state(dependency)? {
            DependencyState::Up => Some(1.0),
            DependencyState::Down => Some(0.0),
            // No value is better than a stale one.
            DependencyState::Unknown => None,
        }
    });
}

/// Reports build, start time and heartbeat.
fn report_role(telemetry: &Telemetry, role: Role) {
    let labels = vec![("version", VERSION.to_owned()), ("commit", COMMIT.to_owned())];
    telemetry.meter().observe_series(&metrics::BUILD_INFO, labels, || Some(1.0));
    let runtime = Handle::current().metrics();
    telemetry.meter().observe(&metrics::RUNTIME_TASKS, move |()| Some(runtime.num_alive_tasks() as f64));
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let (started, heartbeat) =
        (telemetry.meter().gauge(&metrics::STARTED), telemetry.meter().gauge(&metrics::HEARTBEAT));
    // Set before the first collection, which is the only one of a short-lived process.
    started.set(role, now());
    heartbeat.set(role, now());
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(Duration::from_secs(1));
        loop {
            interval.tick().await;
            heartbeat.set(role, now());
        }
    });
}

/// Opens one connection with this statement timeout.
///
/// # Errors
/// Returns an error if the database cannot be reached.
pub async fn connect(
    settings: &DatabaseSettings,
    statement_timeout: Duration,
) -> anyhow::Result<PgConnection> {
    let options = connect_options(settings)?;
    database_sessions::open(&options, &Parameters::new(statement_timeout)).await.map_err(reduced)
}

/// Migrates the database to the schema of this version and returns the number of applied migrations.
///
/// # Errors
/// Returns an error if the database cannot be reached or a migration fails.
pub async fn migrate(settings: &DatabaseSettings) -> anyhow::Result<usize> {
    let options = connect_options(settings)?;
    if let Some(obstacle) = facts::obstacle_to_migrations(&options).await.map_err(reduced)? {
        anyhow::bail!("{}", obstacle.sentence());
    }
    // Migrations may take longer than any statement of a request.
    let parameters = Parameters::new(Duration::ZERO);
    let mut connection = database_sessions::open(&options, &parameters).await.map_err(reduced)?;
    let mut migrator = migrator();
    migrator.set_ignore_missing(settings.limits.may_be_newer);
    let before = applied(&mut connection).await;
    migrator.run(&mut connection).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::Execute(error) => reduced(error),
        // The other variants contain only schema versions, never a customer's value.
        error => anyhow::Error::from(error),
    })?;
    Ok(applied(&mut connection).await.saturating_sub(before))
}

async fn applied(connection: &mut PgConnection) -> usize {
    let count = sqlx::query_scalar::<_, i64>("select count(*) from _sqlx_migrations where success");
    count.fetch_one(connection).await.unwrap_or_default() as usize
}

/// A database error without its message, which may quote a value.
fn reduced(error: sqlx::Error) -> anyhow::Error {
    let error_type = DatabaseError::from(error).error_type;
    anyhow::anyhow!("the database answered with {}", error_type.as_str())
}
