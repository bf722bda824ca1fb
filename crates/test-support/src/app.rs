//! An application for one test: the real router on its own database, with a clock that the test
//! advances.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use chrono::{DateTime, Utc};
use domain::ids::{SessionId, UserId};
use http::{Method, Request, Response, header};
use serde_json::Value;
use socialize::app::{App, AppSettings, AppState};
use socialize::platform::blobs::{BlobSettings, BlobStoreSettings, BlobTimeouts, Blobs};
use socialize::platform::clock::Clock;
use socialize::platform::database::Database;
use socialize::platform::database::requirements::Requirements;
use socialize::platform::database::schema::Schema;
use socialize::platform::gauges::GaugeSignals;
use socialize::platform::mail::{Mail, MailSettings, MailTransport};
use socialize::platform::outbound::{Lookup, Outbound, OutboundSettings};
use socialize::platform::passwords::{PasswordHashing, Passwords};
use socialize::platform::quotas::QuotaSettings;
use socialize::platform::rate_limit::{RateLimitSettings, RateLimits};
use socialize::platform::secret::Secret;
use socialize::platform::signals::Signals;
use socialize::platform::token::Tokens;
use socialize::queue::{Queue, RunCounts};
use socialize::run::workers::run_due_jobs;
use telemetry::health::{Health, HealthSettings};
use telemetry::http_server::HttpServerService;
use telemetry::meter::Snapshot;
use telemetry::{Telemetry, TelemetrySettings};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::answer::Answer;
use crate::contract::{Contract, Sent};
use crate::database::TestDatabase;
use crate::recorded::{assert_known_fields, assert_known_names};

/// The application under test, with its database and directories.
pub struct TestApp {
    /// The application's state; the clock is `app.clock`.
    pub app: App,
    router: HttpServerService<Router>,
    database: TestDatabase,
    emails: TempDir,
    blobs: TempDir,
    blob_store_is_down: Arc<AtomicBool>,
    outbound: (OutboundSettings, Lookup),
}

impl Drop for TestApp {
    /// Checks in every test that everything recorded would pass the collector's allow-list.
    fn drop(&mut self) {
        // A second panic would hide the first one.
        if !std::thread::panicking() {
            assert_known_names(&self.app.telemetry);
        }
    }
}

impl TestApp {
    /// Starts an application on a new database, with directories for its e-mails and uploaded
    /// files.
    pub async fn start() -> Self {
        Self::start_with(|_| (), None, None).await
    }

    /// Like [`start`](Self::start), with another store of uploaded files.
    pub async fn start_with_blobs(blobs: BlobSettings) -> Self {
        Self::start_with(|_| (), None, Some(blobs)).await
    }

    /// Like [`start`](Self::start), with another transport of e-mails.
    pub async fn start_with_mail(transport: Option<MailTransport>) -> Self {
        Self::start_with(|_| (), transport, None).await
    }

    /// Like [`start`](Self::start), with changed settings.
    pub async fn start_with_settings(change: impl FnOnce(&mut AppSettings)) -> Self {
        Self::start_with(change, None, None).await
    }

    /// Like [`start`](Self::start), with settings for publishing endpoints. Without `lookup`, the
    /// system resolves names.
    pub async fn start_with_outbound(settings: OutboundSettings, lookup: Option<Lookup>) -> Self {
        let lookup = lookup.unwrap_or_else(socialize::platform::outbound::system_lookup);
        Self::start_as(|_| (), None, None, (settings, lookup)).await
    }

    async fn start_with(
        change: impl FnOnce(&mut AppSettings),
        transport: Option<MailTransport>,
        blobs: Option<BlobSettings>,
    ) -> Self {
        Self::start_as(change, transport, blobs, (OutboundSettings::default(), no_names())).await
    }

    async fn start_as(
        change: impl FnOnce(&mut AppSettings),
        transport: Option<MailTransport>,
        blobs: Option<BlobSettings>,
        outbound: (OutboundSettings, Lookup),
    ) -> Self {
        let emails = tempfile::tempdir().expect("a directory");
        let directory = tempfile::tempdir().expect("a directory");
        let blobs = blobs.unwrap_or_else(|| in_directory(&directory));
        let transport = transport.unwrap_or_else(|| MailTransport::Directory(emails.path().to_owned()));
        let database = TestDatabase::create().await;
        let now: DateTime<Utc> = "2026-11-23T09:00:00Z".parse().expect("a time");
        let blob_store_is_down = Arc::new(AtomicBool::new(false));
        let blobs = (blobs, blob_store_is_down.clone());
        let app = build(database.pool(), Clock::fixed(now), transport, blobs, &outbound, change);
        let router = socialize::run::router::service(app.clone());
        Self { app, router, database, emails, blobs: directory, blob_store_is_down, outbound }
    }

    /// Returns a second process of the application: on the same database, with the same clock and
    /// its own signals.
    pub fn another_process(&self) -> App {
        self.another_process_over(self.pool())
    }

    /// Like [`another_process`](Self::another_process), with its own pool.
    pub fn another_process_over(&self, pool: &sqlx::PgPool) -> App {
        self.build_another(pool, self.app.clock.clone())
    }

    /// Like [`another_process`](Self::another_process), on a machine with another clock.
    pub fn another_process_by(&self, clock: Clock) -> App {
        self.build_another(self.pool(), clock)
    }

    fn build_another(&self, pool: &sqlx::PgPool, clock: Clock) -> App {
        let transport = MailTransport::Directory(self.emails.path().to_owned());
        let blobs = (in_directory(&self.blobs), self.blob_store_is_down.clone());
        build(pool, clock, transport, blobs, &self.outbound, |settings| *settings = self.app.settings.clone())
    }

    /// Returns the database, for state that the API does not show.
    pub fn pool(&self) -> &sqlx::PgPool {
        self.database.pool()
    }

    /// Sends any request, and checks that the OpenAPI document allows the response.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let (sent, request) = Sent::look_at(request).await;
        let response = self.router.clone().oneshot(request).await.expect("the router never fails");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a whole body").to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let answer = Answer { status: parts.status, headers: parts.headers, body, bytes };
        Contract::get().check(&sent, &answer);
        answer
    }

    /// Sends a request with a JSON body (none if it is `Null`) as `caller`.
    pub async fn call(&self, caller: Option<UserId>, method: Method, path: &str, body: Value) -> Answer {
        self.send(self.request(caller, method, path, &body, &[])).await
    }

    /// Builds a request with additional headers.
    pub fn request(
        &self,
        caller: Option<UserId>,
        method: Method,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(caller) = caller {
            request = request
                .header(header::AUTHORIZATION, format!("Bearer {}", self.access_token(caller).expose()));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_null() {
            return request.body(Body::empty()).expect("a request");
        }
        request = request.header(header::CONTENT_TYPE, "application/json");
        request.body(Body::from(body.to_string())).expect("a request")
    }

    /// Sends a `GET` request as `caller`.
    pub async fn get(&self, caller: UserId, path: &str) -> Answer {
        self.call(Some(caller), Method::GET, path, Value::Null).await
    }

    /// Sends a `POST` request as `caller`.
    pub async fn post(&self, caller: UserId, path: &str, body: Value) -> Answer {
        self.call(Some(caller), Method::POST, path, body).await
    }

    /// Returns a valid access token of the session that [`Self::begin_session`] creates, whose id
    /// is the user's.
    pub fn access_token(&self, user: UserId) -> Secret {
        let session = SessionId::from(user.uuid());
        self.app.tokens.issue(user, session, self.app.clock.now()).expect("signed")
    }

    /// Returns the e-mail address of a user.
    pub async fn email_of(&self, user: UserId) -> String {
        let email = sqlx::query_scalar("select email from users where id = $1").bind(user);
        email.fetch_one(self.pool()).await.expect("a user")
    }

    /// Waits until `statements` statements wait for locks, to show how concurrent requests affect
    /// each other.
    pub async fn wait_until_blocked(&self, statements: i64) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let blocked: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
            )
            .fetch_one(self.pool())
            .await
            .expect("the activity of the server");
            if blocked == statements {
                return;
            }
            assert!(Instant::now() < deadline, "{blocked} statements wait for locks, not {statements}");
            tokio::task::yield_now().await;
        }
    }

    /// Runs every job that is due now.
    pub async fn run_due_jobs(&self) -> RunCounts {
        run_due_jobs(&self.app).await.expect("the queue answers")
    }

    /// Returns the e-mails sent so far as they were written, oldest first.
    pub fn emails(&self) -> Vec<String> {
        let files = fs::read_dir(self.emails.path()).expect("the directory of e-mails");
        let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
        // They are named after their jobs, whose ids increase with time.
        paths.sort();
        paths.iter().map(|path| fs::read_to_string(path).expect("an e-mail is text")).collect()
    }

    /// Returns the files in the directory of uploaded files, complete or not.
    pub fn stored_files(&self) -> Vec<PathBuf> {
        let entries = |path: &Path| -> Vec<PathBuf> {
            fs::read_dir(path).expect("a directory").map(|entry| entry.expect("an entry").path()).collect()
        };
        let (directories, files): (Vec<_>, Vec<_>) =
            entries(self.blobs.path()).into_iter().partition(|path| path.is_dir());
        directories.iter().flat_map(|directory| entries(directory)).chain(files).collect()
    }

    /// Sets the result of the blob store's health check.
    pub fn set_blob_store_down(&self, is_down: bool) {
        self.blob_store_is_down.store(is_down, Ordering::Relaxed);
    }

    /// Returns the directory of uploaded files.
    pub fn blobs_directory(&self) -> &Path {
        self.blobs.path()
    }

    /// Sends any request without reading the body of the response. The contract is not checked.
    pub async fn send_unread(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.expect("the router never fails")
    }

    /// Returns all metrics.
    pub fn metrics(&self) -> Snapshot {
        self.app.telemetry.meter().snapshot()
    }

    /// Returns the sum of a counter's series.
    pub fn count(&self, name: &str) -> i64 {
        self.metrics().total(name)
    }

    /// Returns the log lines since the last call.
    pub fn log_lines(&self) -> Vec<Value> {
        let mut bytes = Vec::new();
        self.app.telemetry.take_lines(&mut Vec::new(), |piece| bytes.append(piece));
        let text = String::from_utf8(bytes).expect("lines are UTF-8");
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect();
        lines.iter().for_each(assert_known_fields);
        lines
    }

    /// Makes the next insert into `table` fail with a server error, to show the effects of a failed
    /// transaction.
    pub async fn break_table(&self, table: &str) {
        let statement = format!(
            "create function broken() returns trigger language plpgsql as
                 $$ begin raise exception 'broken by a test'; end $$;
             create constraint trigger broken after insert or update on {table} deferrable initially deferred
             for each row execute function broken()"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(self.pool()).await.expect("a trigger");
    }
}

fn in_directory(directory: &TempDir) -> BlobSettings {
    BlobSettings {
        store: BlobStoreSettings::Directory(directory.path().to_owned()),
        uploads_at_once: 4,
        timeouts: BlobTimeouts::default(),
    }
}

/// Resolves no names, so that tests do not depend on the network.
fn no_names() -> Lookup {
    Arc::new(|_| Box::pin(async { Err(std::io::ErrorKind::NotFound.into()) }))
}

fn build(
    pool: &sqlx::PgPool,
    clock: Clock,
    transport: MailTransport,
    (blobs, blob_store_is_down): (BlobSettings, Arc<AtomicBool>),
    (outbound, lookup): &(OutboundSettings, Lookup),
    change: impl FnOnce(&mut AppSettings),
) -> App {
    let from = "Socialize <socialize@socialize.example>".parse().expect("an address");
    let telemetry = Telemetry::new(TelemetrySettings { traces: true, ..TelemetrySettings::default() });
    let health = Health::builder(HealthSettings::default()).start();
    health.mark_started();
    let mut settings = AppSettings {
        public_url: "https://socialize.example".parse().expect("a URL"),
        request_timeout: Duration::from_secs(30),
        body_timeout: Duration::from_secs(5),
        upload_timeout: Duration::from_secs(60),
        trusted_peers: Vec::new(),
        trusted_trace_peers: Vec::new(),
        // The minimum cost of Argon2.
        password_hashing: PasswordHashing { memory_kib: 8, iterations: 1, ..PasswordHashing::default() },
        rate_limits: RateLimitSettings::default(),
        quotas: QuotaSettings::default(),
        approval_stale_after: Duration::from_secs(72 * 60 * 60),
    };
    change(&mut settings);
    let database = Database::new(pool.clone(), Duration::from_secs(30), &telemetry, || false);
    let tokens = Tokens::new(&Secret::new("a server secret for tests"));
    App::new(AppState {
        passwords: Passwords::new(settings.password_hashing).expect("possible parameters"),
        rate_limits: RateLimits::new(&settings.rate_limits, &database, &tokens, &clock),
        queue: Queue::new(&telemetry, &database, &clock),
        settings,
        database,
        signals: Signals::new(&telemetry),
        gauges: GaugeSignals::new(&telemetry),
        blobs: Blobs::new(blobs, &telemetry, move || blob_store_is_down.load(Ordering::Relaxed))
            .expect("a store"),
        mail: Mail::new(MailSettings { from, transport }, &telemetry).expect("a transport"),
        outbound: Outbound::with_lookup(outbound, &telemetry, lookup.clone()).expect("a client"),
        clock,
        tokens,
        health,
        requirements: Requirements::met(),
        schema: Schema::accepted(),
        telemetry,
    })
}
