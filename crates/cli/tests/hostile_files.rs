//! Links that lead nowhere, folders in place of files, names that are too long: what C++ Nix 2.34.8 says of them.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;

#[test]
fn answers_are_those_of_the_reference() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().canonicalize().unwrap();
    let at = |name: &str| folder.join(name);
    for (target, name) in
        [("b", "a"), ("a", "b"), ("c/x", "c"), ("d", "e"), ("nothere", "dangling"), ("file/", "trail")]
    {
        symlink(target, at(name)).unwrap();
    }
    std::fs::create_dir(at("d")).unwrap();
    symlink("../e/f", at("d/l")).unwrap();
    symlink("l", at("d/f")).unwrap();
    for name in ["empty", "dir.nix", "bytes"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    std::fs::write(at("file"), "1").unwrap();
    std::fs::write(at("bytes").join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), "").unwrap();
    std::fs::write(at("nul.nix"), "\"a\0b\"").unwrap();
    std::fs::write(at("nul"), "a\0b").unwrap();
    symlink(env!("CARGO_BIN_EXE_nival"), at("nix-instantiate")).unwrap();

    let name = "x".repeat(300);
    let far = format!("/DIR{}", format!("/{}", "y".repeat(200)).repeat(30));
    let too_long = |path: &str| format!("getting status of \"{path}\": File name too long");
    // The first part of it that does not fit is named.
    let far_away = format!("getting status of \"/DIR/{}/", "y".repeat(200));
    let cases = [
        ("import ./a", "too many symbolic links encountered while traversing the path '/DIR/b'".to_owned()),
        ("import ./b", "too many symbolic links encountered while traversing the path '/DIR/a'".into()),
        ("import ./d/l", "too many symbolic links encountered while traversing the path '/DIR/e/f'".into()),
        ("builtins.readFile ./a", "infinite symlink recursion in path '/DIR/a'".into()),
        ("builtins.readDir ./a", "infinite symlink recursion in path '/DIR/a'".into()),
        ("builtins.readFile ./c", "infinite symlink recursion in path '/DIR/c'".into()),
        ("builtins.readFile ./c/y", "infinite symlink recursion in path '/DIR/c/y'".into()),
        ("builtins.readFile ./e/l", "infinite symlink recursion in path '/DIR/e/l'".into()),
        ("builtins.hashFile \"md5\" ./a", "infinite symlink recursion in path '/DIR/a'".into()),
        ("builtins.path { path = ./a; }", "infinite symlink recursion in path '/DIR/a'".into()),
        ("builtins.readFile ./dangling", "path '/DIR/nothere' does not exist".into()),
        ("builtins.readFile ./file/x", "path '/DIR/file/x' does not exist".into()),
        ("builtins.readDir ./file", "cannot read directory \"/DIR/file\": Not a directory".into()),
        ("builtins.readFile ./empty", "read of 4096 bytes: Is a directory".into()),
        ("builtins.hashFile \"md5\" ./empty", "read of 4096 bytes: Is a directory".into()),
        ("import ./empty", "path '/DIR/empty/default.nix' does not exist".into()),
        ("import ./dir.nix", "path '/DIR/dir.nix/default.nix' does not exist".into()),
        (
            "builtins.readFile ./nul",
            "the contents of the file '/DIR/nul' cannot be represented as a Nix string".into(),
        ),
        (
            "import ./nul.nix",
            "input string 'a␀b' cannot be represented as Nix string because it contains null bytes".into(),
        ),
        (&format!("builtins.readFile ./{name}"), too_long(&format!("/DIR/{name}"))),
        (&format!("import ./{name}"), too_long(&format!("/DIR/{name}"))),
        (&format!("builtins.pathExists ./{name}"), too_long(&format!("/DIR/{name}"))),
        (&format!("builtins.readFile {far}"), far_away.clone()),
        (&format!("\"${{{far}}}\""), far_away.clone()),
    ];
    let shown = folder.to_str().unwrap();
    for (expression, expected) in cases {
        let output = Command::new(at("nix-instantiate"))
            .args(["--eval", "--strict", "-E", &expression.replace("/DIR", shown)])
            .current_dir(&folder)
            .env_clear()
            .env("HOME", &folder)
            .env("NIX_CONF_DIR", &folder)
            .env("NIX_REMOTE", "dummy://")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).replace(shown, "/DIR");
        assert!(said.contains(&format!("error: {expected}")), "{expression}: {expected}\n{said}");
        assert_eq!(output.status.code(), Some(1), "{expression}");
    }
    // Names that are no text are names all the same.
    let output = Command::new(at("nix-instantiate"))
        .args(["--eval", "-E", "builtins.length (builtins.attrNames (builtins.readDir ./bytes))"])
        .current_dir(&folder)
        .env("HOME", &folder)
        .env("NIX_REMOTE", "dummy://")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n");
}
