//! narinfo files, against those that `nix copy --to file://…` wrote.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use nival_formats::{NarInfo, RealisationId, StoreDir};

const TREE: &str = include_str!("golden/narinfo/tree.narinfo");
const TEXT: &str = include_str!("golden/narinfo/text.narinfo");

#[test]
fn files_print_as_they_were_read() {
    let store = StoreDir::default();
    let zeros = "0".repeat(32);
    let full = TREE.replace(
        "References: \n",
        &format!(
            "References: {zeros}-a {zeros}-b\nDeriver: {zeros}-tree.drv\nSig: key-1:YWJj\nSig: key-2:YWJj\n"
        ),
    );
    for text in [TREE, TEXT, &full] {
        assert_eq!(NarInfo::parse(&store, text).unwrap().print(&store), text);
    }
    let info = NarInfo::parse(&store, &full).unwrap();
    assert_eq!(
        info.fingerprint(&store),
        format!(
            "1;/nix/store/7l3z865vz0rynpm6h999skl1z1p5mpmk-tree;\
             sha256:09b3f9h98pj6sjns0ra5haalgvkwkzm4s053l3wnfvfwqan56dl1;1616;\
             /nix/store/{zeros}-a,/nix/store/{zeros}-b"
        )
    );
}

#[test]
fn broken_files() {
    let table = [
        ("StorePath", "NAR info file is corrupt: expecting ':' at line 1".to_owned()),
        ("X: y", "NAR info file is corrupt: expecting '\\n' at line 1".into()),
        ("X: y\nNarHash: sha256:zz\n", "NAR info file is corrupt: bad hash at line 2".into()),
        ("NarSize: -1\n", "NAR info file is corrupt: invalid NarSize at line 1".into()),
        ("Sig: nothing\n", "NAR info file is corrupt: signature is corrupt at line 1".into()),
        ("X: y\n", "NAR info file is corrupt: StorePath missing".into()),
        (&TREE.replace("URL", "Url"), "NAR info file is corrupt: URL missing".into()),
        (
            &TREE.replace("NarSize: 1616", "NarSize: 0"),
            "NAR info file is corrupt: NarSize missing or zero".into(),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(NarInfo::parse(&StoreDir::default(), text).unwrap_err().to_string(), expected);
    }
    let old = NarInfo::parse(&StoreDir::default(), &TREE.replace("Compression: none\n", "")).unwrap();
    assert_eq!(old.compression, "bzip2");
}

#[test]
fn realisation_ids() {
    let text = format!("sha256:{}!out", "0".repeat(64));
    assert_eq!(text.parse::<RealisationId>().unwrap().to_string(), text);
    let error = "sha256".parse::<RealisationId>().unwrap_err();
    assert_eq!(error.to_string(), "Invalid derivation output id sha256");
}
