//! Requests at a constant rate, with their results.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::user::User;

/// Every n-th request creates an object.
const CREATES: u64 = 10;

/// Requests that continue until they are stopped.
pub(super) struct Load {
    stop: oneshot::Sender<()>,
    asking: JoinHandle<Vec<Asked>>,
}

/// A request.
pub(super) struct Asked {
    /// Its id, which is also its trace's; empty without a response.
    pub(super) trace: String,
    pub(super) succeeded: bool,
    pub(super) took: Duration,
}

impl Load {
    pub(super) fn start(user: &User, requests_a_second: u32) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let user = user.clone();
        let asking = tokio::spawn(async move {
            let mut due = tokio::time::interval(Duration::from_secs(1) / requests_a_second);
            let mut asked = JoinSet::new();
            for number in 1_u64.. {
                tokio::select! {
                    _ = &mut stopped => break,
                    // An open loop: requests do not wait for earlier responses.
                    _ = due.tick() => asked.spawn(ask(user.clone(), number.is_multiple_of(CREATES))),
                };
            }
            asked.join_all().await
        });
        Self { stop, asking }
    }

    /// Stops sending, waits for the last responses, and returns all results.
    pub(super) async fn stop(self) -> Vec<Asked> {
        // The task ends only because of this.
        let _ = self.stop.send(());
        self.asking.await.expect("requests do not panic")
    }
}

async fn ask(user: User, creates: bool) -> Asked {
    let began = Instant::now();
    let answer = if creates {
        user.ask(Method::POST, &user.comments(), json!({"body": "Fine."})).await
    } else {
        user.ask(Method::GET, &user.item(), Value::Null).await
    };
    let Ok(answer) = answer else {
        return Asked { trace: String::new(), succeeded: false, took: began.elapsed() };
    };
    let trace = answer.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let (trace, succeeded) = (trace.to_owned(), answer.status().is_success());
    // The user also waits for the response body.
    let complete = answer.bytes().await.is_ok();
    Asked { trace, succeeded: succeeded && complete, took: began.elapsed() }
}
