//! The packed store agrees with a plain list of spans, in memory and from disk.

use std::cmp::Reverse;
use std::fs;
use std::path::Path;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as ReceivedSpan, Status, span};
use proptest::prelude::*;

use super::block::Block;
use super::encode::{View, encode};
use super::search::summarize;
use super::*;
use crate::store::packed::Shared;
use crate::store::{FieldValue, ValueTest};

fn id(number: u8) -> TraceId {
    let mut id = [7; 16];
    id[15] = number;
    TraceId(id)
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let value = prop_oneof![
        "[a-c]|0193a5b0-7c1e-7d3a-9a52-1f2e3d4c5b6[a-c]".prop_map(|text| FieldValue::from(&*text)),
        (0_i64..600).prop_map(FieldValue::from),
        any::<bool>().prop_map(FieldValue::from),
    ];
    let name = prop_oneof![Just("http.route"), Just("user.id"), Just("outcome")];
    prop::collection::vec((name.prop_map(Into::into), value), 0..4)
}

fn any_span() -> impl Strategy<Value = Span> {
    let ids = (1_u8..12, any::<u64>(), prop::option::of(prop_oneof![1_u64..20, any::<u64>()]));
    let times = (0_u64..1000, 0_u64..500, 0..SpanKind::ALL.len(), any::<bool>());
    let links = prop::collection::vec((1_u8..12, 1_u64..9), 0..2);
    let events = prop::collection::vec((any::<u64>(), "[a-c]", attributes()), 0..2);
    (ids, times, "[a-c]", attributes(), links, events, "[ab]").prop_map(
        |(
            (trace, span, parent),
            (start_ns, length, kind, failed),
            name,
            attributes,
            links,
            events,
            service,
        )| Span {
            trace_id: id(trace),
            span_id: SpanId((span | 1).to_le_bytes()),
            parent: parent.filter(|id| *id != 0).map(|id| SpanId(id.to_le_bytes())),
            name: (&*name).into(),
            kind: SpanKind::ALL[kind],
            start_ns,
            end_ns: start_ns + length,
            failed,
            attributes,
            links: links
                .into_iter()
                .map(|(trace, span)| Link { trace_id: id(trace), span_id: SpanId(span.to_le_bytes()) })
                .collect(),
            events: events
                .into_iter()
                .map(|(at_ns, name, attributes)| SpanEvent { at_ns, name: (&*name).into(), attributes })
                .collect(),
            service: (&*service).into(),
            instance: "0193a5b0-7c1e-7d3a-9a52-1f2e3d4c5b6a".into(),
        },
    )
}

fn condition() -> impl Strategy<Value = SpanCondition> {
    prop_oneof![
        (0..SpanKind::ALL.len()).prop_map(|kind| SpanCondition::Kind(SpanKind::ALL[kind])),
        Just(SpanCondition::Failed),
        Just(SpanCondition::Root),
        (0_u64..500).prop_map(SpanCondition::AtLeastNs),
        "[a-c]".prop_map(|name| SpanCondition::Name(ValueTest::Is(name))),
        "[a-c]".prop_map(|text| SpanCondition::Attribute("http.route".to_owned(), ValueTest::Is(text))),
        Just(SpanCondition::Attribute("outcome".to_owned(), ValueTest::Absent)),
        "[a-c]|1".prop_map(SpanCondition::AnyAttribute),
        (1_u8..12).prop_map(|trace| SpanCondition::Trace(id(trace))),
    ]
}

fn sorted(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.start_ns, Reverse(span.end_ns), span.trace_id, span.span_id));
    spans.dedup_by_key(|span| (span.trace_id, span.span_id));
    spans
}

fn of_trace(spans: &[Span], id: TraceId) -> Vec<Span> {
    sorted(spans.iter().filter(|span| span.trace_id == id).cloned().collect())
}

fn decode(bytes: &[u8]) -> Option<Vec<Span>> {
    let view = View::read(bytes)?;
    let (mut spans, mut shared) = (Vec::new(), Shared::default());
    for group in view.groups() {
        spans.extend(view.spans(&group, &mut shared)?);
    }
    Some(spans)
}

fn agrees(store: &SpanStore, spans: &[Span], search: &SpanSearch) -> Result<(), TestCaseError> {
    let mut expected: Vec<TraceSummary> =
        (0..13).filter_map(|number| summarize(&of_trace(spans, id(number)), search)).collect();
    expected.retain(|found| search.before.is_none_or(|before| found.position < before));
    expected.sort_by_key(|found| Reverse(found.position));
    expected.truncate(search.most);
    prop_assert_eq!(store.search(search), expected);
    for number in 0..13 {
        prop_assert_eq!(store.trace(id(number)), of_trace(spans, id(number)));
        let links = |span: &&Span| span.links.iter().any(|link| link.trace_id == id(number));
        prop_assert_eq!(store.linked_from(id(number)), sorted(spans.iter().filter(links).cloned().collect()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn spans_are_read_as_they_were_written(spans in prop::collection::vec(any_span(), 1..30)) {
        let mut spans = spans;
        spans.sort_by_key(|span| span.trace_id);
        prop_assert_eq!(decode(&encode(&spans)), Some(spans.clone()));
        let block = Block::pack(spans.clone());
        spans.sort_by_key(|span| (span.trace_id, span.start_ns));
        let content = block.content().unwrap();
        let read = Block::from_content(&content, None).unwrap();
        prop_assert_eq!(&read.summary, &block.summary);
        prop_assert_eq!(decode(&read.inflate().unwrap()), Some(spans));
    }

    #[test]
    fn damage_is_no_panic(
        spans in prop::collection::vec(any_span(), 1..20),
        place: prop::sample::Index,
        byte: u8,
    ) {
        let mut encoded = encode(&spans);
        let at = place.index(encoded.len());
        encoded[at] = byte;
        let _ = decode(&encoded);
        let _ = decode(&encoded[..at]);
        let mut content = Block::pack(spans).content().unwrap();
        let at = place.index(content.len());
        content[at] = byte;
        let _ = Block::from_content(&content, None).and_then(|block| block.inflate());
        let _ = Block::inflate_content(&content[..at]);
    }

    #[test]
    fn searches_agree_with_a_plain_list(
        spans in prop::collection::vec(any_span(), 0..60),
        conditions in prop::collection::vec(condition(), 0..3),
        (from_ns, until_ns) in (0_u64..500, 300_u64..1001),
        (most, before) in (0_usize..15, prop::option::of((0_u64..1000, 1_u8..12))),
    ) {
        let before = before.map(|(start_ns, trace)| TracePosition { start_ns, trace_id: id(trace) });
        let search = SpanSearch { from_ns, until_ns, conditions, most, before };
        let directory = tempfile::tempdir().unwrap();
        let mut store = SpanStore::open(directory.path()).unwrap();
        for some in spans.chunks(7) {
            store.append_spans(some.to_vec());
            store.flush().unwrap();
            if some.len() % 2 == 1 {
                store.pack_now();
            }
        }
        agrees(&store, &spans, &search)?;
        store.flush().unwrap();
        drop(store);
        agrees(&SpanStore::open(directory.path()).unwrap(), &spans, &search)?;
        // Nothing fits into memory, so everything is read from disk.
        let store = SpanStore::open_bounded(directory.path(), 16 << 10, SpanStore::DISK_BOUND).unwrap();
        agrees(&store, &spans, &search)?;
    }
}

/// Returns two spans for each number, which together form a trace.
fn spans(numbers: std::ops::Range<u64>) -> Vec<Span> {
    let mut spans = Vec::new();
    for number in numbers {
        let random = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let trace_id = TraceId((u128::from(random) << 64 | u128::from(number)).to_le_bytes());
        let span = |parent: Option<u64>, own: u64| Span {
            trace_id,
            span_id: SpanId((random ^ own).to_le_bytes()),
            parent: parent.map(|own| SpanId((random ^ own).to_le_bytes())),
            name: "GET /".into(),
            kind: SpanKind::Server,
            start_ns: number * 1000 + own,
            end_ns: number * 1000 + 100,
            failed: false,
            attributes: Vec::new(),
            links: Vec::new(),
            events: Vec::new(),
            service: "api".into(),
            instance: "a".into(),
        };
        spans.extend([span(None, 1), span(Some(1), 2)]);
    }
    spans
}

fn files(directory: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    paths.sort();
    paths
}

#[test]
fn bounds_are_kept_in_memory_and_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let (bound, disk_bound) = (96 << 10, 128 << 10);
    let mut store = SpanStore::open_bounded(directory.path(), bound, disk_bound).unwrap();
    for number in 0..100 {
        store.append_spans(spans(number * 100..number * 100 + 100));
        store.flush().unwrap();
        let usage = store.usage();
        assert!(usage.bytes <= bound + (2 << 20), "{usage:?}");
        // A newer segment is open when the oldest one is deleted.
        assert!(usage.disk_bytes <= disk_bound + disk_bound / 8, "{usage:?}");
    }
    let usage = store.usage();
    assert_eq!(usage.spans + usage.evicted, 20_000);
    assert!(usage.spans > 4_000 && usage.evicted > 4_000, "{usage:?}");
    let oldest = store.oldest().unwrap();
    let trace = spans(oldest / 1000..oldest / 1000 + 1)[0].trace_id;
    assert!(!store.trace(trace).is_empty());
    let all = store.search(&SpanSearch { most: 100_000, ..SpanSearch::new(0, u64::MAX) });
    assert_eq!(all.len() as u64 * 2, usage.spans);
    drop(store);
    let store = SpanStore::open_bounded(directory.path(), bound, disk_bound).unwrap();
    assert_eq!((store.usage().spans, store.usage().set_aside), (usage.spans, Vec::new()));
}

#[test]
fn a_store_without_a_disk_drops_the_oldest_spans() {
    let mut store = SpanStore::in_memory_bounded(128 << 10);
    store.append_spans(spans(0..40_000));
    store.flush().unwrap();
    let usage = store.usage();
    assert_eq!(usage.spans + usage.evicted, 80_000);
    assert!(usage.spans < 20_000 && store.oldest().unwrap() > 1_000_000);
}

#[test]
fn what_was_flushed_survives_without_an_exit() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = SpanStore::open(directory.path()).unwrap();
    store.append_spans(spans(0..10));
    store.flush().unwrap();
    store.append_spans(spans(10..12));
    store.flush().unwrap();
    store.append_spans(spans(12..20));
    drop(store);
    let mut store = SpanStore::open(directory.path()).unwrap();
    assert_eq!((store.usage().spans, store.usage().set_aside), (24, Vec::new()));
    store.append_spans(spans(20..2000));
    store.flush().unwrap();
    drop(store);
    let store = SpanStore::open(directory.path()).unwrap();
    assert_eq!(store.usage().spans, 24 + 2 * 1980);
    assert_eq!(store.search(&SpanSearch { most: 5000, ..SpanSearch::new(0, u64::MAX) }).len(), 12 + 1980);
}

#[test]
fn damaged_files_are_set_aside_and_the_rest_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = SpanStore::open(directory.path()).unwrap();
    store.append_spans(spans(0..4096));
    store.flush().unwrap();
    drop(store);
    let path = &files(directory.path(), ".segment")[0];
    let whole = fs::read(path).unwrap();

    // The last record is truncated, as after a kill.
    fs::write(path, &whole[..whole.len() - 10]).unwrap();
    let store = SpanStore::open(directory.path()).unwrap();
    assert_eq!((store.usage().spans, store.usage().set_aside.len()), (3 * 2048, 1));
    drop(store);
    assert_eq!(SpanStore::open(directory.path()).unwrap().usage().set_aside, []);

    // A byte of the first record is changed.
    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    fs::write(path, damaged).unwrap();
    let store = SpanStore::open(directory.path()).unwrap();
    assert_eq!((store.usage().spans, store.usage().set_aside.len()), (3 * 2048, 1));
    drop(store);
    assert_eq!(files(directory.path(), ".damaged").len(), 1);
    let store = SpanStore::open(directory.path()).unwrap();
    assert_eq!((store.usage().spans, store.usage().set_aside), (3 * 2048, Vec::new()));
    drop(store);

    // Files of another version, of which only the newest are kept.
    for number in 10..15 {
        fs::write(directory.path().join(format!("spans.{number:06}.segment")), "console spans 2\n").unwrap();
    }
    fs::write(directory.path().join("spans.journal"), "nonsense").unwrap();
    let store = SpanStore::open(directory.path()).unwrap();
    assert_eq!((store.usage().spans, store.usage().set_aside.len()), (3 * 2048, 6));
    drop(store);
    assert_eq!(files(directory.path(), ".unknown").len() + files(directory.path(), ".damaged").len(), 2);
}

#[test]
fn any_flipped_byte_of_a_file_is_no_panic_and_no_refusal() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = SpanStore::open(directory.path()).unwrap();
    store.append_spans(spans(0..20));
    store.pack_now();
    store.flush().unwrap();
    store.append_spans(spans(20..30));
    store.flush().unwrap();
    drop(store);
    for name in ["spans.000001.segment", "spans.journal"] {
        let whole = fs::read(directory.path().join(name)).unwrap();
        for place in (0..whole.len()).step_by(7) {
            let copy = tempfile::tempdir().unwrap();
            let mut damaged = whole.clone();
            damaged[place] ^= 0x55;
            fs::write(copy.path().join(name), damaged).unwrap();
            let store = SpanStore::open(copy.path()).unwrap();
            let _ = store.search(&SpanSearch::new(0, u64::MAX));
            assert!(store.usage().spans == 0 || name == "spans.journal", "{place}");
        }
    }
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

#[test]
fn received_spans_are_translated_within_caps() {
    let text = |text: &str| any_value::Value::StringValue(text.to_owned());
    let mut received = ReceivedSpan {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        parent_span_id: vec![3; 8],
        name: "GET /".to_owned(),
        kind: span::SpanKind::Server as i32,
        start_time_unix_nano: 10,
        end_time_unix_nano: 5,
        status: Some(Status { code: 2, ..Status::default() }),
        attributes: (0..70)
            .map(|number| attribute(&format!("a{number}"), any_value::Value::IntValue(number)))
            .collect(),
        links: vec![span::Link { trace_id: vec![4; 16], span_id: vec![5; 8], ..span::Link::default() }; 20],
        events: vec![span::Event { name: "e".to_owned(), ..span::Event::default() }; 20],
        ..ReceivedSpan::default()
    };
    received.attributes[0] = attribute("long", text(&"é".repeat(1000)));
    let without_id = ReceivedSpan { trace_id: vec![0; 16], ..received.clone() };
    let resource = Resource {
        attributes: vec![attribute("service.name", text("api")), attribute("service.instance.id", text("i"))],
        ..Resource::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![received, without_id], ..ScopeSpans::default() }];
    let received = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };

    let mut store = SpanStore::in_memory();
    assert_eq!(store.append(vec![received]), Appended { accepted: 1, refused: 1 });
    let span = &store.trace(TraceId([1; 16]))[0];
    assert_eq!((span.kind, span.failed, span.duration_ns()), (SpanKind::Server, true, 0));
    assert_eq!((&*span.service, &*span.instance, span.parent), ("api", "i", Some(SpanId([3; 8]))));
    assert_eq!((span.attributes.len(), span.links.len(), span.events.len()), (64, 16, 16));
    assert_eq!(span.text("long").len(), 1024);
    let losses = SpanLosses { without_id: 1, attributes: 6, values: 1, links: 4, events: 4 };
    assert_eq!(store.usage().losses, losses);
}
