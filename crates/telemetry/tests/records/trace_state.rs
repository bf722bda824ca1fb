//! Parsing and limits of W3C `tracestate`.

use proptest::prelude::*;
use telemetry::{MalformedTracestate, TraceState};

/// Length up to which lists are kept.
const LONGEST: usize = 512;

fn parse(values: &[&str]) -> Result<Option<String>, MalformedTracestate> {
    let state = TraceState::parse(values.iter().map(|value| value.as_bytes()))?;
    Ok(state.map(|state| state.as_str().to_owned()))
}

#[test]
fn lists_are_kept_as_they_came() {
    let largest_key = "k".repeat(256);
    let largest_value = "v".repeat(255);
    let large = format!("{largest_key}={largest_value}");
    let table: [(&[&str], Option<&str>); 10] = [
        (&[], None),
        (&[""], None),
        (&[" , ,,"], None),
        (&["rojo=00f067aa0ba902b7"], Some("rojo=00f067aa0ba902b7")),
        (&["rojo=1,congo=t61rcWkgMzE"], Some("rojo=1,congo=t61rcWkgMzE")),
        (&["rojo=1 ,\tcongo=2, "], Some("rojo=1,congo=2")),
        (&["rojo=1", "congo=2"], Some("rojo=1,congo=2")),
        (&["tenant@system=x:y;z", "0a_-*/=~ !"], Some("tenant@system=x:y;z,0a_-*/=~ !")),
        (&["a= b"], Some("a= b")),
        (&[&large], Some(&large)),
    ];
    for (values, expected) in table {
        assert_eq!(parse(values), Ok(expected.map(str::to_owned)), "{values:?}");
    }
}

#[test]
fn malformed_lists_are_refused() {
    let key_too_long = format!("{}=1", "k".repeat(257));
    let value_too_long = format!("k={}", "v".repeat(257));
    let tenant_too_long = format!("{}@s=1", "t".repeat(242));
    let system_too_long = format!("t@{}=1", "s".repeat(15));
    let many: Vec<String> = (0..33).map(|number| format!("k{number}=1")).collect();
    let many = many.join(",");
    let table: [&[&str]; 16] = [
        &["rojo"],
        &["=1"],
        &["rojo="],
        &["Rojo=1"],
        &["ro jo=1"],
        &["_rojo=1"],
        &["rojo=1=2"],
        &["rojo=\u{7f}"],
        &["rojo=ä"],
        &["a@b@c=1"],
        &["rojo=1,rojo=2"],
        &["rojo=1", "rojo=1"],
        &[&key_too_long],
        &[&value_too_long],
        &[&tenant_too_long, &system_too_long],
        &[&many],
    ];
    for values in table {
        assert_eq!(parse(values), Err(MalformedTracestate), "{values:?}");
    }
    assert_eq!(TraceState::parse([&b"rojo=\xff"[..]]), Err(MalformedTracestate));
}

#[test]
fn long_lists_lose_large_members_first_and_then_the_last() {
    let large = format!("large={}", "v".repeat(200));
    let member = |number: usize| format!("k{number:02}={}", "v".repeat(28));
    let fifteen: Vec<String> = (0..15).map(member).collect();
    let text = format!("{},{large}", fifteen.join(","));
    assert_eq!(parse(&[&text]), Ok(Some(fifteen.join(","))));

    let thirty_two: Vec<String> = (0..32).map(member).collect();
    let kept = parse(&[&thirty_two.join(",")]).unwrap().unwrap();
    assert_eq!(kept, fifteen.join(","), "the first that fit into 512 characters");
}

proptest! {
    #[test]
    fn whatever_is_kept_is_well_formed_and_bounded(values: Vec<Vec<u8>>) {
        if let Ok(Some(state)) = TraceState::parse(values.iter().map(Vec::as_slice)) {
            prop_assert!(state.as_str().len() <= LONGEST);
            prop_assert_eq!(TraceState::parse([state.as_str().as_bytes()]), Ok(Some(state.clone())));
        }
    }

    #[test]
    fn members_survive(
        members in proptest::collection::btree_map("[a-z0-9][a-z0-9_*/-]{0,20}", "[!-+.-<>-~]{1,20}", 1..12),
    ) {
        let text = members.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
        let expected = (text.len() <= LONGEST).then_some(text.clone());
        let parsed = parse(&[&text]).unwrap();
        prop_assert!(expected.is_none() || parsed == expected);
    }
}
