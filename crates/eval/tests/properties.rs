//! What holds for all values, tried with some.

use std::cmp::Ordering;
use std::sync::Arc;

use nival_eval::memory_host::MemoryHost;
use nival_eval::{Evaluator, PrintOptions, Settings, Value};
use nival_syntax::Pos;
use proptest::prelude::*;

fn evaluator() -> Evaluator {
    Evaluator::new(Arc::new(MemoryHost::with_files([("/x", "")])), Settings::default())
}

fn builtin(ev: &Evaluator, name: &str) -> Value {
    ev.eval_str(&format!("builtins.{name}"), "/").expect("the function is there")
}

/// An expression of nested lists and sets with scalars in them, all of which JSON can say.
fn data() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        (-i64::MAX..=i64::MAX).prop_map(|value| format!("({value})")),
        (-1e6..1e6).prop_map(|value: f64| format!("({value:.4})")),
        "[ -!#%-\\[\\]-~é€]{0,8}".prop_map(|text| format!("\"{text}\"")),
    ];
    scalar.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|list| format!("[ {} ]", list.join(" "))),
            proptest::collection::btree_map("[a-z]{1,4}x", inner, 0..4).prop_map(|set| {
                let attrs: Vec<String> =
                    set.iter().map(|(name, value)| format!("{name} = {value};")).collect();
                format!("{{ {} }}", attrs.join(" "))
            }),
        ]
    })
}

fn compare(ev: &Evaluator, left: &str, right: &str) -> Ordering {
    let compare = builtin(ev, "compareVersions");
    let result = ev.call(compare, &[ev.string(left), ev.string(right)], Pos::NONE).expect("versions compare");
    match shown(ev, result).as_str() {
        "-1" => Ordering::Less,
        "0" => Ordering::Equal,
        "1" => Ordering::Greater,
        other => panic!("{left:?} and {right:?} compare as {other}"),
    }
}

fn shown(ev: &Evaluator, value: Value) -> String {
    let printed = ev.print(value, &PrintOptions::default()).expect("it can be printed");
    String::from_utf8_lossy(&printed).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// Data that went through JSON is the same data, and its JSON is the same text.
    #[test]
    fn json_keeps_data(expression in data()) {
        let ev = evaluator();
        let same = format!(
            "let x = {expression}; j = builtins.toJSON x; in builtins.toJSON (builtins.fromJSON j) == j && builtins.fromJSON j == x"
        );
        let result = ev.eval_str(&same, "/").expect("data");
        prop_assert_eq!(shown(&ev, result), "true", "{}", expression);
    }

    /// Of three versions in ascending order, all pairs are in that order. (With `pre` beside numbers and letters
    /// the order of C++ Nix is not transitive, so that is left out.)
    #[test]
    fn versions_have_an_order(versions in proptest::array::uniform3("([0-9]{1,3}|[a-oq-z]{1,2})([.-]([0-9]{1,3}|[a-oq-z]{1,2})){0,3}")) {
        let ev = evaluator();
        let [a, b, c] = &versions;
        for version in &versions {
            prop_assert_eq!(compare(&ev, version, version), Ordering::Equal);
        }
        prop_assert_eq!(compare(&ev, a, b), compare(&ev, b, a).reverse());
        if compare(&ev, a, b).is_le() && compare(&ev, b, c).is_le() {
            prop_assert!(compare(&ev, a, c).is_le(), "{a} {b} {c}");
        }
    }

    /// Any two texts compare, one way or the other.
    #[test]
    fn any_versions_compare(left in "[0-9a-z.p-]{0,12}", right in "[0-9a-z.p-]{0,12}") {
        let ev = evaluator();
        prop_assert_eq!(compare(&ev, &left, &right), compare(&ev, &right, &left).reverse());
    }

    /// No text makes these fail otherwise than with an error.
    #[test]
    fn foreign_texts_end_in_a_value_or_an_error(text in "[\\[\\]{}\"'=.,:#\\\\a-z0-9\n -]{0,60}") {
        let ev = evaluator();
        for name in ["fromJSON", "fromTOML"] {
            let _ = ev.call(builtin(&ev, name), &[ev.string(&text)], Pos::NONE);
        }
        let _ = ev.call(builtin(&ev, "match"), &[ev.string(&text), ev.string("ab")], Pos::NONE);
        let _ = ev.call(builtin(&ev, "split"), &[ev.string(&text), ev.string("abc")], Pos::NONE);
    }
}
