//! NAR, against archives that `nix-store --dump` made.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use nival_formats::{
    Hash, HashAlgo, HashingReader,
    nar::{Event, Mode, NarError, Reader, Writer},
};
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    File(bool, Vec<u8>),
    Link(Vec<u8>),
    Directory(BTreeMap<Vec<u8>, Node>),
}

fn write(nar: &mut Writer<Vec<u8>>, node: &Node) -> io::Result<()> {
    match node {
        Node::File(true, contents) => nar.file_bytes(Mode::Executable, contents),
        Node::File(false, contents) => nar.file(Mode::Plain, contents.len() as u64, &mut &contents[..]),
        Node::Link(target) => nar.symlink(target),
        Node::Directory(entries) => {
            nar.directory()?;
            for (name, node) in entries {
                nar.entry(name)?;
                write(nar, node)?;
            }
            nar.end_directory()
        }
    }
}

fn archive(node: &Node) -> Vec<u8> {
    let mut nar = Writer::new(Vec::new());
    write(&mut nar, node).unwrap();
    let written = nar.written();
    let bytes = nar.finish().unwrap();
    assert_eq!(bytes.len() as u64, written);
    bytes
}

fn read(nar: &mut Reader<impl io::BufRead>) -> Result<Node, NarError> {
    match nar.next_event()? {
        Some(Event::File { mode, .. }) => {
            let mut contents = Vec::new();
            nar.copy_contents(&mut contents)?;
            Ok(Node::File(mode == Mode::Executable, contents))
        }
        Some(Event::Symlink(target)) => Ok(Node::Link(target)),
        Some(Event::Directory) => {
            let mut entries = BTreeMap::new();
            while let Some(Event::Entry(name)) = nar.next_event()? {
                entries.insert(name, read(nar)?);
            }
            Ok(Node::Directory(entries))
        }
        other => panic!("{other:?} where a node belongs"),
    }
}

fn parse(bytes: &[u8]) -> Result<Node, NarError> {
    let mut nar = Reader::new(bytes);
    let node = read(&mut nar)?;
    nar.expect_end()?;
    Ok(node)
}

fn file(executable: bool, text: &str) -> Node {
    Node::File(executable, text.into())
}

#[test]
fn archives_of_the_reference() {
    let tree = Node::Directory(BTreeMap::from([
        (
            b"dir".to_vec(),
            Node::Directory(BTreeMap::from([
                (b"empty".to_vec(), Node::Directory(BTreeMap::new())),
                (b"link".to_vec(), Node::Link(b"../hello".to_vec())),
            ])),
        ),
        (b"eight".to_vec(), file(false, "12345678")),
        (b"hello".to_vec(), file(false, "hello\n")),
        (b"run".to_vec(), file(true, "#!/bin/sh\n")),
        (b"zero".to_vec(), file(false, "")),
        ("é".as_bytes().to_vec(), file(false, "x")),
    ]));
    let table: [(&[u8], Node); 4] = [
        (include_bytes!("golden/nar/tree.nar"), tree),
        (include_bytes!("golden/nar/file.nar"), file(false, "hello\n")),
        (include_bytes!("golden/nar/executable.nar"), file(true, "#!/bin/sh\n")),
        (include_bytes!("golden/nar/link.nar"), Node::Link(b"../hello".to_vec())),
    ];
    for (bytes, node) in table {
        assert_eq!(archive(&node), bytes, "{node:?}");
        assert_eq!(parse(bytes).unwrap(), node);
    }
}

/// An archive from raw strings: what no writer makes.
fn forge(strings: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in [&b"nix-archive-1"[..]].iter().chain(strings) {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes
}

#[test]
fn hostile_archives() {
    let directory: &[&[u8]] = &[b"(", b"type", b"directory"];
    let entry = |name| -> Vec<&'static [u8]> {
        vec![b"entry", b"(", b"name", name, b"node", b"(", b"type", b"symlink", b"target", b"x", b")", b")"]
    };
    let entries = |names: &[&'static [u8]]| {
        let all: Vec<&[u8]> = names.iter().flat_map(|name| entry(name)).collect();
        forge(&[directory, &all, &[b")"]].concat())
    };
    let long: &[u8] = &[b'a'; 256];
    let invalid = |name: &str| format!("bad archive: NAR contains invalid file name '{name}'");
    let mut padding = archive(&file(false, "x"));
    let size_and_contents = [1, 0, 0, 0, 0, 0, 0, 0, b'x'];
    let contents = padding.windows(9).position(|window| window == size_and_contents).unwrap();
    padding[contents + 9] = 1;
    let nested = {
        let mut strings: Vec<&[u8]> = Vec::new();
        for _ in 0..100_000 {
            strings.extend([&b"("[..], b"type", b"directory", b"entry", b"(", b"name", b"a", b"node"]);
        }
        forge(&strings)
    };
    let table: Vec<(Vec<u8>, String)> = vec![
        (vec![], "input doesn't look like a Nix archive".into()),
        (b"#!/bin/sh not an archive at all".to_vec(), "input doesn't look like a Nix archive".into()),
        (entries(&[b""]), invalid("")),
        (entries(&[b"."]), invalid(".")),
        (entries(&[b".."]), invalid("..")),
        (entries(&[b"a/b"]), invalid("a/b")),
        (entries(&[b"a\0b"]), invalid("a\0b")),
        (entries(&[b"b", b"a"]), "bad archive: NAR directory is not sorted: 'a' after 'b'".into()),
        (entries(&[b"a", b"a"]), "bad archive: NAR directory is not sorted: 'a' after 'a'".into()),
        (forge(&[directory, &[b"entry", b"(", b"name", long]].concat()), "string is too long".into()),
        (forge(&[b"(", b"type", b"socket"]), "bad archive: unknown file type 'socket'".into()),
        (
            forge(&[b"(", b"type", b"regular", b"executable", b"yes"]),
            "bad archive: executable marker has non-empty value".into(),
        ),
        (
            forge(&[b"(", b"type", b"symlink", b"target", b""]),
            "bad archive: NAR contains invalid symlink target".into(),
        ),
        (forge(&[b"(", b"kind"]), "bad archive: expected tag 'type', got 'kind'".into()),
        (
            forge(&[directory, &[b"file"]].concat()),
            "bad archive: expected tag 'entry' or ')', got 'file'".into(),
        ),
        (padding, "non-zero padding".into()),
        (nested, "bad archive: NAR directory nesting exceeds maximum depth of 64".into()),
        ([archive(&file(false, "x")), vec![0]].concat(), "bad archive: unexpected data after the end".into()),
    ];
    for (bytes, expected) in table {
        assert_eq!(parse(&bytes).unwrap_err().to_string(), expected);
    }
    // A size that nothing can hold ends with the input, not with memory.
    let mut huge = forge(&[b"(", b"type", b"regular", b"contents"]);
    huge.extend_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(parse(&huge), Err(NarError::Io(e)) if e.kind() == io::ErrorKind::UnexpectedEof));
}

type Calls<'a> = &'a dyn Fn(&mut Writer<Vec<u8>>) -> io::Result<()>;

#[test]
fn writer_refuses_what_no_reader_takes() {
    let error = |run: Calls<'_>| run(&mut Writer::new(Vec::new())).unwrap_err().to_string();
    let table: [(&str, Calls<'_>); 6] = [
        ("a NAR node was expected", &|nar| nar.entry(b"a")),
        ("invalid symlink target '' for a NAR", &|nar| nar.symlink(b"")),
        ("file shrank while it was read", &|nar| nar.file(Mode::Plain, 3, &mut &b"ab"[..])),
        ("invalid file name '..' for a NAR", &|nar| nar.directory().and_then(|()| nar.entry(b".."))),
        ("NAR entry 'a' is out of order", &|nar| {
            nar.directory()?;
            nar.entry(b"b")?;
            nar.symlink(b"x")?;
            nar.entry(b"a")
        }),
        ("exceeds maximum NAR directory depth of 64", &|nar| {
            loop {
                nar.directory()?;
                nar.entry(b"a")?;
            }
        }),
    ];
    for (expected, run) in table {
        assert_eq!(error(run), expected);
    }
    assert!(Writer::new(Vec::new()).finish().is_err());
}

#[test]
fn deepest_tree_of_writer_is_read() {
    let mut node = Node::Link(b"x".to_vec());
    for _ in 0..63 {
        node = Node::Directory(BTreeMap::from([(b"a".to_vec(), node)]));
    }
    assert_eq!(parse(&archive(&node)).unwrap(), node);
}

#[test]
fn big_files_and_what_follows_them() {
    let contents: Vec<u8> = (0..1_000_003_u32).map(|i| (i % 251) as u8).collect();
    let node = Node::Directory(BTreeMap::from([
        (b"a".to_vec(), Node::File(false, contents.clone())),
        (b"b".to_vec(), Node::File(true, contents.clone())),
    ]));
    let bytes = archive(&node);
    assert_eq!(parse(&bytes).unwrap(), node);

    let stream = [&bytes[..], b"rest"].concat();
    let mut nar = Reader::new(HashingReader::new(&stream[..], HashAlgo::Sha256));
    assert_eq!(nar.next_event().unwrap(), Some(Event::Directory));
    assert_eq!(nar.next_event().unwrap(), Some(Event::Entry(b"a".to_vec())));
    nar.next_event().unwrap();
    let mut read = Vec::new();
    nar.read_to_end(&mut read).unwrap();
    assert_eq!(read, contents);
    let (rest, hash, size) = nar.into_inner().unwrap().finish();
    assert_eq!((rest, hash, size), (&b"rest"[..], Hash::sha256(&bytes), bytes.len() as u64));
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        (any::<bool>(), any::<Vec<u8>>()).prop_map(|(executable, contents)| Node::File(executable, contents)),
        prop::collection::vec(1..=255_u8, 1..20).prop_map(Node::Link),
    ];
    let name = prop::collection::vec(1..=255_u8, 1..6)
        .prop_filter("a file name", |name| !name.contains(&b'/') && !matches!(&name[..], b"." | b".."));
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop::collection::btree_map(name.clone(), inner, 0..5).prop_map(Node::Directory)
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(node in node()) {
        prop_assert_eq!(parse(&archive(&node)).unwrap(), node);
    }

    #[test]
    fn damaged_archives_never_panic(node in node(), at: prop::sample::Index, byte: u8) {
        let mut bytes = archive(&node);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = parse(&bytes);
        prop_assert!(parse(&bytes[..at]).is_err());
    }
}

#[test]
fn a_plain_file_is_hashed_without_its_archive() {
    for size in [0, 1, 7, 8, 9, 100_000] {
        let contents = vec![b'x'; size];
        let mut nar = Writer::new(Vec::new());
        nar.file_bytes(Mode::Plain, &contents).unwrap();
        let nar = nar.finish().unwrap();
        let expected = (nival_formats::Hash::sha256(&nar), nar.len() as u64);
        assert_eq!(nival_formats::nar::hash_plain_file(&contents), expected, "{size} bytes");
    }
}
