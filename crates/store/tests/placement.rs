//! Where the store goes.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use nival_store::{Placement, Surroundings};
use support::TestStore;

#[test]
fn the_first_place_that_may_be_written_is_taken() {
    let test = TestStore::new();
    let is_root = rustix::process::geteuid().is_root();
    let own = Placement::Own { root: test.dir().join("data/nival/root") };
    let surroundings = |nix_dir: &str| Surroundings {
        is_root,
        explicit_root: None,
        data_home: Some(test.dir().join("data")),
        nix_dir: test.dir().join(nix_dir),
    };
    let decide = |surroundings: &Surroundings| Placement::decide(surroundings).unwrap().placement;

    assert_eq!(decide(&surroundings("absent")), Placement::System);
    fs::create_dir_all(test.dir().join("nix/store")).unwrap();
    fs::create_dir_all(test.dir().join("nix/var/nix/db")).unwrap();
    assert_eq!(decide(&surroundings("nix")), Placement::System);

    fs::create_dir_all(test.dir().join("foreign/store")).unwrap();
    fs::set_permissions(test.dir().join("foreign/store"), fs::Permissions::from_mode(0o555)).unwrap();
    assert_eq!(decide(&surroundings("foreign")), if is_root { Placement::System } else { own.clone() });

    // Not even root makes a directory below a file.
    fs::write(test.dir().join("file"), "").unwrap();
    let impossible = surroundings("file/nix");
    let decision = Placement::decide(&impossible).unwrap();
    assert_eq!(decision.placement, own);
    assert!(decision.reason.ends_with("file/nix` doesn't exist and can't be created"), "{}", decision.reason);

    let homeless = Surroundings { data_home: None, ..impossible };
    assert!(Placement::decide(&homeless).unwrap_err().hint().contains("--store DIR"));

    let asked = Surroundings { explicit_root: Some("/x".into()), ..surroundings("nix") };
    let decision = Placement::decide(&asked).unwrap();
    assert_eq!(decision.placement.config().real_store_dir.to_str(), Some("/x/nix/store"));
    assert_eq!(decision.placement.config().store_dir.as_str(), "/nix/store");
}
