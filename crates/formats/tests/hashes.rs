//! Hash notations, against answers of `nix hash convert`.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use nival_formats::{Hash, HashAlgo, HashFormat, Hasher, nix32};
use proptest::prelude::*;

const HELLO: &[u8] = b"hello\n";

#[test]
fn notations() {
    for line in include_str!("golden/hashes.txt").lines() {
        let [algo, format, expected] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let (algo, format): (HashAlgo, HashFormat) = (algo.parse().unwrap(), format.parse().unwrap());
        let hash = Hash::of(algo, HELLO);
        assert_eq!(hash.to_format(format), expected);
        let found = Hash::parse_any_with_format(expected, Some(algo));
        assert_eq!(found, Ok((hash, format)), "{line}");
        assert_eq!(Hash::parse_prefixed(&hash.to_prefixed(format)), Ok(hash), "{line}");
    }
}

#[test]
fn errors() {
    let digits = |c: &str, count| c.repeat(count);
    let table = [
        ("zz".into(), "hash 'zz' has wrong length for hash algorithm 'sha256'"),
        ("sha256-abc".into(), "invalid SRI hash 'abc', length 2 != expected length 32"),
        ("sha256-!bc".into(), "invalid SRI hash '!bc', length 0 != expected length 32"),
        (
            "foo:abc".into(),
            "unknown hash algorithm 'foo', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'",
        ),
        (
            format!("sha256:{}", digits("g", 64)),
            "invalid base16 hash 'gggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggggg', length 0 != \
             expected length 32",
        ),
        (
            format!("sha256:{}", digits("e", 52)),
            "invalid nix32 hash 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', length 0 != expected length \
             32",
        ),
        (
            format!("sha256:{}", digits("z", 52)),
            "invalid nix32 hash 'zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz', length 33 != expected length \
             32",
        ),
        ("sha1:aa".into(), "hash 'sha1:aa' should have type 'sha256'"),
    ];
    for (text, expected) in table {
        assert_eq!(Hash::parse_any(&text, Some(HashAlgo::Sha256)).unwrap_err().to_string(), expected);
    }
    assert_eq!(
        Hash::parse_any("noprefix", None).unwrap_err().to_string(),
        "hash 'noprefix' does not include a type, nor is the type otherwise known from context"
    );
}

#[test]
fn upper_case_hexadecimal_is_read() {
    let hash = Hash::of(HashAlgo::Md5, HELLO);
    assert_eq!(Hash::parse_unprefixed(&hash.to_base16().to_uppercase(), HashAlgo::Md5), Ok(hash));
}

/// Around the sizes of BLAKE3's blocks and chunks.
#[test]
fn long_texts_hash_as_their_pieces() {
    let text: Vec<u8> = (0..20_000_u32).map(|number| (number % 251) as u8).collect();
    for length in [0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 3073, 8192, 16_385, 20_000] {
        for algo in HashAlgo::ALL {
            let mut hasher = Hasher::new(algo);
            text[..length].chunks(700).for_each(|piece| hasher.update(piece));
            assert_eq!(hasher.finish(), Hash::of(algo, &text[..length]), "{algo} {length}");
        }
    }
}

proptest! {
    #[test]
    fn nix32_round_trip(bytes: Vec<u8>) {
        prop_assert_eq!(nix32::decode(nix32::encode(&bytes).as_bytes()), Ok(bytes));
    }

    #[test]
    fn any_text_parses_or_fails(text: String) {
        for algo in HashAlgo::ALL {
            let _ = Hash::parse_any(&text, Some(algo));
            let _ = Hash::parse_any(&format!("{algo}-{text}"), None);
        }
        let _ = nix32::decode(text.as_bytes());
    }

    #[test]
    fn pieces_hash_as_the_whole(pieces: Vec<Vec<u8>>) {
        for algo in HashAlgo::ALL {
            let mut hasher = Hasher::new(algo);
            for piece in &pieces {
 hasher.update(piece);
}
            let whole = pieces.concat();
            prop_assert_eq!(hasher.written(), whole.len() as u64);
            prop_assert_eq!(hasher.finish(), Hash::of(algo, &whole));
        }
    }
}
