//! Whole-process benchmark of the main job, and of evaluation beside C++ Nix where one is installed.
//!
//! `cargo bench -p nival-cli` prints the median wall time, CPU time and peak memory of each case, and the ratio to
//! the reference. `NIVAL_REFERENCE` names the reference's `nix` (default: the one in `PATH`), `NIVAL_NIXPKGS` a nixpkgs
//! checkout for the cases that need one. Nothing is asserted: figures are for reading.
#![expect(clippy::print_stdout, reason = "a benchmark's output is its purpose")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// One command, run several times.
struct Case {
    name: &'static str,
    ours: Vec<String>,
    reference: Option<Vec<String>>,
    /// Empty this folder before each run.
    fresh: Option<PathBuf>,
    runs: usize,
}

/// Medians over the runs of one case.
struct Measured {
    wall: f64,
    cpu: f64,
    megabytes: f64,
}

fn measure(program: &str, arguments: &[String], case: &Case, cache: &str) -> Option<Measured> {
    let mut samples = Vec::new();
    for _ in 0..case.runs {
        if let Some(folder) = &case.fresh {
            let _ = make_writable(folder);
            let _ = std::fs::remove_dir_all(folder);
        }
        let start = Instant::now();
        let child = Command::new(program)
            .args(arguments)
            .env("XDG_CACHE_HOME", cache)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        // SAFETY: `rusage` is plain numbers, for which zero bytes are a value.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        let mut status = 0;
        // SAFETY: the child is ours and not yet waited for; both out-pointers are valid.
        let waited = unsafe { libc::wait4(child.id().cast_signed(), &raw mut status, 0, &raw mut usage) };
        if waited < 0 || status != 0 {
            return None;
        }
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        samples.push((
            start.elapsed().as_secs_f64(),
            seconds(usage.ru_utime) + seconds(usage.ru_stime),
            usage.ru_maxrss as f64 / 1024.0,
        ));
    }
    let median = |of: fn(&(f64, f64, f64)) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Some(Measured {
        wall: median(|sample| sample.0),
        cpu: median(|sample| sample.1),
        megabytes: median(|sample| sample.2),
    })
}

/// Store paths are read-only; a store has to be made writable before it can be removed.
fn make_writable(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if std::fs::symlink_metadata(folder)?.is_dir() {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
        for entry in std::fs::read_dir(folder)? {
            let _ = make_writable(&entry?.path());
        }
    }
    Ok(())
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Cases that do little but read and parse: one large file, and many small ones.
fn parsing(nixpkgs: &str) -> [Case; 2] {
    let one =
        format!("builtins.typeOf (import {nixpkgs}/pkgs/development/haskell-modules/hackage-packages.nix)");
    let many = r#"
        let
          folder = NIXPKGS/pkgs/by-name;
          entries = builtins.readDir folder;
          shards = builtins.filter (name: entries.${name} == "directory") (builtins.attrNames entries);
          packages = shard: builtins.attrNames (builtins.readDir (folder + "/${shard}"));
          files = builtins.concatMap
            (shard: map (name: folder + "/${shard}/${name}/package.nix") (packages shard)) shards;
        in builtins.foldl' (count: file: if builtins.isFunction (import file) then count + 1 else count) 0 files
    "#;
    let case = |name, expression: String| {
        let end = ["--impure".to_owned(), "--expr".to_owned(), expression];
        let reference = "eval --extra-experimental-features nix-command --store dummy://?read-only=false";
        Case {
            name,
            ours: [words("eval --store dummy:// --no-eval-cache"), end.to_vec()].concat(),
            reference: Some([words(reference), end.to_vec()].concat()),
            fresh: None,
            runs: 5,
        }
    };
    [case("one file of 21 MB", one), case("21,000 small files", many.replace("NIXPKGS", nixpkgs))]
}

fn main() {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let at = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/home");
    let switch = |name: &str| {
        words(&format!(
            "home switch {example}#commander --store {} --home {}",
            at(&format!("{name}/store")),
            at(&format!("{name}/home"))
        ))
    };
    let mut cases = vec![
        Case {
            name: "eval --expr 1",
            ours: words("eval --expr 1"),
            reference: Some(words("eval --extra-experimental-features nix-command --expr 1")),
            fresh: None,
            runs: 21,
        },
        Case {
            name: "home switch, from an empty store",
            ours: switch("fresh"),
            reference: None,
            fresh: Some(scratch.path().join("fresh")),
            runs: 5,
        },
        Case {
            name: "home switch, nothing changed",
            ours: switch("warm"),
            reference: None,
            fresh: None,
            runs: 21,
        },
    ];
    if let Ok(nixpkgs) = std::env::var("NIVAL_NIXPKGS") {
        let attributes =
            [("hello.drvPath", "hello.drvPath, again"), ("firefox.drvPath", "firefox.drvPath, again")];
        for (attribute, again) in attributes {
            let arguments = words(&format!("eval --raw -f {nixpkgs} {attribute}"));
            cases.push(Case {
                name: again,
                ours: [words("--store dummy://"), arguments.clone()].concat(),
                reference: None,
                fresh: None,
                runs: 21,
            });
            cases.push(Case {
                name: attribute,
                ours: [words("--store dummy:// --no-eval-cache"), arguments.clone()].concat(),
                reference: Some(
                    [
                        words("--extra-experimental-features nix-command --store dummy://?read-only=false"),
                        arguments,
                    ]
                    .concat(),
                ),
                fresh: None,
                runs: 5,
            });
        }
    }
    if let Ok(nixpkgs) = std::env::var("NIVAL_NIXPKGS") {
        cases.extend(parsing(&nixpkgs));
    }
    let cache = at("cache");
    let reference = std::env::var("NIVAL_REFERENCE").unwrap_or_else(|_| "nix".into());
    println!("{:34} {:>9} {:>9} {:>7}   ratio to C++ Nix", "median", "wall", "cpu", "memory");
    for case in &cases {
        let Some(ours) = measure(env!("CARGO_BIN_EXE_nival"), &case.ours, case, &cache) else {
            println!("{:34} failed: nival {}", case.name, case.ours.join(" "));
            continue;
        };
        print!(
            "{:34} {:6.1} ms {:6.1} ms {:4.0} MB",
            case.name,
            ours.wall * 1e3,
            ours.cpu * 1e3,
            ours.megabytes
        );
        match case.reference.as_ref().and_then(|arguments| measure(&reference, arguments, case, &cache)) {
            Some(theirs) => println!(
                "   wall {:.2}, cpu {:.2}, memory {:.2}",
                ours.wall / theirs.wall,
                ours.cpu / theirs.cpu,
                ours.megabytes / theirs.megabytes
            ),
            None => println!(),
        }
    }
}
