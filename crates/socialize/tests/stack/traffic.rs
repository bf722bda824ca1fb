//! Activity of people, and faults during it.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use http::StatusCode;
use reqwest::Client;
use serde_json::json;
use tokio::net::TcpListener;

use crate::application::{API, Application, BLOBS_DIRECTORY, MAIL_DIRECTORY};
use crate::programs::Program;

/// Actions of simulated people per second.
pub(crate) const RATE: &str = "12";

/// Duration of each fault: longer than the delays between attempts, shorter than users' patience.
const TROUBLE: Duration = Duration::from_secs(4);

/// Path of the endpoint that has ceased to exist, as in `crates/laboratory/src/simulate/team.rs`.
const GONE_ENDPOINT: &str = "gone";

/// One post in this many fails at the first attempt.
const UNSTEADY: usize = 5;

/// Simulated people who act until this is dropped, and the publishing endpoint of their workspaces.
pub(crate) struct People {
    pub(crate) simulation: Program,
}

impl People {
    pub(crate) async fn let_loose(logs: &Path) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("its address"));
        static POSTS: AtomicUsize = AtomicUsize::new(0);
        let take = async || {
            let number = POSTS.fetch_add(1, Ordering::Relaxed);
            if number.is_multiple_of(UNSTEADY) {
                StatusCode::SERVICE_UNAVAILABLE
            } else {
                StatusCode::NO_CONTENT
            }
        };
        let gone = async || StatusCode::GONE;
        let router =
            Router::new().route(&format!("/{GONE_ENDPOINT}"), post(gone)).route("/{endpoint}", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });

        let mut command = Command::new(test_support::process::laboratory());
        command.arg("simulate").args(["--target", API, "--mail-directory", MAIL_DIRECTORY]);
        command.args(["--publishing-endpoint", &endpoint, "--rate", RATE, "--for", "1h", "--seed", "7"]);
        Self { simulation: Program::start("people", command, logs) }
    }
}

/// Causes the failures that panels show, one after the other.
pub(crate) async fn cause_trouble(application: &Application, client: &Client) {
    // No e-mail can be written: the directory is gone.
    without(MAIL_DIRECTORY).await;
    // No file can be stored.
    without(BLOBS_DIRECTORY).await;
    // The database does not respond.
    application.postgres.interrupt();
    tokio::time::sleep(TROUBLE).await;
    application.postgres.resume().expect("Postgres comes back");
    // Client errors that simulated people do not make.
    for _ in 0..3 {
        let bad_login = json!({"email": "nobody@example.com", "password": "not the password of anybody"});
        let _ = client.post(format!("{API}/v1/auth/login")).json(&bad_login).send().await;
        let _ = client
            .get(format!("{API}/v1/organizations"))
            .header("authorization", "Bearer not-a-token")
            .header("traceparent", "00-nonsense-01")
            .send()
            .await;
    }
}

/// Replaces a directory by a file for a while: not even root can write into it.
async fn without(directory: &str) {
    let away = format!("{directory}-away");
    std::fs::rename(directory, &away).expect("a directory to move");
    std::fs::write(directory, "in the way").expect("a file");
    tokio::time::sleep(TROUBLE).await;
    std::fs::remove_file(directory).expect("the file");
    std::fs::rename(&away, directory).expect("the directory to come back");
}
