//! Stores that were damaged.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::stage::{Run, Stage, say};

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

/// The store is on a file system of ever more room, where a mount is granted.
#[test]
fn a_full_store() {
    let stage = Stage::new();
    let file = stage.declare(
        r#"  home.file.x.text = lib.concatMapStrings (n: "${toString n} all the same text\n") (lib.range 1 40000);"#,
    );
    fs::create_dir(stage.path("root")).unwrap();
    let switch = stage.home_command(&["switch", &file]);
    let script = r#"
root=$1; shift
mount -t tmpfs -o size=65536k none "$root" || exit 77
for size in 100 200 400 1000 2000; do
  fallocate -l $((65536 - size))k "$root/ballast" || exit 77
  "$@" 2>"$root.err"; echo "code $? at $size"
  rm "$root/ballast"
  cat "$root.err"
  find "$HOME"
  echo "end of round"
done
"$@" 2>&1; echo "code $? at last"
"#;
    let run = std::process::Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(stage.path("root"))
        .arg(switch.get_program())
        .args(switch.get_args())
        .current_dir(stage.path(""))
        .env("HOME", stage.home(""))
        .env("XDG_CACHE_HOME", stage.path("cache"))
        .output();
    let run = match run {
        Ok(run) if run.status.success() => Run::of(run),
        other => return say(&format!("no mount: {other:?}")),
    };
    let told = &run.out;
    for size in [100, 200, 400, 1000, 2000] {
        let after = told.split(&format!(" at {size}\n")).nth(1).unwrap_or_else(|| panic!("{told}"));
        let after = after.split("\nend of round").next().unwrap();
        let code = told.split(&format!(" at {size}\n")).next().unwrap().rsplit(' ').next().unwrap();
        assert!(matches!(code, "1" | "100"), "{told}");
        assert!(after.contains("hint: free some space"), "{size}:\n{after}");
        assert!(after.ends_with(&format!("\n{}", stage.home("").display())), "{size}:\n{after}");
    }
    assert!(told.contains("code 0 at last"), "{told}");
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
    Run::of(run).failure(1, &["taken"]);
    assert_eq!(stage.entries(), [""; 0]);
}
