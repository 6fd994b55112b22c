use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;

fn run(kind: &str, pattern: &str, text: &str) -> Value {
    let piece = |range: Range<usize>| json!(nival_syntax::raw_text(&text.as_bytes()[range]));
    let groups = |groups: Vec<Group>| -> Value {
        groups.into_iter().map(|group| group.map_or(Value::Null, piece)).collect()
    };
    let regex = match Regex::new(pattern.as_bytes()) {
        Ok(regex) => regex,
        Err(RegexError::Invalid) => return json!("invalid"),
        Err(RegexError::TooLarge) => return json!("memory limit exceeded by"),
    };
    if kind == "match" {
        let found = regex.match_whole(text.as_bytes()).expect("a small match");
        return found.map_or(Value::Null, groups);
    }
    let mut pieces = Vec::new();
    let mut end = 0;
    for found in regex.search_all(text.as_bytes()).expect("a small search") {
        pieces.push(piece(end..found.range.start));
        pieces.push(groups(found.groups));
        end = found.range.end;
    }
    pieces.push(piece(end..text.len()));
    Value::Array(pieces)
}

/// `[match or split, pattern, text, result]`, recorded from C++ Nix 2.34.8.
#[test]
fn patterns_mean_what_they_mean_in_the_reference() {
    let cases: Vec<(String, String, String, Value)> =
        serde_json::from_str(include_str!("golden.json")).expect("a table of cases");
    for (kind, pattern, text, expected) in cases {
        assert_eq!(run(&kind, &pattern, &text), expected, "{kind} {pattern:?} {text:?}");
    }
}

#[test]
fn bytes_above_ascii_are_matched_one_by_one() {
    assert_eq!(run("match", ".", "é"), Value::Null);
    assert_eq!(run("match", "..", "é"), json!([]));
    assert_eq!(run("match", "[é]+", "é"), json!([]));
    assert_eq!(run("match", "[^a]*", "é€😀"), json!([]));
    assert_eq!(run("match", "[[:alpha:]]+", "é"), Value::Null);
    assert_eq!(run("match", "[a-é]", "b"), json!("invalid"));
}

/// Each of these takes exponential time or a deep stack in a plain backtracking matcher.
#[test]
fn hard_patterns_stay_quick() {
    let long = "ab".repeat(100_000);
    let cases = [
        ("match", "(x+x+)+y", "x".repeat(5_000), Value::Null),
        ("match", "(a|a)*c", "a".repeat(5_000), Value::Null),
        ("match", "(a*)*b", "a".repeat(5_000), Value::Null),
        ("match", "(((a*)*)*)*b", "a".repeat(1_000), Value::Null),
        ("match", ".*a.*b.*c.*d", long.clone(), Value::Null),
        ("match", "(a|b)*", long.clone(), json!(["b"])),
        ("match", "(.|\n)*x(.|\n)*", long, Value::Null),
    ];
    let begin = Instant::now();
    for (kind, pattern, text, expected) in cases {
        assert_eq!(run(kind, pattern, &text), expected, "{pattern}");
    }
    assert!(begin.elapsed() < Duration::from_mins(1));
    let text = "a".repeat(50_000);
    let regex = Regex::new(b"a*b").expect("a good pattern");
    assert_eq!(regex.search_all(text.as_bytes()), Ok(Vec::new()));
}

#[test]
fn patterns_without_groups_match_what_they_match_in_a_group() {
    let pieces = ["a", "[ab]", ".", "a*", "b*", "[ab]+", ".*", "c"];
    let mut state = 1_u32;
    let mut random = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % below
    };
    for _ in 0..3_000 {
        let pattern: String = (0..random(5)).map(|_| pieces[random(8) as usize]).collect();
        let text: String = (0..random(6)).map(|_| ["a", "b", "c"][random(3) as usize]).collect();
        let alone = run("match", &pattern, &text) != Value::Null;
        let in_group = run("match", &format!("({pattern})"), &text) != Value::Null;
        assert_eq!(alone, in_group, "{pattern:?} {text:?}");
    }
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let pattern = format!("{}a{}", "(".repeat(20_000), ")".repeat(20_000));
    let regex = Regex::new(pattern.as_bytes()).expect("a good pattern");
    let groups = regex.match_whole(b"a").expect("a small match").expect("it matches");
    assert_eq!(groups.len(), 20_000);
    let pattern = "(".repeat(200_000);
    assert_eq!(Regex::new(pattern.as_bytes()).err(), Some(RegexError::TooLarge));
}
