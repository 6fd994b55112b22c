//! Homes that stand in the way: files of others, read-only, not there.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use crate::stage::{Run, Stage, say};

const GREETING: &str = r#"  home.file.".greeting".text = "ours\n"; home.file."a/b".text = "b\n";"#;

#[test]
fn a_file_that_is_not_nivals() {
    let stage = Stage::new();
    let file = stage.declare(GREETING);
    fs::write(stage.home(".greeting"), "theirs\n").unwrap();
    fs::write(stage.home("a"), "a file where a folder should be").unwrap();
    let place = format!("({file}:6)");
    stage.run(&["switch", &file]).failure(
        1,
        &[
            "nothing was changed",
            ".greeting` is a file, wanted by home.file.\".greeting\"",
            &place,
            "hint: ",
            "--backup-ext EXT",
            "`force = true`",
        ],
    );
    assert_eq!(stage.visible_entries(), [".greeting", "a"]);
    assert_eq!(fs::read_to_string(stage.home(".greeting")).unwrap(), "theirs\n");

    fs::remove_file(stage.home("a")).unwrap();
    fs::write(stage.home(".greeting.old"), "a backup from before\n").unwrap();
    stage.run(&["switch", &file, "--backup-ext", "old"]).failure(1, &["would be overwritten by the backup"]);
    stage.run(&["switch", &file, "--backup-ext", "bak"]).success().says(&["becomes .greeting.bak"]);
    assert_eq!(stage.text(".greeting"), "ours\n");
    assert_eq!(fs::read_to_string(stage.home(".greeting.bak")).unwrap(), "theirs\n");
    assert_eq!(fs::read_to_string(stage.home(".greeting.old")).unwrap(), "a backup from before\n");

    // A link of somebody else's is no better, and the way with `force` replaces it.
    stage.run(&["uninstall"]).success();
    symlink("/dev/null", stage.home(".greeting")).unwrap();
    stage.run(&["switch", &file]).failure(1, &[".greeting` is a link"]);
    let file = stage.declare(&format!("{GREETING} home.file.\".greeting\".force = true;"));
    stage.run(&["switch", &file]).success().says(&["`force` is set"]);
    assert_eq!(stage.text(".greeting"), "ours\n");
}

#[test]
fn a_home_that_can_not_be() {
    let stage = Stage::new();
    let file = stage.declare(GREETING);
    stage.write("taken", "a file");
    for home in ["taken", "taken/home"] {
        let home = stage.path(home).display().to_string();
        let arguments = ["home", "switch", &file, "--home", &home];
        stage.nival(&arguments).failure(1, &["cannot be made", &home]);
    }
    assert_eq!(fs::read_to_string(stage.path("taken")).unwrap(), "a file");
}

#[test]
fn a_home_for_somebody_else() {
    let stage = Stage::new();
    let file = stage.declare(GREETING);
    let mut command = stage.command(&["home", "switch", &file, "--store"]);
    command.arg(stage.path("root")).env("HOME", stage.home(""));
    Run::of(command.output().unwrap()).failure(1, &["this generation is for the user `commander`", "hint: "]);
    let mut command = stage.command(&["home", "switch", &file, "--store"]);
    command.arg(stage.path("root")).env("HOME", stage.home("")).env("USER", "commander");
    Run::of(command.output().unwrap())
        .failure(1, &["this generation is for the home directory `/home/commander`", "hint: "]);
    assert_eq!(stage.visible_entries(), [""; 0]);
}

#[test]
fn a_read_only_home() {
    let stage = Stage::new();
    let file = stage.declare(GREETING);
    stage.run(&["switch", &file]).success();
    let before = stage.entries();
    let file = stage.declare("");
    let Some(run) = on_read_only_home(&stage, &file) else { return };
    run.failure(1, &["is read-only", "hint: nothing was changed"]);
    assert_eq!(stage.entries(), before);
    stage.assert_generations(&[1], 1);
    assert_eq!(stage.text(".greeting"), "ours\n");
}

/// Root writes everywhere, so for root the home is mounted read-only, if that is granted.
fn on_read_only_home(stage: &Stage, file: &str) -> Option<Run> {
    let switch = stage.home_command(&["switch", file]);
    let home = stage.home("");
    if fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) != 0) {
        fs::set_permissions(&home, fs::Permissions::from_mode(0o555)).unwrap();
        let run = { switch }.output().unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
        return Some(Run::of(run));
    }
    let script = r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" || exit 77; exec "$@""#;
    let run = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(&home)
        .arg(switch.get_program())
        .args(switch.get_args())
        .current_dir(stage.path(""))
        .env("HOME", stage.path("elsewhere"))
        .stdin(Stdio::null())
        .output();
    match run {
        Ok(run) if run.status.code() == Some(1) && run.stderr.starts_with(b"unshare:") => {
            say(&String::from_utf8_lossy(&run.stderr));
            None
        }
        Ok(run) if run.status.code() != Some(77) => Some(Run::of(run)),
        other => {
            say(&format!("no read-only mount: {other:?}"));
            None
        }
    }
}
