//! The bundled Postgres survives crashes and never outlives its owner.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cluster::{Cluster, ClusterError, ClusterSettings, Durability};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// Tells the re-executed test binary where to hold a cluster.
const HOLD_VARIABLE: &str = "CLUSTER_TEST_DIRECTORY";

fn settings(directory: &TempDir) -> ClusterSettings {
    ClusterSettings {
        durability: Durability::TestsOnly,
        ..ClusterSettings::new(directory.path().join("data"))
    }
}

/// If root switches users to run Postgres, that user must be able to enter the directory.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).expect("permissions");
    directory
}

async fn connect(cluster: &Cluster) -> PgConnection {
    PgConnection::connect(cluster.url("postgres").expose()).await.expect("a connection")
}

/// Waits for a condition. The limit only decides how quickly a broken test fails.
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_alive(process_id: u32) -> bool {
    fs::read_to_string(format!("/proc/{process_id}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

fn send(signal: Signal, process_id: u32) {
    kill(Pid::from_raw(process_id.cast_signed()), signal).expect("the process exists");
}

#[tokio::test]
async fn data_survives_a_restart_and_needs_the_password() {
    let directory = directory();
    let cluster = Cluster::start(settings(&directory)).expect("the first start");
    cluster.create_database("socialize").await.expect("a new database");
    cluster.create_database("socialize").await.expect("an existing database is kept");
    let mut connection =
        PgConnection::connect(cluster.url("socialize").expose()).await.expect("a connection");
    sqlx::raw_sql("CREATE TABLE kept AS SELECT 42 AS number")
        .execute(&mut connection)
        .await
        .expect("a table");
    let first = cluster.process_id().expect("a server");
    cluster.stop();
    assert!(!is_alive(first), "a stopped server is gone, although a client was connected");

    let cluster = Cluster::start(settings(&directory)).expect("the second start");
    let mut connection =
        PgConnection::connect(cluster.url("socialize").expose()).await.expect("a connection");
    let number: i32 =
        sqlx::query_scalar("SELECT number FROM kept").fetch_one(&mut connection).await.expect("the table");
    assert_eq!(number, 42);

    let password_file = directory.path().join("data/password");
    let mode = fs::metadata(&password_file).expect("a password file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only the owner may read the password");
    let password = fs::read_to_string(&password_file).expect("a password");
    let wrong = cluster.url("postgres").expose().replace(&password, "guess");
    let refused = PgConnection::connect(&wrong).await.expect_err("a wrong password is refused");
    assert_eq!(refused.as_database_error().and_then(|error| error.code()).as_deref(), Some("28P01"));
}

#[test]
fn a_second_start_says_who_holds_the_directory() {
    let directory = directory();
    let cluster = Cluster::start(settings(&directory)).expect("the first start");
    let error = Cluster::start(settings(&directory)).expect_err("the directory is taken");
    let message = error.to_string();
    assert!(matches!(error, ClusterError::InUse { .. }), "{message}");
    assert!(message.contains(&format!("process {} (", std::process::id())), "{message}");
    assert!(message.contains("cluster-"), "it names the program: {message}");

    cluster.interrupt();
    Cluster::start(settings(&directory)).expect_err("an interrupted cluster still holds its directory");
    cluster.stop();
    Cluster::start(settings(&directory)).expect("the directory is free again");
}

#[tokio::test]
async fn an_interrupted_server_comes_back_on_the_same_port() {
    let directory = directory();
    let cluster = Cluster::start(settings(&directory)).expect("a start");
    let port = cluster.port();
    let mut connection = connect(&cluster).await;

    cluster.interrupt();
    assert_eq!(cluster.process_id(), None);
    sqlx::query("SELECT 1").execute(&mut connection).await.expect_err("the connection is gone");
    PgConnection::connect(cluster.url("postgres").expose()).await.expect_err("nobody listens");

    cluster.resume().expect("the server comes back");
    assert_eq!(cluster.port(), port);
    let running = cluster.process_id();
    connect(&cluster).await;
    cluster.resume().expect("a running server is kept");
    assert_eq!(cluster.process_id(), running);
}

#[tokio::test]
async fn a_killed_server_comes_back_with_what_was_committed() {
    let directory = directory();
    let durable = ClusterSettings { durability: Durability::Full, ..settings(&directory) };
    let cluster = Cluster::start(durable).expect("a start");
    let mut connection = connect(&cluster).await;
    sqlx::raw_sql("CREATE TABLE kept AS SELECT 42 AS number")
        .execute(&mut connection)
        .await
        .expect("a table");

    send(Signal::SIGKILL, cluster.process_id().expect("a server"));
    wait_until("noticing that the server died", || cluster.process_id().is_none());
    cluster.resume().expect("the server comes back");
    cluster.kill();
    cluster.resume().expect("the server comes back again");

    let mut connection = connect(&cluster).await;
    let number: i32 =
        sqlx::query_scalar("SELECT number FROM kept").fetch_one(&mut connection).await.expect("the table");
    assert_eq!(number, 42);
}

/// Not a test itself: [`a_server_does_not_outlive_its_killed_owner`] runs it in another process.
#[test]
#[ignore = "another test runs it in a process of its own"]
fn hold_a_cluster_until_killed() {
    #[expect(clippy::disallowed_methods, reason = "the test harness passes no arguments on")]
    let path = std::env::var_os(HOLD_VARIABLE).expect("the other test sets the variable");
    let path = Path::new(&path);
    let settings = ClusterSettings { durability: Durability::TestsOnly, ..ClusterSettings::new(path) };
    let cluster = Cluster::start(settings).expect("a start");
    fs::write(path.join("started"), cluster.process_id().expect("a server").to_string()).expect("a note");
    loop {
        std::thread::park();
    }
}

#[test]
fn a_server_does_not_outlive_its_killed_owner() {
    let directory = directory();
    let path = settings(&directory).data_directory;
    let mut owner = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "hold_a_cluster_until_killed", "--ignored", "--nocapture"])
        .env(HOLD_VARIABLE, &path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("another process");
    let mut server = 0;
    wait_until("the start in the other process", || {
        let note = fs::read_to_string(path.join("started")).unwrap_or_default();
        note.parse().is_ok_and(|process_id| {
            server = process_id;
            true
        })
    });
    assert!(is_alive(server));
    let refused = Cluster::start(settings(&directory)).expect_err("the other process holds it").to_string();
    assert!(refused.contains(&format!("process {} (", owner.id())), "{refused}");

    send(Signal::SIGKILL, owner.id());
    // The next start must cope with a server that is still shutting down.
    let killed = owner.wait().expect("the owner ended");
    assert!(!killed.success());
    let cluster = Cluster::start(settings(&directory)).expect("the directory is free");
    assert!(!is_alive(server), "the old server is gone");
    assert_ne!(cluster.process_id(), Some(server));
}

#[test]
fn a_leftover_note_of_a_dead_server_does_not_block_the_start() {
    let directory = directory();
    let cluster = Cluster::start(settings(&directory)).expect("the first start");
    let note = directory.path().join("data/postgres/postmaster.pid");
    let written = fs::read_to_string(&note).expect("a running server has one");
    cluster.stop();

    // A zombie: exited, but not reaped by its parent.
    let mut zombie = Command::new("true").spawn().expect("a process");
    wait_until("the process ending", || !is_alive(zombie.id()));
    for stranger in [zombie.id(), std::process::id()] {
        let (_, rest) = written.split_once('\n').expect("several lines");
        fs::write(&note, format!("{stranger}\n{rest}")).expect("a leftover");
        Cluster::start(settings(&directory)).expect("a start over the leftover").stop();
    }
    zombie.wait().expect("the zombie is collected");
}

#[test]
fn mistakes_are_explained() {
    let directory = directory();
    let nowhere = ClusterSettings { binaries: Some(directory.path().to_owned()), ..settings(&directory) };
    let message = Cluster::start(nowhere).expect_err("there are no binaries").to_string();
    assert!(message.contains("no `postgres` in it") && message.contains("Give the directory"), "{message}");

    let cluster = settings(&directory).data_directory.join("postgres");
    fs::create_dir_all(&cluster).expect("a directory");
    fs::write(cluster.join("PG_VERSION"), "14\n").expect("a version");
    let error = Cluster::start(settings(&directory)).expect_err("the data is of another version");
    let message = error.to_string();
    assert!(matches!(error, ClusterError::OtherMajorVersion { wanted: 14, .. }), "{message}");
    assert!(message.contains("Install PostgreSQL 14, or move the directory away"), "{message}");

    fs::remove_dir_all(&cluster).expect("no data");
    Cluster::start(settings(&directory)).expect("a start over the empty directory").stop();
    fs::remove_file(directory.path().join("data/password")).expect("a password");
    let message = Cluster::start(settings(&directory)).expect_err("the password is gone").to_string();
    assert!(message.contains("password of the cluster is missing"), "{message}");
}

#[test]
fn a_server_started_by_hand_is_left_alone() {
    let directory = directory();
    Cluster::start(settings(&directory)).expect("a start").stop();

    // It is recognised by its name and working directory, the only visible facts.
    let cluster = directory.path().join("data/postgres");
    let program = directory.path().join("postgres");
    fs::copy("/usr/bin/sleep", &program).expect("a program");
    let mut server = Command::new(&program).arg("300").current_dir(&cluster).spawn().expect("a process");
    fs::write(cluster.join("postmaster.pid"), server.id().to_string()).expect("a note");

    let error = Cluster::start(settings(&directory)).expect_err("a server runs");
    let message = error.to_string();
    assert!(matches!(error, ClusterError::ForeignServer { .. }), "{message}");
    assert!(message.contains(&format!("kill -INT {}", server.id())), "{message}");

    server.kill().expect("it ends");
    server.wait().expect("it ended");
    Cluster::start(settings(&directory)).expect("the directory is free");
}

#[test]
fn a_server_whose_lock_file_was_removed_is_left_alone() {
    let directory = directory();
    let cluster = Cluster::start(settings(&directory)).expect("a start");
    let server = cluster.process_id().expect("a server");
    // Removes only this process's lock; the server keeps running.
    fs::remove_file(directory.path().join("data/lock")).expect("a lock");
    let error = Cluster::start(settings(&directory)).expect_err("a server runs");
    let message = error.to_string();
    assert!(matches!(error, ClusterError::ForeignServer { .. }), "{message}");
    assert!(message.contains("kill -INT"), "{message}");
    assert_eq!(cluster.process_id(), Some(server), "it still runs");
}
