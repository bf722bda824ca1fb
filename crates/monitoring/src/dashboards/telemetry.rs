//! Can I trust what I see? The path of telemetry from the process through the collector to the
//! stores, and its cost.
//!
//! Long because a dashboard is a list of panels.

use catalogue::labels::{Disk, Role};
use catalogue::metrics::{BUILD_INFO, DISK_AVAILABLE, DISK_SIZE, HEARTBEAT, RUNTIME_TASKS};
use signal::Level;
use signal::builtin::{
    CpuMode, DROPPED, DropReason, EXPORT_FAILURES, EXPORTED, LOG_LINES, PANICS, PROCESS_CPU_TIME,
    PROCESS_FILE_DESCRIPTORS, PROCESS_MEMORY_USAGE, PROCESS_THREAD_COUNT, PROCESS_UPTIME, QUEUE_SIZE, Signal,
    TRACEPARENT_MALFORMED,
};

use super::parts::{RANGE, RATE};
use crate::foreign::{
    ALLOY_MEMORY, COLLECTOR_MEMORY, CONFIG_RELOAD_SUCCESSFUL, EXPORTER_QUEUE_CAPACITY, EXPORTER_QUEUE_SIZE,
    EXPORTER_SEND_FAILED_LOG_RECORDS, EXPORTER_SEND_FAILED_METRIC_POINTS, EXPORTER_SEND_FAILED_SPANS,
    EXPORTER_SENT_LOG_RECORDS, EXPORTER_SENT_METRIC_POINTS, EXPORTER_SENT_SPANS, Exporter, HEAD_SERIES,
    LOKI_BYTES_RECEIVED, LOKI_DISCARDED, PROMETHEUS_BLOCKS_SIZE, PROMETHEUS_RETENTION_SIZE,
    PROMETHEUS_SAMPLES_APPENDED, RESIDENT_MEMORY, RULE_EVALUATION_FAILURES, ScrapeJob, TEMPO_BYTES_RECEIVED,
    TEMPO_DISCARDED, UP,
};
use crate::grafana::{Band, Choice, Color, Dashboard, Mapping, Override, Panel, Period, Target, Unit};
use crate::query::{Field, Instance, Vector, all_lines, select};
use crate::rules::DashboardUid;
use crate::rules::thresholds::{COLLECTOR_QUEUE_SHARE, DISK_CRITICAL_SHARE, DISK_LOW_SHARE};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: DashboardUid::Telemetry,
        title: "Socialize: Telemetry",
        description: "Can I trust what I see, and what does seeing cost?",
        range: Period::Hours(3),
        refresh: Some(Period::Seconds(30)),
        choices: Choice::PROCESSES,
        bands: vec![
            Band::Panels(4, vec![scraped(), dropped_now(), waiting_now(), rules(), series(), processes()]),
            Band::Title(10, "From the processes"),
            Band::Panels(8, vec![sent(), dropped(), failures()]),
            Band::Panels(7, vec![queue(), log_levels(), stored_lines()]),
            Band::Title(20, "Through the collector"),
            Band::Panels(8, vec![collector_queue(), collector_sent(), collector_failures()]),
            Band::Title(30, "In the stores"),
            Band::Panels(8, vec![series_over_time(), ingestion(), refused()]),
            Band::Panels(8, vec![retention(), disks(), memory()]),
            Band::Title(40, "Processes"),
            Band::Panels(8, vec![cpu(), resident(), tasks()]),
            Band::Panels(7, vec![descriptors(), uptime(), odd_input()]),
            Band::Title(50, "Lines"),
            Band::Panels(8, vec![about_processes()]),
        ],
    }
}

fn scraped() -> Panel {
    Panel::stat(
        1,
        "The stack",
        "Whether each program answers Prometheus. What is down shows nothing new; with the collector down nothing \
         arrives at all, and waits in the processes and on disk until it is back.",
    )
    .width(10)
    .mapping(Mapping::values(&[("0", "down", Color::Red), ("1", "up", Color::Green)]))
    .thresholds(Color::Red, &[(1.0, Color::Green)])
    .when_nothing("Prometheus scrapes nothing")
    .ask(Target::instant(
        &select(&UP).is_one_of(<ScrapeJob as signal::ClosedSet>::ALL).now().min_by::<ScrapeJob, _>(),
    ))
}

fn dropped_now() -> Panel {
    Panel::stat(
        2,
        "Dropped",
        "Log lines, spans and points that will never arrive, in the dashboard's range. Anything but 0: what you see is \
         incomplete; the reason is below.",
    )
    .width(3)
    .unit(Unit::Plain)
    .decimals(0)
    .thresholds(Color::Green, &[(0.5, Color::Red)])
    .when_nothing("0")
    .ask(Target::instant_named("items", &select(&DROPPED).increase(RANGE).sum()))
}

fn waiting_now() -> Panel {
    let fullest =
        select(&EXPORTER_QUEUE_SIZE).now().max().share_of(select(&EXPORTER_QUEUE_CAPACITY).now().max());
    Panel::stat(
        3,
        "Collector's fullest queue",
        "How full it is. Rising: the store behind it is down or too slow. At 100 % the collector takes nothing more, \
         and processes begin to drop.",
    )
    .width(3)
    .unit(Unit::Share)
    .decimals(1)
    .thresholds(Color::Green, &[(0.1, Color::Orange), (COLLECTOR_QUEUE_SHARE, Color::Red)])
    .when_nothing("No collector")
    .ask(Target::instant_named("full", &fullest))
}

fn rules() -> Panel {
    let failed = select(&RULE_EVALUATION_FAILURES).increase(RANGE).sum();
    Panel::stat(
        4,
        "Rules that failed",
        "Evaluations of rules that failed in the dashboard's range: alerts that could not fire. Prometheus' log names \
         the rule.",
    )
    .width(3)
    .unit(Unit::Plain)
    .decimals(0)
    .thresholds(Color::Green, &[(0.5, Color::Red)])
    .when_nothing("Not known")
    .ask(Target::instant_named("failed", &failed))
    .ask(Target::instant_named(
        "configuration is stale",
        &Vector::always().minus(select(&CONFIG_RELOAD_SUCCESSFUL).now().min()),
    ))
}

fn series() -> Panel {
    Panel::stat(
        5,
        "Series",
        "How many Prometheus holds in memory. A process of Socialize has some twenty-five thousand, whatever its users \
         do; every restart leaves as many behind for up to three hours.",
    )
    .width(2)
    .unit(Unit::Count)
    .color(Color::Blue)
    .when_nothing("Not known")
    .ask(Target::instant_named("series", &select(&HEAD_SERIES).now().sum()))
}

fn processes() -> Panel {
    Panel::stat(
        6,
        "Processes",
        "How many of each role have shown that they are alive within the last minute.",
    )
    .width(3)
    .unit(Unit::Count)
    .color(Color::Blue)
    .when_nothing("None")
    .ask(Target::instant(
        &select(&HEARTBEAT).ages_below(std::time::Duration::from_mins(1)).count_by::<Role, _>(),
    ))
}

fn sent() -> Panel {
    Panel::time_series(
        11,
        "Sent by the processes",
        "Spans and points that the collector took, lines that were written. One signal at zero while requests come in: \
         its way is broken, or it is switched off by its OTEL_ variables.",
    )
    .width(8)
    .unit(Unit::PerSecond)
    .ask(Target::series(&select(&EXPORTED).rate(RATE).sum_by::<Signal, _>()))
}

fn dropped() -> Panel {
    let dropped = || select(&DROPPED).per_bar();
    Panel::time_series(
        12,
        "Dropped by the processes",
        "`queue_full`, `superseded`, `retries_exhausted`: the collector was away for long. `rejected`: it or its token \
         is set up wrongly. `write_failed`: the disk of the log file is full. `buffer_full`: more was recorded than \
         could be carried away.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .ask(Target::series(&dropped().sum_by_both::<Signal, DropReason, _, _>().above(0.0).or_none()))
}

fn failures() -> Panel {
    Panel::time_series(
        13,
        "Attempts to send that failed",
        "Most are tried again and nothing is lost. Without end: the collector is down or not at its address.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .ask(Target::series(&select(&EXPORT_FAILURES).per_bar().sum_by::<Signal, _>()))
}

fn queue() -> Panel {
    Panel::time_series(
        14,
        "Waiting in the processes",
        "Encoded telemetry that the collector has not taken yet. It is bounded: when it stays high, something will be \
         dropped.",
    )
    .width(8)
    .unit(Unit::Bytes)
    .stacked()
    .ask(Target::series(&select(&QUEUE_SIZE).now().sum_by::<Signal, _>()))
}

fn log_levels() -> Panel {
    Panel::time_series(
        15,
        "Lines written, by level",
        "As the processes count them. `error` means that somebody should look; `warn` that Socialize coped.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .except(Override::color("warn", Color::Orange))
    .except(Override::color("error", Color::Red))
    .except(Override::color("info", Color::Green))
    .ask(Target::series(&select(&LOG_LINES).per_bar().sum_by::<Level, _>().above(0.0).or_none()))
}

fn stored_lines() -> Panel {
    Panel::time_series(
        16,
        "Lines in Loki, by level",
        "The same lines as Loki has them: both charts should look alike. Fewer here: the collector does not read the \
         log file, or waits.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .except(Override::color("warn", Color::Orange))
    .except(Override::color("error", Color::Red))
    .except(Override::color("info", Color::Green))
    .ask(Target::line_rates(all_lines().count_by_level(), "{{severity_text}}"))
}

fn collector_queue() -> Panel {
    Panel::time_series(
        21,
        "Waiting in the collector",
        "Bytes on its disk that a store has not taken yet, and the limit. They survive a restart. One queue that \
         rises: its store is down.",
    )
    .width(8)
    .unit(Unit::Bytes)
    .except(Override::limit("limit"))
    .ask(Target::series(&select(&EXPORTER_QUEUE_SIZE).now().max_by::<Exporter, _>()))
    .ask(Target::named("limit", &select(&EXPORTER_QUEUE_CAPACITY).now().max()))
}

fn collector_sent() -> Panel {
    Panel::time_series(
        22,
        "Handed to the stores",
        "Should follow what the processes send. Less for longer than a minute: look at the queue beside it.",
    )
    .width(8)
    .unit(Unit::PerSecond)
    .ask(Target::named("log lines", &select(&EXPORTER_SENT_LOG_RECORDS).rate(RATE).sum()))
    .ask(Target::named("spans", &select(&EXPORTER_SENT_SPANS).rate(RATE).sum()))
    .ask(Target::named("points", &select(&EXPORTER_SENT_METRIC_POINTS).rate(RATE).sum()))
}

fn collector_failures() -> Panel {
    Panel::time_series(
        23,
        "Given up by the collector",
        "What a store refused for good; what could only not be reached waits and is not in here. The collector's log \
         has the status.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .ask(Target::named(
        "log lines",
        &select(&EXPORTER_SEND_FAILED_LOG_RECORDS).per_bar().sum().or_zero(),
    ))
    .ask(Target::named("spans", &select(&EXPORTER_SEND_FAILED_SPANS).per_bar().sum().or_zero()))
    .ask(Target::named("points", &select(&EXPORTER_SEND_FAILED_METRIC_POINTS).per_bar().sum().or_zero()))
}

fn series_over_time() -> Panel {
    let ours = select(&BUILD_INFO).now().count();
    Panel::time_series(
        31,
        "Series in Prometheus",
        "Steps are restarts. A slope is a label that is not closed, which our own metrics cannot have: look what else \
         sends metrics here.",
    )
    .width(8)
    .unit(Unit::Count)
    .except(Override::line_on_the_right("processes", Unit::Plain))
    .ask(Target::named("series", &select(&HEAD_SERIES).now().sum()))
    .ask(Target::named("processes", &ours))
}

fn ingestion() -> Panel {
    Panel::time_series(
        32,
        "Taken by the stores",
        "What fills the disks: lines to Loki, spans to Tempo, and samples to Prometheus, which takes one or two bytes \
         for each.",
    )
    .width(8)
    .unit(Unit::BytesPerSecond)
    .except(Override::line_on_the_right("samples", Unit::PerSecond))
    .ask(Target::named("Loki", &select(&LOKI_BYTES_RECEIVED).rate(RATE).sum().or_zero()))
    .ask(Target::named("Tempo", &select(&TEMPO_BYTES_RECEIVED).rate(RATE).sum().or_zero()))
    .ask(Target::named("samples", &select(&PROMETHEUS_SAMPLES_APPENDED).rate(RATE).sum()))
}

fn refused() -> Panel {
    Panel::time_series(
        33,
        "Refused by the stores",
        "Too old, too large or too many. The limits are in deploy/loki/loki.yaml and deploy/tempo/tempo.yaml.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .ask(Target::named("log lines", &select(&LOKI_DISCARDED).per_bar().sum().or_zero()))
    .ask(Target::named("spans", &select(&TEMPO_DISCARDED).per_bar().sum().or_zero()))
}

fn retention() -> Panel {
    Panel::time_series(
        34,
        "Metrics on disk",
        "Size of Prometheus' blocks, and the size at which it deletes the oldest. At the limit, metrics go back less \
         far than the retention time says.",
    )
    .width(8)
    .unit(Unit::Bytes)
    .except(Override::limit("limit"))
    .ask(Target::named("blocks", &select(&PROMETHEUS_BLOCKS_SIZE).now().max()))
    .ask(Target::named("limit", &select(&PROMETHEUS_RETENTION_SIZE).now().max()))
}

fn disks() -> Panel {
    let shares = select(&DISK_AVAILABLE).now().share_of(&select(&DISK_SIZE).now());
    Panel::time_series(
        35,
        "Room left on disks",
        "Of the file systems that processes write to; in the default set-up Postgres and all stores share them. Below \
         15 %: shorten a retention, or give it more room, before Postgres stops.",
    )
    .width(8)
    .unit(Unit::Share)
    .up_to(1.0)
    .thresholds(Color::Red, &[(DISK_CRITICAL_SHARE, Color::Orange), (DISK_LOW_SHARE, Color::Green)])
    .ask(Target::series(&shares.min_by::<Disk, _>()))
}

fn memory() -> Panel {
    let collector = select(&ALLOY_MEMORY).now().max().or(select(&COLLECTOR_MEMORY).now().max());
    Panel::time_series(
        36,
        "Memory of the stack",
        "What seeing costs. Each program has a limit in deploy/compose.observability.yaml, at which it is ended and \
         starts again.",
    )
    .width(8)
    .unit(Unit::Bytes)
    .stacked()
    .ask(Target::series(
        &select(&RESIDENT_MEMORY).is_not(ScrapeJob::Collector).now().max_by::<ScrapeJob, _>(),
    ))
    .ask(Target::named("collector", &collector))
}

fn cpu() -> Panel {
    Panel::time_series(
        41,
        "CPU",
        "How many CPUs the chosen processes keep busy. At the limit of the container everything becomes slow.",
    )
    .width(8)
    .unit(Unit::Cpus)
    .stacked()
    .ask(Target::series(&select(&PROCESS_CPU_TIME).rate(RATE).sum_by::<CpuMode, _>()))
}

fn resident() -> Panel {
    Panel::time_series(
        42,
        "Memory by process",
        "Physical memory. It rises after a start and then stays; a slope over days is a leak: report it.",
    )
    .width(8)
    .unit(Unit::Bytes)
    .ask(Target::series(&select(&PROCESS_MEMORY_USAGE).now().max_by::<Instance, _>()))
}

fn tasks() -> Panel {
    let tasks = select(&RUNTIME_TASKS).now().sum();
    let threads = select(&PROCESS_THREAD_COUNT).now().sum();
    Panel::time_series(
        43,
        "Tasks and threads",
        "Tasks are connections, jobs and loops. A slope without more users is a leak: report it.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .ask(Target::named("tasks", &tasks))
    .ask(Target::named("threads", &threads))
}

fn descriptors() -> Panel {
    let open = select(&PROCESS_FILE_DESCRIPTORS).now();
    Panel::time_series(
        44,
        "Open files and sockets",
        "By process. Near the limit of the container (`ulimit -n`) new connections are refused.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .ask(Target::series(&open.max_by::<Instance, _>()))
}

fn uptime() -> Panel {
    let uptime = select(&PROCESS_UPTIME).now();
    Panel::bars(
        45,
        "Up since",
        "How long each process has been running. One that is young although nobody started it: it was ended; look at \
         its last lines and at the kernel's log.",
    )
    .width(8)
    .unit(Unit::Age)
    .decimals(0)
    .color(Color::Blue)
    .when_nothing("No process")
    .ask(Target::instant(&uptime.max_by::<Instance, _>()))
}

fn odd_input() -> Panel {
    let panics = select(&PANICS).per_bar().sum();
    let malformed = select(&TRACEPARENT_MALFORMED).per_bar().sum();
    Panel::time_series(
        46,
        "Panics and malformed trace contexts",
        "A panic is a defect of ours: report file and line of its line. A malformed trace context comes from a caller \
         or a proxy.",
    )
    .width(8)
    .unit(Unit::Plain)
    .decimals(0)
    .stacked_bars()
    .interval(Period::Minutes(1))
    .except(Override::color("panics", Color::Red))
    .ask(Target::named("panics", &panics))
    .ask(Target::named("malformed trace contexts", &malformed))
}

fn about_processes() -> Panel {
    let fields = [
        Field::VERSION,
        Field::label::<Signal>(),
        Field::FAILURE,
        Field::DROPPED_ITEMS,
        Field::CODE_FILE,
        Field::CODE_LINE,
    ];
    Panel::logs(
        51,
        "What processes say about themselves",
        "Starts, stops, panics, and telemetry that could not be sent or written. A start without a stop before it: the \
         process was killed.",
    )
    .width(24)
    .when_nothing("Nothing was said")
    .ask(Target::lines(&all_lines().about_processes().showing(&fields)))
}
