//! Peers of the application: a mail server and publishing endpoints whose responses contain markers, and a
//! relay that stores all traffic to the collector.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mail_parser::MessageParser;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::console_sinks::RECEIVER;
use super::markers::Markers;
use crate::programs::eventually;

/// Prefix of recipients that are rejected permanently.
pub(crate) const REFUSED: &str = "refused-";
/// Prefix of recipients that are deferred once.
pub(crate) const DEFERRED: &str = "deferred-";

pub(crate) struct Peers {
    pub(crate) smtp_port: u16,
    pub(crate) publishing: String,
    pub(crate) collector: String,
    state: Arc<Known>,
}

struct Known {
    markers: Arc<Markers>,
    /// Newest link to a recipient, and the number of e-mails.
    letters: Mutex<HashMap<String, (usize, String)>>,
    /// Recipients and paths that were deferred.
    put_off: Mutex<HashSet<String>>,
    /// Recipients that were rejected.
    refused: Mutex<HashSet<String>>,
    posts: Mutex<Vec<String>>,
    /// Each direction of each connection separately, so that no marker is split.
    streams: Mutex<Vec<Stream>>,
}

/// Bytes of one direction of a connection.
type Stream = Arc<Mutex<Vec<u8>>>;

impl Known {
    fn keep_stream(&self) -> Stream {
        let stream = Stream::default();
        self.streams.lock().expect("nobody panics").push(stream.clone());
        stream
    }
}

impl Peers {
    pub(crate) async fn start(markers: Arc<Markers>) -> Self {
        let state = Arc::new(Known {
            markers,
            letters: Mutex::default(),
            put_off: Mutex::default(),
            refused: Mutex::default(),
            posts: Mutex::default(),
            streams: Mutex::default(),
        });
        let (smtp, smtp_port) = listen().await;
        let known = state.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = smtp.accept().await {
                tokio::spawn(converse(connection, known.clone()));
            }
        });
        let (publishing, publishing_port) = listen().await;
        let router = Router::new().fallback(take_post).with_state(state.clone());
        tokio::spawn(async move { axum::serve(publishing, router).await });
        let (collector, collector_port) = listen().await;
        let known = state.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = collector.accept().await {
                tokio::spawn(pass_on(connection, known.clone()));
            }
        });
        Self {
            smtp_port,
            publishing: format!("http://127.0.0.1:{publishing_port}"),
            collector: format!("http://127.0.0.1:{collector_port}"),
            state,
        }
    }

    /// The token in the link of the newest e-mail to this address, at least the `number`th.
    pub(crate) async fn token(&self, email: &str, number: usize) -> String {
        eventually(&format!("an e-mail to {email}"), async || {
            let letters = self.state.letters.lock().expect("nobody panics");
            match letters.get(email) {
                Some((count, token)) if *count >= number => Ok(token.clone()),
                other => Err(format!("there were {}", other.map_or(0, |(count, _)| *count))),
            }
        })
        .await
    }

    pub(crate) fn was_refused(&self, email: &str) -> bool {
        self.state.refused.lock().expect("nobody panics").contains(email)
    }

    /// Maximum number of posts to a single path.
    pub(crate) fn most_posts(&self) -> usize {
        let posts = self.state.posts.lock().expect("nobody panics");
        let came_to = |path: &String| posts.iter().filter(|post| *post == path).count();
        posts.iter().map(came_to).max().unwrap_or(0)
    }

    /// All traffic to the collector and back.
    pub(crate) fn sent_to_collector(&self) -> Vec<u8> {
        let streams = self.state.streams.lock().expect("nobody panics");
        streams.iter().flat_map(|stream| stream.lock().expect("nobody panics").clone()).collect()
    }
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    (listener, port)
}

/// A mail server whose every response contains a marker and the affected address.
async fn converse(connection: TcpStream, known: Arc<Known>) -> Option<()> {
    let (read, mut write) = connection.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut recipients = Vec::new();
    let mut greeting = true;
    loop {
        let command = if greeting { "GREET".to_owned() } else { lines.next_line().await.ok()?? };
        greeting = false;
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let address = command.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let (code, about) = match verb.as_str() {
            "GREET" => (220, "mail.example.com"),
            "EHLO" => (250, "mail.example.com"),
            "RCPT" if address.starts_with(REFUSED) => {
                known.refused.lock().expect("nobody panics").insert(address.clone());
                recipients.push(address.clone());
                (250, &*address)
            }
            "RCPT"
                if address.starts_with(DEFERRED)
                    && known.put_off.lock().expect("nobody panics").insert(address.clone()) =>
            {
                (451, &*address)
            }
            "RCPT" => {
                recipients.push(address.clone());
                (250, &*address)
            }
            "DATA" => {
                write.write_all(format!("354 {}\r\n", known.markers.at("SMTP 354")).as_bytes()).await.ok()?;
                let mut message = String::new();
                loop {
                    let line = lines.next_line().await.ok()??;
                    if line == "." {
                        break;
                    }
                    message.push_str(line.strip_prefix('.').unwrap_or(&line));
                    message.push_str("\r\n");
                }
                let token = token_in(&message);
                // A rejected message becomes a dead letter; a rejected recipient does not.
                let is_refused = recipients.iter().any(|recipient: &String| recipient.starts_with(REFUSED));
                let mut letters = known.letters.lock().expect("nobody panics");
                for recipient in recipients.drain(..) {
                    let letter = letters.entry(recipient).or_default();
                    letter.0 += 1;
                    if let Some(token) = &token {
                        letter.1.clone_from(token);
                    }
                }
                if is_refused { (552, "refused") } else { (250, "taken") }
            }
            "RSET" => {
                recipients.clear();
                (250, "forgotten")
            }
            "QUIT" => (221, "bye"),
            _ => (250, &*address),
        };
        let marker = known.markers.at(format!("SMTP {code} to {verb}"));
        write.write_all(format!("{code} {about} {marker}\r\n").as_bytes()).await.ok()?;
    }
}

fn token_in(message: &str) -> Option<String> {
    let message = MessageParser::new().parse(message.as_bytes())?;
    let text = message.body_text(0)?;
    text.split_whitespace().find_map(|word| Some(word.split_once("#token=")?.1.to_owned()))
}

/// A publishing endpoint: it responds with 410 if its path says so, and otherwise fails at the first post.
async fn take_post(State(known): State<Arc<Known>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let status = if path.contains("gone") {
        StatusCode::GONE
    } else if known.put_off.lock().expect("nobody panics").insert(path.clone()) {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    known.posts.lock().expect("nobody panics").push(path);
    let marker = |place: &str| known.markers.at(format!("{place} of a publishing endpoint, {status}"));
    let headers = [
        ("x-marker", marker("header")),
        ("server", marker("server")),
        ("location", format!("https://{}.example.com/", marker("location"))),
        ("set-cookie", format!("session={}", marker("cookie"))),
    ];
    (status, headers, format!("{{\"error\": \"{}\"}}", marker("body"))).into_response()
}

/// Forwards to the collector and back, and stores the traffic.
async fn pass_on(connection: TcpStream, known: Arc<Known>) -> Option<()> {
    let collector = TcpStream::connect("alloy:4318").await.ok()?;
    let (from_application, to_application) = connection.into_split();
    let (from_collector, to_collector) = collector.into_split();
    tokio::join!(
        copy(from_application, to_collector, Some(ToConsole::default()), known.keep_stream()),
        copy(from_collector, to_application, None, known.keep_stream())
    );
    Some(())
}

/// A connection to the console, which drops its responses.
#[derive(Default)]
struct ToConsole(Option<(OwnedWriteHalf, JoinHandle<()>)>);

impl ToConsole {
    /// Sends a piece of the stream. The console closes idle connections; the next piece is then the start of a
    /// request, so it can go to a new one. Without a console, nothing is sent.
    async fn send(&mut self, piece: &[u8]) -> Option<()> {
        if self.0.as_ref().is_none_or(|(_, responses)| responses.is_finished()) {
            let (mut responses, requests) = TcpStream::connect(RECEIVER).await.ok()?.into_split();
            let responses = tokio::spawn(async move {
                // It ends when the console closes the connection.
                let _ = tokio::io::copy(&mut responses, &mut tokio::io::sink()).await;
            });
            self.0 = Some((requests, responses));
        }
        let (requests, _) = self.0.as_mut()?;
        requests.write_all(piece).await.ok()
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut console: Option<ToConsole>, kept: Stream) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        kept.lock().expect("nobody panics").extend_from_slice(&buffer[..length]);
        if let Some(console) = &mut console {
            let _ = console.send(&buffer[..length]).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
}
