//! The Postgres server that all tests of all test programs share.
//!
//! `DATABASE_URL` selects it, if set. Otherwise the first test that needs it starts one in the
//! user's cache directory. Test programs come and go, so none of them can own it: its parent is a
//! small shell loop, the keeper. Every test holds a shared lock on a file while it uses the server.
//! The keeper stops the server once it gets that lock exclusively, at most [`LINGER_SECONDS`] after
//! the last test. The kernel releases the locks of killed tests, so no test can leave a server
//! behind. If the keeper itself is killed, the kernel stops the server.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cluster::{
    ClusterError, ClusterSettings, Durability, InitializedCluster, PARENT_VARIABLE, free_loopback_port,
};

use crate::cache::{cache_directory, variable};

/// The server outlives its last user by this time, because `cargo test` runs one program after the
/// other.
const LINGER_SECONDS: &str = "10";

/// While the keeper holds the lock, new tests wait for it. So they never use a server that is about
/// to stop.
const KEEPER: &str = r#"
users=$1; log=$2; linger=$3; shift 3
export "$PARENT=$$"
"$@" </dev/null >>"$log" 2>&1 &
server=$!
exec 9<"$users"
while sleep "$linger"; do
    kill -0 "$server" || exit 1
    flock --exclusive --nonblock 9 && break
done
kill -INT "$server"
wait "$server"
"#;

/// One test's use of the server, which keeps the server running.
pub(crate) struct SharedServer {
    url: String,
    /// `None` for the server in `DATABASE_URL`.
    _use: Option<File>,
}

impl SharedServer {
    /// Finds the server, or starts it.
    pub(crate) fn join() -> Self {
        if let Some(url) = variable("DATABASE_URL") {
            return Self { url: url.into_string().expect("DATABASE_URL is UTF-8"), _use: None };
        }
        let directory = cache_directory().join("postgres");
        fs::create_dir_all(&directory).expect("the cache directory can be created");
        let users = open(&directory.join("users"));
        users.lock_shared().expect("the server can be shared");
        let url = running(&directory).unwrap_or_else(|| {
            let start = open(&directory.join("start"));
            start.lock().expect("one test at a time can start the server");
            // Another test may have started it in the meantime.
            running(&directory).unwrap_or_else(|| start_server(&directory))
        });
        Self { url, _use: Some(users) }
    }

    /// Returns the URL of a database that always exists.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

fn data_directory(directory: &Path) -> PathBuf {
    directory.join("data")
}

fn running(directory: &Path) -> Option<String> {
    let url = InitializedCluster::url_of_running(&data_directory(directory), "postgres")?;
    Some(url.expose().to_owned())
}

/// Starts the server. Its data is disposable and not protected against crashes of the machine, so
/// it is deleted whenever it may be damaged.
fn start_server(directory: &Path) -> String {
    let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let last_boot = directory.join("boot");
    if fs::read(&last_boot).ok().as_ref() != Some(&boot) {
        discard_data(directory);
        fs::write(&last_boot, &boot).expect("the cache directory can be written");
    }
    let url = launch(directory).or_else(|error| match error {
        ClusterError::OtherMajorVersion { .. }
        | ClusterError::PasswordMissing { .. }
        | ClusterError::NotReady { .. } => {
            discard_data(directory);
            launch(directory)
        }
        other => Err(other),
    });
    url.unwrap_or_else(|error| panic!("the tests need a Postgres server: {error}"))
}

fn discard_data(directory: &Path) {
    let data = data_directory(directory);
    if data.exists() {
        fs::remove_dir_all(&data).expect("old test data can be removed");
    }
}

fn launch(directory: &Path) -> Result<String, ClusterError> {
    let settings = ClusterSettings {
        durability: Durability::TestsOnly,
        downloads: cache_directory().join("downloads"),
        ..ClusterSettings::new(data_directory(directory))
    };
    let cluster = InitializedCluster::open(&settings)?;
    cluster.clear_leftovers()?;
    let server = cluster.server_command(free_loopback_port()?)?;
    let mut keeper = Command::new("sh");
    keeper.args(["-c", KEEPER, "postgres-keeper"]).arg(directory.join("users")).arg(cluster.log_file());
    keeper.arg(LINGER_SECONDS).arg(server.get_program()).args(server.get_args());
    for (name, value) in server.get_envs() {
        match value {
            Some(value) => keeper.env(name, value),
            None => keeper.env_remove(name),
        };
    }
    // The keeper must neither keep the test's output open nor receive its Ctrl-C.
    keeper.env("PARENT", PARENT_VARIABLE).current_dir("/").process_group(0);
    keeper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut keeper = keeper.spawn().expect("a shell can be started");
    // Reap the keeper if it exits before this process does.
    let keeper = std::thread::spawn(move || keeper.wait());

    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(url) = running(directory) {
            return Ok(url);
        }
        if Instant::now() >= deadline || keeper.is_finished() {
            return Err(ClusterError::NotReady {
                what: "did not become ready".to_owned(),
                log: cluster.log_file().to_owned(),
                tail: String::new(),
            });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn open(path: &Path) -> File {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    file.unwrap_or_else(|error| panic!("{} cannot be opened: {error}", path.display()))
}
