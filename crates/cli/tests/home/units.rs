//! Units of systemd's user manager, here a script that keeps a list of what it was asked.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::stage::{Run, Stage};

/// Says that it runs, and remembers what was started.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$*" >>FOLDER/asked
verb=$2
while [ "$1" != -- ]; do shift; done
shift
case $verb in
  is-system-running) echo running ;;
  is-active) for unit; do if [ -e FOLDER/"$unit" ]; then echo active; else echo inactive; fi; done ;;
  start) for unit; do [ "$unit" != broken.service ] || { echo no good >&2; exit 1; }; : >FOLDER/"$unit"; done ;;
  stop) for unit; do rm FOLDER/"$unit"; done ;;
esac
"#;

struct Manager(Stage);

impl Manager {
    fn new() -> Self {
        let stage = Stage::new();
        let folder = stage.path("manager");
        let program = stage.write("bin/systemctl", &SYSTEMCTL.replace("FOLDER", folder.to_str().unwrap()));
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
        stage.write("manager/default.target", "");
        Self(stage)
    }

    /// `nival home …` in the user's own home.
    fn run(&self, arguments: &[&str]) -> Run {
        let home = self.0.path("home");
        let mut command = self.0.command(&["home"]);
        command.args(arguments).arg("--store").arg(self.0.path("root"));
        let path = format!("{}:/usr/bin:/bin", self.0.path("bin").display());
        command.env("PATH", path).env("HOME", home).env("USER", "commander");
        Run::of(command.output().unwrap())
    }

    /// What was asked since the last call, without the questions.
    fn asked(&self) -> Vec<String> {
        let file = self.0.path("manager/asked");
        let text = fs::read_to_string(&file).unwrap_or_default();
        fs::write(file, "").unwrap();
        text.lines().filter(|line| !line.contains(" is-")).map(str::to_owned).collect()
    }

    fn declare(&self, body: &str) -> String {
        let text = crate::stage::declaration(body);
        self.0.write("home.nix", &text.replace("/home/commander", self.0.path("home").to_str().unwrap()))
    }
}

fn service(name: &str, command: &str) -> String {
    format!(
        "  systemd.user.services.{name} = {{ Service.ExecStart = \"{command}\"; Install.WantedBy = [ \"default.target\" ]; }};\n"
    )
}

#[test]
fn services_are_started_restarted_and_stopped() {
    let manager = Manager::new();
    let file = manager.declare(&service("clock", "/bin/one"));
    manager.run(&["switch", &file]).success().says(&["+ start clock.service (wanted by default.target)"]);
    assert_eq!(manager.asked(), ["--user daemon-reload --", "--user start -- clock.service"]);
    assert!(manager.0.has(".config/systemd/user/default.target.wants/clock.service"));

    manager.declare(&service("clock", "/bin/two"));
    manager.run(&["switch", &file]).success().says(&["~ restart clock.service if it runs"]);
    assert_eq!(manager.asked(), ["--user daemon-reload --", "--user restart -- clock.service"]);

    manager.run(&["switch", &file]).success().says(&["nothing to do"]);
    assert_eq!(manager.asked(), [""; 0]);

    manager.declare("");
    manager.run(&["switch", &file]).success().says(&["- stop clock.service"]);
    assert_eq!(manager.asked(), ["--user stop -- clock.service", "--user daemon-reload --"]);
    assert!(!manager.0.has(".config/systemd"));
}

#[test]
fn a_service_that_does_not_start() {
    let manager = Manager::new();
    let file = manager.declare(&service("clock", "/bin/one"));
    manager.run(&["switch", &file]).success();
    manager.declare(&format!("{}{}", service("clock", "/bin/two"), service("broken", "/bin/false")));
    manager.run(&["switch", &file]).failure(
        1,
        &[
            "step `reloadSystemd` failed",
            "`systemctl --user start broken.service` failed: no good",
            "generation 1 stands",
            "hint: ",
        ],
    );
    assert!(!manager.0.has(".config/systemd/user/broken.service"));
    assert!(manager.0.has(".config/systemd/user/clock.service"));
    let last = manager.asked();
    assert_eq!(last.last().unwrap(), "--user restart -- clock.service", "{last:?}");
}

#[test]
fn another_home_is_not_the_managers() {
    let manager = Manager::new();
    let file = manager.declare(&service("clock", "/bin/one"));
    let other = manager.0.path("other").display().to_string();
    let run = manager.run(&["switch", &file, "--home", &other]).success();
    run.says(&["units were neither started nor stopped: systemd's user manager reads another home"]);
    assert_eq!(manager.asked(), [""; 0]);
    assert!(manager.0.path("other/.config/systemd/user/clock.service").exists());
}
