//! For any two sets of files a switch makes exactly the new one, and back again exactly the old.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it does not expect")]

mod fixture;

use std::collections::BTreeMap;

use fixture::Fixture;
use nival_environ::{Options, Target, switch};
use proptest::prelude::*;
use serde_json::json;

/// Sets of files in which no file is the directory of another.
fn files() -> impl Strategy<Value = BTreeMap<String, String>> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    let path = prop::collection::vec(name, 1..4).prop_map(|parts| parts.join("/"));
    prop::collection::btree_map(path, "[xyz]", 0..6).prop_map(|all| {
        let inside = |path: &String| all.keys().any(|other| path.starts_with(&format!("{other}/")));
        all.iter()
            .filter(|(path, _)| !inside(path))
            .map(|(path, text)| (path.clone(), text.clone()))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn there_and_back(old in files(), new in files(), fail_at in 0usize..40, apart in any::<bool>()) {
        let scratch = tempfile::tempdir().unwrap();
        let fixture = if apart { Fixture::apart(scratch.path()) } else { Fixture::at(scratch.path()) };
        // Foreign things in directories that are Nival's too, under names that no set has.
        fixture.put("a/foreign", "mine");
        fixture.put("other/foreign", "mine");
        let at_a = |files: &BTreeMap<String, String>| files.contains_key("a");
        prop_assume!(!at_a(&old) && !at_a(&new));
        let build = |name: &str, files: &BTreeMap<String, String>| {
            let list: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
            fixture.generation(name, &list, json!({}))
        };
        let empty = fixture.generation("empty", &[], json!({}));
        let (old_path, new_path) = (build("old", &old), build("new", &new));
        fixture.switch(&empty).unwrap();
        let bare = fixture.tree();
        let without_profile = |tree: BTreeMap<String, String>| -> BTreeMap<String, String> {
            tree.into_iter().filter(|(path, _)| !path.starts_with(".local")).collect()
        };
        let expected = |files: &BTreeMap<String, String>| {
            let mut all = without_profile(bare.clone());
            for path in files.keys() {
                let mut parent = path.as_str();
                while let Some((above, _)) = parent.rsplit_once('/') {
                    all.insert(above.to_owned(), "directory".into());
                    parent = above;
                }
                all.insert(path.clone(), "link".into());
            }
            all
        };
        let seen = || {
            let mut tree = without_profile(fixture.tree());
            for (path, value) in &mut tree {
                if value.starts_with("->") && path != ".nix-profile" {
                    *value = "link".into();
                }
            }
            tree
        };
        let contents = |files: &BTreeMap<String, String>| files.iter().all(|(path, text)| {
            std::fs::read_link(fixture.home.join(path)).is_ok_and(|link| {
                let store = &fixture.store;
                // In a store in its place the link leads by the tree; the texts are the same at the end.
                std::fs::read_to_string(store.real(&link)).is_ok_and(|there| there == *text)
            })
        });

        fixture.switch(&old_path).unwrap();
        prop_assert_eq!(seen(), expected(&old));
        let old_tree = fixture.tree();

        fixture.progress.seen.set(0);
        fixture.progress.fail_at.set(Some(fail_at));
        if fixture.switch(&new_path).is_err() {
            prop_assert_eq!(fixture.tree(), old_tree);
        }
        fixture.progress.fail_at.set(None);
        fixture.switch(&new_path).unwrap();
        prop_assert_eq!(seen(), expected(&new));
        prop_assert!(contents(&new));

        if fixture.switch(&new_path).unwrap().to != Some(2) {
            let back = Target::Generation(2);
            switch(&fixture.context(), &back, &Options::default()).unwrap();
        }
        prop_assert_eq!(seen(), expected(&old));
        prop_assert!(contents(&old));
    }
}
