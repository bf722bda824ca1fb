//! Prints how large lines and spans are in the console's stores, and how fast they are searched.
//!
//! ```sh
//! cargo run --release -p console --example store_sizes
//! ```

#![expect(clippy::print_stdout, reason = "it prints what it measures")]

use std::fmt::Write;
use std::time::{Duration, Instant};

use console::store::ValueTest;
use console::store::lines::{LineCondition, LineParser, LineStore, Search};
use console::store::spans::{
    Attributes, Link, Span, SpanCondition, SpanId, SpanKind, SpanSearch, SpanStore, TraceId,
};
use signal::Level;

const LINES: u64 = 220_000;
const TRACES: u64 = 80_000;
const SPANS_OF_TRACE: u64 = 10;
const START_SECONDS: u64 = 1_796_000_000;

/// Random numbers (splitmix64), the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Returns the UUID of one object of a kind.
fn uuid(kind: u64, number: u64) -> String {
    let (a, b) = (Random(kind << 32 | number).next(), Random(number << 32 | kind).next());
    format!(
        "{:08x}-{:04x}-7{:03x}-9{:03x}-{:012x}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        b >> 52,
        b & 0xffff_ffff_ffff
    )
}

fn line(number: u64, random: &mut Random) -> String {
    let (second, micros) = (number / 200, number % 200 * 5000 + random.below(5000));
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let is_failed = random.below(50) == 0;
    let mut line = format!(
        "{{\"timestamp\":\"2026-11-30T{hour:02}:{minute:02}:{second:02}.{micros:06}Z\",\"level\":\"{}\",\"event\":",
        if is_failed { "error" } else { "info" }
    );
    let ids = format!(
        "\"trace_id\":\"{:016x}{:016x}\",\"span_id\":\"{:016x}\",\"service.instance.id\":\"{}\"",
        random.next(),
        random.next(),
        random.next(),
        uuid(9, random.below(2))
    );
    let user = random.below(2000);
    let duration = format!("\"duration_ms\":{}.{:06}", random.below(200), random.below(1_000_000));
    let customer = format!(
        "\"user.id\":\"{}\",\"organization.id\":\"{}\",\"workspace.id\":\"{}\"",
        uuid(1, user),
        uuid(2, user / 10),
        uuid(3, user / 5)
    );
    let result = match random.below(10) {
        0 => write!(
            line,
            "\"job.run\",\"job.kind\":\"publish\",\"outcome\":\"succeeded\",{ids},\"job.id\":\"{}\",{duration},\
             \"link.trace_id\":\"{:016x}{:016x}\"}}",
            uuid(4, number),
            random.next(),
            random.next()
        ),
        1 => write!(line, "\"socialize.content_items.created\",{ids},{customer}}}"),
        _ => write!(
            line,
            "\"http.server.request\",\"http.request.method\":\"GET\",\"http.route\":\"/v1/things/{}/{{id}}\",\
             \"url.scheme\":\"http\",\"network.protocol.version\":\"1.1\",{ids},\
             \"http.response.status_code\":{},{duration},\"db.operations\":{},\"db.duration_ms\":{}.{:06},{customer},\
             \"content_item.id\":\"{}\"}}",
            random.below(40),
            if is_failed { 500 } else { 200 },
            random.below(9),
            random.below(50),
            random.below(1_000_000),
            uuid(5, random.below(20_000))
        ),
    };
    result.map(|()| line).unwrap_or_default()
}

fn trace(number: u64, random: &mut Random) -> Vec<Span> {
    let (high, low) = (random.next(), random.next());
    let trace_id = TraceId((u128::from(high) << 64 | u128::from(low)).to_le_bytes());
    let start_ns = START_SECONDS * 1_000_000_000 + number * 10_000_000 + random.below(10_000_000);
    let user = random.below(2000);
    let root = SpanId(random.next().to_le_bytes());
    let mut at = start_ns;
    let mut spans = Vec::new();
    for position in 0..SPANS_OF_TRACE {
        let is_root = position + 1 == SPANS_OF_TRACE;
        let length = random.below(2_000_000);
        at += random.below(300_000);
        let attributes: Attributes = match is_root {
            true => vec![
                ("http.request.method".into(), "GET".into()),
                ("http.route".into(), (&*format!("/v1/things/{}/{{id}}", random.below(40))).into()),
                ("url.scheme".into(), "http".into()),
                ("http.response.status_code".into(), 200_i64.into()),
                ("user.id".into(), (&*uuid(1, user)).into()),
                ("organization.id".into(), (&*uuid(2, user / 10)).into()),
                ("workspace.id".into(), (&*uuid(3, user / 5)).into()),
            ],
            false => vec![
                ("db.system.name".into(), "postgresql".into()),
                ("db.query.summary".into(), (&*format!("select_{}", random.below(60))).into()),
            ],
        };
        spans.push(Span {
            trace_id,
            span_id: if is_root { root } else { SpanId(random.next().to_le_bytes()) },
            parent: (!is_root).then_some(root),
            name: if is_root { "GET /v1/things/{id}".into() } else { "select".into() },
            kind: if is_root { SpanKind::Server } else { SpanKind::Client },
            start_ns: if is_root { start_ns } else { at },
            end_ns: at + length,
            failed: random.below(200) == 0,
            attributes,
            links: if is_root && number.is_multiple_of(10) {
                vec![Link { trace_id, span_id: root }]
            } else {
                Vec::new()
            },
            events: Vec::new(),
            service: "api".into(),
            instance: "0193a5b0-7c1e-7d3a-9a52-1f2e3d4c5b6a".into(),
        });
        at += length;
    }
    spans
}

fn timed<T>(name: &str, run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = run();
    let took = start.elapsed();
    println!("{name:58} {:8.1} ms", took.as_secs_f64() * 1000.0);
    (result, took)
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.trim_start_matches("VmRSS:").trim().to_owned()
}

fn lines() {
    let mut random = Random(1);
    let mut store = LineStore::new(1 << 30);
    let (mut parser, mut read) = (LineParser::default(), 0);
    let (mut parsing, mut storing) = (Duration::ZERO, Duration::ZERO);
    for number in 0..LINES {
        let text = line(number, &mut random);
        read += text.len() as u64;
        let start = Instant::now();
        let parsed = parser.parse(text.as_bytes());
        parsing += start.elapsed();
        let start = Instant::now();
        store.append(parsed);
        storing += start.elapsed();
    }
    let usage = store.usage();
    println!("{LINES} lines of {} bytes, parsed in {parsing:.0?}, stored in {storing:.0?}", read / LINES);
    println!("{:.1} bytes per line, {} MiB", usage.bytes as f64 / LINES as f64, usage.bytes >> 20);
    println!("lines in 16 MiB: {}", (16 << 20) * LINES / usage.bytes as u64);
    let all = || Search::new(0, i64::MAX);
    timed("newest 100", || store.search(&all()));
    let failed = all().with(LineCondition::AtLeast(Level::Error));
    timed("newest 100 errors", || store.search(&failed));
    let user = LineCondition::Field("user.id".to_owned(), ValueTest::Is(uuid(1, 77)));
    timed("all of a user", || store.search(&Search { most: 1000, ..all().with(user) }));
    let trace = LineCondition::Trace("4bf92f3577b34da6a3ce929d0e0e4736".to_owned());
    let (_, took) = timed("a trace that is not there (scans all)", || store.search(&all().with(trace)));
    println!("{:.0} MB of JSON per second", read as f64 / took.as_secs_f64() / 1e6);
    let any = LineCondition::AnyField("4bf92f3577b34da6a3ce929d0e0e4736".to_owned());
    timed("any field (scans all)", || store.search(&all().with(any)));
    let (from, until) = (usage.oldest.unwrap_or(0), usage.newest.unwrap_or(0));
    timed("counts over time", || store.counts(&Search::new(from, until), (until - from) / 100));
    let route = LineCondition::Field("http.route".to_owned(), ValueTest::Exists);
    let search = Search::new(from, until).with(route);
    timed("counts over time of requests", || store.counts(&search, (until - from) / 100));
    timed("organizations", || {
        store.groups(&all().with(LineCondition::AtLeast(Level::Error)), "organization.id", 10)
    });
    timed("users of all lines", || store.groups(&all(), "user.id", 10));
    println!("resident {}", resident());
}

fn spans() -> std::io::Result<()> {
    let mut random = Random(2);
    let directory = tempfile::tempdir()?;
    let mut store = SpanStore::open(directory.path())?;
    let (mut storing, mut last) = (Duration::ZERO, None);
    for number in 0..TRACES {
        let trace = trace(number, &mut random);
        last = trace.first().map(|span| span.trace_id);
        let start = Instant::now();
        store.append_spans(trace);
        if number.is_multiple_of(1000) {
            store.flush()?;
        }
        storing += start.elapsed();
    }
    store.flush()?;
    let usage = store.usage();
    let number = TRACES * SPANS_OF_TRACE;
    println!("\n{number} spans, stored in {storing:.0?}; resident {}", resident());
    println!(
        "{:.1} bytes per span on disk, {} MiB in memory, {} MiB on disk, {} evicted",
        usage.disk_bytes as f64 / usage.spans as f64,
        usage.bytes >> 20,
        usage.disk_bytes >> 20,
        usage.evicted
    );
    let all = || SpanSearch::new(0, u64::MAX);
    timed("newest 100 traces", || store.search(&all()));
    timed("newest 100 failed requests", || {
        store.search(&all().with(SpanCondition::Failed).with(SpanCondition::Kind(SpanKind::Server)))
    });
    timed("requests of a user", || {
        store.search(&all().with(SpanCondition::Attribute("user.id".to_owned(), ValueTest::Is(uuid(1, 77)))))
    });
    timed("an attribute that is not there (scans all)", || {
        store.search(&all().with(SpanCondition::AnyAttribute("nothing".to_owned())))
    });
    timed("longer than there is", || store.search(&all().with(SpanCondition::AtLeastNs(1 << 40))));
    if let Some(id) = last {
        timed("one trace", || store.trace(id));
        timed("linked traces", || store.linked_from(id));
    }
    drop(store);
    let (store, _) = timed("open", || SpanStore::open(directory.path()));
    println!("{} spans again; resident {}", store?.usage().spans, resident());
    Ok(())
}

fn main() -> std::io::Result<()> {
    lines();
    spans()
}
