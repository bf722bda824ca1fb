//! Alerts about reachability of the API, by requests that the collector makes itself: they need no traffic.

use std::time::Duration;

use super::cases::{beside, case, fires, fires_for, silent};
use super::thresholds::{
    CERTIFICATE_ENDS_WITHIN, PROBES_MISSING_AFTER, SHORT, SLOW_PROBE_SECONDS, TARGET_DOWN_FOR,
};
use super::{Alert, DashboardUid, Look, Runbook, Series, Severity, metrics, shown};
use crate::foreign::{
    PROBE_CERTIFICATE_EXPIRY, PROBE_DURATION, PROBE_STATUS, PROBE_SUCCESS, Probe, ScrapeJob, UP,
};
use crate::query::{Scale, Total, Vector, select};

pub(super) fn alerts(scale: Scale) -> Vec<Alert> {
    vec![
        api_unreachable(scale),
        api_not_ready(scale),
        public_url_unreachable(scale),
        probe_slow(scale),
        certificate_ending(scale),
        probes_missing(scale),
    ]
}

/// Share of the last week in which each probe succeeded, with or without traffic.
fn availability() -> Look {
    let week = select(&PROBE_SUCCESS).average(Duration::from_hours(7 * 24));
    metrics("Availability of the last week, which does not depend on traffic", &week.max_by::<Probe, _>())
}

fn fails(probe: Probe) -> Vector<Total> {
    select(&PROBE_SUCCESS).is(probe).now().max().below(1.0)
}

fn status(probe: Probe) -> Vector<Total> {
    select(&PROBE_STATUS).is(probe).now().max()
}

/// The two series of a probe: its success and its HTTP status.
fn probe(probe: Probe, success: &str, status: &str) -> [Series; 2] {
    [Series::of(&PROBE_SUCCESS, probe, success), Series::of(&PROBE_STATUS, probe, status)]
}

fn both(ready: [Series; 2], public: [Series; 2]) -> Vec<Series> {
    ready.into_iter().chain(public).collect()
}

fn api_unreachable(scale: Scale) -> Alert {
    Alert {
        name: "ApiUnreachable",
        severity: Severity::Critical,
        condition: fails(Probe::Ready).unless(status(Probe::Ready).above(0.0)).into_expression(),
        pending: scale.of(TARGET_DOWN_FOR),
        keep_firing: Duration::ZERO,
        summary: "The API does not respond.".to_owned(),
        description: "For two minutes the collector has got no response from the API within five seconds, whatever its \
                      status."
            .to_owned(),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "The process has ended, hangs, or is not in the network of the collector. The probe is direct, so \
                      proxy and TLS are not the cause.",
            impact: "The service is down for all users.",
            confirm: vec![
                metrics(
                    "Status of the responses; 0 means none",
                    &select(&PROBE_STATUS).now().max_by::<Probe, _>(),
                ),
                metrics("Duration of the probe", &select(&PROBE_DURATION).now().max_by::<Probe, _>()),
                availability(),
            ],
            remedy: &[
                "`docker compose ps api` and `docker compose logs --tail 50 api` show why it ended. Start it: `docker \
                 compose up --detach api`.",
                "It runs, but `curl --max-time 5 http://127.0.0.1:8080/health/live` times out: it hangs. Restart it: \
                 `docker compose restart api`.",
                "In a deployment other than `deploy/`: the collector probes `http://api:8080`. Give the API that name \
                 in the collector's network.",
            ],
            escalate: "At once, if a restart does not help.",
        },
        fires_without_data: false,
        cases: beside(probe(Probe::Public, "1x20", "200x20").into(), vec![
            case("it responds", 10, probe(Probe::Ready, "1x10", "200x10").into(), silent()),
            case("it does not respond", 8, probe(Probe::Ready, "1x5 0x5", "200x5 0x5").into(), fires("0"))
                .then(7.5, silent()),
            case("it is not ready, and says so", 10, probe(Probe::Ready, "1x5 0x5", "200x5 503x5").into(), silent()),
        ]),
    }
}

fn api_not_ready(scale: Scale) -> Alert {
    Alert {
        name: "ApiNotReady",
        severity: Severity::Warning,
        condition: status(Probe::Ready).at_least(400.0).into_expression(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: "The API is not ready.".to_owned(),
        description:
            "For five minutes the API has responded to its readiness check with {{ $value | printf \"%.0f\" }}."
            .to_owned(),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "The process runs, but does not reach Postgres, or the database is not migrated or not suitable, \
                      or the process hangs while stopping.",
            impact: "Requests that need the database fail.",
            confirm: vec![metrics(
                "Status of the responses",
                &select(&PROBE_STATUS).now().max_by::<Probe, _>(),
            )],
            remedy: &[
                "`curl http://127.0.0.1:9464/health` shows which check fails, and why.",
                "Migrations: `docker compose logs migrate` shows what failed. `docker compose up --detach` runs them \
                 again.",
            ],
            escalate: "If `/health` shows no fault.",
        },
        fires_without_data: false,
        cases: vec![
            case("it is ready", 15, probe(Probe::Ready, "1x15", "200x15").into(), silent()),
            case("it is not ready", 11, probe(Probe::Ready, "1x5 0x10", "200x5 503x10").into(), fires("503"))
                .then(10.5, silent()),
            case(
                "it does not respond at all",
                15,
                probe(Probe::Ready, "1x5 0x10", "200x5 0x10").into(),
                silent(),
            ),
            case(
                "for four minutes",
                12,
                probe(Probe::Ready, "1x5 0x3 1x10", "200x5 503x3 200x10").into(),
                silent(),
            ),
            case("the proxy says so", 15, probe(Probe::Public, "1x5 0x10", "200x5 502x10").into(), silent()),
        ],
    }
}

fn public_url_unreachable(scale: Scale) -> Alert {
    Alert {
        name: "PublicUrlUnreachable",
        severity: Severity::Critical,
        condition: fails(Probe::Public)
            .and(select(&PROBE_STATUS).is(Probe::Ready).now().max().above(0.0))
            .into_expression(),
        pending: scale.of(TARGET_DOWN_FOR),
        keep_firing: Duration::ZERO,
        summary: "Users cannot reach the API, although it responds.".to_owned(),
        description:
            "For two minutes requests to SOCIALIZE_PUBLIC_URL have failed, while the API itself responds."
                .to_owned(),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "Something between users and the API is broken: the proxy, its certificate, DNS, or a firewall.",
            impact: "The service is down for all users.",
            confirm: vec![
                metrics(
                    "Status of the responses; 0 means none",
                    &select(&PROBE_STATUS).now().max_by::<Probe, _>(),
                ),
                availability(),
            ],
            remedy: &[
                "From outside, with your public URL: `curl --verbose https://socialize.example.com/health/live` shows \
                 whether DNS, TLS or the proxy fails.",
                "Status 502 or 504: the proxy does not reach the API. Compare its upstream with `docker compose ps \
                 api`.",
                "The certificate has expired or is not trusted: see CertificateEnding.",
                "It works from outside: the collector has no route, or resolves the name differently. See \
                 deploy/README.md#ask-from-outside.",
            ],
            escalate: "To the operator of the proxy or the domain.",
        },
        fires_without_data: false,
        cases: vec![
            case(
                "users reach it",
                10,
                both(probe(Probe::Ready, "1x10", "200x10"), probe(Probe::Public, "1x10", "200x10")),
                silent(),
            ),
            case(
                "the proxy is gone",
                8,
                both(probe(Probe::Ready, "1x10", "200x10"), probe(Probe::Public, "1x5 0x5", "200x5 0x5")),
                fires("0"),
            )
            .then(7.5, silent()),
            case(
                "the proxy responds that it cannot reach the API",
                10,
                both(probe(Probe::Ready, "1x10", "200x10"), probe(Probe::Public, "1x5 0x5", "200x5 502x5")),
                fires("0"),
            ),
            case(
                "Postgres is gone as well",
                10,
                both(probe(Probe::Ready, "0x10", "503x10"), probe(Probe::Public, "1x5 0x5", "200x5 0x5")),
                fires("0"),
            ),
            case(
                "the API is gone, which is another alert",
                10,
                both(
                    probe(Probe::Ready, "1x5 0x5", "200x5 0x5"),
                    probe(Probe::Public, "1x5 0x5", "200x5 502x5"),
                ),
                silent(),
            ),
            case(
                "a reload of the proxy",
                8,
                both(
                    probe(Probe::Ready, "1x10", "200x10"),
                    probe(Probe::Public, "1x5 0 1x5", "200x5 0 200x5"),
                ),
                silent(),
            ),
            case("there is no public URL", 10, probe(Probe::Ready, "1x10", "200x10").into(), silent()),
        ],
    }
}

fn probe_slow(scale: Scale) -> Alert {
    let duration = || select(&PROBE_DURATION).now().max_by::<Probe, _>();
    let takes = |values| vec![Series::of(&PROBE_DURATION, Probe::Public, values)];
    Alert {
        name: "ProbeSlow",
        severity: Severity::Warning,
        condition: duration().above(SLOW_PROBE_SECONDS).into_expression(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: format!("A request that does no work is slow ({}).", shown::<Probe>()),
        description: format!(
            "For five minutes each probe of {} has taken longer than a second, the last one {{{{ $value | \
             humanizeDuration }}}}.",
            shown::<Probe>()
        ),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "The network or proxy is slow, or the process gets too little processor time. The request itself \
                      does no work.",
            impact: "Every request is slower by that time.",
            confirm: vec![metrics("Duration of each probe, direct and by the public URL", &duration())],
            remedy: &[
                "Only `public` is slow: proxy, TLS or DNS. `curl --write-out '%{time_namelookup} %{time_connect} \
                 %{time_appconnect} %{time_starttransfer}' --silent --output /dev/null` with the public URL shows \
                 which.",
                "`ready` is also slow: check the processor time of the host and of processes on the dashboard \
                 `Socialize: Telemetry`.",
            ],
            escalate: "When HighLatency also fires.",
        },
        fires_without_data: false,
        cases: vec![
            case("fast", 15, takes("0.02x15"), silent()),
            case("slow", 11, takes("0.02x5 2x10"), fires_for(Probe::Public, "2s")).then(10.5, silent()),
            case("almost slow", 15, takes("0.9x15"), silent()),
        ],
    }
}

fn certificate_ending(scale: Scale) -> Alert {
    let left = || select(&PROBE_CERTIFICATE_EXPIRY).now().min_by::<Probe, _>().until();
    let ends = |days: u64| {
        let end = format!("{}x20", days * 24 * 60 * 60);
        vec![Series::time(&PROBE_CERTIFICATE_EXPIRY, Probe::Public, &end)]
    };
    Alert {
        name: "CertificateEnding",
        severity: Severity::Warning,
        condition: left().below(scale.of(CERTIFICATE_ENDS_WITHIN).as_secs_f64()).into_expression(),
        pending: scale.of(SHORT),
        keep_firing: Duration::ZERO,
        summary: "The certificate of the public URL expires soon.".to_owned(),
        description: "The certificate of the public URL expires within 14 days and has not been renewed."
            .to_owned(),
        dashboard: DashboardUid::Api,
        runbook: Runbook {
            meaning: "Automatic renewal failed or does not exist.",
            impact: "None yet. After expiry no client connects, and PublicUrlUnreachable fires.",
            confirm: vec![metrics("Seconds left", &left())],
            remedy: &[
                "The log of the proxy shows why renewal failed: the name no longer resolves to this machine, port 80 \
                 is closed, or the authority limits requests.",
                "If you renewed it manually, reload the proxy.",
            ],
            escalate: "To the operator of the proxy, if a week is left.",
        },
        fires_without_data: false,
        cases: vec![
            case("a month is left", 15, ends(30), silent()),
            case("15 days are left", 15, ends(15), silent()),
            case("13 days are left", 5, ends(13), fires_for(Probe::Public, "")).then(4.5, silent()),
        ],
    }
}

fn probes_missing(scale: Scale) -> Alert {
    let condition = select(&PROBE_SUCCESS)
        .is(Probe::Ready)
        .absent_over(scale.of(PROBES_MISSING_AFTER))
        .and(select(&UP).is(ScrapeJob::Collector).now().max().equals(1.0));
    let series = |success| {
        vec![Series::of(&PROBE_SUCCESS, Probe::Ready, success), Series::of(&UP, ScrapeJob::Collector, "1x20")]
    };
    let others =
        vec![Series::of(&PROBE_SUCCESS, Probe::Public, "1x20"), Series::of(&UP, ScrapeJob::Loki, "1x20")];
    Alert {
        name: "ProbesMissing",
        severity: Severity::Warning,
        condition: condition.into_expression(),
        pending: scale.of(TARGET_DOWN_FOR),
        keep_firing: Duration::ZERO,
        summary: "The collector does not probe the API.".to_owned(),
        description:
            "The collector runs, but no probe result has arrived for three minutes. ApiUnreachable and \
             PublicUrlUnreachable cannot fire."
                .to_owned(),
        dashboard: DashboardUid::Telemetry,
        runbook: Runbook {
            meaning: "The collector has another configuration, or its probe results do not reach Prometheus.",
            impact: "Users notice nothing. If the API became unreachable, no alert would fire.",
            confirm: vec![metrics("Results of probes", &select(&PROBE_SUCCESS).now().max_by::<Probe, _>())],
            remedy: &[
                "A collector of your own: merge the receiver, the processors and the pipeline of probes from \
                 `deploy/otelcol/config.yaml` into its configuration.",
                "TelemetryMissing also fires: nothing from the collector arrives. Fix that first.",
            ],
            escalate: "If the configuration is that of the release.",
        },
        fires_without_data: false,
        cases: beside(
            others,
            vec![
                case("they arrive", 15, series("1x15"), silent()),
                case("they arrive and fail", 15, series("0x15"), silent()),
                case("they have stopped", 10, series("1x5 _x15"), fires_for(Probe::Ready, ""))
                    .then(9.5, silent()),
                case(
                    "the collector is down, which is another alert",
                    15,
                    vec![
                        Series::of(&PROBE_SUCCESS, Probe::Ready, "1x5 _x15"),
                        Series::of(&UP, ScrapeJob::Collector, "1x5 0x15"),
                    ],
                    silent(),
                ),
            ],
        ),
    }
}
