//! Cost of telemetry in time. Times differ between machines and runs, so they are shown and never
//! checked.
//!
//! Processor time is compared in rounds: the bare and the observed server take turns on a processor of their
//! own, if there are two. Other load makes a round more expensive and never cheaper, so the cheapest rounds
//! are compared. The median ratio of all rounds is shown beside them. Both servers are restarted a few times,
//! because the memory layout of a process affects the times.

use std::hint::black_box;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use bytes::Bytes;
use catalogue::database_operation::DatabaseOperation;
use catalogue::labels::{AuthFailureReason, DatabaseSystem};
use catalogue::metrics::{AUTH_FAILURES, DB_CLIENT_OPERATION_DURATION};
use telemetry::meter::Exemplar;
use telemetry::{Meter, SpanContext, SpanId, TraceId};

use crate::route::Route;
use crate::served::PROCESSOR_TIME;
use crate::variant::Variant;
use crate::workload::DATABASE_URL;

/// Number of starts of both servers, and of rounds after each start.
const STARTS: usize = 5;
const ROUNDS: usize = 10;
/// Number of recordings whose mean is one measurement, and number of measurements.
const RECORDINGS: u64 = 10_000_000;
const REPETITIONS: usize = 5;

/// Prints the ratio of processor times on a route.
pub(crate) fn compare_processor_time(
    route: Route,
    database_url: Option<&str>,
    processor: usize,
) -> anyhow::Result<()> {
    // A round lasts some tenths of a second.
    let (requests, connections) = if route.needs_database() { (3_000, 1) } else { (16_000, 16) };
    let collector = collector()?;
    let start = |variant| Server::start(route, variant, &collector, database_url, connections, processor);
    let mut ratios = Vec::new();
    let (mut least_bare, mut least_observed) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..STARTS {
        let (mut bare, mut observed) = (start(Variant::None)?, start(Variant::AllSignals)?);
        // The first round warms up caches and connections.
        for server in [&mut bare, &mut observed] {
            server.processor_time_of(requests)?;
        }
        for round in 0..ROUNDS {
            // Alternate the order, because the first of the two may find the machine in another
            // state.
            let (of_bare, of_observed) = if round % 2 == 0 {
                let of_bare = bare.processor_time_of(requests)?;
                (of_bare, observed.processor_time_of(requests)?)
            } else {
                let of_observed = observed.processor_time_of(requests)?;
                (bare.processor_time_of(requests)?, of_observed)
            };
            least_bare = of_bare.min(least_bare);
            least_observed = of_observed.min(least_observed);
            ratios.push(of_observed / of_bare);
        }
    }
    ratios.sort_by(f64::total_cmp);
    let median = f64::midpoint(ratios[(ratios.len() - 1) / 2], ratios[ratios.len() / 2]);
    writeln!(
        std::io::stdout().lock(),
        "{:<20}{:>12.2}{:>14.2}{:>10.3}{:>10.3}{:>18}",
        route.as_str(),
        least_bare / requests as f64,
        least_observed / requests as f64,
        least_observed / least_bare,
        median,
        format!("{:.3} to {:.3}", ratios[0], ratios[ratios.len() - 1]),
    )?;
    Ok(())
}

/// Prints the head of the table that [`compare_processor_time`] fills.
pub(crate) fn print_head() -> anyhow::Result<()> {
    writeln!(
        std::io::stdout().lock(),
        "\n\
         Processor time per request over HTTP, in microseconds of user and system (the cheapest of {} rounds in turns, \
         for information):\n\
         {:<20}{:>12}{:>14}{:>10}{:>10}{:>18}",
        STARTS * ROUNDS,
        "route",
        "none",
        "all_signals",
        "ratio",
        "median",
        "smallest, largest"
    )?;
    Ok(())
}

/// Prints the duration of recording into each instrument.
pub(crate) fn measure_instruments() -> anyhow::Result<()> {
    let meter = Meter::default();
    let counter = meter.counter(&AUTH_FAILURES);
    let bound_counter = counter.bind(AuthFailureReason::InvalidToken);
    let histogram = meter.histogram(&DB_CLIENT_OPERATION_DURATION);
    let labels = (DatabaseOperation::FindOrganization, DatabaseSystem::Postgresql);
    let bound_histogram = histogram.bind(labels);
    let context = SpanContext { trace_id: TraceId::random(), span_id: SpanId::random(), sampled: true };
    // Durations from 0 to 16 ms, so that several buckets are used.
    let nanoseconds = |number: u64| (number & 0xff) << 16;
    let exemplar =
        |number: u64| Exemplar { context, nanoseconds: nanoseconds(number), unix_nanoseconds: number };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\nNanoseconds of one recording, the fastest of {REPETITIONS} times {RECORDINGS} (for information):"
    )?;
    let mut row =
        |title: &str, record: &dyn Fn(u64)| writeln!(out, "{title:<48}{:>8.1}", nanoseconds_of_one(record));
    row("counter with a label", &|_| counter.add(black_box(AuthFailureReason::InvalidToken), 1))?;
    row("bound counter", &|_| bound_counter.add(1))?;
    row("histogram with two labels", &|number| histogram.record(black_box(labels), nanoseconds(number)))?;
    row("bound histogram", &|number| bound_histogram.record(nanoseconds(number), None))?;
    row("bound histogram with an exemplar", &|number| {
        bound_histogram.record(nanoseconds(number), Some(exemplar(number)));
    })?;
    Ok(())
}

/// Returns the shortest duration, because other load makes recordings slower and never faster.
fn nanoseconds_of_one(record: &dyn Fn(u64)) -> f64 {
    let once = || {
        let started = Instant::now();
        for number in 0..RECORDINGS {
            record(black_box(number));
        }
        started.elapsed().as_nanos() as f64 / RECORDINGS as f64
    };
    (0..REPETITIONS).map(|_| once()).fold(f64::INFINITY, f64::min)
}

/// Starts a collector that accepts everything, and returns its address. It lives as long as the
/// process.
fn collector() -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let accept = Router::new().fallback(async |body: Bytes| drop(body));
    let accept = accept.layer(DefaultBodyLimit::disable());
    std::thread::spawn(move || runtime.block_on(async { axum::serve(listener, accept).await }));
    Ok(format!("http://{address}"))
}

/// A server in its own process, with connections to it.
struct Server {
    process: Child,
    address: String,
    connections: Vec<TcpStream>,
    request: String,
    response: Vec<u8>,
}

impl Server {
    fn start(
        route: Route,
        variant: Variant,
        collector: &str,
        database_url: Option<&str>,
        connections: usize,
        processor: usize,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["served", "--route", route.as_str(), "--variant", variant.as_str()]);
        command.args(["--requests", "0", "--collector", collector]);
        command.arg("--processor").arg(processor.to_string());
        if let Some(url) = database_url {
            command.env(DATABASE_URL, url);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().context("the server cannot be started")?;
        let mut output = BufReader::new(process.stdout.take().context("standard output is a pipe")?);
        let mut address = String::new();
        output.read_line(&mut address)?;
        // Log lines must be read, or the pipe would soon be full.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        let path = route.as_str();
        let mut server = Self {
            process,
            address: address.trim().to_owned(),
            connections: Vec::new(),
            request: format!("GET /{path} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
            response: Vec::new(),
        };
        for _ in 0..connections {
            let connection = TcpStream::connect(&server.address).context("the server is not there")?;
            connection.set_nodelay(true)?;
            // Postgres needs the processor that a busy-waiting client would use.
            connection.set_nonblocking(!route.needs_database())?;
            server.connections.push(connection);
        }
        server.response.resize(server.response_length()?, 0);
        Ok(server)
    }

    /// Sends `requests` requests and returns the server's processor time for all of them, in
    /// microseconds.
    fn processor_time_of(&mut self, requests: usize) -> anyhow::Result<f64> {
        let before = self.processor_time()?;
        for _ in 0..requests / self.connections.len() {
            for connection in &mut self.connections {
                connection.write_all(self.request.as_bytes())?;
            }
            for connection in &mut self.connections {
                read_exact(connection, &mut self.response)?;
                ensure!(self.response.starts_with(b"HTTP/1.1 200 "), "the server refused a request");
            }
        }
        Ok(self.processor_time()? - before)
    }

    /// Returns the length of the first response; all others have the same length.
    fn response_length(&self) -> anyhow::Result<usize> {
        let response = self.exchange(&self.request.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"))?;
        Ok(response.len() - "connection: close\r\n".len())
    }

    fn processor_time(&self) -> anyhow::Result<f64> {
        let request =
            format!("GET {PROCESSOR_TIME} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let response = self.exchange(&request)?;
        let (_, body) = response.split_once("\r\n\r\n").context("the response has no body")?;
        body.parse().context("the processor time is no number")
    }

    /// Sends one request over its own connection, which the server closes.
    fn exchange(&self, request: &str) -> anyhow::Result<String> {
        let mut connection = TcpStream::connect(&self.address)?;
        connection.write_all(request.as_bytes())?;
        let mut response = String::new();
        connection.read_to_string(&mut response)?;
        Ok(response)
    }
}

/// Reads in a busy loop if the connection does not block. Waking a sleeping client costs the server as much
/// as the measured code, and the number of wake-ups depends on the server's speed.
fn read_exact(connection: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match connection.read(&mut buffer[filled..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => filled += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server has nothing to finish, and may already have exited.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
