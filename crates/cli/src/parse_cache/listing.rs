//! The names and types in a folder as bytes, in the order in which the system gave them: symbols are numbered in the
//! order in which they are met.

use nival_eval::host::{FileType, Listing};

/// Nothing if a name is longer than file systems have them.
pub(super) fn encode(entries: &Listing) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(entries.len() * 16);
    for (name, kind) in entries {
        bytes.push(match kind {
            FileType::Regular => 1,
            FileType::Directory => 2,
            FileType::Symlink => 3,
            FileType::Unknown => 4,
        });
        bytes.push(u8::try_from(name.len()).ok()?);
        bytes.extend_from_slice(name);
    }
    Some(bytes)
}

/// Nothing if the bytes are no listing.
pub(super) fn decode(mut bytes: &'static [u8]) -> Option<Listing> {
    let mut entries = Vec::with_capacity(bytes.len() / 16);
    while let Some(([kind, length], rest)) = bytes.split_first_chunk() {
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let kind = match kind {
            1 => FileType::Regular,
            2 => FileType::Directory,
            3 => FileType::Symlink,
            4 => FileType::Unknown,
            _ => return None,
        };
        entries.push((name.into(), kind));
        bytes = rest;
    }
    bytes.is_empty().then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let entries: Listing = [
            ("b", FileType::Directory),
            ("a", FileType::Regular),
            ("link", FileType::Symlink),
            ("", FileType::Unknown),
        ]
        .map(|(name, kind)| (name.as_bytes().into(), kind))
        .into();
        let bytes: &'static [u8] = encode(&entries).expect("short names").leak();
        assert_eq!(decode(bytes), Some(entries));
        assert_eq!(decode(&[]), Some(Vec::new()));
        assert_eq!(encode(&vec![(vec![b'x'; 256].into(), FileType::Regular)]), None);
        for length in 1..bytes.len() {
            let cut = decode(&bytes[..length]);
            assert!(cut.is_none_or(|entries| encode(&entries).as_deref() == Some(&bytes[..length])));
        }
        assert_eq!(decode(&[5, 0]), None);
    }
}
