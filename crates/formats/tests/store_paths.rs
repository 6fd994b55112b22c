//! Store paths and content addresses, against answers of the reference (`nix store add`, `builtins.toFile`).

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;

use nival_formats::{
    ContentAddress, ContentAddressMethod as Method, Hash, HashAlgo, References, StoreDir, StorePath,
    placeholder::{DownstreamPlaceholder, output_placeholder},
    store_path::check_name,
};
use proptest::prelude::*;

#[test]
fn names() {
    for good in [".x", "...", "a+-._?=Z9", &"a".repeat(211)] {
        assert_eq!(check_name(good), Ok(()), "{good}");
    }
    let long = "a".repeat(212);
    let table = [
        ("", "name must not be empty".into()),
        (".", "name '.' is not valid".into()),
        ("..", "name '..' is not valid".into()),
        (".-x", "name '.-x' is not valid: first dash-separated component must not be '.'".into()),
        ("..-x", "name '..-x' is not valid: first dash-separated component must not be '..'".into()),
        ("a b", "name 'a b' contains illegal character ' '".into()),
        ("a/b", "name 'a/b' contains illegal character '/'".into()),
        (&long, format!("name '{long}' must be no longer than 211 characters")),
    ];
    for (name, expected) in table {
        assert_eq!(check_name(name).unwrap_err().to_string(), expected);
    }
}

#[test]
fn parsing() {
    let zeros = "0".repeat(32);
    let table = [
        ("/nix/store".into(), "path \"/nix/store\" is not in the Nix store".into()),
        ("/nix/store/x".into(), "'x' is too short to be a valid store path".into()),
        ("relative".into(), "path \"/relative\" is not in the Nix store".into()),
        (
            format!("/nix/store/{zeros}-a/b"),
            format!("path \"/nix/store/{zeros}-a/b\" is not in the Nix store"),
        ),
        (
            format!("/nix/store/e{}-a", &zeros[1..]),
            format!("store path 'e{}-a' contains illegal base-32 character 'e'", &zeros[1..]),
        ),
        (
            format!("/nix/store/{zeros}-"),
            format!("path '{zeros}-' is not a valid store path: name must not be empty"),
        ),
        (format!("/nix/store/{zeros}"), format!("'{zeros}' is too short to be a valid store path")),
        (
            format!("/nix/store/{zeros}-a b"),
            format!(
                "path '{zeros}-a b' is not a valid store path: name 'a b' contains illegal character ' '"
            ),
        ),
    ];
    let store = StoreDir::default();
    for (path, expected) in table {
        assert_eq!(store.parse(&path).unwrap_err().to_string(), expected);
    }
    let path = store.parse(&format!("/nix//store/x/../../store/{zeros}-a.drv")).unwrap();
    assert_eq!((path.hash_part(), path.name(), path.derivation_name()), (&*zeros, "a.drv", Ok("a")));
    assert_eq!(store.split(&format!("/nix/store/{zeros}-a.drv/x/y")), Ok((path.clone(), "/x/y")));
    assert_eq!(store.split(&store.display(&path)), Ok((path, "")));
}

#[test]
fn content_addressed() {
    let hello = |algo| Hash::of(algo, b"hello\n");
    let nar = include_bytes!("golden/nar/file.nar");
    let git = |algo| Hash::of(algo, b"blob 6\0hello\n");
    let table = [
        (Method::Flat, hello(HashAlgo::Sha256), "8zv8i345w2xn27jrxj4cyjc6x3b4am1q-hello"),
        (Method::Flat, hello(HashAlgo::Sha1), "032avhrrgjp8441c41iid7ywc92j4z76-hello"),
        (Method::Flat, hello(HashAlgo::Md5), "nwyv04d03kciinw9gbbrg1bgc8c3j886-hello"),
        (Method::NixArchive, Hash::of(HashAlgo::Sha1, nar), "ypkrwry3mx50aca2g82vp7if8fbg2skq-hello"),
        (Method::Git, git(HashAlgo::Sha1), "dlr22xdmma53ig8996d4wfrbir1lppsg-hello"),
        (Method::Text, hello(HashAlgo::Sha256), "nmrmdcw1bfnl35a893n7nyhw4xa5vy08-hello"),
        (
            Method::NixArchive,
            Hash::sha256(include_bytes!("golden/nar/tree.nar")),
            "7l3z865vz0rynpm6h999skl1z1p5mpmk-tree",
        ),
    ];
    for (method, hash, expected) in table {
        let address = ContentAddress { method, hash };
        let name = &expected[33..];
        assert_eq!(StoreDir::default().fixed_output_path(name, &address).unwrap().as_str(), expected);
        assert_eq!(address.to_string().parse(), Ok(address));
        let (method, algo) = Method::parse_with_algo(&method.print_with_algo(hash.algo())).unwrap();
        assert_eq!((method, algo), (address.method, hash.algo()));
    }
}

#[test]
fn what_can_hold_references() {
    let store = StoreDir::default();
    let other: StorePath = format!("{}-x", "0".repeat(32)).parse().unwrap();
    let references = References { others: BTreeSet::from([other]), itself: true };
    let path = |method, algo| {
        let address = ContentAddress { method, hash: Hash::of(algo, b"") };
        store.content_addressed_path("x", &address, &references).map_err(|e| e.to_string())
    };
    let refused = "fixed output derivation 'x' is not allowed to refer to other store paths.\nYou may need to use the \
                   'unsafeDiscardReferences' derivation attribute, see the manual for more details.";
    assert!(path(Method::NixArchive, HashAlgo::Sha256).is_ok());
    assert_eq!(path(Method::NixArchive, HashAlgo::Sha1).unwrap_err(), refused);
    assert_eq!(path(Method::Flat, HashAlgo::Sha256).unwrap_err(), refused);
    let text = path(Method::Text, HashAlgo::Sha256).unwrap_err();
    assert_eq!(text, "self-reference not allowed with text hashing");
    let git = path(Method::Git, HashAlgo::Md5).unwrap_err();
    assert_eq!(git, "Git file ingestion must use SHA-1 or SHA-256 hash, but instead using: md5");
}

#[test]
fn content_address_errors() {
    let table = [
        ("nothing", "not a content address because it is not in the form '<prefix>:<rest>': nothing"),
        (
            "odd:sha256:x",
            "content address prefix 'odd' is unrecognized. Recogonized prefixes are 'text' or 'fixed'",
        ),
        ("text:sha256", "content address hash must be in form '<algo>:<hash>', but found: text:sha256"),
        ("fixed:r:sha256:zz", "hash 'zz' has wrong length for hash algorithm 'sha256'"),
        (
            "fixed:text:sha256:zz",
            "unknown hash algorithm 'text', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(text.parse::<ContentAddress>().unwrap_err().to_string(), expected);
    }
}

#[test]
fn placeholders() {
    assert_eq!(output_placeholder("out"), "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9");
    assert_eq!(output_placeholder("dev"), "/02qcpld1y6xhs5gz9bchpxaw0xdhmsp5dv88lh25r2ss44kh8dxz");
    let of = |path: &str| DownstreamPlaceholder::unknown_ca_output(&path.parse().unwrap(), "out").unwrap();
    // The paths that `nix eval` shows for the derivations of these files.
    let ca = of("951z0fxmjf0xnalgws50cjjjsqd1ph3y-ca.drv");
    assert_eq!(ca.to_string(), "/088c0dc59gvv7ysm05m8z18q35xrlmpydy6dpv3slrl5bdjp37pi");
    let maker = of("8rii5784457yw1vvcrxy5pd90yxqzp50-maker.drv.drv");
    assert_eq!(maker.to_string(), "/1px3fs9cd77bamijkdgxmq0r4bs7c4cq3c79wblz1dliwrrhvlb8");
    let dynamic = include_str!("golden/drv/z3dsdqvhgsxi3azq3kzv6r3cv45q0kvh-dynamic.drv");
    assert!(dynamic.contains(&maker.unknown_derivation("out").to_string()));
}

proptest! {
    #[test]
    fn sorts_as_text(a: [u8; 20], b: [u8; 20]) {
        let path = |digest| StorePath::from_digest(digest, "n").unwrap();
        prop_assert_eq!(path(&a).cmp(&path(&b)), path(&a).to_string().cmp(&path(&b).to_string()));
        prop_assert_eq!(path(&a).digest(), a);
        prop_assert_eq!(path(&a).to_string().parse(), Ok(path(&a)));
    }

    #[test]
    fn any_text_parses_or_fails(text: String) {
        let _ = text.parse::<StorePath>();
        let _ = text.parse::<ContentAddress>();
        let _ = StoreDir::default().parse(&format!("/nix/store/{text}"));
        let _ = format!("{}{text}", "0".repeat(31)).parse::<StorePath>();
    }
}
