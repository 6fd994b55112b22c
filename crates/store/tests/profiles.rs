//! Profiles and their generations.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::sync::Arc;

use nival_formats::StorePath;
use nival_store::profiles::{Delete, Mode, Profile};
use nival_store::{LocalStore, StoreError};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use support::TestStore;

fn setup(test: &TestStore, count: usize) -> (LocalStore, Profile, Vec<StorePath>) {
    let store = test.open();
    let profile = Profile::new(test.dir().join("profiles/home"), Arc::new(|_| {}));
    let paths: Vec<StorePath> =
        (0..count).map(|n| store.add_text(&format!("g{n}"), b"", &[]).unwrap()).collect();
    for path in &paths {
        profile.set(&store, path).unwrap();
    }
    (store, profile, paths)
}

fn numbers(profile: &Profile) -> (Vec<u64>, Option<u64>) {
    let generations = profile.generations().unwrap();
    (generations.all.iter().map(|generation| generation.number).collect(), generations.current)
}

#[test]
fn a_generation_is_made_for_each_change() {
    let test = TestStore::new();
    let (store, profile, paths) = setup(&test, 2);
    assert_eq!(numbers(&profile), (vec![1, 2], Some(2)));
    assert_eq!(fs::read_link(profile.link()).unwrap().to_str(), Some("home-2-link"));
    // The same again is no change.
    assert_eq!(profile.set(&store, &paths[1]).unwrap().number, 2);
    // Back to an earlier path is one.
    assert_eq!(profile.set(&store, &paths[0]).unwrap().number, 3);
    assert_eq!(numbers(&profile), (vec![1, 2, 3], Some(3)));
    let target = profile.generations().unwrap().current().unwrap().target().unwrap();
    assert_eq!(target.to_str(), Some(&*store.display(&paths[0])));
    let files: Vec<_> = fs::read_dir(test.dir().join("profiles")).unwrap().collect();
    assert_eq!(files.len(), 4, "links only, no lock is left");
    assert_eq!(store.find_roots().unwrap()[&paths[1]].len(), 2, "the generation and the temporary root");
}

#[test]
fn after_a_rollback_the_numbers_go_on() {
    let test = TestStore::new();
    let (store, profile, paths) = setup(&test, 3);
    assert_eq!(profile.rollback(Mode::DryRun).unwrap().number, 2);
    assert_eq!(numbers(&profile).1, Some(3));
    assert_eq!(profile.rollback(Mode::Apply).unwrap().number, 2);
    assert_eq!(profile.switch(1, Mode::Apply).unwrap().number, 1);
    let error = profile.rollback(Mode::Apply).unwrap_err();
    assert!(matches!(error, StoreError::NoOlderGeneration { current: 1, .. }), "{error}");
    let error = profile.switch(7, Mode::Apply).unwrap_err();
    assert!(matches!(error, StoreError::NoGeneration { number: 7, .. }), "{error}");
    assert!(error.hint().is_some());
    assert_eq!(profile.set(&store, &paths[0]).unwrap().number, 4);
    assert_eq!(numbers(&profile), (vec![1, 2, 3, 4], Some(4)));
}

#[test]
fn a_profile_that_is_not_there_has_no_generations() {
    let test = TestStore::new();
    let profile = Profile::new(test.dir().join("no/where"), Arc::new(|_| {}));
    assert_eq!(numbers(&profile), (vec![], None));
    assert!(profile.rollback(Mode::Apply).is_err());
}

#[test]
fn generations_are_deleted_but_never_the_current_one() {
    let day = 86_400;
    let cases: [(Delete, &[u64]); 7] = [
        (Delete::Numbers([1, 3, 99].into()), &[1, 3]),
        (Delete::Old, &[1, 2, 3, 5]),
        (Delete::KeepLatest(1), &[1, 2, 3]),
        (Delete::KeepLatest(3), &[1]),
        (Delete::KeepLatest(9), &[]),
        // The one that was current at that time stays.
        (Delete::OlderThan(3 * day + 1), &[1, 2]),
        (Delete::OlderThan(0), &[]),
    ];
    for (which, expected) in cases {
        let test = TestStore::new();
        let (_store, profile, _) = setup(&test, 5);
        for generation in profile.generations().unwrap().all {
            let time = Timespec { tv_sec: generation.number as i64 * day, tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            rustix::fs::utimensat(CWD, &generation.link, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }
        profile.switch(4, Mode::Apply).unwrap();
        assert_eq!(profile.delete(&which, Mode::DryRun).unwrap(), expected, "{which:?}");
        assert_eq!(numbers(&profile).0, [1, 2, 3, 4, 5], "{which:?}");
        assert_eq!(profile.delete(&which, Mode::Apply).unwrap(), expected, "{which:?}");
        let left: Vec<u64> = (1..=5).filter(|number| !expected.contains(number)).collect();
        assert_eq!(numbers(&profile), (left, Some(4)), "{which:?}");
    }
}

#[test]
fn the_current_generation_must_stay() {
    let test = TestStore::new();
    let (_store, profile, _) = setup(&test, 2);
    let error = profile.delete(&Delete::Numbers([1, 2].into()), Mode::Apply).unwrap_err();
    assert!(matches!(error, StoreError::CurrentGeneration { number: 2, .. }), "{error}");
    assert_eq!(numbers(&profile).0, [1, 2]);
    profile.remove().unwrap();
    assert_eq!(numbers(&profile), (vec![], None));
}

#[test]
fn other_files_beside_a_profile_are_no_generations() {
    let test = TestStore::new();
    let (_store, profile, _) = setup(&test, 1);
    for name in
        ["home-x-link", "home-2-lin", "home2-3-link", "homely-4-link", "home--1-link", "home-5-link.tmp"]
    {
        fs::write(test.dir().join("profiles").join(name), "").unwrap();
    }
    assert_eq!(numbers(&profile), (vec![1], Some(1)));
}
