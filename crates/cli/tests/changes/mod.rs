//! Changes of what an expression reads, each of which a cache has to see.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::stage::Stage;

/// Where `<found/…>` is.
pub(crate) const SEARCH_PATH: (&str, &str) = ("NIX_PATH", "found=first:found=second");

/// An expression that reads something, and the change of what it reads.
pub(crate) struct Case {
    pub(crate) expression: &'static str,
    pub(crate) set_up: fn(&Stage),
    pub(crate) change: fn(&Stage),
    /// The answers before and after.
    pub(crate) answers: [&'static str; 2],
}

impl Stage {
    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// Writes to a file that has the size and the time of last change as before.
    pub(crate) fn overwrite(&self, name: &str, text: &str) {
        let before = fs::metadata(self.path(name)).unwrap();
        assert_eq!(before.len(), text.len() as u64);
        fs::write(self.path(name), text).unwrap();
        let file = File::options().write(true).open(self.path(name)).unwrap();
        file.set_times(FileTimes::new().set_modified(before.modified().unwrap())).unwrap();
    }

    /// Puts another file with the same contents in the place of one.
    pub(crate) fn replace(&self, name: &str) {
        fs::copy(self.path(name), self.path("copy")).unwrap();
        fs::rename(self.path("copy"), self.path(name)).unwrap();
    }
}

pub(crate) const CASES: &[Case] = &[
    Case {
        expression: "import ./a.nix",
        set_up: |stage| stage.write("a.nix", "1"),
        change: |stage| stage.write("a.nix", "2"),
        answers: ["1", "2"],
    },
    Case {
        expression: "builtins.readFile ./a",
        set_up: |stage| stage.write("a", "x"),
        change: |stage| stage.write("a", "y"),
        answers: ["\"x\"", "\"y\""],
    },
    Case {
        expression: "builtins.hashString \"sha256\" (builtins.readFile ./a) == builtins.hashFile \"sha256\" ./b",
        set_up: |stage| {
            stage.write("a", "x");
            stage.write("b", "x");
        },
        change: |stage| stage.write("b", "y"),
        answers: ["true", "false"],
    },
    Case {
        expression: "builtins.attrNames (builtins.readDir ./d)",
        set_up: |stage| stage.write("d/a", ""),
        change: |stage| stage.write("d/b", ""),
        answers: ["[ \"a\" ]", "[ \"a\" \"b\" ]"],
    },
    Case {
        expression: "builtins.readDir ./d",
        set_up: |stage| stage.write("d/a", ""),
        change: |stage| {
            stage.remove("d/a");
            fs::create_dir(stage.path("d/a")).unwrap();
        },
        answers: ["{ a = \"regular\"; }", "{ a = \"directory\"; }"],
    },
    Case {
        expression: "builtins.pathExists ./a",
        set_up: |_| {},
        change: |stage| stage.write("a", ""),
        answers: ["false", "true"],
    },
    Case {
        expression: "builtins.pathExists ./d/a",
        set_up: |stage| stage.write("d/a", ""),
        change: |stage| fs::remove_dir_all(stage.path("d")).unwrap(),
        answers: ["true", "false"],
    },
    Case {
        expression: "builtins.readFileType ./a",
        set_up: |stage| stage.write("a", ""),
        change: |stage| {
            stage.remove("a");
            symlink("b", stage.path("a")).unwrap();
        },
        answers: ["\"regular\"", "\"symlink\""],
    },
    Case {
        expression: "import ./link.nix",
        set_up: |stage| {
            stage.write("a.nix", "1");
            stage.write("b.nix", "2");
            symlink("a.nix", stage.path("link.nix")).unwrap();
        },
        change: |stage| {
            stage.remove("link.nix");
            symlink("b.nix", stage.path("link.nix")).unwrap();
        },
        answers: ["1", "2"],
    },
    Case {
        expression: "import ./link/a.nix",
        set_up: |stage| {
            stage.write("one/a.nix", "1");
            stage.write("two/a.nix", "2");
            symlink("one", stage.path("link")).unwrap();
        },
        change: |stage| {
            stage.remove("link");
            symlink("two", stage.path("link")).unwrap();
        },
        answers: ["1", "2"],
    },
    Case {
        expression: "import ./d",
        set_up: |stage| stage.write("d/default.nix", "1"),
        change: |stage| {
            fs::remove_dir_all(stage.path("d")).unwrap();
            stage.write("d", "2");
        },
        answers: ["1", "2"],
    },
    Case {
        expression: "import <found/a.nix>",
        set_up: |stage| {
            fs::create_dir(stage.path("first")).unwrap();
            stage.write("second/a.nix", "2");
        },
        change: |stage| stage.write("first/a.nix", "1"),
        answers: ["2", "1"],
    },
    Case {
        expression: "let f = n: import (./. + \"/${n}.nix\"); in f \"a\" + f \"b\" + f \"c\"",
        set_up: |stage| {
            stage.write("a.nix", "1");
            stage.write("b.nix", "10");
            stage.write("c.nix", "100");
        },
        change: |stage| stage.write("b.nix", "20"),
        answers: ["111", "121"],
    },
    Case {
        expression: "import ./a.nix + import ./b.nix",
        set_up: |stage| {
            stage.write("a.nix", "1");
            stage.write("b.nix", "10");
        },
        change: |stage| stage.write("a.nix", "20 + 2"),
        answers: ["11", "32"],
    },
    Case {
        expression: "import ./a.nix",
        set_up: |stage| stage.write("a.nix", "1"),
        change: |stage| stage.overwrite("a.nix", "2"),
        answers: ["1", "2"],
    },
    Case {
        expression: "import ./a.nix",
        set_up: |stage| stage.write("a.nix", "1"),
        change: |stage| {
            stage.replace("a.nix");
            stage.write("b.nix", "1");
        },
        answers: ["1", "1"],
    },
    Case {
        expression: "import ./a.nix",
        set_up: |stage| {
            stage.write("a.nix", "1");
            stage.write("b.nix", "2");
        },
        change: |stage| {
            stage.remove("a.nix");
            symlink("b.nix", stage.path("a.nix")).unwrap();
        },
        answers: ["1", "2"],
    },
    Case {
        expression: "import ./a.nix",
        set_up: |stage| stage.write("a.nix", "1"),
        change: |stage| {
            stage.remove("a.nix");
            stage.write("a.nix/default.nix", "2");
        },
        answers: ["1", "2"],
    },
    // The same text means something else at another place.
    Case {
        expression: "import ./a/file.nix + import ./b/file.nix",
        set_up: |stage| {
            for (folder, value) in [("a", "1"), ("b", "10")] {
                stage.write(&format!("{folder}/file.nix"), "import ./value.nix");
                stage.write(&format!("{folder}/value.nix"), value);
            }
        },
        change: |stage| {
            fs::rename(stage.path("a"), stage.path("c")).unwrap();
            fs::rename(stage.path("b"), stage.path("a")).unwrap();
            fs::rename(stage.path("c"), stage.path("b")).unwrap();
            stage.write("b/value.nix", "5");
        },
        answers: ["11", "15"],
    },
    Case {
        expression: "builtins.readDir ./d",
        set_up: |stage| {
            stage.write("d/a", "");
            stage.write("d/b", "");
        },
        change: |stage| {
            stage.remove("d/a");
            fs::create_dir(stage.path("d/a")).unwrap();
            stage.remove("d/b");
            symlink("a", stage.path("d/b")).unwrap();
        },
        answers: ["{ a = \"regular\"; b = \"regular\"; }", "{ a = \"directory\"; b = \"symlink\"; }"],
    },
    Case {
        expression: "builtins.readDir ./d",
        set_up: |stage| stage.write("d/a", ""),
        change: |stage| {
            fs::rename(stage.path("d"), stage.path("one")).unwrap();
            stage.write("d/b", "");
        },
        answers: ["{ a = \"regular\"; }", "{ b = \"regular\"; }"],
    },
    // What is in the files of a folder does not count.
    Case {
        expression: "builtins.readDir ./d",
        set_up: |stage| stage.write("d/a", "1"),
        change: |stage| stage.write("d/a", "2"),
        answers: ["{ a = \"regular\"; }", "{ a = \"regular\"; }"],
    },
    Case {
        expression: SOURCE,
        set_up: source,
        change: |stage| stage.overwrite("s/a", "2"),
        answers: [SOURCE_PATH, "\"/nix/store/hvdlmwkjpq4ca5dxbard1vyik6sd1b1y-s\""],
    },
    Case {
        expression: SOURCE,
        set_up: source,
        change: |stage| stage.write("s/out", "what is left out"),
        answers: [SOURCE_PATH, SOURCE_PATH],
    },
    Case {
        expression: SOURCE,
        set_up: source,
        change: |stage| fs::set_permissions(stage.path("s/a"), fs::Permissions::from_mode(0o755)).unwrap(),
        answers: [SOURCE_PATH, "\"/nix/store/0sldpk6hbv5fkx7gmq4hixkb24gjv298-s\""],
    },
    Case {
        expression: SOURCE,
        set_up: source,
        change: |stage| {
            stage.remove("s/link");
            symlink("out", stage.path("s/link")).unwrap();
        },
        answers: [SOURCE_PATH, "\"/nix/store/k2d75730z9zswzyhjfsnvjkyyf9xcchb-s\""],
    },
    Case {
        expression: SOURCE,
        set_up: source,
        change: |stage| stage.write("filter.nix", "path: type: type != \"symlink\""),
        answers: [SOURCE_PATH, "\"/nix/store/5mf19l2ylrz7mi3hv44dzsg4xkkpfy70-s\""],
    },
    Case {
        expression: SOURCE,
        set_up: |stage| {
            source(stage);
            stage.write("filter.nix", "path: type: type != \"symlink\"");
        },
        change: |stage| fs::rename(stage.path("s/a"), stage.path("s/b")).unwrap(),
        answers: [
            "\"/nix/store/5mf19l2ylrz7mi3hv44dzsg4xkkpfy70-s\"",
            "\"/nix/store/dxifz6bjffsivfcjv0lq8z7kc7ml7km8-s\"",
        ],
    },
];

/// Its paths in the store were recorded from C++ Nix 2.34.8.
const SOURCE: &str = "builtins.path { name = \"s\"; path = ./s; filter = import ./filter.nix; }";
const SOURCE_PATH: &str = "\"/nix/store/0waaq4wjsgsx9f690c60yp1dyq3xspz5-s\"";

fn source(stage: &Stage) {
    stage.write("filter.nix", "path: type: baseNameOf path != \"out\"");
    stage.write("s/a", "1");
    stage.write("s/out", "x");
    symlink("a", stage.path("s/link")).unwrap();
}
