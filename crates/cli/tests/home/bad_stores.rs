//! Stores that were damaged.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::stage::Stage;

#[test]
fn a_damaged_database() {
    let stage = Stage::new();
    let file = stage.declare(r#"  home.file.x.text = "x";"#);
    stage.run(&["switch", &file]).success();
    let before = stage.entries();
    let database = stage.path("root/nix/var/nix/db/db.sqlite");
    let damaged = b"this is no database\n".repeat(1000);
    for side in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{side}", database.display()));
    }
    fs::write(&database, &damaged).unwrap();
    let file = stage.declare(r#"  home.file.x.text = "y";"#);
    for arguments in [&["switch", &file][..], &["generations"], &["rollback"]] {
        stage
            .run(arguments)
            .failure(1, &["store database", "db.sqlite` is corrupt", "hint: nothing was changed", "backup"]);
    }
    stage.nival(&["doctor"]).failure(1, &["found something off"]);
    assert_eq!(fs::read(&database).unwrap(), damaged);
    assert_eq!(stage.entries(), before);
    assert_eq!(stage.text("x"), "x");
}

#[test]
fn a_store_path_changed_by_hand() {
    let stage = Stage::new();
    let file = stage.declare(r#"  home.file.x.text = "as it was";"#);
    stage.run(&["switch", &file]).success();
    let looked = stage.nival(&["doctor", "--check-contents"]).out;
    assert!(looked.contains("valid paths, none damaged"), "{looked}");

    let path = stage.follow(&stage.home("x"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, "as it is").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();

    let name = path.strip_prefix(stage.path("root/nix/store")).unwrap();
    let name = name.components().next().unwrap().as_os_str().to_str().unwrap();
    let run = stage.nival(&["doctor", "--check-contents"]).failure(1, &["found something off"]);
    for part in [name, "was modified", "hint: "] {
        assert!(run.out.contains(part), "`{part}` is missing in:\n{}", run.out);
    }
    let json = stage.nival(&["doctor", "--check-contents", "--json"]);
    let findings: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let off = |finding: &&serde_json::Value| finding["ok"] == false && finding["check"] == "paths";
    assert!(findings.as_array().unwrap().iter().any(|finding| off(&finding)), "{findings}");
}

#[test]
fn a_store_that_can_not_be_made() {
    let stage = Stage::new();
    let file = stage.declare("");
    stage.write("taken", "a file");
    let (store, home) = (stage.path("taken/root"), stage.home(""));
    let arguments =
        ["home", "switch", &file, "--store", store.to_str().unwrap(), "--home", home.to_str().unwrap()];
    let run = stage.command(&arguments).output().unwrap();
    crate::stage::Run::of(run).failure(1, &["taken"]);
    assert_eq!(stage.entries(), [""; 0]);
}
