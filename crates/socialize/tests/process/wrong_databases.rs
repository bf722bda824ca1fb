//! Databases that respond but are unsuitable. `migrate`, `doctor` and `serve` report the cause and the
//! remedy.

use http::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use test_support::TestDatabase;
use test_support::process::{Launch, User, eventually};
use url::Url;

use crate::doctor::finding;

/// A database of the shared server, created with special options and dropped with the test.
struct Wrong {
    /// Connection that creates and drops it.
    maintenance: TestDatabase,
    name: String,
    role: String,
}

impl Wrong {
    /// Creates a database with these options and a role that may only connect to it.
    async fn create(options: &str) -> Self {
        let maintenance = TestDatabase::create_empty().await;
        let own = Url::parse(maintenance.url()).expect("a URL");
        let name = format!("{}_wrong", own.path().trim_start_matches('/'));
        let role = format!("{name}_role");
        let wrong = Self { maintenance, name, role };
        wrong.administer(&format!("create database {} template template0 {options}", wrong.name)).await;
        wrong.administer(&format!("create role {} login password 'of-tests'", wrong.role)).await;
        wrong
    }

    async fn administer(&self, statement: &str) {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
        statement.execute(self.maintenance.pool()).await.expect("a statement");
    }

    /// Runs statements of a superuser in the database itself.
    async fn execute(&self, statements: &str) {
        let mut session = PgConnection::connect(self.url().as_str()).await.expect("a session");
        let statements = sqlx::raw_sql(AssertSqlSafe(statements.replace("ROLE", &self.role)));
        statements.execute(&mut session).await.expect("statements");
    }

    /// The superuser's URL.
    fn url(&self) -> Url {
        let mut url = Url::parse(self.maintenance.url()).expect("a URL");
        url.set_path(&self.name);
        url
    }

    /// The URL of the role without privileges.
    fn url_of_role(&self) -> Url {
        let mut url = self.url();
        url.set_username(&self.role).and_then(|()| url.set_password(Some("of-tests"))).expect("a host");
        url
    }

    async fn drop(self) {
        self.administer(&format!("drop database {} with (force)", self.name)).await;
        self.administer(&format!("drop role {}", self.role)).await;
    }
}

async fn migrate(url: &Url) -> (Option<i32>, String) {
    let ended = Launch::role("migrate", url.as_str()).run().await;
    (ended.status.code(), format!("{}{}", ended.stdout, ended.stderr))
}

/// Starts `serve` on a database that is not suitable. Its standard error and its health contain the message
/// of `doctor`.
pub(crate) async fn serve_says_what_doctor_says(url: &str, check: &str, ready: u16) {
    // Before a process is there: behind a shared session its statements would disturb those of `doctor`.
    let found = finding(url, check).await;
    for role in ["serve", "work"] {
        let mut process = Launch::role(role, url).start().await;
        let part = |name: &str| found[name].as_str().unwrap_or_else(|| panic!("{found}")).to_owned();
        let sentence = format!("{check}: {}: {}", part("detail"), part("remedy"));
        eventually("cause and remedy", async || process.standard_error().contains(&sentence).then_some(()))
            .await;
        let line = process.line("the warning", |line| line["event"] == "database.requirement_missing").await;
        assert_eq!((&line["level"], &line["requirement"]), (&json!("warn"), &json!(check)));
        eventually("the verdict", async || {
            (process.operations_get("/health/ready").await.status == ready).then_some(())
        })
        .await;
        let missing = process.operations_get("/health").await.body["missing"].clone();
        assert_eq!((&missing[0]["check"], &missing[0]["remedy"]), (&json!(check), &found["remedy"]));
        assert_eq!(process.standard_error().matches(&sentence).count(), 1, "it is said once");
        assert_eq!(process.exit_status(), None);
        process.stop().await;
    }
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
    assert!(!text.contains("of-tests"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoding_that_cannot_store_every_character_is_refused() {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let wrong = Wrong::create(&format!("encoding '{encoding}' lc_collate 'C' lc_ctype 'C'")).await;
        let (code, said) = migrate(&wrong.url()).await;
        assert_eq!(code, Some(1), "{said}");
        assert_says(&said, &[encoding, "UTF8", "SOCIALIZE_DATABASE_URL"]);
        let found = finding(wrong.url().as_str(), "encoding").await;
        assert_eq!(found["verdict"], "failed", "{found}");
        assert_says(&found.to_string(), &[encoding, "--encoding=UTF8"]);
        serve_says_what_doctor_says(wrong.url().as_str(), "encoding", 503).await;
        wrong.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_migrate_is_told_which_one_may() {
    let wrong = Wrong::create("").await;
    let url = wrong.url_of_role();
    let (code, said) = migrate(&url).await;
    assert_eq!(code, Some(1), "{said}");
    assert_says(
        &said,
        &["may not create tables in the schema public", "grant usage, create on schema public"],
    );
    let found = finding(url.as_str(), "migrations").await;
    assert_says(&found.to_string(), &["socialize migrate", "may not create tables in the schema public"]);

    // The suggested remedy works.
    wrong.execute("grant usage, create on schema public to ROLE").await;
    let (code, said) = migrate(&url).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(finding(url.as_str(), "role").await["verdict"], "ok");
    wrong.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_owns_nothing_is_told_which_rights_it_lacks() {
    let wrong = Wrong::create("").await;
    let (code, said) = migrate(&wrong.url()).await;
    assert_eq!(code, Some(0), "{said}");
    let url = wrong.url_of_role();
    let found = finding(url.as_str(), "role").await;
    assert_eq!(found["verdict"], "failed", "{found}");
    assert_says(
        &found.to_string(),
        &["may not read and write the table", "grant select, insert, update, delete"],
    );
    serve_says_what_doctor_says(url.as_str(), "role", 503).await;

    wrong
        .execute(
            "grant usage on schema public to ROLE;
             grant select, insert, update, delete on all tables in schema public to ROLE",
        )
        .await;
    let found = finding(url.as_str(), "role").await;
    assert_eq!(found["verdict"], "ok", "{found}");
    // A new version brings a migration that this role may not apply.
    wrong
        .execute("delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)")
        .await;
    let (code, said) = migrate(&url).await;
    assert_eq!(code, Some(1), "{said}");
    assert_says(&said, &["does not own the table", "the role that owns the tables"]);
    wrong.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_schema_to_use_both_say_so() {
    let wrong = Wrong::create("").await;
    wrong.execute("drop schema public").await;
    let (code, said) = migrate(&wrong.url()).await;
    assert_eq!(code, Some(1), "{said}");
    assert_says(&said, &["no schema of its search path", "create schema if not exists public"]);
    let found = finding(wrong.url().as_str(), "role").await;
    assert_eq!(found["verdict"], "failed", "{found}");
    serve_says_what_doctor_says(wrong.url().as_str(), "role", 503).await;
    wrong.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_accepts_no_writes_is_not_migrated_but_read() {
    let wrong = Wrong::create("").await;
    let (code, said) = migrate(&wrong.url()).await;
    assert_eq!(code, Some(0), "{said}");
    wrong.administer(&format!("alter database {} set default_transaction_read_only = on", wrong.name)).await;
    let (code, said) = migrate(&wrong.url()).await;
    assert_eq!(code, Some(1), "{said}");
    assert_says(&said, &["accepts no writes", "primary"]);
    serve_says_what_doctor_says(wrong.url().as_str(), "writes", 200).await;
    wrong.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stricter_defaults_of_the_server_do_not_reach_our_sessions() {
    let database = TestDatabase::create().await;
    let name = Url::parse(database.url()).expect("a URL").path().trim_start_matches('/').to_owned();
    for default in [
        "default_transaction_isolation = 'serializable'",
        "default_transaction_deferrable = on",
        "standard_conforming_strings = off",
        "statement_timeout = '1ms'",
    ] {
        let statement = sqlx::raw_sql(AssertSqlSafe(format!("alter database {name} set {default}")));
        statement.execute(database.pool()).await.expect("a default");
    }
    let process = Launch::serve(database.url()).without_worker().start_ready().await;
    let user = User::insert(database.pool()).await;
    // All of them update the same counts.
    let (headers, body) = ([user.header()], json!({"name": "A"}));
    let writes = (0..40).map(|_| process.call(Method::POST, "/v1/organizations", &headers, &body));
    let answers = futures_util::future::join_all(writes).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [201; 40]);
}
