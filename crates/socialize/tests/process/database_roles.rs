//! The roles of deploy/postgres/roles.sql: migrations run as the owner, and the application works without
//! owning anything.

use http::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use test_support::TestDatabase;
use test_support::process::{Launch, User, program};
use url::Url;
use uuid::Uuid;

/// The two roles with unique names, because roles belong to the whole server.
struct Roles {
    database: TestDatabase,
    owner: String,
    application: String,
}

impl Roles {
    async fn create() -> Self {
        let database = TestDatabase::create_empty().await;
        let suffix = Uuid::new_v4().simple().to_string();
        let (owner, application) = (format!("socialize_owner_{suffix}"), format!("socialize_{suffix}"));
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/postgres/roles.sql");
        let statements = std::fs::read_to_string(file).expect("the file");
        let statements: Vec<&str> = statements.lines().filter(|line| !line.starts_with("--")).collect();
        let statements = statements
            .join("\n")
            .replace("socialize_owner", &owner)
            .replace("role socialize ", &format!("role {application} "))
            .replace("to socialize'", &format!("to {application}'"))
            .replace("to socialize;", &format!("to {application};"))
            .replace(":'owner_password'", "'a password of the owner'")
            .replace(":'application_password'", "'a password of the application'");
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(database.pool()).await.expect("the roles");
        Self { database, owner, application }
    }

    fn url(&self, role: &str, password: &str) -> String {
        let mut url: Url = self.database.url().parse().expect("a URL");
        url.set_username(role).and_then(|()| url.set_password(Some(password))).expect("a user");
        url.to_string()
    }

    fn owner_url(&self) -> String {
        self.url(&self.owner, "a password of the owner")
    }

    fn application_url(&self) -> String {
        self.url(&self.application, "a password of the application")
    }

    /// A role can be dropped only when it owns nothing and has no privileges.
    async fn drop(self) {
        let Self { database, owner, application } = self;
        let statement = format!(
            "reassign owned by {owner} to current_user; drop owned by {application}; drop owned by {owner};
             drop role {application}; drop role {owner}"
        );
        let dropped = sqlx::raw_sql(AssertSqlSafe(statement)).execute(database.pool()).await;
        dropped.expect("the roles are gone");
    }
}

#[tokio::test]
async fn the_application_works_as_a_role_that_owns_nothing() {
    let roles = Roles::create().await;
    let migrate = |url: String| Launch::of(program(&["migrate"])).variable("SOCIALIZE_DATABASE_URL", url);
    let refused = migrate(roles.application_url()).run().await;
    assert_eq!(refused.status.code(), Some(1), "the application migrates: {}", refused.stdout);
    let migrated = migrate(roles.owner_url()).run().await;
    assert_eq!(migrated.status.code(), Some(0), "{}", migrated.stderr);

    let mut process = Launch::serve(&roles.application_url()).start_ready().await;
    let user = User::insert(roles.database.pool()).await;
    let organization = process
        .call(Method::POST, "/v1/organizations", &[user.header()], &json!({"name": "Acme"}))
        .await
        .expect(201)
        .text("id");
    let path = format!("/v1/organizations/{organization}/members");
    process.call(Method::GET, &path, &[user.header()], &serde_json::Value::Null).await.expect(200);
    process.stop().await;
    // Jobs, gauges and clean-ups run as well.
    let failures: Vec<_> = process.lines().into_iter().filter(|line| line["level"] == "error").collect();
    assert!(failures.is_empty(), "{failures:?}");

    let rights: (bool, bool, bool, i64) = sqlx::query_as(
        "select rolsuper, rolcreatedb, rolcreaterole, (select count(*) from pg_class where relowner = pg_roles.oid)
         from pg_roles where rolname = $1",
    )
    .bind(&roles.application)
    .fetch_one(roles.database.pool())
    .await
    .expect("the role");
    assert_eq!(rights, (false, false, false, 0));
    let mut connection = PgConnection::connect(&roles.application_url()).await.expect("a connection");
    for statement in [
        "drop table users",
        "alter table users add column x int",
        "create table mine (x int)",
        "create function mine() returns int language sql as 'select 1'",
        "create schema mine",
        "truncate users cascade",
        "create role mine",
        "copy users to program 'cat'",
        "select pg_read_file('/etc/passwd')",
        "alter table users disable trigger all",
    ] {
        let refused = sqlx::query(statement).execute(&mut connection).await.expect_err(statement);
        let code = refused.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}");
    }
    let statements = ["select count(*) from users", "update users set display_name = display_name"];
    for statement in statements {
        sqlx::query(statement).execute(&mut connection).await.expect(statement);
    }
    connection.close().await.expect("closed");
    roles.drop().await;
}
