//! `/bin/sh` of the sandbox: the host's shell and the shared libraries it loads, and nothing else of the host.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, FileHeader32, FileHeader64};
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _};

/// Where loaders look without a cache. Source: `ld.so(8)` and the multiarch directories of Debian.
const LIBRARY_DIRECTORIES: &[&str] = &[
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    #[cfg(target_arch = "x86_64")]
    "/lib/x86_64-linux-gnu",
    #[cfg(target_arch = "x86_64")]
    "/usr/lib/x86_64-linux-gnu",
    #[cfg(target_arch = "aarch64")]
    "/lib/aarch64-linux-gnu",
    #[cfg(target_arch = "aarch64")]
    "/usr/lib/aarch64-linux-gnu",
];

/// No shell is larger; bounds what is read of a wrong file.
const MAX_FILE: u64 = 64 * 1024 * 1024;
const MAX_LIBRARIES: usize = 64;

/// What an ELF file asks of the loader.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needs {
    interpreter: Option<PathBuf>,
    libraries: Vec<String>,
    search: Vec<String>,
}

/// The files to bind for a shell: place in the sandbox, file on the host.
///
/// A library that isn't found is left out: the shell then says itself what it misses.
pub(crate) fn closure(shell: &Path, place: &Path) -> io::Result<BTreeMap<PathBuf, PathBuf>> {
    let program = fs::canonicalize(shell)?;
    let mut files = BTreeMap::from([(place.to_owned(), program.clone())]);
    let mut open = VecDeque::from([program]);
    while let Some(file) = open.pop_front() {
        if files.len() > MAX_LIBRARIES {
            return Err(io::Error::other(format!("`{}` needs too many libraries", shell.display())));
        }
        let Some(needs) = read_needs(&file)? else { continue };
        let origin = file.parent().unwrap_or(Path::new("/")).display().to_string();
        let search: Vec<String> = needs
            .search
            .iter()
            .map(|directory| directory.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin))
            .chain(LIBRARY_DIRECTORIES.iter().map(|directory| (*directory).to_owned()))
            .collect();
        let found = needs.libraries.iter().filter_map(|library| {
            search.iter().map(|directory| Path::new(directory).join(library)).find(|path| path.is_file())
        });
        for path in needs.interpreter.into_iter().chain(found) {
            if let Entry::Vacant(place) = files.entry(path) {
                let host = fs::canonicalize(place.key())?;
                open.push_back(host.clone());
                place.insert(host);
            }
        }
    }
    Ok(files)
}

/// `None` for a file that isn't ELF, such as a script.
fn read_needs(file: &Path) -> io::Result<Option<Needs>> {
    if fs::metadata(file)?.len() > MAX_FILE {
        return Err(io::Error::other(format!("`{}` is too large for a shell or library", file.display())));
    }
    let data = fs::read(file)?;
    let parsed = match data.get(..5) {
        Some(b"\x7fELF\x02") => parse_needs::<FileHeader64<Endianness>>(&data),
        Some(b"\x7fELF\x01") => parse_needs::<FileHeader32<Endianness>>(&data),
        _ => return Ok(None),
    };
    parsed.map(Some).map_err(|error| io::Error::other(format!("`{}`: {error}", file.display())))
}

fn parse_needs<Elf: FileHeader<Endian = Endianness>>(data: &[u8]) -> object::read::Result<Needs> {
    let header = Elf::parse(data)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, data)?;
    let mut needs = Needs::default();
    for segment in segments {
        if let Some(interpreter) = segment.interpreter(endian, data)? {
            needs.interpreter = Some(PathBuf::from(String::from_utf8_lossy(interpreter).into_owned()));
        }
    }
    let sections = header.sections(endian, data)?;
    let Some((entries, link)) = sections.dynamic(endian, data)? else { return Ok(needs) };
    let strings = sections.strings(endian, data, link)?;
    for entry in entries {
        let tag = entry.tag(endian);
        if [DT_NEEDED, DT_RUNPATH, DT_RPATH].contains(&tag) {
            let text = String::from_utf8_lossy(entry.string(endian, strings)?).into_owned();
            if tag == DT_NEEDED {
                needs.libraries.push(text);
            } else {
                needs.search.extend(text.split(':').filter(|part| !part.is_empty()).map(str::to_owned));
            }
        }
    }
    Ok(needs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_of_this_machine_is_closed() {
        let place = Path::new("/bin/sh");
        let files = closure(place, place).unwrap();
        assert!(files.contains_key(place));
        for (target, source) in &files {
            assert!(target.is_absolute() && source.is_file(), "{target:?} {source:?}");
            if let Some(needs) = read_needs(source).unwrap() {
                for library in needs.libraries {
                    assert!(files.keys().any(|path| path.ends_with(&library)), "{library} of {source:?}");
                }
            }
        }
    }

    #[test]
    fn scripts_need_nothing_and_broken_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let check = |bytes: &[u8]| {
            let file = folder.path().join("file");
            fs::write(&file, bytes).unwrap();
            read_needs(&file)
        };
        assert_eq!(check(b"#!/bin/sh\n").unwrap(), None);
        assert_eq!(check(b"").unwrap(), None);
        assert!(check(b"\x7fELF\x02\x01\x01").is_err());
        let mut header = b"\x7fELF\x02\x01\x01".to_vec();
        header.resize(64, 0xff);
        assert!(check(&header).is_err());
    }
}
