//! `builtin:unpack-channel`: unpacks the tarball `src`, which holds one entry, and calls that entry `channelName`.
//!
//! Tarballs are foreign bytes: every path is checked, nothing is written through a link, and both the number of
//! entries and their size are bounded.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead as _, BufReader, Read};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use tar::EntryType;

use super::{At as _, BuiltinError, Context};

/// nixpkgs has 60,000 files of 300 MB.
const MAX_ENTRIES: usize = 4_000_000;
const MAX_BYTES: u64 = 32 << 30;

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
    let broken = |error: io::Error| BuiltinError::failed(format!("cannot unpack '{source}': {error}"));
    let stream = decompress(BufReader::new(file)).map_err(broken)?;
    unpack(context, stream, out, source)?;

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

/// The plain stream, by the first bytes of the file.
fn decompress(mut file: BufReader<File>) -> io::Result<Box<dyn Read>> {
    let start = file.fill_buf()?;
    Ok(if start.starts_with(b"\x1f\x8b") {
        Box::new(flate2::bufread::MultiGzDecoder::new(file))
    } else if start.starts_with(b"\xfd7zXZ\0") {
        Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(file))
    } else if start.starts_with(b"BZh") {
        Box::new(bzip2::bufread::MultiBzDecoder::new(file))
    } else {
        Box::new(file)
    })
}

fn unpack(
    context: &Context<'_>,
    stream: Box<dyn Read>,
    out: &Path,
    source: &str,
) -> Result<(), BuiltinError> {
    let broken = |error: io::Error| BuiltinError::failed(format!("cannot unpack '{source}': {error}"));
    let mut archive = tar::Archive::new(stream);
    let (mut count, mut bytes) = (0, 0u64);
    for entry in archive.entries().map_err(broken)? {
        context.check_cancelled()?;
        let mut entry = entry.map_err(broken)?;
        count += 1;
        bytes = bytes.saturating_add(entry.size());
        if count > MAX_ENTRIES || bytes > MAX_BYTES {
            return Err(BuiltinError::failed(format!("the tarball '{source}' is too large")));
        }
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            continue;
        }
        let path = entry.path().map_err(broken)?.into_owned();
        let Some(below) = harmless(&path) else {
            let message =
                format!("the tarball '{source}' wants to write '{}', outside of itself", path.display());
            return Err(BuiltinError::failed(message));
        };
        if below.as_os_str().is_empty() {
            continue;
        }
        let to = make_parents(out, &below)?;
        let is_directory = fs::symlink_metadata(&to).map(|there| there.is_dir());
        match is_directory {
            Ok(true) if kind == EntryType::Directory => continue,
            Ok(true) => {
                return Err(BuiltinError::failed(format!("'{}' is twice in '{source}'", path.display())));
            }
            // As `tar` does, a later entry replaces an earlier one.
            Ok(false) => fs::remove_file(&to).at("remove", &to)?,
            Err(_) => {}
        }
        match kind {
            EntryType::Directory => fs::create_dir(&to).at("create the directory", &to)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let mut file = File::create_new(&to).at("create", &to)?;
                io::copy(&mut entry, &mut file).map_err(broken)?;
                let executable = entry.header().mode().map_err(broken)? & 0o100 != 0;
                let mode = if executable { 0o755 } else { 0o644 };
                file.set_permissions(Permissions::from_mode(mode)).at("change the mode of", &to)?;
            }
            EntryType::Symlink => {
                let target = entry.link_name().map_err(broken)?.unwrap_or_default().into_owned();
                symlink(target, &to).at("create the link", &to)?;
            }
            EntryType::Link => {
                let target = entry.link_name().map_err(broken)?.unwrap_or_default().into_owned();
                let first = harmless(&target).map(|below| make_parents(out, &below)).transpose()?;
                let first =
                    first.filter(|first| fs::symlink_metadata(first).is_ok_and(|there| there.is_file()));
                let Some(first) = first else {
                    let message = format!(
                        "'{}' of '{source}' links to '{}', which isn't a file of it",
                        path.display(),
                        target.display()
                    );
                    return Err(BuiltinError::failed(message));
                };
                fs::hard_link(first, &to).at("link", &to)?;
            }
            other => {
                let message = format!("'{}' of '{source}' is a special file ({other:?})", path.display());
                return Err(BuiltinError::failed(message));
            }
        }
    }
    Ok(())
}

/// The path without its `./`, if it stays below the top.
fn harmless(path: &Path) -> Option<PathBuf> {
    let mut below = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => below.push(name),
            _ => return None,
        }
    }
    Some(below)
}

/// Makes the directories above a path without going through links; returns the whole path.
fn make_parents(out: &Path, below: &Path) -> Result<PathBuf, BuiltinError> {
    let mut at = out.to_owned();
    for part in below.parent().into_iter().flat_map(Path::components) {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(there) if there.is_dir() => {}
            Ok(_) => {
                let message = format!("'{}' of the tarball leads through a link or a file", below.display());
                return Err(BuiltinError::failed(message));
            }
            Err(_) => fs::create_dir(&at).at("create the directory", &at)?,
        }
    }
    Ok(out.join(below))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

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
