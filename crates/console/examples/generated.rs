//! A console over generated lines, spans and versions, to look at its pages without the application:
//!
//! ```sh
//! cargo run -p console --example generated     # http://127.0.0.1:3002/?token=generated-data-0123456789
//! ```
//!
//! Six hours are generated, with a minute of failures three quarters of an hour ago. A request arrives each second.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use console::access::{Access, OwnHosts, Token};
use console::state::{Console, Facts, SharedConsole, write};
use console::store::FieldValue;
use console::store::lines::Line;
use console::store::metrics::{Labels, Origin, Sample, Value};
use console::store::spans::{Link, Span, SpanId, SpanKind, TraceId};
use signal::Level;
use tokio::net::TcpListener;
use tokio::sync::watch;

const ADDRESS: &str = "127.0.0.1:3002";
const TOKEN: &str = "generated-data-0123456789";
const HOURS: u64 = 6;

const ROUTES: [(&str, &str, &str, u64); 7] = [
    ("GET", "/v1/workspaces/{workspace_id}/content-items", "list_content_items", 200),
    ("GET", "/v1/workspaces/{workspace_id}/content-items/{content_item_id}", "content_item", 200),
    ("POST", "/v1/workspaces/{workspace_id}/content-items", "insert_content_item", 201),
    ("POST", "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/comments", "insert_comment", 201),
    (
        "POST",
        "/v1/workspaces/{workspace_id}/content-items/{content_item_id}/decisions",
        "insert_decision",
        201,
    ),
    ("GET", "/v1/me", "session_of_token", 200),
    ("POST", "/v1/sessions", "insert_session", 201),
];

/// Pseudo-random numbers that are the same at each start.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn trace(&mut self) -> TraceId {
        TraceId((u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes())
    }

    fn span(&mut self) -> SpanId {
        SpanId((self.next() | 1).to_be_bytes())
    }
}

/// One operation as a span and a line.
struct Operation<'a> {
    trace: TraceId,
    id: SpanId,
    parent: Option<SpanId>,
    link: Option<(TraceId, SpanId)>,
    event: &'a str,
    name: String,
    kind: SpanKind,
    level: Level,
    start_us: u64,
    length_us: u64,
    fields: Vec<(&'a str, FieldValue)>,
}

#[derive(Default)]
struct Generated {
    lines: Vec<Line>,
    spans: Vec<Span>,
}

impl Generated {
    fn add(&mut self, operation: &Operation<'_>) {
        let end = operation.start_us + operation.length_us;
        let failed = operation.fields.iter().any(|(name, _)| *name == "error.type");
        let attributes: Vec<(Arc<str>, FieldValue)> =
            operation.fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        if operation.kind != SpanKind::Client || failed {
            let mut fields: Vec<(Arc<str>, FieldValue)> = vec![
                ("trace_id".into(), operation.trace.to_string().as_str().into()),
                ("span_id".into(), operation.id.to_string().as_str().into()),
                ("service.instance.id".into(), "api-7f3a".into()),
            ];
            fields.extend(attributes.iter().cloned());
            fields.push(("duration_ms".into(), (operation.length_us as f64 / 1000.0).into()));
            fields.extend(
                operation.link.map(|(trace, _)| ("link.trace_id".into(), trace.to_string().as_str().into())),
            );
            let (at, level, event) = (end as i64, operation.level, operation.event.into());
            self.lines.push(Line { at, level, event, fields });
        }
        self.spans.push(Span {
            trace_id: operation.trace,
            span_id: operation.id,
            parent: operation.parent,
            name: operation.name.as_str().into(),
            kind: operation.kind,
            start_ns: operation.start_us * 1000,
            end_ns: end * 1000,
            failed,
            attributes,
            links: operation
                .link
                .iter()
                .map(|(trace_id, span_id)| Link { trace_id: *trace_id, span_id: *span_id })
                .collect(),
            events: Vec::new(),
            service: "socialize-api".into(),
            instance: "api-7f3a".into(),
        });
    }

    /// Adds a request with its database operations, its business fact and the job that it enqueues.
    fn request(&mut self, numbers: &mut Numbers, start_us: u64, during_incident: bool) {
        let (method, route, query, status) = ROUTES[numbers.below(ROUTES.len() as u64) as usize];
        let fails = during_incident && numbers.below(3) > 0 && method == "POST";
        let (trace, id) = (numbers.trace(), numbers.span());
        let length_us =
            if fails { 900_000 } else { 1_500 + numbers.below(9_000) * (1 + numbers.below(40) / 37 * 20) };
        let organization = numbers.below(12);
        let user = format!("0193a5b0-7c1e-7d3a-9a52-{:012x}", organization * 100 + numbers.below(5));
        let status = match (fails, numbers.below(40)) {
            (true, _) => 503,
            (_, 0) => 404,
            (_, 1) => 401,
            _ => status as i64,
        };
        let queries = 2 + numbers.below(4);
        let mut at = start_us + 200;
        let mut busy = 0;
        for number in 0..queries {
            let is_last = number + 1 == queries;
            let length =
                if fails && is_last { 800_000 } else { 150 + numbers.below(length_us.min(9_000) / 4) };
            let name = if is_last {
                query
            } else {
                ["begin", "session_of_token", "membership"][number.min(2) as usize]
            };
            let mut fields: Vec<(&str, FieldValue)> =
                vec![("db.system.name", "postgresql".into()), ("db.query.summary", name.into())];
            if fails && is_last {
                fields.push(("error.type", "timeout".into()));
            }
            self.add(&Operation {
                trace,
                id: numbers.span(),
                parent: Some(id),
                link: None,
                event: "db.client.operation",
                name: name.to_owned(),
                kind: SpanKind::Client,
                level: if fails && is_last { Level::Error } else { Level::Debug },
                start_us: at,
                length_us: length,
                fields,
            });
            busy += length;
            at += length + 100;
        }
        let length_us = length_us.max(at - start_us + 300);
        let mut fields: Vec<(&str, FieldValue)> = vec![
            ("http.request.method", method.into()),
            ("http.route", route.into()),
            ("url.scheme", "http".into()),
            ("network.protocol.version", "1.1".into()),
            ("http.response.status_code", status.into()),
        ];
        if fails {
            fields.extend([
                ("error.type", "unavailable".into()),
                ("error.cause", "timeout".into()),
                ("error.code", "unavailable".into()),
                ("code.location", "crates/socialize/src/features/content/submit.rs:87".into()),
            ]);
        } else if status >= 400 {
            fields.push(("error.code", if status == 404 { "not_found" } else { "unauthenticated" }.into()));
        }
        fields.extend([
            ("db.operations", (queries as i64).into()),
            ("db.duration_ms", (busy as f64 / 1000.0).into()),
        ]);
        if status != 401 {
            let workspace = format!("0193a5b0-8d2f-7d3a-9a52-{organization:012x}");
            let organization = format!("0193a5b0-6b0d-7d3a-9a52-{organization:012x}");
            fields.push(("user.id", user.as_str().into()));
            fields.push(("organization.id", organization.as_str().into()));
            fields.push(("workspace.id", workspace.as_str().into()));
        }
        let succeeds = status < 300 && method == "POST";
        if succeeds && query.starts_with("insert_co") {
            let event = format!("socialize.{}s.created", &query["insert_".len()..]);
            let fields = vec![
                ("trace_id".into(), trace.to_string().as_str().into()),
                ("span_id".into(), id.to_string().as_str().into()),
                ("user.id".into(), user.as_str().into()),
                ("channel".into(), ["instagram", "linkedin", "x"][numbers.below(3) as usize].into()),
            ];
            self.lines.push(Line { at: at as i64, level: Level::Info, event: event.as_str().into(), fields });
        }
        self.add(&Operation {
            trace,
            id,
            parent: None,
            link: None,
            event: "http.server.request",
            name: format!("{method} {route}"),
            kind: SpanKind::Server,
            level: if fails {
                Level::Error
            } else if status >= 400 {
                Level::Warn
            } else {
                Level::Info
            },
            start_us,
            length_us,
            fields,
        });
        if succeeds {
            self.job(numbers, start_us + length_us + 20_000, (trace, id), during_incident);
        }
    }

    fn job(&mut self, numbers: &mut Numbers, start_us: u64, cause: (TraceId, SpanId), fails: bool) {
        let mut fields: Vec<(&str, FieldValue)> = vec![
            ("job.kind", "send_email".into()),
            ("outcome", if fails { "retry" } else { "ok" }.into()),
            ("job.attempt", 1.into()),
        ];
        if fails {
            fields.push(("error.type", "unavailable".into()));
        }
        self.add(&Operation {
            trace: numbers.trace(),
            id: numbers.span(),
            parent: None,
            link: Some(cause),
            event: "job.run",
            name: "send_email".to_owned(),
            kind: SpanKind::Consumer,
            level: if fails { Level::Warn } else { Level::Info },
            start_us,
            length_us: 8_000 + numbers.below(60_000),
            fields,
        });
    }

    fn store_in(self, console: &Console) {
        let mut lines = self.lines;
        lines.sort_by_key(|line| line.at);
        write(console.lines()).append(lines);
        write(console.spans()).append_spans(self.spans);
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn report_versions(console: &Console, at: i64) {
    for (job, instance) in
        [("socialize/socialize-api", "api-7f3a"), ("socialize/socialize-worker", "work-91c2")]
    {
        let labels = [("job", job), ("instance", instance), ("version", "0.1.0"), ("commit", "bd38fe3")];
        let labels = Labels::new(labels.map(|(name, value)| (name.into(), value.into())));
        let sample = Sample { name: "socialize_build_info".into(), labels, value: Value::Number(1.0) };
        write(console.metrics()).append(&Origin::process(job, instance), at, [sample]);
    }
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "the link is for the terminal")]
async fn main() -> anyhow::Result<()> {
    let access = Access {
        hosts: OwnHosts::new(ADDRESS.parse()?, &[]),
        token: Token::configured(TOKEN).digest(),
        cookie: "socialize_console_3002".to_owned(),
    };
    let now = now_ms();
    let facts = Facts {
        otlp_address: "127.0.0.1:4318".to_owned(),
        logs: vec!["/var/log/socialize/*.jsonl".to_owned()],
        started_at: now,
        ..Facts::default()
    };
    let console: SharedConsole = Arc::new(Console::new(access, facts, Arc::new(now_ms)));
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut generated = Generated::default();
    let begin = now as u64 * 1000 - HOURS * 3_600_000_000;
    let mut at = begin;
    while at < now as u64 * 1000 {
        let minutes_ago = (now as u64 * 1000 - at) / 60_000_000;
        let is_incident = (44..=46).contains(&minutes_ago);
        generated.request(&mut numbers, at, is_incident);
        at += if is_incident { 400_000 } else { 1_000_000 + numbers.below(7_000_000) };
    }
    generated.store_in(&console);
    let (_end, ended) = watch::channel(());
    let pages = console::pages::router(SharedConsole::clone(&console));
    tokio::spawn(console::serve(TcpListener::bind(ADDRESS).await?, pages, 64, ended));
    eprintln!("http://{ADDRESS}/?token={TOKEN}");
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let at = now_ms();
        report_versions(&console, at);
        let mut generated = Generated::default();
        generated.request(&mut numbers, at as u64 * 1000 - 1_200_000, false);
        generated.store_in(&console);
    }
}
