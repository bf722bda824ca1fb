//! Searches of the packed store agree with a plain list of lines.

use std::cmp::Reverse;
use std::collections::HashMap;

use proptest::prelude::*;
use signal::{ClosedSet, Level};

use super::block::generate::line;
use super::*;
use crate::store::ValueTest;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const USER: &str = "0193a5b0-7c1e-7d3a-9a52-1f2e3d4c5b6a";

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]{0,2}", Just(TRACE.to_owned()), Just(USER.to_owned()), Just("500".to_owned())]
}

fn value_test() -> impl Strategy<Value = ValueTest> {
    let texts = || prop::collection::vec(text(), 0..3);
    prop_oneof![
        text().prop_map(ValueTest::Is),
        text().prop_map(ValueTest::IsNot),
        texts().prop_map(ValueTest::OneOf),
        texts().prop_map(ValueTest::NoneOf),
        text().prop_map(|text| ValueTest::BeginsWith(text.chars().take(2).collect())),
        texts().prop_map(ValueTest::BeginsWithOneOf),
        (0_i32..1000).prop_map(|least| ValueTest::AtLeast(least.into())),
        Just(ValueTest::Exists),
        Just(ValueTest::Absent),
    ]
}

fn condition() -> impl Strategy<Value = LineCondition> {
    let name = prop_oneof![Just(TRACE_ID), Just(LINK_TRACE_ID), Just("a.id"), Just("b.id")];
    prop_oneof![
        (0..LEVELS).prop_map(|level| LineCondition::AtLeast(Level::ALL[level])),
        value_test().prop_map(LineCondition::Event),
        (name, value_test()).prop_map(|(name, test)| LineCondition::Field(name.to_owned(), test)),
        text().prop_map(LineCondition::Trace),
        text().prop_map(LineCondition::AnyField),
    ]
}

/// Generates lines with values that conditions look for.
fn searchable() -> impl Strategy<Value = Line> {
    let name = prop_oneof![Just(TRACE_ID), Just(LINK_TRACE_ID), Just("a.id"), Just("b.id")];
    let value = prop_oneof![
        text().prop_map(|text| (&*text).into()),
        (0_i64..1000).prop_map(Into::into),
        (0_i32..4).prop_map(|number| (f64::from(number) * 0.5).into()),
        any::<bool>().prop_map(Into::into),
    ];
    (line(), prop::collection::vec((name, value), 0..4)).prop_map(|(mut line, fields)| {
        line.fields.extend(fields.into_iter().map(|(name, value)| (name.into(), value)));
        line
    })
}

/// Searches a plain list.
fn expected(lines: &[Line], search: &Search) -> Vec<Found> {
    let mut found = Vec::new();
    for (line, number) in lines.iter().zip(1..) {
        let position = Position { at: line.at, number };
        let is_wanted = (search.from..search.until).contains(&line.at)
            && search.before.is_none_or(|before| position < before)
            && search.newer_than.is_none_or(|last| number > last)
            && search.conditions.iter().all(|condition| condition.accepts(line));
        if is_wanted {
            found.push(Found { position, line: line.clone() });
        }
    }
    found.sort_by_key(|found| Reverse(found.position));
    found
}

fn store_of(lines: &[Line]) -> LineStore {
    let mut store = LineStore::default();
    for some in lines.chunks(7) {
        store.append(some.to_vec());
        store.pack_now();
    }
    store
}

proptest! {
    #[test]
    fn searches_agree_with_a_plain_list(
        lines in prop::collection::vec(searchable(), 0..60),
        conditions in prop::collection::vec(condition(), 0..3),
        (from, until) in (0_i64..500, 300_i64..1001),
        (most, before, newer_than) in (0_usize..20, prop::option::of(0_i64..1000), prop::option::of(0_u64..60)),
    ) {
        let store = store_of(&lines);
        let before = before.map(|at| Position { at, number: 30 });
        let search = Search { from, until, conditions, most, before, newer_than };
        let mut all = expected(&lines, &search);

        let counts = store.counts(&search, 100);
        let mut steps = vec![[0; LEVELS]; counts.steps.len()];
        for found in &all {
            steps[((found.position.at - from) / 100) as usize][found.line.level.index()] += 1;
        }
        prop_assert_eq!(counts.steps, steps);

        let groups = store.groups(&search, "a.id", 100);
        let mut values: HashMap<String, u64> = HashMap::new();
        for value in all.iter().map(|found| found.line.text("a.id").into_owned()).filter(|value| !value.is_empty()) {
            *values.entry(value).or_default() += 1;
        }
        prop_assert_eq!(groups.lines, all.len() as u64);
        prop_assert_eq!(groups.with_field, values.values().sum::<u64>());
        prop_assert_eq!(groups.distinct, values.len());
        prop_assert_eq!(groups.top.into_iter().collect::<HashMap<_, _>>(), values);

        all.truncate(most);
        prop_assert_eq!(store.search(&search), all);
    }
}

fn plain(at: i64, event: &str) -> Line {
    Line { at, level: Level::Info, event: event.into(), fields: Vec::new() }
}

#[test]
fn pages_follow_one_another_without_gaps() {
    let lines: Vec<Line> = (0..1000).map(|number| plain(number / 10, "a")).collect();
    let store = store_of(&lines);
    let mut search = Search { most: 64, ..Search::new(0, 1000) };
    let mut found = Vec::new();
    loop {
        let page = store.search(&search);
        let Some(last) = page.last() else { break };
        search.before = Some(last.position);
        found.extend(page);
    }
    assert_eq!(found, expected(&lines, &Search::new(0, 1000)));
}

#[test]
fn the_tail_receives_new_lines_only() {
    let mut store = LineStore::default();
    let mut tail = store.subscribe();
    store.append([plain(5, "a"), plain(3, "b")]);
    assert!(tail.has_changed().unwrap());
    let seen = *tail.borrow_and_update();
    store.append([plain(4, "c")]);
    let found = store.search(&Search { newer_than: Some(seen), ..Search::new(0, 10) });
    assert_eq!((seen, found.len(), &*found[0].line.event), (2, 1, "c"));
}

#[test]
fn the_oldest_lines_make_room() {
    let bound = 512 << 10;
    let mut store = LineStore::new(bound);
    let mut random = 1_u64;
    for number in 0..100_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut line = plain(number, "a");
        line.fields.push((SPAN_ID.into(), (&*format!("{random:016x}")).into()));
        store.append([line]);
        assert!(store.usage().bytes <= bound);
    }
    let usage = store.usage();
    assert_eq!(usage.lines + usage.evicted, 100_000);
    assert!(usage.lines > 30_000, "{usage:?}");
    let oldest = store.oldest().unwrap();
    let found = store.search(&Search { most: 100_000, ..Search::new(oldest, 100_000) });
    assert_eq!(found.len() as i64, 100_000 - oldest.max(usage.evicted as i64));
}

#[test]
fn refused_lines_are_counted_by_reason() {
    let mut store = LineStore::default();
    store.refuse(LineRefusal::TooLong, 2);
    store.refuse(LineRefusal::NotJson, 1);
    assert_eq!(store.usage().refused, [(LineRefusal::NotJson, 1), (LineRefusal::TooLong, 2)]);
}

#[test]
fn a_search_with_too_many_conditions_finds_nothing() {
    let store = store_of(&[plain(1, "a")]);
    let mut search = Search::new(0, 10);
    search.conditions = vec![LineCondition::AnyField("a".to_owned()); 65];
    assert_eq!(store.search(&search), []);
}

#[test]
fn many_names_of_fields_stay_within_the_bound() {
    let mut store = LineStore::new(2 << 20);
    for number in 0..20_000 {
        let mut line = plain(number, "a");
        line.fields.push((format!("{number:01000}").into(), true.into()));
        store.append([line]);
        assert!(store.usage().bytes <= 3 << 20);
    }
    assert_eq!(store.usage().lines + store.usage().evicted, 20_000);
}
