//! Trees and listings from packs: an unchanged world brings the same answer without a new pack, a changed one the fresh
//! answer, and a cache that is damaged or cannot be written brings no error.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod changes;
mod stage;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use changes::{CASES, SEARCH_PATH};
use rustix::fs::{CWD, FileType, Mode};
use stage::{Said, Stage};

/// Commands that evaluate what they are given.
const SETTINGS: [(&str, &str); 2] = [("NIX_CONFIG", "eval-cache = false"), SEARCH_PATH];

const EVALUATE: [&str; 4] = ["nix-instantiate", "--eval", "--strict", "main.nix"];

impl Stage {
    fn evaluate(&self) -> String {
        let said = self.run(&EVALUATE);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        said.out
    }

    /// The packs with their inodes.
    fn packs(&self) -> Vec<(PathBuf, u64)> {
        let Ok(programs) = fs::read_dir(self.path("cache/nival/parse")) else { return Vec::new() };
        let mut packs = Vec::new();
        for program in programs {
            for pack in fs::read_dir(program.unwrap().path()).unwrap() {
                let pack = pack.unwrap();
                packs.push((pack.path(), pack.metadata().unwrap().ino()));
            }
        }
        packs.sort();
        packs
    }

    /// What the command says once its files are old enough to be known by their times, and again from the packs.
    fn settled(&self) -> String {
        std::thread::sleep(Duration::from_millis(2_200));
        let first = self.evaluate();
        let packs = self.packs();
        assert!(!packs.is_empty());
        assert_eq!(self.evaluate(), first);
        assert_eq!(self.packs(), packs, "nothing was new");
        first
    }
}

#[test]
fn changes_are_seen() {
    std::thread::scope(|scope| {
        for case in CASES {
            scope.spawn(|| {
                let stage = Stage::new(&SETTINGS);
                // Something is in the packs in each case.
                stage.write("always/x", "");
                let main = format!("builtins.seq (builtins.readDir ./always) ({})", case.expression);
                stage.write("main.nix", &main);
                (case.set_up)(&stage);
                let [before, after] = case.answers.map(|answer| format!("{answer}\n"));
                // Just written, and changed at once.
                assert_eq!(stage.evaluate(), before, "{}", case.expression);
                assert_eq!(stage.evaluate(), before, "{}", case.expression);
                assert_eq!(stage.settled(), before, "{}", case.expression);
                (case.change)(&stage);
                assert_eq!(stage.evaluate(), after, "{}", case.expression);
                assert_eq!(stage.evaluate(), after, "{}", case.expression);
                assert_eq!(stage.settled(), after, "{}", case.expression);
            });
        }
    });
}

/// Changes that come so fast that their times may be equal.
#[test]
fn changes_at_once() {
    let stage = Stage::new(&SETTINGS);
    stage.write("main.nix", "import ./a.nix + builtins.length (builtins.attrNames (builtins.readDir ./d))");
    fs::create_dir(stage.path("d")).unwrap();
    for number in 0..20 {
        stage.write("a.nix", &format!("{}", 100 + number));
        stage.write(&format!("d/{number}"), "");
        assert_eq!(stage.evaluate(), format!("{}\n", 101 + 2 * number));
    }
}

/// Texts are forgotten and read again for messages: those that are others by then are not shown.
#[test]
fn messages_of_a_first_run() {
    let shown = |change: Option<&str>| {
        let stage = Stage::new(&SETTINGS);
        stage.write("a.nix", "x:\n  throw \"first\"\n");
        let main =
            "let f = import ./a.nix; in builtins.seq f (builtins.seq (builtins.readFile ./pipe) (f 1))";
        stage.write("main.nix", main);
        let owner = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, stage.path("pipe"), FileType::Fifo, owner, 0).unwrap();
        let mut command = stage.command(&EVALUATE);
        let process =
            command.arg("--show-trace").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // It is opened once the other side reads it, and has parsed the file.
        let pipe = File::options().write(true).open(stage.path("pipe")).unwrap();
        if let Some(text) = change {
            stage.overwrite("a.nix", text);
        }
        drop(pipe);
        let said = process.wait_with_output().unwrap();
        assert!(!said.status.success() && !stage.packs().is_empty());
        String::from_utf8(said.stderr).unwrap()
    };
    let place = "a.nix:2:3:";
    let same = shown(None);
    assert!(
        same.contains(place) && same.contains("2|   throw \"first\"") && same.contains("error: first"),
        "{same}"
    );
    let other = shown(Some("x:\n  throw \"other\"\n"));
    assert!(other.contains(place) && other.contains("error: first"), "{other}");
    assert!(!other.contains("2|") && !other.contains("other"), "{other}");
}

/// A fresh clone, or `touch`: files with other times and the same contents.
#[test]
fn the_same_contents_with_other_times() {
    let stage = Stage::new(&SETTINGS);
    stage.write("main.nix", "[ (import ./a.nix) (import ./b.nix) (builtins.readDir ./d) ]");
    stage.write("a.nix", "{ x = 1; }.x");
    stage.write("b.nix", "2");
    stage.write("d/x", "");
    let expected = "[ 1 2 { x = \"regular\"; } ]\n";
    assert_eq!(stage.settled(), expected);
    let long_ago = SystemTime::now() - Duration::from_secs(1_000_000);
    for name in ["a.nix", "b.nix", "d"] {
        File::open(stage.path(name)).unwrap().set_modified(long_ago).unwrap();
    }
    assert_eq!(stage.settled(), expected);
    stage.replace("a.nix");
    assert_eq!(stage.settled(), expected);
    // And an old state again, as when a branch is changed to and fro.
    for _ in 0..2 {
        stage.write("a.nix", "{ x = 3; }.x");
        assert_eq!(stage.settled(), expected.replace('1', "3"));
        stage.write("a.nix", "{ x = 1; }.x");
        assert_eq!(stage.settled(), expected);
    }
}

/// What is in a store path is known by that path, until the whole is another one.
#[test]
fn in_the_store() {
    let stage = Stage::new(&SETTINGS);
    stage.write("main.nix", "let s = ./s; in [ (import \"${s}/a.nix\") (builtins.readDir \"${s}/d\") ]");
    stage.write("s/a.nix", "import ./d/b.nix");
    stage.write("s/d/b.nix", "1");
    let words = ["nix-instantiate", "--eval", "--strict", "--read-write-mode", "main.nix"];
    let evaluate = || {
        let said = stage.run(&words);
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.out
    };
    let settled = || {
        std::thread::sleep(Duration::from_millis(2_200));
        let first = evaluate();
        let packs = stage.packs();
        assert_eq!(evaluate(), first);
        assert_eq!(stage.packs(), packs, "nothing was new");
        first
    };
    evaluate();
    assert_eq!(settled(), "[ 1 { \"b.nix\" = \"regular\"; } ]\n");
    let store = stage.path("root/nix/store");
    let source = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path());
    let source = source.into_iter().find(|path| path.to_str().unwrap().ends_with("-s")).unwrap();
    // Nobody does that to a valid path, so that it is not looked for, ...
    let file = source.join("d/b.nix");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&source, 0o755);
    mode(&source.join("d"), 0o755);
    mode(&file, 0o644);
    fs::write(&file, "2").unwrap();
    fs::write(source.join("d/c.nix"), "").unwrap();
    // ... but a path that may be written is not taken for one.
    let changed = "[ 2 { \"b.nix\" = \"regular\"; \"c.nix\" = \"regular\"; } ]\n";
    assert_eq!(evaluate(), changed);
    assert_eq!(settled(), changed);
    // As after `--repair`: the same name, another folder.
    fs::rename(&source, store.join("before")).unwrap();
    let copied = Command::new("cp").arg("-rp").args([store.join("before"), source.clone()]).status();
    assert!(copied.unwrap().success());
    fs::write(&file, "3").unwrap();
    fs::remove_file(source.join("d/c.nix")).unwrap();
    let first = std::time::UNIX_EPOCH + Duration::from_secs(1);
    for (path, bits) in [(&file, 0o444), (&source.join("d"), 0o555), (&source, 0o555)] {
        mode(path, bits);
        File::open(path).unwrap().set_modified(first).unwrap();
    }
    let repaired = "[ 3 { \"b.nix\" = \"regular\"; } ]\n";
    assert_eq!(evaluate(), repaired);
    assert_eq!(settled(), repaired);
    let packs = stage.packs();
    File::open(&file).unwrap().set_modified(first + Duration::from_secs(5)).unwrap();
    assert_eq!(evaluate(), repaired);
    assert_eq!(stage.packs(), packs, "files of a store path are not looked at one by one");
    mode(&source, 0o755);
    mode(&source.join("d"), 0o755);
}

#[test]
fn flags_and_settings() {
    let stage = Stage::new(&SETTINGS);
    stage.write("main.nix", "import ./a.nix");
    stage.write("a.nix", "builtins.attrNames (builtins.readDir ./d)");
    stage.write("d/x", "");
    std::thread::sleep(Duration::from_millis(2_200));
    let off = ["nix-instantiate", "--eval", "--strict", "main.nix", "--option", "parse-cache", "false"];
    assert_eq!(stage.run(&off).out, "[ \"x\" ]\n");
    assert_eq!(stage.run(&["nival", "instantiate", "--parse", "main.nix"]).code, Some(0));
    assert_eq!(stage.packs(), []);
    assert_eq!(stage.evaluate(), "[ \"x\" ]\n");
    let packs = stage.packs();
    assert_eq!(packs.len(), 1);
    assert_eq!(stage.run(&off).out, "[ \"x\" ]\n");
    assert_eq!(stage.packs(), packs);
    let refreshed = stage.run(&["nival", "eval", "--refresh", "-f", "main.nix"]);
    assert_eq!(refreshed.out, "[ \"x\" ]\n");
    let after = stage.packs();
    assert_eq!(after.len(), 1);
    assert_ne!(after, packs, "all was read and kept again");
}

/// The evaluation cache knows what came from packs as well as what was read.
#[test]
fn beside_the_evaluation_cache() {
    let stage = Stage::new(&SETTINGS);
    stage.write("main.nix", "import ./a.nix ++ builtins.attrNames (builtins.readDir ./d)");
    stage.write("a.nix", "[ 1 ]");
    stage.write("d/x", "");
    assert_eq!(stage.settled(), "[ 1 \"x\" ]\n");
    let run = |words: &[&str]| {
        let mut command = stage.command(words);
        command.env_remove("NIX_CONFIG");
        Stage::say(&mut command).out
    };
    let answers = || fs::read_dir(stage.path("cache/nival/eval")).map_or(0, Iterator::count);
    let words = ["nix-instantiate", "--eval", "--strict", "--read-write-mode", "main.nix"];
    for (change, expected) in [
        (None, "[ 1 \"x\" ]\n"),
        (Some(("a.nix", "[ 2 ]")), "[ 2 \"x\" ]\n"),
        (Some(("d/y", "")), "[ 2 \"x\" \"y\" ]\n"),
    ] {
        if let Some((name, text)) = change {
            stage.write(name, text);
        }
        // From packs, from the evaluation cache, and both.
        for _ in 0..2 {
            assert_eq!(run(&words), expected);
            assert_eq!(answers(), 1);
        }
        assert_eq!(stage.settled(), expected);
        for _ in 0..2 {
            assert_eq!(run(&words), expected);
        }
    }
}

/// Packs have no hashes of what is in store paths. The evaluation cache wants them of files that it takes for others: those
/// of a store that are called by where it really is.
#[test]
fn a_store_path_by_where_it_is() {
    let stage = Stage::new(&SETTINGS);
    stage.write("main.nix", "\"${./s}\"");
    stage.write("s/a.nix", "import ./b.nix");
    stage.write("s/b.nix", "1");
    let words = ["nix-instantiate", "--eval", "--strict", "--read-write-mode", "main.nix"];
    let copied = stage.run(&words).out;
    let source = format!("root{}", copied.trim().trim_matches('"'));
    stage.write("main.nix", &format!("[ (import ./{source}/a.nix) (builtins.readDir ./{source}) ]"));
    let expected = "[ 1 { \"a.nix\" = \"regular\"; \"b.nix\" = \"regular\"; } ]\n";
    assert_eq!(stage.settled(), expected);
    let mut packs = stage.packs();
    // The hash of the main file is kept at first.
    for is_new in [true, false, false] {
        let mut command = stage.command(&words);
        command.env_remove("NIX_CONFIG");
        assert_eq!(Stage::say(&mut command).out, expected);
        assert_eq!(stage.packs() != packs, is_new, "trees are used without a hash");
        packs = stage.packs();
        let answers: Vec<_> = fs::read_dir(stage.path("cache/nival/eval")).unwrap().collect();
        let [answer] = answers.try_into().unwrap();
        fs::remove_file(answer.unwrap().path()).unwrap();
    }
}

/// Texts are hashed for the evaluation cache alone; it gets the hashes of trees that were kept without.
#[test]
fn hashes_that_come_later() {
    let stage = Stage::new(&SETTINGS);
    stage.write("main.nix", "[ (import ./a.nix) ]");
    stage.write("a.nix", "1");
    assert_eq!(stage.settled(), "[ 1 ]\n");
    let run = |expression: &str| {
        let words = ["nix-instantiate", "--eval", "--strict", "--read-write-mode", "-E", expression];
        let mut command = stage.command(&words);
        command.env_remove("NIX_CONFIG");
        Stage::say(&mut command).out
    };
    let before = stage.packs();
    assert_eq!(run("import ./a.nix"), "1\n");
    let packs = stage.packs();
    assert_ne!(packs, before, "it is kept with the hash");
    assert_eq!(run("import ./a.nix + 1"), "2\n");
    assert_eq!(stage.packs(), packs);
    // By contents the first answer still holds, and the tree is used for another.
    stage.replace("a.nix");
    assert_eq!(run("import ./a.nix"), "1\n");
    assert_eq!(run("import ./a.nix + 2"), "3\n");
    stage.write("a.nix", "5");
    assert_eq!(run("import ./a.nix"), "5\n");
}

#[test]
fn damaged_packs() {
    let stage = Stage::new(&SETTINGS);
    stage.write("main.nix", "[ (import ./a.nix) (builtins.readDir ./d) ]");
    stage.write("a.nix", "1");
    stage.write("d/x", "");
    let expected = "[ 1 { x = \"regular\"; } ]\n";
    assert_eq!(stage.settled(), expected);
    let [(pack, _)] = stage.packs().try_into().unwrap();
    let whole = fs::read(&pack).unwrap();
    let earlier = pack.with_extension("0123456789abcdef0123456789abcdef");
    for length in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
        fs::write(&pack, &whole[..length]).unwrap();
        assert_eq!(stage.evaluate(), expected, "cut at {length}");
        for (other, _) in stage.packs() {
            fs::remove_file(other).unwrap();
        }
    }
    for position in (0..whole.len()).step_by(61) {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x11;
        fs::write(&earlier, &damaged).unwrap();
        assert_eq!(stage.evaluate(), expected, "byte {position}");
        for (other, _) in stage.packs() {
            fs::remove_file(other).unwrap();
        }
    }
    // One of an earlier boot that is whole is used from then on.
    fs::write(&earlier, &whole).unwrap();
    fs::set_permissions(&earlier, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(stage.evaluate(), expected);
    let [(checked, _)] = stage.packs().try_into().unwrap();
    assert_eq!(checked, pack.with_extension("checked"));
    for damage in [b"nonsense".to_vec(), Vec::new(), vec![0xff; 1 << 16], vec![0; 1 << 16]] {
        fs::write(&checked, &damage).unwrap();
        assert_eq!(stage.evaluate(), expected);
    }
}

#[test]
fn a_cache_that_cannot_be_written() {
    let stage = Stage::new(&SETTINGS);
    stage.write("main.nix", "[ (import ./a.nix) (builtins.readDir ./d) ]");
    stage.write("a.nix", "1");
    stage.write("d/x", "");
    stage.write("a-file", "");
    fs::create_dir(stage.path("read-only")).unwrap();
    fs::set_permissions(stage.path("read-only"), fs::Permissions::from_mode(0o500)).unwrap();
    std::thread::sleep(Duration::from_millis(2_200));
    for place in ["a-file", "read-only", "/proc/nowhere", "/dev/full"] {
        for _ in 0..2 {
            let mut command = stage.command(&EVALUATE);
            command.env("XDG_CACHE_HOME", stage.path(place));
            let out = "[ 1 { x = \"regular\"; } ]\n".to_owned();
            assert_eq!(Stage::say(&mut command), Said { code: Some(0), out, err: String::new() });
        }
    }
}

/// Files may not become large: the limit of a process, and a file system without room where a mount is granted.
#[test]
fn a_full_disk() {
    let stage = Stage::new(&SETTINGS);
    for number in 0..200 {
        stage.write(&format!("d/{number}/{}", "x".repeat(200)), "");
    }
    let main = "let names = folder: builtins.attrNames (builtins.readDir folder); in builtins.length (builtins.concatMap (n: names (./d + \"/${n}\")) (names ./d))";
    stage.write("main.nix", main);
    fs::create_dir(stage.path("cache")).unwrap();
    std::thread::sleep(Duration::from_millis(2_200));
    let shell = |start: &[&str], script: &str| {
        let evaluate = stage.command(&EVALUATE);
        let mut command = Command::new(start[0]);
        command.args(&start[1..]).args(["sh", "-c", script, "sh"]);
        command.arg(evaluate.get_program()).args(evaluate.get_args()).current_dir(stage.path(""));
        for (name, value) in evaluate.get_envs() {
            command.env(name, value.unwrap());
        }
        command.output()
    };
    let said = shell(&["env"], "ulimit -f 16 && \"$@\" && \"$@\"").unwrap();
    assert_eq!(String::from_utf8(said.stdout).unwrap(), "200\n200\n");
    assert!(said.status.success() && said.stderr.is_empty(), "{:?}", said.stderr);
    assert_eq!(stage.packs(), []);
    let script = r#"
mount -t tmpfs -o size=16k none "$XDG_CACHE_HOME" || exit 77
"$@" >/dev/null && "$@" && ls -R "$XDG_CACHE_HOME" >&2
"#;
    let said = shell(&["unshare", "--map-root-user", "--mount"], script);
    if let Ok(said) = said
        && said.status.success()
    {
        assert_eq!(String::from_utf8_lossy(&said.stdout), "200\n");
        let listed = String::from_utf8_lossy(&said.stderr);
        assert!(!listed.contains("tmp-") && !listed.contains(".checked"), "{listed}");
    }
}

#[test]
fn many_at_once() {
    let stage = Stage::new(&SETTINGS);
    let main = "map (n: import (./. + \"/${toString n}.nix\") + builtins.length (builtins.attrNames (builtins.readDir (./d + \"/${toString n}\")))) (builtins.genList (n: n) 50)";
    stage.write("main.nix", main);
    for number in 0..50 {
        stage.write(&format!("d/{number}/x"), "");
    }
    for value in [1, 2] {
        (0..50).for_each(|number| stage.write(&format!("{number}.nix"), &value.to_string()));
        let expected = format!("[ {}]\n", format!("{} ", value + 1).repeat(50));
        for _ in 0..2 {
            std::thread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|| {
                        for _ in 0..4 {
                            assert_eq!(stage.evaluate(), expected);
                        }
                    });
                }
            });
            std::thread::sleep(Duration::from_millis(2_200));
        }
        let packs = stage.packs();
        assert!(!packs.is_empty() && packs.len() <= 12, "{packs:?}");
        for (pack, _) in packs {
            assert!(is_private(&pack) && !pack.to_str().unwrap().contains("tmp-"), "{pack:?}");
        }
    }
}

fn is_private(file: &Path) -> bool {
    fs::metadata(file).unwrap().mode().trailing_zeros() >= 6
}
