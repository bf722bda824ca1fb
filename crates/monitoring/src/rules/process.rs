//! Alerts about processes: hung event loops, crash loops and exhausted resources.

use std::time::Duration;

use catalogue::labels::Role;
use catalogue::metrics::{HEARTBEAT, STARTED};
use signal::builtin::{
    PROCESS_FILE_DESCRIPTOR_LIMIT, PROCESS_FILE_DESCRIPTORS, PROCESS_MEMORY_USAGE, PROCESS_UPTIME,
};
use signal::events::PANIC;

use super::cases::{case, fires, fires_for, fires_for_time, silent};
use super::thresholds::{
    BETWEEN_EVENTS, CRASH_WINDOW, FEWEST_CRASHES, FILE_DESCRIPTOR_SHARE, HUNG_AFTER, MEMORY_GROWTH_BYTES,
    MEMORY_PERIOD, MEMORY_WINDOW, SHORT, SHORTEST_HUNG_AFTER, TELEMETRY_MISSING_AFTER, YOUNG,
};
use super::{Alert, DashboardUid, Look, Runbook, Series, Severity, metrics, shown};
use crate::query::{Instance, Scale, all_lines, lines, select};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![
        process_hung(scale),
        process_crash_looping(scale),
        memory_growing(scale),
        file_descriptors_running_out(scale),
    ]
}

fn process_hung(scale: Scale) -> Alert {
    let lag = || select(&HEARTBEAT).lag();
    let longest = scale.of(HUNG_AFTER).max(SHORTEST_HUNG_AFTER).as_secs_f64();
    let heartbeat = |values| Series::time(&HEARTBEAT, Role::Serve, values);
    let hangs = |minutes| fires_for_time(Role::Serve, Duration::from_mins(minutes));
    Alert {
        name: "ProcessHung",
        severity: Severity::Critical,
        condition: lag().max_by::<Role, _>().above(longest).into_expression(),
        pending: scale.of(Duration::from_mins(1)),
        keep_firing: Duration::ZERO,
        summary: format!("A process of role {} hangs.", shown::<Role>()),
        description: format!(
            "A process of role {} still reports, but its heartbeat is {{{{ $value | humanizeDuration }}}} old.",
            shown::<Role>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "All worker threads of a process hang. A separate thread still sends metrics, with the last \
                      heartbeat.",
            impact: "`serve`: all requests to this process time out. `work`: its jobs stop until their leases end.",
            confirm: vec![
                metrics("Seconds since the last heartbeat, by process", &lag().max_by::<Instance, _>()),
                Look::Logs("The last lines before it stopped", all_lines()),
            ],
            remedy: &[
                "`curl --max-time 5 http://127.0.0.1:9464/health/live` (9465 for the worker) returns 503. The public \
                 listener does not respond.",
                "Save data for developers, on the host: `pid=$(docker inspect --format '{{.State.Pid}}' $(docker \
                 compose ps --quiet api))`, then `sudo grep -H . /proc/$pid/task/*/{comm,wchan,stat}`. If the disk has \
                 space, also a core dump: `sudo gcore $pid`.",
                "Kill it, because it cannot stop gracefully: `docker compose kill api && docker compose up --detach \
                 api`, or with `worker` for `api`. Its jobs are taken over when their leases end.",
            ],
            escalate: "Always, after the restart, because it is a defect.",
        },
        fires_without_data: false,
        cases: vec![
            case("it turns", 15, vec![heartbeat("0+60x15")], silent()),
            case("it hangs", 7, vec![heartbeat("0+60x5 300x10")], hangs(2))
                .then(6.5, silent())
                .then(15.0, hangs(10)),
            case("it is 45 seconds late", 15, vec![heartbeat("-45+60x15")], {
                fires_for_time(Role::Serve, Duration::from_secs(45))
            })
            .in_real_time(),
            case("it is 20 seconds late", 15, vec![heartbeat("-20+60x15")], silent()).in_real_time(),
            case(
                "one of two hangs",
                15,
                vec![heartbeat("0+60x15"), heartbeat("0+60x5 300x10").of_instance("b")],
                hangs(10),
            ),
            case("it stood still for a minute", 9, vec![heartbeat("0+60x5 300 420+60x8")], silent()),
            case("it ended", 15, vec![heartbeat("0+60x5 _x10")], silent()),
        ],
    }
}

/// Series of one process, with the first minute and the number of minutes of its heartbeats.
fn lifetime(instance: &str, first_minute: u64, minutes: u64) -> [Series; 2] {
    let before = if first_minute == 0 { String::new() } else { format!("_x{first_minute} ") };
    let (start, samples) = (first_minute * 60, minutes - 1);
    [
        Series::time(&HEARTBEAT, Role::Serve, &format!("{before}{start}+60x{samples}")).of_instance(instance),
        Series::time(&STARTED, Role::Serve, &format!("{before}{start}x{samples}")).of_instance(instance),
    ]
}

/// Successive processes, with the lifetime of each in minutes.
fn one_after_the_other(processes: u64, minutes: u64) -> Vec<Series> {
    let process = |number| lifetime(&format!("p{number}"), number * minutes, minutes);
    (0..processes).flat_map(process).collect()
}

fn process_crash_looping(scale: Scale) -> Alert {
    let window = scale.of(CRASH_WINDOW);
    let reported = || select(&HEARTBEAT).samples_in(scale.of(TELEMETRY_MISSING_AFTER));
    let lived = select(&HEARTBEAT).highest(window).minus(&select(&STARTED).highest(window));
    let ended_young = || lived.below(scale.of(YOUNG).as_secs_f64()).unless(&reported()).count_by::<Role, _>();
    // A deploy that is rolled back ends every new process early, but starts no more of them than there are
    // processes.
    let looping = ended_young()
        .at_least(FEWEST_CRASHES)
        .and(ended_young().above_that(reported().count_by::<Role, _>()));
    // If the operator names instances, a new process continues the series of the one before.
    let restarted = |window| select(&STARTED).changes(window);
    let condition = looping.or(restarted(window).max_by::<Role, _>().at_least(FEWEST_CRASHES));
    let named = |starts: &str| {
        vec![Series::time(&HEARTBEAT, Role::Serve, "0+60x100"), Series::time(&STARTED, Role::Serve, starts)]
    };
    // Four processes, replaced after 50 minutes and again after 60. Lifetime of the last one in minutes.
    let rolled_back = |minute: u64, last: u64| {
        let process = |number: u64| {
            let name = |time| format!("{time}{number}-{minute}");
            [
                lifetime(&name("old"), minute, 50),
                lifetime(&name("bad"), minute + 50, 10),
                lifetime(&name("good"), minute + 60, if number == 3 { last } else { 40 }),
            ]
        };
        (0..4).flat_map(process).flatten().collect::<Vec<_>>()
    };
    let four_ends_and_one_that_stays = || {
        let mut series = one_after_the_other(4, 10);
        series.extend(lifetime("stays", 40, 80));
        series
    };
    Alert {
        name: "ProcessCrashLooping",
        severity: Severity::Critical,
        condition: condition.into_expression(),
        pending: Duration::ZERO,
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: format!("Processes of role {} exit soon after they start.", shown::<Role>()),
        description: format!(
            "{{{{ $value | printf \"%.0f\" }}}} processes of role {} exited within half an hour of their start, all \
             within the last hour.",
            shown::<Role>()
        ),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "A process repeatedly exits within half an hour of its start and is restarted.",
            impact: "`serve`: requests fail meanwhile, and those in flight are lost. `work`: jobs are late and start \
                     again.",
            confirm: vec![
                metrics(
                    "Seconds since the start, by process",
                    &select(&PROCESS_UPTIME).now().max_by::<Instance, _>(),
                ),
                metrics("Starts of named instances", &restarted(CRASH_WINDOW).max_by::<Role, _>()),
                metrics(
                    "Maximum memory of each, in bytes",
                    &select(&PROCESS_MEMORY_USAGE).highest(CRASH_WINDOW).max_by::<Instance, _>(),
                ),
                Look::Logs("Panics", lines(PANIC)),
                Look::Logs("Starts and orderly ends", all_lines().about_processes()),
            ],
            remedy: &[
                "`docker compose ps --all` shows the exit code, `docker compose logs --tail 50 api` the last lines. \
                 `docker inspect --format '{{.State.OOMKilled}}' CONTAINER` shows whether it exceeded its memory: \
                 raise `mem_limit`, or see MemoryGrowing.",
                "It began with a release: go back to the previous version, deploy/README.md#upgrade.",
                "If the log has `server.stopped`, the exits are orderly: something stops it, such as a probe of a \
                 container platform.",
            ],
            escalate: "If the previous version also crashes, or the last line is the same job or request each time.",
        },
        fires_without_data: false,
        cases: vec![
            case("it lives", 60, lifetime("a", 0, 61).into(), silent()),
            case("a restart each three minutes", 30, one_after_the_other(10, 3), fires_for(Role::Serve, "9")),
            case(
                "a restart each fifteen minutes",
                70,
                one_after_the_other(5, 15),
                fires_for(Role::Serve, "4"),
            ),
            case("a single restart", 60, one_after_the_other(2, 30), silent()),
            case(
                "two early ends",
                40,
                [lifetime("a", 0, 10), lifetime("b", 10, 10), lifetime("c", 20, 21)].concat(),
                silent(),
            ),
            case(
                "three early ends",
                40,
                [lifetime("a", 0, 10), lifetime("b", 10, 10), lifetime("c", 20, 10), lifetime("d", 30, 11)]
                    .concat(),
                fires_for(Role::Serve, "3"),
            ),
            case(
                "three early ends beside a process that stays",
                34,
                [
                    lifetime("a", 0, 10),
                    lifetime("b", 10, 10),
                    lifetime("c", 20, 10),
                    lifetime("d", 30, 11),
                    lifetime("e", 0, 41),
                ]
                .concat(),
                fires_for(Role::Serve, "3"),
            ),
            case(
                "three early ends within an hour, of which one within the last half",
                60,
                [lifetime("a", 0, 10), lifetime("b", 10, 10), lifetime("c", 40, 10), lifetime("d", 50, 20)]
                    .concat(),
                fires_for(Role::Serve, "3"),
            ),
            case(
                "three ends after 25 minutes",
                32,
                [lifetime("a", 0, 26), lifetime("b", 0, 26), lifetime("c", 0, 26), lifetime("d", 0, 41)]
                    .concat(),
                fires_for(Role::Serve, "3"),
            ),
            case(
                "two early ends, and one after 35 minutes",
                42,
                [lifetime("a", 0, 26), lifetime("b", 0, 26), lifetime("c", 0, 36), lifetime("d", 0, 61)]
                    .concat(),
                silent(),
            ),
            case(
                "two early ends, and a process whose exports fail for two minutes",
                36,
                [
                    lifetime("a", 0, 10),
                    lifetime("b", 10, 10),
                    // It reports again after both failed.
                    lifetime("c", 20, 15),
                ]
                .concat(),
                silent(),
            ),
            case("restarts each forty minutes", 130, one_after_the_other(4, 40), silent()),
            case("four ends an hour and more ago", 105, four_ends_and_one_that_stays(), silent()),
            case("a deploy of four processes is rolled back", 65, rolled_back(0, 40), silent()),
            case(
                "a deploy is rolled back twice, and one process ends after 35 minutes",
                165,
                [rolled_back(0, 40), rolled_back(100, 40), lifetime("long", 115, 36).into()].concat(),
                silent(),
            ),
            case(
                "a deploy is rolled back, and exports of a process fail for two minutes",
                66,
                rolled_back(0, 5),
                silent(),
            ),
            case(
                "a named instance restarts again and again",
                45,
                named("0x10 600x10 1200x10 1800x60"),
                fires_for(Role::Serve, "3"),
            )
            .then(79.5, fires_for(Role::Serve, "3"))
            .then(80.0, silent()),
            case(
                "a named instance restarts twice, and another program often",
                40,
                [
                    named("0x10 600x10 1200x40"),
                    vec![
                        Series::time(&STARTED, Role::Serve, "0+60x60").of_instance("x").of_another_program(),
                    ],
                ]
                .concat(),
                silent(),
            ),
            case(
                "a named instance restarts three times in 65 minutes",
                85,
                named("0x10 600x10 1200x55 4500x20"),
                silent(),
            ),
        ],
    }
}

fn memory_growing(scale: Scale) -> Alert {
    let lowest = |memory: crate::query::Selector<_, _>| memory.lowest(scale.of(MEMORY_WINDOW));
    let memory = || select(&PROCESS_MEMORY_USAGE);
    let before = || lowest(memory().offset(scale.of(MEMORY_PERIOD)));
    let long_before = lowest(memory().offset(scale.of(MEMORY_PERIOD * 2)));
    let condition = lowest(memory())
        .minus(&before())
        .above(MEMORY_GROWTH_BYTES)
        .and(&before().minus(&long_before).above(MEMORY_GROWTH_BYTES));
    let used = |values| vec![Series::of(&PROCESS_MEMORY_USAGE, (), values)];
    let grows = || fires("32.96Mi");
    Alert {
        name: "MemoryGrowing",
        severity: Severity::Warning,
        condition: condition.max().into_expression(),
        pending: scale.of(SHORT),
        keep_firing: scale.of(BETWEEN_EVENTS),
        summary: "The memory of a process keeps growing.".to_owned(),
        description: "The minimum memory of a process has grown by {{ $value | humanize1024 }}B in six hours, and also \
                      in the six hours before.".to_owned(),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "The memory of a process grows hour by hour. The minimum of each hour is compared, so bursts do \
                      not count.",
            impact: "None until the limit of the container. Then the kernel kills the process: see \
                     ProcessCrashLooping.",
            confirm: vec![
                metrics("Memory by process, in bytes", &memory().now().max_by::<Instance, _>()),
                metrics(
                    "Tasks by process: they grow if work never finishes",
                    &select(&catalogue::metrics::RUNTIME_TASKS).now().max_by::<Instance, _>(),
                ),
                metrics("Open files by process", &select(&PROCESS_FILE_DESCRIPTORS).now().max_by::<Instance, _>()),
            ],
            remedy: &[
                "Restart the process before it reaches `mem_limit`: `docker compose restart api`.",
                "If tasks or open files also grow, clients keep connections open. Otherwise it is a leak.",
            ],
            escalate: "Always: give the graphs of memory, tasks and open files since the start to a developer.",
        },
        fires_without_data: false,
        cases: vec![
            case("steady", 800, used("104857600x800"), silent()).long(),
            case("just enough in each six hours", 775, used("104857600+96000x789 0x20"), grows())
                .then(773.5, silent())
                .then(774.0, grows())
                .then(799.5, grows())
                .then(800.0, silent()),
            case("just too little in the first six", 800, used("104857600+90000x380 139057600+110000x420"), silent())
                .long(),
            case("just too little in the second six", 800, used("104857600+110000x380 146657600+90000x420"), silent())
                .long(),
            case("for ten hours only", 600, used("104857600+262144x600"), silent()).long(),
            case("a burst that leaves more behind", 800, used("104857600x500 314572800x300"), silent()).long(),
            case("bursts that pass", 800, used("104857600x770 524288000x20 104857600x10"), silent()).long(),
        ],
    }
}

fn file_descriptors_running_out(scale: Scale) -> Alert {
    let open = || select(&PROCESS_FILE_DESCRIPTORS).now();
    let share = || open().over(&select(&PROCESS_FILE_DESCRIPTOR_LIMIT).now());
    let files = |open| {
        vec![
            Series::of(&PROCESS_FILE_DESCRIPTORS, (), open),
            Series::of(&PROCESS_FILE_DESCRIPTOR_LIMIT, (), "1024x20"),
        ]
    };
    let two_processes = || {
        let large = [
            Series::of(&PROCESS_FILE_DESCRIPTORS, (), "50000x20").of_instance("b"),
            Series::of(&PROCESS_FILE_DESCRIPTOR_LIMIT, (), "1000000x20").of_instance("b"),
        ];
        [files("100x20"), large.into()].concat()
    };
    Alert {
        name: "FileDescriptorsRunningOut",
        severity: Severity::Warning,
        condition: share().max().above(FILE_DESCRIPTOR_SHARE).into_expression(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: "A process is running out of file descriptors.".to_owned(),
        description: "{{ $value | humanizePercentage }} of the file descriptors of a process are in use."
            .to_owned(),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "The number of open files and sockets of a process is close to its limit (`ulimit -n`).",
            impact: "At the limit, new clients hang, and uploads and database connections fail.",
            confirm: vec![
                metrics("Share of the limit, by process", &share().max_by::<Instance, _>()),
                metrics("How many are open, by process", &open().max_by::<Instance, _>()),
            ],
            remedy: &[
                "Many clients: raise `ulimits: nofile` in the Compose file, and limit connections in the proxy.",
                "It grows without more clients: on the host, `ls -l /proc/PID/fd | awk '{print $NF}' | sort | uniq -c \
                 | sort -n | tail` shows what is open. Restart the process.",
            ],
            escalate: "If it grows without more clients, because it is a leak.",
        },
        fires_without_data: false,
        cases: vec![
            case("few", 20, files("100x20"), silent()),
            case("just below", 20, files("810x20"), silent()),
            case("just above", 11, files("100x5 830x15"), fires("81.05%")).then(10.5, silent()),
            case("two processes with different limits", 20, two_processes(), silent()),
        ],
    }
}
