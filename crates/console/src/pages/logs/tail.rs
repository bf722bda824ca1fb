//! New lines as server-sent events, each with the rendered lines that arrived together.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use super::filter::LogFilter;
use crate::pages::environment;
use crate::pages::line_view::LineView;
use crate::pages::problem::Problem;
use crate::pages::view::View;
use crate::state::{Console, SharedConsole, read};
use crate::store::lines::{LineCondition, Search};

/// Maximum duration of a stream. The script then opens another.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Interval of keep-alive events on a stream without lines.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// Minimum time between two events, so that a busy log does not overload the browser.
const PAUSE: Duration = Duration::from_millis(400);
/// Maximum number of lines of an event. Older ones are omitted.
const MOST: usize = 100;

#[derive(Template)]
#[template(path = "new_lines.html")]
struct NewLines {
    lines: Vec<LineView>,
}

pub(super) async fn tail(State(console): State<SharedConsole>, view: View) -> Response {
    let filter = match LogFilter::read(&view) {
        Ok(filter) => filter,
        Err(problem) => return problem.respond(&view, &console),
    };
    let Ok(permit) = console.tails().clone().try_acquire_owned() else {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many pages already follow the log.");
        return problem.hint("Stop following the log in another window first.").respond(&view, &console);
    };
    let (sender, events) = mpsc::channel(4);
    let mut conditions = filter.conditions();
    conditions.extend(environment::of_lines(&console, &view));
    tokio::spawn(feed(console, view, conditions, sender, permit));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::new(Events(events))).into_response()
}

/// Sends events until the browser disconnects or the deadline passes.
async fn feed(
    console: SharedConsole,
    view: View,
    conditions: Vec<LineCondition>,
    sender: mpsc::Sender<Bytes>,
    _permit: OwnedSemaphorePermit,
) {
    let end = Instant::now() + LONGEST;
    let mut appended = read(console.lines()).subscribe();
    let mut seen = *appended.borrow_and_update();
    let mut next = Some(Bytes::from_static(b": following\n\n"));
    loop {
        if let Some(event) = next.take()
            && sender.send(event).await.is_err()
        {
            return;
        }
        tokio::select! {
            changed = appended.changed() => if changed.is_err() { return },
            () = sleep(HEARTBEAT) => {
                next = Some(Bytes::from_static(b":\n\n"));
                continue;
            }
            () = sender.closed() => return,
            () = sleep_until(end) => return,
        }
        let newest = *appended.borrow_and_update();
        let (shared, view, conditions) = (SharedConsole::clone(&console), view.clone(), conditions.clone());
        let rendering = tokio::task::spawn_blocking(move || event_after(&shared, &view, conditions, seen));
        next = rendering.await.ok().flatten();
        seen = newest;
        sleep(PAUSE).await;
    }
}

/// Renders the lines read after the line with this number.
fn event_after(console: &Console, view: &View, conditions: Vec<LineCondition>, seen: u64) -> Option<Bytes> {
    let search = Search { conditions, most: MOST, newer_than: Some(seen), ..Search::new(i64::MIN, i64::MAX) };
    let found = read(console.lines()).search(&search);
    if found.is_empty() {
        return None;
    }
    let lines = found.iter().map(|found| LineView::new(&found.line, view)).collect();
    let text = NewLines { lines }.render().ok()?;
    Some(event(&text))
}

/// Encodes a text as an event. A carriage return would also end a line of the event.
fn event(text: &str) -> Bytes {
    let mut event = String::with_capacity(text.len() + 64);
    for line in text.split(['\n', '\r']).filter(|line| !line.trim().is_empty()) {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    event.into()
}

/// The body of a stream of events.
struct Events(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|event| event.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_a_text_is_a_line_of_the_event() {
        assert_eq!(event("<li>\n  a\rb</li>\n"), "data: <li>\ndata:   a\ndata: b</li>\n\n");
    }
}
