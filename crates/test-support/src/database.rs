//! One database per test: a copy of a template in which all migrations have run.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use url::Url;
use uuid::Uuid;

use crate::server::SharedServer;

const TEMPLATE_PREFIX: &str = "socialize_template_";
const TEST_PREFIX: &str = "socialize_test_";
/// Maximum number of templates. Those with other migrations belong to other branches, and old ones
/// are probably forgotten.
const TEMPLATES_KEPT: i64 = 10;
/// Advisory lock under which one test builds the template while others wait.
const TEMPLATE_LOCK: i64 = 0x7465_6d70_6c61_7465;

/// A database that belongs to one test. It is dropped with this value, even if the test panics.
pub struct TestDatabase {
    name: String,
    url: String,
    pool: PgPool,
    /// Holds an advisory lock that shows other tests that this one is alive. A killed test loses
    /// it, and the next test drops its database.
    _alive: PgConnection,
    server: SharedServer,
}

impl TestDatabase {
    /// Creates a database with the current schema.
    pub async fn create() -> Self {
        Self::copy_of(Template::Migrated).await
    }

    /// Creates an empty database, for tests of the migrations themselves.
    pub async fn create_empty() -> Self {
        Self::copy_of(Template::Empty).await
    }

    /// Returns a pool of connections.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Returns the connection URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn copy_of(template: Template) -> Self {
        let server = tokio::task::spawn_blocking(SharedServer::join).await.expect("a Postgres server");
        let mut maintenance = connect(server.url()).await;
        drop_leftovers(&mut maintenance).await;

        let id = Uuid::new_v4();
        let name = format!("{TEST_PREFIX}{}", id.simple());
        sqlx::query("SELECT pg_advisory_lock($1)")
            .bind(lock_of(id))
            .execute(&mut maintenance)
            .await
            .expect("a lock of this test's own");
        let template = match template {
            Template::Empty => "template0".to_owned(),
            Template::Migrated => migrated_template(&server, &mut maintenance).await,
        };
        run(&mut maintenance, format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")).await;

        let url = url_of(&server, &name);
        let options = PgConnectOptions::from_str(&url).expect("a URL");
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .acquire_timeout(Duration::from_secs(30))
            .connect_lazy_with(options);
        Self { name, url, pool, _alive: maintenance, server }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // Drop the database on another runtime, because the test's own may be single-threaded or
        // shutting down.
        let url = self.server.url().to_owned();
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut connection = connect(&url).await;
                run(&mut connection, statement).await;
            });
        });
        let dropped = dropping.join();
        assert!(dropped.is_ok() || std::thread::panicking(), "the test database could not be dropped");
    }
}

enum Template {
    Empty,
    Migrated,
}

/// Returns the template with the current migrations, which the first test that needs it builds.
async fn migrated_template(server: &SharedServer, maintenance: &mut PgConnection) -> String {
    // Migrations are read at run time, because the compiler would not notice a new file.
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../socialize/migrations");
    let migrator = Migrator::new(directory).await.expect("readable migrations");
    let mut hasher = DefaultHasher::new();
    for migration in migrator.iter() {
        (migration.version, migration.checksum.as_ref()).hash(&mut hasher);
    }
    let name = format!("{TEMPLATE_PREFIX}{:016x}", hasher.finish());
    if exists(maintenance, &name).await {
        return name;
    }

    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut *maintenance)
        .await
        .expect("the lock for building the template");
    if !exists(maintenance, &name).await {
        // The template gets its name when it is finished, so that an interrupted run leaves no
        // half-migrated template.
        let unfinished = format!("{name}_unfinished");
        run(maintenance, format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)")).await;
        run(maintenance, format!("CREATE DATABASE {unfinished} TEMPLATE template0")).await;
        let mut connection = connect(&url_of(server, &unfinished)).await;
        migrator.run(&mut connection).await.expect("the migrations run");
        connection.close().await.expect("the connection closes");
        run(maintenance, format!("ALTER DATABASE {unfinished} RENAME TO {name}")).await;
        drop_old_templates(maintenance).await;
    }
    sqlx::query("SELECT pg_advisory_unlock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut *maintenance)
        .await
        .expect("the lock is given up");
    name
}

async fn drop_old_templates(maintenance: &mut PgConnection) {
    let old = names(maintenance, TEMPLATE_PREFIX, TEMPLATES_KEPT).await;
    for name in old {
        run(maintenance, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
    }
}

/// Drops the databases of killed tests.
async fn drop_leftovers(maintenance: &mut PgConnection) {
    for name in names(maintenance, TEST_PREFIX, 0).await {
        let Some(id) = name.strip_prefix(TEST_PREFIX).and_then(|id| Uuid::parse_str(id).ok()) else {
            continue;
        };
        let is_dead: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(lock_of(id))
            .fetch_one(&mut *maintenance)
            .await
            .expect("a result");
        if is_dead {
            run(maintenance, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
            sqlx::query("SELECT pg_advisory_unlock($1)")
                .bind(lock_of(id))
                .execute(&mut *maintenance)
                .await
                .expect("the lock is given up");
        }
    }
}

/// Returns the names of databases with this prefix, newest first, without the `without_newest`
/// newest ones.
async fn names(maintenance: &mut PgConnection, prefix: &str, without_newest: i64) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY oid DESC OFFSET $2",
    )
    .bind(prefix)
    .bind(without_newest)
    .fetch_all(maintenance)
    .await
    .expect("the list of databases")
}

async fn exists(maintenance: &mut PgConnection, name: &str) -> bool {
    sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(maintenance)
        .await
        .expect("the list of databases")
}

/// Returns the key of a test's advisory lock.
fn lock_of(id: Uuid) -> i64 {
    id.as_u64_pair().0.cast_signed()
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("a connection to the test server")
}

/// Runs a statement without parameters. Its names are generated in this file, so nothing can be
/// injected.
async fn run(connection: &mut PgConnection, statement: String) {
    let result = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(connection).await;
    result.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

fn url_of(server: &SharedServer, database: &str) -> String {
    let mut url = Url::parse(server.url()).expect("DATABASE_URL is a URL");
    url.set_path(database);
    url.into()
}
