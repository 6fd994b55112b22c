//! A scratch folder with a store, a home and declarations in it, and the program run on them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Where everything of one test is.
pub(crate) struct Stage {
    folder: TempDir,
}

/// What a run of the program answered.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Stage {
    /// An empty store and an empty home.
    pub(crate) fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(stage.home("")).unwrap();
        stage
    }

    /// A path in the scratch folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    /// A path in the home.
    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.path("home").join(name)
    }

    /// Where a store path really is. Links in the home name that place already.
    pub(crate) fn real(&self, store_path: &str) -> PathBuf {
        let root = self.path("root");
        let path = Path::new(store_path.trim());
        if path.starts_with(&root) { path.to_owned() } else { root.join(path.strip_prefix("/").unwrap()) }
    }

    /// Writes a file and answers with its path as text.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.into_os_string().into_string().unwrap()
    }

    /// Writes a `home.nix` with `body` among its definitions.
    pub(crate) fn declare(&self, body: &str) -> String {
        self.write("home.nix", &declaration(body))
    }

    /// Text of a file in the home, through the links of Nival's.
    pub(crate) fn text(&self, name: &str) -> String {
        let link = self.home(name);
        let real = self.follow(&link);
        fs::read_to_string(&real).unwrap_or_else(|error| panic!("{}: {error}", real.display()))
    }

    /// The store's file at the end of a link in the home.
    pub(crate) fn follow(&self, link: &Path) -> PathBuf {
        let mut path = link.to_owned();
        while let Ok(next) = fs::read_link(&path) {
            path = self.real(next.to_str().unwrap());
        }
        assert_ne!(path, link, "no link of Nival's");
        path
    }

    /// Whether there is an entry of that name in the home.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.home(name).symlink_metadata().is_ok()
    }

    /// Every entry of the home, links with their text.
    pub(crate) fn entries(&self) -> Vec<String> {
        entries(&self.home(""))
    }

    /// The entries that are neither state nor cache of Nival's, nor of profiles.
    pub(crate) fn visible_entries(&self) -> Vec<String> {
        let is_state = |entry: &String| entry.starts_with(".local") || entry.starts_with(".cache");
        self.entries().into_iter().filter(|entry| !is_state(entry)).collect()
    }

    /// The program with a command line, in the scratch folder, in an environment without surprises.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nival"));
        command
            .args(arguments)
            .current_dir(self.path(""))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path("elsewhere"))
            .env("USER", "somebody")
            .env("NIX_CONF_DIR", self.path("no-settings"))
            .stdin(Stdio::null());
        command
    }

    /// Runs the program on the scratch store.
    pub(crate) fn nival(&self, arguments: &[&str]) -> Run {
        Run::of(self.on_store(arguments).output().unwrap())
    }

    fn on_store(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&[]);
        // Before the command's own words, which may end the options.
        command.arg("--store").arg(self.path("root")).args(arguments);
        command
    }

    /// `nival home …` on the scratch store and the scratch home.
    pub(crate) fn home_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.on_store(&["home"]);
        command
            .args(arguments)
            .arg("--home")
            .arg(self.home(""))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs [`Self::home_command`] to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.home_command(arguments).output().unwrap())
    }

    /// Runs a command where the store is seen at its name. `None` where the kernel does not let it appear there,
    /// which has to be said properly.
    pub(crate) fn enter(&self, words: &[&str]) -> Option<Run> {
        let home = self.home("");
        let mut arguments = vec!["enter", "--home", home.to_str().unwrap(), "--"];
        arguments.extend(words);
        let run = self.nival(&arguments);
        if run.err.contains("cannot let the store appear at `/nix`") {
            assert_eq!(run.code, Some(1), "{run:?}");
            say(&run.err);
            return None;
        }
        Some(run)
    }

    /// Whether the store can be seen at its name, which activation scripts need.
    pub(crate) fn can_enter(&self) -> bool {
        self.enter(&["true"]).is_some_and(|run| run.success().out.is_empty())
    }

    /// Whether generation `number` is the current one, and how many there are.
    pub(crate) fn assert_generations(&self, numbers: &[u64], current: u64) {
        let listed = self.run(&["generations"]).success().out;
        let ids: Vec<String> = listed
            .lines()
            .map(|line| {
                let id = line.split(" : id ").nth(1).unwrap().split(' ').next().unwrap();
                format!("{id}{}", if line.ends_with("(current)") { "*" } else { "" })
            })
            .collect();
        let mark = |number: &u64| format!("{number}{}", if *number == current { "*" } else { "" });
        assert_eq!(ids, numbers.iter().map(mark).collect::<Vec<_>>(), "{listed}");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The folders of a store are read-only, and an ordinary user can't empty these.
        make_writable(self.folder.path());
    }
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The run, which must have gone well.
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The run, which must have failed with this exit code and said all of `parts`.
    #[track_caller]
    pub(crate) fn failure(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        assert!(self.err.contains("error"), "{}", self.err);
        self.says(parts)
    }

    /// The run, which must have told all of `parts`.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.err.contains(part), "`{part}` is missing in:\n{}", self.err);
        }
        self
    }

    /// Whether a build failed because the kernel grants no sandbox, which has to be said properly.
    pub(crate) fn no_sandbox(&self) -> bool {
        let refused = self.err.contains("--no-sandbox");
        if refused {
            assert_ne!(self.code, Some(0));
            assert!(self.err.contains("cannot ") && self.err.contains("hint: "), "{}", self.err);
            say(&self.err);
        }
        refused
    }
}

/// The text of a home's declaration.
pub(crate) fn declaration(body: &str) -> String {
    format!(
        "{{ config, lib, pkgs, ... }}:\n{{\n  home.username = \"commander\";\n  home.homeDirectory = \"/home/commander\";\n  \
         home.stateVersion = \"25.05\";\n{body}\n}}\n"
    )
}

/// Waits for a file that another process makes.
#[track_caller]
pub(crate) fn wait_for(path: &Path, child: &mut Child) {
    let started = Instant::now();
    while !path.exists() {
        if let Some(status) = child.try_wait().unwrap() {
            let mut err = String::new();
            std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut err).unwrap();
            panic!("ended early with {status}:\n{err}");
        }
        assert!(started.elapsed() < Duration::from_mins(1), "{} does not appear", path.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[expect(clippy::print_stderr, reason = "a test that could not see all says so")]
pub(crate) fn say(text: &str) {
    eprintln!("not granted here: {text}");
}

fn entries(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            match fs::read_link(&path) {
                Ok(target) => found.push(format!("{name} -> {}", target.display())),
                Err(_) if path.is_dir() => {
                    found.push(format!("{name}/"));
                    folders.push(path);
                }
                Err(_) => found.push(name),
            }
        }
    }
    found.sort();
    found
}

fn make_writable(folder: &Path) {
    let Ok(metadata) = folder.symlink_metadata() else { return };
    if !metadata.is_dir() {
        return;
    }
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        make_writable(&entry.path());
    }
}
