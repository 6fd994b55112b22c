//! Paths as bytes.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Whether a path is sure to be canonical: those with hidden files in them may be, too.
pub(crate) fn is_plainly_canonical(path: &[u8]) -> bool {
    let [b'/', .., last] = path else { return false };
    // No pair ends the loop, so that many are looked at together.
    let odd = |(a, b): (&u8, &u8)| u8::from(*a == b'/') & u8::from(matches!(b, b'/' | b'.'));
    let found = path.iter().zip(&path[1..]).fold(0, |found, pair| found | odd(pair));
    *last != b'/' && found == 0
}

/// An absolute path without `.`, `..`, empty parts and a slash at the end.
pub(crate) fn canonical(path: &[u8]) -> Vec<u8> {
    if is_plainly_canonical(path) {
        return path.to_vec();
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let mut result = Vec::with_capacity(path.len() + 1);
    for part in parts {
        result.push(b'/');
        result.extend_from_slice(part);
    }
    if result.is_empty() {
        result.push(b'/');
    }
    result
}

/// A path as text: nearly all are.
pub(crate) fn shown_text(path: &Path) -> std::borrow::Cow<'_, str> {
    path.to_str().map_or_else(|| path.to_string_lossy(), std::borrow::Cow::Borrowed)
}

/// The folder and the name of a canonical path; nothing for `/`.
pub(crate) fn split_last(path: &Path) -> Option<(&Path, &Path)> {
    let bytes = path.as_os_str().as_bytes();
    let slash = bytes.iter().rposition(|byte| *byte == b'/')?;
    let name = &bytes[slash + 1..];
    (!name.is_empty()).then(|| (to_path(&bytes[..slash.max(1)]), to_path(name)))
}

pub(crate) fn to_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

pub(crate) fn to_path_buf(bytes: &[u8]) -> PathBuf {
    to_path(bytes).to_path_buf()
}

pub(crate) fn to_bytes(path: PathBuf) -> Vec<u8> {
    path.into_os_string().into_vec()
}

/// The text with each `from` replaced by `to`.
/// A path as it is shown: what `<nix>` has is in no folder.
pub(crate) fn shown(path: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match path.strip_prefix(b"/__nival__/nix/") {
        Some(rest) => [b"<nix/", rest, b">"].concat().into(),
        None => path.into(),
    }
}

pub(crate) fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        if !from.is_empty() && rest.starts_with(from) {
            result.extend_from_slice(to);
            rest = &rest[from.len()..];
        } else {
            result.push(rest[0]);
            rest = &rest[1..];
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_paths() {
        for (path, expected) in
            [("/", "/"), ("/a/", "/a"), ("//a/./b/../c", "/a/c"), ("/..", "/"), ("/a/../../b", "/b")]
        {
            assert_eq!(canonical(path.as_bytes()), expected.as_bytes());
            assert!(!is_plainly_canonical(path.as_bytes()));
        }
        for path in ["/a", "/a/b.c", "/a.b/c..d/e", "/a-much/longer/path-than/sixteen/bytes.nix"] {
            assert!(is_plainly_canonical(path.as_bytes()), "{path}");
            assert_eq!(canonical(path.as_bytes()), path.as_bytes());
        }
        for path in ["", "a", "/a/.b", "/a-much/longer/path-than/sixteen/bytes/../x", "/a/b/"] {
            assert!(!is_plainly_canonical(path.as_bytes()), "{path}");
        }
        assert_eq!(canonical(b"/a/.b"), b"/a/.b");
    }

    #[test]
    fn replacing() {
        assert_eq!(replace(b"a--b--", b"--", b"+"), b"a+b+");
        assert_eq!(replace(b"abc", b"", b"x"), b"abc");
    }
}
