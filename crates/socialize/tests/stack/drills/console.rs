//! The console beside Prometheus: it receives the same points and evaluates the same rules at the same
//! scale, so the same alerts must fire.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use console::evaluate::{Context, evaluate_instant};
use console::receive::{self, Collection, RefusedSpans, Sink};
use console::rules::{Database, Phase, RuleEngine, RuleSample};
use console::store::metrics::{Appended, Exemplars, Labels, Limits, MetricStore};
use monitoring::query::{Expression, Scale};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use super::alerts::{Changes, EVERY, described};
use super::world::{FACTOR, LOOKBACK};

/// Address to which the collector also sends metrics.
pub(super) const RECEIVER: &str = "127.0.0.1:4319";

/// The console's store of metrics, with the lookback of the drills' Prometheus.
#[derive(Clone)]
struct Store(Arc<RwLock<MetricStore>>);

impl Sink for Store {
    fn append_metrics(&self, collection: Collection) -> Appended {
        let mut store = self.0.write().unwrap_or_else(PoisonError::into_inner);
        store.append(&collection.origin, collection.at, collection.samples)
    }

    fn append_exemplars(&self, _: Vec<Exemplars>) {}

    fn append_spans(&self, _: ResourceSpans) -> RefusedSpans {
        RefusedSpans::default()
    }
}

impl Database for Store {
    fn evaluate(&self, expression: &Expression, at: i64) -> Result<Vec<(Labels, f64)>, String> {
        let store = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let context = Context { lookback: LOOKBACK, ..Context::rule(at) };
        evaluate_instant(&*store, expression, &context).map_err(|refusal| refusal.to_string())
    }

    fn append(&mut self, group: &str, at: i64, samples: Vec<RuleSample>) {
        let mut store = &*self.0;
        store.append(group, at, samples);
    }
}

/// Alerts of the console, observed as those of Prometheus are.
pub(super) struct Console {
    pub(super) changes: Arc<Mutex<Changes>>,
    /// Names of the alerts that the console evaluates. Others are about programs that report nothing to it.
    watched: BTreeSet<&'static str>,
}

impl Console {
    /// Receives and evaluates until the runtime ends.
    pub(super) async fn start() -> Self {
        let store = Store(Arc::new(RwLock::new(MetricStore::in_memory(Limits::default()))));
        let address = RECEIVER.parse().expect("an address");
        let listener = receive::bind(address).await.expect("the console's receiver");
        tokio::spawn(receive::serve(listener, Arc::new(store.clone()), Arc::new(now)));
        let engine = RuleEngine::in_memory(Scale::faster(FACTOR));
        assert_eq!(engine.messages().collect::<Vec<_>>(), Vec::<&str>::new());
        let watched = engine.alerts().filter(|alert| alert.unwatched.is_none()).map(|alert| alert.name);
        let watched = watched.collect();
        let changes = Arc::new(Mutex::new(Changes::default()));
        tokio::task::spawn_blocking({
            let changes = changes.clone();
            move || evaluate(engine, store, &changes)
        });
        Self { changes, watched }
    }

    /// Returns whether the console evaluates an alert, which may have labels.
    pub(super) fn watches(&self, alert: &str) -> bool {
        self.watched.contains(alert.split('{').next().unwrap_or(alert))
    }
}

/// Evaluates rules until nobody reads the changes.
fn evaluate(mut engine: RuleEngine, mut store: Store, changes: &Arc<Mutex<Changes>>) {
    while Arc::strong_count(changes) > 1 {
        engine.tick(now(), &mut store);
        let states = engine.states();
        let [firing, pending] = [Phase::Firing, Phase::Pending].map(|phase| {
            let found = states.iter().filter(|state| state.phase == phase);
            found.map(|state| described(state.alert, state.labels.iter())).collect()
        });
        changes.lock().unwrap_or_else(PoisonError::into_inner).observe(firing, pending);
        std::thread::sleep(EVERY);
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
