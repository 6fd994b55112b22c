//! The evaluation cache: an unchanged command answers as it did, a changed world brings the fresh answer.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod changes;
mod stage;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use changes::{CASES, SEARCH_PATH};
use stage::{Said, Stage};

impl Stage {
    /// The files of the cache with their inodes: one that is written again is another inode.
    fn entries(&self) -> Vec<(PathBuf, u64)> {
        let Ok(entries) = fs::read_dir(self.path("cache/nival/eval")) else { return Vec::new() };
        let mut entries: Vec<_> = entries
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.path(), entry.metadata().unwrap().ino()))
            .collect();
        entries.sort();
        entries
    }

    /// Whether the command is answered from the cache: evaluation would replace the file of its answer.
    fn is_answered_from_cache(&self, words: &[&str]) -> bool {
        // Files that were changed a moment ago are read again, and noted anew once their times can be relied on.
        std::thread::sleep(Duration::from_millis(2_200));
        let first = self.run(words);
        let before = self.entries();
        assert_eq!(self.run(words), first);
        !before.is_empty() && self.entries() == before
    }
}

const EVALUATE: [&str; 5] = ["nix-instantiate", "--eval", "--strict", "--read-write-mode", "main.nix"];

#[test]
fn every_kind_of_input() {
    std::thread::scope(|scope| {
        for case in CASES {
            // Just written, and old enough to be known by the times.
            for age in [0, 2_200] {
                scope.spawn(move || {
                    let stage = Stage::new(&[SEARCH_PATH]);
                    stage.write("main.nix", case.expression);
                    (case.set_up)(&stage);
                    std::thread::sleep(Duration::from_millis(age));
                    for changed in [false, true] {
                        if changed {
                            (case.change)(&stage);
                        }
                        for round in 0..2 {
                            let said = stage.run(&EVALUATE);
                            let expected = case.answers[usize::from(changed)];
                            assert_eq!(
                                said.out.trim_end(),
                                expected,
                                "{} {age} ms old, round {round}: {said:?}",
                                case.expression
                            );
                        }
                    }
                    assert_eq!(stage.entries().len(), 1, "{}", case.expression);
                });
            }
        }
    });
}

/// The copies in the store of what is below a folder, by what is done to the folder.
#[test]
fn sources() {
    let stage = Stage::new(&[]);
    stage.write(
        "main.nix",
        "{ whole = \"${./d}\"; part = builtins.path { path = ./d; name = \"p\"; filter = p: t: baseNameOf p != \"out\"; };
           file = \"${./d/a}\"; }",
    );
    for name in ["d/a", "d/b/c", "d/b/out"] {
        stage.write(name, "x");
    }
    symlink("a", stage.path("d/link")).unwrap();
    type Change = (&'static str, fn(&Stage), [bool; 3]);
    let changes: [Change; 7] = [
        ("a file", |stage| stage.write("d/a", "y"), [true, true, true]),
        ("a file further below", |stage| stage.write("d/b/c", "y"), [true, true, false]),
        ("what the filter leaves out", |stage| stage.write("d/b/out", "y"), [true, false, false]),
        ("one more", |stage| stage.write("d/b/new", ""), [true, true, false]),
        (
            "permission",
            |stage| fs::set_permissions(stage.path("d/a"), fs::Permissions::from_mode(0o755)).unwrap(),
            [true, true, true],
        ),
        (
            "a link",
            |stage| {
                stage.remove("d/link");
                symlink("b", stage.path("d/link")).unwrap();
            },
            [true, true, false],
        ),
        ("a folder gone", |stage| fs::remove_dir_all(stage.path("d/b")).unwrap(), [true, true, false]),
    ];
    let look = || {
        let said = stage.run(&["nival", "eval", "--json", "-f", "main.nix"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        let value: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        ["whole", "part", "file"].map(|name| value[name].as_str().unwrap().to_owned())
    };
    let mut before = look();
    assert_eq!(look(), before);
    for (what, change, expected) in changes {
        change(&stage);
        let after = look();
        let changed = [0, 1, 2].map(|index| after[index] != before[index]);
        assert_eq!(changed, expected, "{what}");
        assert_eq!(look(), after, "{what}");
        before = after;
    }
}

#[test]
fn what_the_command_is_given() {
    let stage = Stage::new(&[]);
    stage.write(
        "main.nix",
        "{ a ? builtins.getEnv \"A\" }: [ a builtins.currentSystem (builtins.pathExists ./x) ]",
    );
    let mut answers = Vec::new();
    let variants: [(&[&str], &str); 6] = [
        (&[], ""),
        (&[], "one"),
        (&[], "two"),
        (&["--argstr", "a", "three"], ""),
        (&["--arg", "a", "4"], ""),
        (&["--option", "system", "riscv64-linux"], ""),
    ];
    for _ in 0..2 {
        for (more, variable) in variants {
            let mut command = stage.command(&EVALUATE);
            // A call is made only where there is an argument.
            command.args(["--argstr", "unused", ""]).args(more).env("A", variable);
            let said = Stage::say(&mut command);
            assert_eq!(said.code, Some(0), "{said:?}");
            answers.push(said.out);
        }
    }
    let (first, second) = answers.split_at(variants.len());
    assert_eq!(first, second);
    for (index, answer) in first.iter().enumerate() {
        assert!(!first[..index].contains(answer), "{first:?}");
    }
}

#[test]
fn the_time_is_never_the_same() {
    let stage = Stage::new(&[]);
    stage.write("main.nix", "{ t = builtins.currentTime; a = builtins.pathExists ./a; }");
    assert_eq!(stage.run(&EVALUATE).code, Some(0));
    assert_eq!(stage.entries(), []);
}

#[test]
fn an_answer_that_reads_nothing_and_one_that_fails_are_not_kept() {
    let stage = Stage::new(&[]);
    assert_eq!(stage.run(&["nix-instantiate", "--eval", "-E", "1 + 1"]).out, "2\n");
    stage.write("main.nix", "if builtins.pathExists ./a then 1 else throw \"not yet\"");
    let failed = stage.run(&EVALUATE);
    assert_eq!((failed.code, failed.out.as_str()), (Some(1), ""));
    assert_eq!(stage.entries(), []);
    assert_eq!(stage.run(&EVALUATE), failed);
    stage.write("a", "");
    assert_eq!(stage.run(&EVALUATE).out, "1\n");
    assert_eq!(stage.entries().len(), 1);
}

#[test]
fn messages_are_said_again() {
    let stage = Stage::new(&[]);
    stage.write(
        "main.nix",
        "builtins.trace \"one\" (builtins.warn \"two\" (builtins.trace { a = import ./a.nix; } 3))",
    );
    stage.write("a.nix", "7");
    let said = stage.run(&EVALUATE);
    assert_eq!(said.out, "3\n");
    assert_eq!(said.err, "trace: one\nevaluation warning: two\ntrace: { a = «thunk»; }\n");
    assert!(stage.is_answered_from_cache(&EVALUATE));
    assert_eq!(stage.run(&EVALUATE), said);
}

const PACKAGE: &str = "builtins.derivation { name = \"p\"; system = \"x\"; builder = import ./b.nix; \
    input = builtins.derivation { name = \"i\"; system = \"x\"; builder = builtins.toFile \"t\" \"text\"; }; }";

#[test]
fn derivations_are_in_the_store_afterwards() {
    let stage = Stage::new(&[]);
    stage.write("main.nix", PACKAGE);
    stage.write("b.nix", "\"/bin/a\"");
    let words = ["nix-instantiate", "main.nix"];
    let said = stage.run(&words);
    assert_eq!(said.code, Some(0), "{said:?}");
    let derivation = PathBuf::from(said.out.trim_end());
    let real = stage.path("root").join(derivation.strip_prefix("/").unwrap());
    assert!(real.exists(), "{said:?}");
    assert!(stage.is_answered_from_cache(&words));

    let collected = stage.run(&["nival", "gc"]);
    assert_eq!(collected.code, Some(0), "{collected:?}");
    assert!(!real.exists());
    assert_eq!(stage.run(&words).out, said.out);
    assert!(real.exists(), "it is written again");

    // Neither does the folder alone count: the database must know the path.
    fs::remove_dir_all(stage.path("root/nix/var/nix/db")).unwrap();
    assert_eq!(stage.run(&words).out, said.out);
    let valid = stage.run(&["nival", "build", "--dry-run", said.out.trim_end()]);
    assert!(valid.out.contains("-p.drv"), "{valid:?}");

    stage.write("b.nix", "\"/bin/b\"");
    assert_ne!(stage.run(&words).out, said.out);
}

#[test]
fn roots_are_made_each_time() {
    let stage = Stage::new(&[]);
    stage.write("main.nix", PACKAGE);
    stage.write("b.nix", "\"/bin/a\"");
    let words = ["nix-instantiate", "main.nix", "--add-root", "result"];
    let said = stage.run(&words);
    assert_eq!((said.code, said.out), (Some(0), format!("{}\n", stage.path("result").display())));
    stage.remove("result");
    assert_eq!(stage.run(&words).code, Some(0));
    assert!(fs::symlink_metadata(stage.path("result")).unwrap().is_symlink());
}

#[test]
fn flakes_and_homes() {
    let stage = Stage::new(&[]);
    stage.write("flake/flake.nix", "{ outputs = { self, ... }: { x = import ./x.nix; }; }");
    stage.write("flake/x.nix", "1");
    let words = ["nival", "eval", "./flake#x"];
    assert_eq!(stage.run(&words).out, "1\n");
    assert!(stage.is_answered_from_cache(&words));
    stage.write("flake/x.nix", "2");
    assert_eq!(stage.run(&words).out, "2\n");

    let home = |text: &str| {
        let rest = "home.username = \"u\"; home.homeDirectory = \"/home/u\"; home.stateVersion = \"24.05\";";
        stage.write("home.nix", &format!("{{ {rest} home.file.x.text = \"{text}\"; }}"));
    };
    home("one");
    let words = ["nival", "home", "build", "--no-link", "home.nix"];
    let first = stage.run(&words);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(stage.run(&words).out, first.out);
    assert!(stage.is_answered_from_cache(&words));
    home("two");
    let second = stage.run(&words);
    assert_eq!(second.code, Some(0), "{second:?}");
    assert_ne!(second.out, first.out);
}

/// `lastModified` of a folder that is an input is the time of its youngest file, so that times count, too.
#[test]
fn folders_as_inputs() {
    let stage = Stage::new(&[]);
    stage.write(
        "flake/flake.nix",
        "{ outputs = { self, ... }: { x = import ./x.nix; at = self.lastModified; }; }",
    );
    stage.write("flake/x.nix", "1");
    let flake = format!("with builtins.getFlake \"path:{}\"; [ x at ]", stage.path("flake").display());
    let words = ["nival", "eval", "--impure", "--expr", &flake];
    let first = stage.run(&words);
    assert!(first.out.starts_with("[ 1 "), "{first:?}");
    stage.run(&words);
    assert_eq!(stage.entries(), [], "it was changed just now");
    assert!(stage.is_answered_from_cache(&words));
    let touched = fs::File::open(stage.path("flake/x.nix")).unwrap();
    touched.set_modified(std::time::SystemTime::now() + Duration::from_secs(100)).unwrap();
    let second = stage.run(&words);
    assert!(second.out.starts_with("[ 1 ") && second.out != first.out, "{second:?} after {first:?}");
    stage.write("flake/x.nix", "2");
    assert!(stage.run(&words).out.starts_with("[ 2 "));
}

/// What Git was asked: the work tree with its index, branches, tags, and whether there is a repository at all.
#[test]
fn git_repositories() {
    let stage = Stage::new(&[]);
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        command.args(words).current_dir(stage.path("repo"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        for role in ["AUTHOR", "COMMITTER"] {
            let (name, mail) = (format!("GIT_{role}_NAME"), format!("GIT_{role}_EMAIL"));
            command.env(name, "Ann").env(mail, "ann@example.org");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    stage.write(
        "repo/flake.nix",
        "{ outputs = { self, ... }: { x = [ (builtins.readFile ./data) (builtins.attrNames (builtins.readDir ./.)) \
         self.narHash (self.rev or self.dirtyRev) ]; }; }",
    );
    stage.write("repo/data", "one");
    stage.write("repo/folder/file", "");
    stage.write(
        "plain/inside/flake.nix",
        "{ outputs = _: { x = builtins.attrNames (builtins.readDir ./.); }; }",
    );
    git(&["-c", "init.defaultBranch=main", "init", "-q"]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "one"]);
    git(&["branch", "other"]);
    let repository = stage.path("repo").display().to_string();
    let of_branch = format!("(builtins.fetchGit {{ url = \"{repository}\"; ref = \"main\"; }}).rev");
    let of_tree = format!("removeAttrs (builtins.fetchGit \"{repository}\") [ \"outPath\" ]");
    let commands: [&[&str]; 4] = [
        &["nival", "eval", "./repo#x"],
        &["nival", "eval", "--expr", &of_branch],
        &["nival", "eval", "--expr", &of_tree],
        &["nival", "eval", "./plain/inside#x"],
    ];
    let answers = || commands.map(|words| stage.run(words));
    // The changes, and whether each of the commands has another answer then.
    let changes: [(&dyn Fn(), [bool; 4]); 12] = [
        (&|| stage.write("repo/data", "two"), [true, false, true, false]),
        (&|| stage.write("repo/untracked", ""), [false; 4]),
        (&|| git(&["add", "untracked"]), [true, false, true, false]),
        (&|| git(&["commit", "-q", "-a", "-m", "two"]), [true, true, true, false]),
        (
            &|| {
                let file = stage.path("repo/data");
                fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
            },
            [true, false, true, false],
        ),
        (&|| stage.remove("repo/untracked"), [true, false, true, false]),
        (&|| git(&["reset", "-q", "--hard", "other"]), [true, true, true, false]),
        (&|| git(&["gc", "-q"]), [false; 4]),
        (
            &|| {
                fs::rename(stage.path("repo/folder"), stage.path("repo/moved")).unwrap();
                symlink("moved", stage.path("repo/folder")).unwrap();
            },
            [true, false, true, false],
        ),
        (
            &|| {
                stage.remove("repo/folder");
                fs::rename(stage.path("repo/moved"), stage.path("repo/folder")).unwrap();
            },
            [true, false, true, false],
        ),
        (&|| git(&["checkout", "-q", "--detach"]), [false; 4]),
        (&|| fs::create_dir(stage.path("plain/.git")).unwrap(), [false, false, false, true]),
    ];
    // Where the store is, is said once.
    answers();
    let mut before = answers();
    for (number, (change, differs)) in changes.iter().enumerate() {
        // Changes of a moment ago are not noted.
        std::thread::sleep(Duration::from_millis(2_200));
        answers();
        let entries = stage.entries();
        assert_eq!(answers(), before, "before change {number}");
        assert_eq!(stage.entries(), entries, "before change {number}: not from the cache");
        assert!(entries.len() >= commands.len());
        change();
        let after = answers();
        for (index, command) in commands.iter().enumerate() {
            assert_eq!(
                after[index] != before[index],
                differs[index],
                "change {number}, {command:?}: {after:?}"
            );
        }
        before = after;
    }
    assert_eq!(before[3].code, Some(1), "an empty folder is no repository: {:?}", before[3]);
}

#[test]
fn flags_and_settings() {
    let stage = Stage::new(&[]);
    stage.write("main.nix", "import ./a.nix");
    stage.write("a.nix", "1");
    for words in [
        &["nival", "eval", "-f", "main.nix", "--no-eval-cache"][..],
        &["nival", "eval", "-f", "main.nix", "--option", "eval-cache", "false"],
        &["nix-instantiate", "--eval", "main.nix", "--no-eval-cache"],
        &["nix-instantiate", "--eval", "main.nix", "--option", "eval-cache", "false"],
    ] {
        assert_eq!(stage.run(words).out, "1\n");
        assert_eq!(stage.entries(), [], "{words:?}");
    }
    let words = ["nival", "eval", "-f", "main.nix"];
    assert!(stage.is_answered_from_cache(&words));
    let before = stage.entries();
    assert_eq!(stage.run(&["nival", "eval", "-f", "main.nix", "--refresh"]).out, "1\n");
    let after = stage.entries();
    assert_eq!(after.len(), 1);
    assert_ne!(after, before, "it was evaluated and kept");
}

#[test]
fn a_damaged_cache_is_replaced() {
    let stage = Stage::new(&[]);
    stage.write("main.nix", "import ./a.nix");
    stage.write("a.nix", "1");
    assert_eq!(stage.run(&EVALUATE).out, "1\n");
    let (file, _) = stage.entries().remove(0);
    let whole = fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [&whole[..whole.len() / 2], &flipped, b"", b"nonsense", &[0xff; 4096]] {
        fs::write(&file, damaged).unwrap();
        let said = stage.run(&EVALUATE);
        assert_eq!((said.out.as_str(), said.err.as_str()), ("1\n", ""));
        assert_eq!(fs::read(&file).unwrap().len(), whole.len());
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(stage.run(&EVALUATE).out, "1\n");
}

#[test]
fn a_cache_that_cannot_be_written() {
    let stage = Stage::new(&[]);
    stage.write("main.nix", "import ./a.nix");
    stage.write("a.nix", "1");
    stage.write("a-file", "");
    fs::create_dir(stage.path("read-only")).unwrap();
    fs::set_permissions(stage.path("read-only"), fs::Permissions::from_mode(0o500)).unwrap();
    for place in ["a-file", "read-only", "/proc/nowhere", "/dev/full"] {
        for _ in 0..2 {
            let mut command = stage.command(&EVALUATE);
            command.env("XDG_CACHE_HOME", stage.path(place));
            assert_eq!(
                Stage::say(&mut command),
                Said { code: Some(0), out: "1\n".into(), err: String::new() }
            );
        }
    }
}

/// The cache is on a file system without room, where a mount is granted.
#[test]
fn a_full_disk() {
    let stage = Stage::new(&[]);
    stage.write("main.nix", "import ./a.nix");
    stage.write("a.nix", &format!("{:?}", "long ".repeat(20_000)));
    fs::create_dir(stage.path("cache")).unwrap();
    let script = r#"
mount -t tmpfs -o size=16k none "$XDG_CACHE_HOME" || exit 77
"$@" >/dev/null && "$@" && ls -R "$XDG_CACHE_HOME" >&2
"#;
    let evaluate = stage.command(&EVALUATE);
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(evaluate.get_program())
        .args(evaluate.get_args())
        .current_dir(stage.path(""))
        .env("XDG_CACHE_HOME", stage.path("cache"))
        .env("NIX_REMOTE", stage.path("root"));
    match command.output() {
        Ok(output) if output.status.success() => {
            assert_eq!(output.stdout.len(), "long ".len() * 20_000 + 3);
            let listed = String::from_utf8(output.stderr).unwrap();
            assert!(!listed.contains("tmp-"), "{listed}");
        }
        other => {
            let failed = other.unwrap();
            assert!(!failed.status.success() && failed.stdout.is_empty(), "no mount: {failed:?}");
        }
    }
}

#[test]
fn many_at_once() {
    let stage = Stage::new(&[]);
    stage.write("main.nix", "map (n: import (./. + \"/${toString n}.nix\")) (builtins.genList (n: n) 50)");
    let fill = |text: &str| (0..50).for_each(|number| stage.write(&format!("{number}.nix"), text));
    for value in ["1", "2"] {
        fill(value);
        let expected = format!("[ {}]\n", format!("{value} ").repeat(50));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..4 {
                        let said = stage.run(&EVALUATE);
                        assert_eq!((said.out, said.err), (expected.clone(), String::new()));
                    }
                });
            }
        });
        let names: Vec<_> = stage.entries().into_iter().map(|(path, _)| path).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        assert!(is_private(&names[0]));
    }
    assert!(stage.is_answered_from_cache(&EVALUATE));
}

fn is_private(file: &Path) -> bool {
    fs::metadata(file).unwrap().mode().trailing_zeros() >= 6
}
