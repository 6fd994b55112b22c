//! `builtin:unpack-channel`: unpacks the tarball `src`, which holds one entry, and calls that entry `channelName`.

use std::fs::{self, File};
use std::path::{Component, Path};

use nival_fetch::TarballError;

use super::{At as _, BuiltinError, Context};

pub(super) fn build(context: &Context<'_>) -> Result<(), BuiltinError> {
    let name = context.text("channelName")?;
    let mut parts = Path::new(name).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name) {
        return Err(BuiltinError::failed(format!("the channelName '{name}' is not a single file name")));
    }
    let source = context.text("src")?;
    let tarball = context.inputs.require(Path::new(source))?;
    let out = context.out()?;
    fs::create_dir_all(out).at("create the directory", out)?;
    let file = File::open(&tarball.real).at("open", &tarball.real)?;
    nival_fetch::unpack(file, out, &|| context.check_cancelled().is_err()).map_err(|error| match error {
        TarballError::Cancelled => BuiltinError::Cancelled,
        error => BuiltinError::failed(format!("cannot unpack '{source}': {error}")),
    })?;

    let mut entries = fs::read_dir(out).at("read", out)?;
    let Some(first) = entries.next() else {
        return Err(BuiltinError::failed(format!("channel tarball '{source}' is empty")));
    };
    if entries.next().is_some() {
        return Err(BuiltinError::failed(format!("channel tarball '{source}' contains more than one file")));
    }
    let (from, to) = (first.at("read", out)?.path(), out.join(name));
    fs::rename(&from, &to).at("rename", from)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tar::EntryType;

    use super::super::testing::{A, Stage};
    use super::*;

    /// Header by hand: the builder of the library refuses hostile paths.
    fn entry(path: &str, kind: EntryType, link: &str, contents: &str) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o6755);
        header.set_size(contents.len() as u64);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(contents.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn tarball(entries: &[(&str, EntryType, &str, &str)]) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            entries.iter().flat_map(|(path, kind, link, text)| entry(path, *kind, link, text)).collect();
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }

    fn run(stage: &Stage, bytes: &[u8]) -> Result<Vec<String>, String> {
        fs::write(stage.real(A), bytes).unwrap();
        stage.run("builtin:unpack-channel", &[("channelName", "chan"), ("src", A)])
    }

    #[test]
    fn tarballs_of_every_compression_are_unpacked() {
        use EntryType::{Directory, Link, Regular, Symlink};
        let plain = tarball(&[
            ("top/", Directory, "", ""),
            ("top/x", Regular, "", "text"),
            ("./top/y/z", Symlink, "../x", ""),
            ("top/hard", Link, "top/x", ""),
        ]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(&plain).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&plain).unwrap();
        let all = [plain.clone(), gzip.finish().unwrap(), bzip2.finish().unwrap(), xz.finish().unwrap()];
        for bytes in all {
            let stage = Stage::new();
            run(&stage, &bytes).unwrap();
            let expected =
                ["/", "/chan/", "/chan/hard*: text", "/chan/x*: text", "/chan/y/", "/chan/y/z -> ../x"];
            assert_eq!(stage.list(), expected);
        }
    }

    #[test]
    fn hostile_tarballs_are_refused() {
        use EntryType::{Char, Directory, Fifo, Link, Regular, Symlink};
        for (entries, error) in [
            (&[("../x", Regular, "", "")][..], "outside of itself"),
            (&[("/etc/x", Regular, "", "")], "outside of itself"),
            (&[("a/../../x", Regular, "", "")], "outside of itself"),
            (&[("a", Symlink, "/tmp", ""), ("a/x", Regular, "", "")], "through a link"),
            (&[("a", Symlink, "..", ""), ("a/b/x", Regular, "", "")], "through a link"),
            (&[("a", Link, "/etc/passwd", "")], "isn't a file of it"),
            (&[("a", Link, "../../x", "")], "isn't a file of it"),
            (&[("l", Symlink, "/etc/passwd", ""), ("a", Link, "l", "")], "isn't a file of it"),
            (&[("a", Char, "", "")], "special file"),
            (&[("a", Fifo, "", "")], "special file"),
            (&[("a", Directory, "", ""), ("a", Regular, "", "")], "is twice"),
            (&[("a", Directory, "", ""), ("b", Directory, "", "")], "contains more than one file"),
            (&[], "is empty"),
        ] {
            let stage = Stage::new();
            let message = run(&stage, &tarball(entries)).unwrap_err();
            assert!(message.contains(error), "{message}");
        }
        let stage = Stage::new();
        for bytes in [&b"\x1f\x8bnot gzip"[..], b"BZh9garbage", b"\xfd7zXZ\0bad", &[1; 700]] {
            assert!(run(&stage, bytes).is_err());
        }
        let mut cut = tarball(&[("top/x", Regular, "", &"x".repeat(3000))]);
        cut.truncate(1500);
        assert!(run(&stage, &cut).is_err());
        stage.write(A, "");
        for name in ["", "a/b", "..", ".", "/", "a/"] {
            let attributes = [("channelName", name), ("src", A)];
            assert!(
                stage.run("builtin:unpack-channel", &attributes).unwrap_err().contains("single file name")
            );
        }
    }
}
