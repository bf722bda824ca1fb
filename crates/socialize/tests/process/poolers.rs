//! PgBouncer between Socialize and Postgres: session pooling works, and every other mode is reported.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cluster::free_loopback_port;
use http::Method;
use serde_json::json;
use tempfile::TempDir;
use test_support::TestDatabase;
use test_support::process::{Launch, User, eventually};
use url::Url;

use crate::doctor::finding;
use crate::wrong_databases::serve_says_what_doctor_says;

/// A PgBouncer with the settings of its package, except for `pool_mode`.
struct PgBouncer {
    process: Child,
    url: Url,
    _directory: TempDir,
}

impl PgBouncer {
    async fn start(database: &TestDatabase, pool_mode: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let real = Url::parse(database.url()).expect("a URL");
        let name = real.path().trim_start_matches('/');
        let port = free_loopback_port().expect("a free port");
        let password = real.password().unwrap_or_default();
        let server = format!(
            "{name} = host={} port={} user={} password={password}",
            real.host_str().expect("a host"),
            real.port().unwrap_or(5432),
            real.username(),
        );
        let users = directory.path().join("users.txt");
        std::fs::write(&users, format!("\"{}\" \"{password}\"\n", real.username())).expect("a file");
        let configuration = format!(
            "[databases]\n{server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\nauth_file = {}\npool_mode = {pool_mode}\n",
            users.display()
        );
        let file = directory.path().join("pgbouncer.ini");
        std::fs::write(&file, configuration).expect("a file");
        let process = command(&file).spawn().expect("pgbouncer, which ./test installs");
        let mut url = real;
        url.set_port(Some(port)).expect("a port");
        eventually("PgBouncer listens", async || TcpStream::connect(("127.0.0.1", port)).ok()).await;
        Self { process, url, _directory: directory }
    }
}

/// PgBouncer refuses to run as root, so root becomes another user in a new namespace.
fn command(file: &Path) -> Command {
    let mut command = if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-user=65534", "--", "pgbouncer"]);
        command
    } else {
        Command::new("pgbouncer")
    };
    command.arg(file).env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_pooling_works_with_the_settings_of_the_package() {
    let database = TestDatabase::create_empty().await;
    let pgbouncer = PgBouncer::start(&database, "session").await;
    let migrated = Launch::role("migrate", pgbouncer.url.as_str()).run().await;
    assert_eq!(migrated.status.code(), Some(0), "{}", migrated.stderr);
    assert_eq!(finding(pgbouncer.url.as_str(), "pooler").await["verdict"], "ok");
    let process = Launch::serve(pgbouncer.url.as_str()).start_ready().await;
    let user = User::insert(database.pool()).await;
    for _ in 0..20 {
        let (headers, body) = ([user.header()], json!({"name": "A"}));
        process.call(Method::POST, "/v1/organizations", &headers, &body).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pooling_by_transaction_or_statement_is_named_with_its_remedy() {
    let database = TestDatabase::create_empty().await;
    for pool_mode in ["transaction", "statement"] {
        let pgbouncer = PgBouncer::start(&database, pool_mode).await;
        let found = finding(pgbouncer.url.as_str(), "pooler").await;
        assert_eq!(found["verdict"], "failed", "{found}");
        assert!(
            found["remedy"].as_str().is_some_and(|remedy| remedy.contains("pool_mode = session")),
            "{found}"
        );
        let migrated = Launch::role("migrate", pgbouncer.url.as_str()).run().await;
        assert_eq!(migrated.status.code(), Some(1), "{}", migrated.stdout);
        assert!(migrated.stderr.contains("pool_mode = session"), "{}", migrated.stderr);
        serve_says_what_doctor_says(pgbouncer.url.as_str(), "pooler", 503).await;
    }
}
