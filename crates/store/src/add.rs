//! Adding to the store.
//!
//! Whatever is added goes to `<hash>-tmp` first, is brought into its final shape there, renamed to its place and
//! then registered, all under the lock of its path and with a temporary root that keeps a garbage collector from
//! it. A path counts from its registration on: what a crash leaves behind is garbage, which the next attempt
//! replaces and the next collection removes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::PoisonError;

use nival_formats::hash::HashingReader;
use nival_formats::nar::{Mode, Writer};
use nival_formats::{
    ContentAddress, ContentAddressMethod, Derivation, DerivationFile, Hash, HashAlgo, Hasher, References,
    StorePath,
};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::database::Registration;
use crate::dump::{Filter, dump_path, open_regular};
use crate::error::{IoContext as _, Result, StoreError};
use crate::fault::fault_point;
use crate::lock::AfterUnlock;
use crate::metadata::{InodesSeen, Owner, canonicalise};
use crate::path_info::PathInfo;
use crate::remove::delete_tree;
use crate::restore::{restore_nar, sync_tree};
use crate::scan::Tee;
use crate::self_hash::hash_path_modulo;
use crate::store::LocalStore;

/// What becomes of a valid path that is added again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// It stays as it is.
    #[default]
    Keep,
    /// Its files are written anew (C++ Nix manual, `nix-instantiate --repair`).
    Replace,
}

/// A source to add.
pub struct Source<'a> {
    /// The name of the store path.
    pub name: &'a str,
    /// The file or directory.
    pub path: &'a Path,
    /// `Flat` or `NixArchive`.
    pub method: ContentAddressMethod,
    /// The hash that the store path is computed from.
    pub algo: HashAlgo,
    /// Which files of a directory to take; all without one.
    pub filter: Option<Filter<'a>>,
    /// The hash the source must have, if it is known.
    pub expected: Option<Hash>,
}

impl LocalStore {
    /// Writes a `.drv` file and registers it.
    pub fn write_derivation(&self, derivation: &Derivation) -> Result<StorePath> {
        Ok(self.write_derivations([derivation])?.remove(0))
    }

    /// Writes many `.drv` files. A derivation may need others of the same call, in any order.
    pub fn write_derivations<'a>(
        &self,
        derivations: impl IntoIterator<Item = &'a Derivation>,
    ) -> Result<Vec<StorePath>> {
        let file = |derivation: &Derivation| {
            derivation.file(self.store_dir()).map_err(|error| StoreError::BadDerivation {
                path: format!("{}.drv", derivation.name),
                detail: error.to_string(),
            })
        };
        let files = derivations.into_iter().map(file).collect::<Result<Vec<_>>>()?;
        let paths = files.iter().map(|file| file.path.clone()).collect();
        self.add_derivations(in_reference_order(files))?;
        Ok(paths)
    }

    /// The path that [`Self::add_text`] would give.
    pub fn text_path(&self, name: &str, contents: &[u8], references: &[StorePath]) -> Result<StorePath> {
        self.store_dir()
            .text_path(name, contents, references.iter().cloned().collect())
            .map_err(|error| bad_name(name, &error))
    }

    /// Copies a file or a directory into the store.
    pub fn add_source(&self, source: Source<'_>) -> Result<StorePath> {
        self.require_writable("add to the store")?;
        let (info, spool) = self.read_source(source)?;
        self.add_spooled(info, spool)
    }

    /// Reads a source and tells what will be known of it.
    pub(crate) fn read_source(&self, source: Source<'_>) -> Result<(PathInfo, Spool<'_>)> {
        let Source { name, path: from, method, algo, filter, expected } = source;
        let mut spool = Spool::new(&self.config.real_store_dir, self.config.nar_buffer_size);
        let (hash, nar_hash, nar_size) = match (method, algo) {
            (ContentAddressMethod::Flat, _) => {
                let metadata = fs::metadata(from).at("examine", from)?;
                if !metadata.is_file() {
                    return Err(StoreError::NotRegular { path: from.to_owned() });
                }
                let hasher =
                    Tee(Hasher::new(algo), Writer::new(Tee(Hasher::new(HashAlgo::Sha256), &mut spool)));
                dump_flat(from, hasher)?
            }
            (_, HashAlgo::Sha256) => {
                let Tee(hasher, _) = dump_path(from, filter, Tee(Hasher::new(algo), &mut spool))?;
                let size = hasher.written();
                let hash = hasher.finish();
                (hash, hash, size)
            }
            _ => {
                let hashers = Tee(Hasher::new(algo), Hasher::new(HashAlgo::Sha256));
                let Tee(Tee(hasher, nar_hasher), _) = dump_path(from, filter, Tee(hashers, &mut spool))?;
                let size = nar_hasher.written();
                (hasher.finish(), nar_hasher.finish(), size)
            }
        };
        if let Some(specified) = expected
            && specified != hash
        {
            return Err(StoreError::HashMismatch {
                path: from.display().to_string(),
                specified: specified.into(),
                got: hash.into(),
            });
        }
        let address = ContentAddress { method, hash };
        let path = self
            .store_dir()
            .content_addressed_path(name, &address, &References::default())
            .map_err(|error| bad_name(name, &error))?;
        let mut info = PathInfo::new(path, nar_hash, nar_size);
        info.content_address = Some(address);
        Ok((info, spool))
    }

    /// Adds a tree that is no folder of this machine: `write` writes it as a NAR. Gives the hash of that, too.
    pub fn add_written<E: From<StoreError>>(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> std::result::Result<(), E>,
    ) -> std::result::Result<(StorePath, Hash), E> {
        self.require_writable("add to the store")?;
        let mut out = Tee(
            Hasher::new(HashAlgo::Sha256),
            Spool::new(&self.config.real_store_dir, self.config.nar_buffer_size),
        );
        write(&mut out)?;
        let Tee(hasher, spool) = out;
        let size = hasher.written();
        let hash = hasher.finish();
        let address = ContentAddress { method: ContentAddressMethod::NixArchive, hash };
        let path =
            self.store_dir().fixed_output_path(name, &address).map_err(|error| bad_name(name, &error))?;
        let mut info = PathInfo::new(path, hash, size);
        info.content_address = Some(address);
        Ok((self.add_spooled(info, spool)?, hash))
    }

    pub(crate) fn add_spooled(&self, info: PathInfo, spool: Spool<'_>) -> Result<StorePath> {
        self.add_temp_root(&info.path)?;
        if !self.is_valid_path(&info.path)? {
            self.install(&info, &mut spool.into_reader()?)?;
        }
        Ok(info.path)
    }

    /// The path and the hash that [`Self::add_source`] would give, without adding anything.
    pub fn hash_source(&self, source: Source<'_>) -> Result<(StorePath, Hash)> {
        let Source { name, path: from, method, algo, filter, expected: _ } = source;
        let hash = if method == ContentAddressMethod::Flat {
            let mut hasher = Hasher::new(algo);
            io::copy(&mut open_regular(from)?, &mut hasher).at("read", from)?;
            hasher.finish()
        } else {
            dump_path(from, filter, Hasher::new(algo))?.finish()
        };
        let path = self
            .store_dir()
            .fixed_output_path(name, &ContentAddress { method, hash })
            .map_err(|error| bad_name(name, &error))?;
        Ok((path, hash))
    }

    /// Adds a path from its NAR, as it comes from another store. The NAR must be what `info` says; signatures are
    /// the caller's to check. Reads no further than the NAR's end; reads nothing if the path is valid.
    pub fn add_nar(&self, info: &PathInfo, nar: &mut dyn BufRead) -> Result<()> {
        self.require_writable("add to the store")?;
        self.add_temp_root(&info.path)?;
        if self.is_valid_path(&info.path)? { Ok(()) } else { self.install(info, nar) }
    }

    /// Unpacks, checks, moves into place and registers.
    fn install(&self, info: &PathInfo, nar: &mut dyn BufRead) -> Result<()> {
        let _not_alone = self.adding.read().unwrap_or_else(PoisonError::into_inner);
        let mut locks = self.lock_paths([&info.path])?;
        if !self.is_valid_path(&info.path)? {
            self.put_in_place(&info.path, Existing::Keep, |temporary| {
                let mut nar = HashingReader::new(nar, HashAlgo::Sha256);
                restore_nar(&mut nar, temporary)?;
                fault_point("unpacked");
                let (_, hash, size) = nar.finish();
                self.check_nar(info, &hash, size)?;
                self.check_content_address(info, temporary)
            })?;
            fault_point("before-register");
            self.register_valid_paths(std::slice::from_ref(info))?;
            fault_point("after-register");
        }
        locks.set_after_unlock(AfterUnlock::Delete);
        Ok(())
    }

    fn check_nar(&self, info: &PathInfo, hash: &Hash, size: u64) -> Result<()> {
        if *hash != info.nar_hash {
            return Err(StoreError::HashMismatch {
                path: self.display(&info.path),
                specified: info.nar_hash.into(),
                got: (*hash).into(),
            });
        }
        if info.nar_size != 0 && size != info.nar_size {
            return Err(StoreError::SizeMismatch {
                path: self.display(&info.path),
                specified: info.nar_size,
                got: size,
            });
        }
        Ok(())
    }

    /// Checks that the contents have the content address, as far as the NAR hash hasn't shown it.
    fn check_content_address(&self, info: &PathInfo, files: &Path) -> Result<()> {
        let Some(address) = info.content_address else { return Ok(()) };
        let itself = info.references.contains(&info.path);
        let got = match address.method {
            ContentAddressMethod::Text | ContentAddressMethod::Flat => {
                let mut hasher = Hasher::new(address.hash.algo());
                io::copy(&mut open_regular(files)?, &mut hasher).at("read", files)?;
                hasher.finish()
            }
            ContentAddressMethod::NixArchive if !itself && address.hash.algo() == HashAlgo::Sha256 => {
                info.nar_hash
            }
            ContentAddressMethod::NixArchive => {
                let own = itself.then(|| info.path.hash_part());
                hash_path_modulo(files, address.hash.algo(), own)?
            }
            ContentAddressMethod::Git => {
                return Err(StoreError::UnsupportedMethod { path: self.display(&info.path), method: "git" });
            }
        };
        if got != address.hash {
            return Err(StoreError::HashMismatch {
                path: self.display(&info.path),
                specified: address.hash.into(),
                got: got.into(),
            });
        }
        Ok(())
    }

    /// Registers paths whose files are in place and canonical: all of them, or none.
    pub fn register_valid_paths(&self, infos: &[PathInfo]) -> Result<()> {
        self.require_writable("register paths")?;
        refuse_cycles(self, infos)?;
        let mut outputs = Vec::with_capacity(infos.len());
        for info in infos {
            if !info.content_address_holds(self.store_dir()) {
                return Err(StoreError::NotContentAddressed(self.display(&info.path)));
            }
            outputs.push(if info.path.is_derivation() {
                self.checked_outputs(&info.path)?
            } else {
                BTreeMap::new()
            });
        }
        let registration = |(info, outputs)| Registration::new(info, outputs);
        self.database.register(&infos.iter().zip(&outputs).map(registration).collect::<Vec<_>>())
    }

    /// The known output paths of a derivation on disk, after checking that they follow from it.
    fn checked_outputs(&self, path: &StorePath) -> Result<BTreeMap<String, StorePath>> {
        let derivation = self.read_derivation(path)?;
        let mut read = |input: &StorePath| self.read_derivation(input);
        derivation.check_output_paths(self.store_dir(), &self.memo, &mut read)?;
        let mut outputs = BTreeMap::new();
        for (name, output) in &derivation.outputs {
            let known = output
                .path(self.store_dir(), &derivation.name, name)
                .map_err(|error| self.bad_derivation(path, &error))?;
            outputs.extend(known.map(|path| (name.clone(), path)));
        }
        Ok(outputs)
    }

    /// Makes the files of a path under a temporary name, which the temporary root of the path protects too, since the
    /// garbage collectors of both programs look at the hash part alone; then moves them into place.
    pub(crate) fn put_in_place(
        &self,
        path: &StorePath,
        existing: Existing,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let temporary = self.config.real_store_dir.join(format!("{}-tmp", path.hash_part()));
        let put = || {
            remove_leftover(&temporary)?;
            make(&temporary)?;
            self.finish_tree(&temporary, existing)?;
            self.move_into_place(&temporary, path)
        };
        put().inspect_err(|_| {
            let _ = delete_tree(&temporary);
        })
    }

    fn finish_tree(&self, tree: &Path, existing: Existing) -> Result<()> {
        canonicalise(tree, Owner::Any, &self.config.ignored_acls, &mut InodesSeen::new())?;
        if self.config.auto_optimise {
            self.optimise_tree(tree, existing)?;
        }
        if self.config.fsync_store_paths {
            sync_tree(tree)?;
        }
        Ok(())
    }

    fn move_into_place(&self, temporary: &Path, path: &StorePath) -> Result<()> {
        let real = self.real_path(path);
        fault_point("before-rename");
        // We have the lock; but what is there may be valid, so that there must be no moment without it.
        match renameat_with(CWD, temporary, CWD, &real, RenameFlags::EXCHANGE) {
            Ok(()) => remove_leftover(temporary)?,
            Err(_) => {
                // Nothing is there, or the file system cannot exchange. A folder needs an empty place.
                remove_leftover(&real)?;
                fs::rename(temporary, &real).at("move into place", &real)?;
            }
        }
        if self.config.fsync_store_paths {
            let store = &self.config.real_store_dir;
            File::open(store).and_then(|directory| directory.sync_all()).at("synchronise", store)?;
        }
        Ok(())
    }
}

fn remove_leftover(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => delete_tree(path).map(drop),
    }
}

pub(crate) fn bad_name(name: &str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::BadName { name: name.to_owned(), detail: error.to_string() }
}

/// Writes one file as a NAR of a plain file, and its bytes into the first of the two.
fn dump_flat<W: Write>(from: &Path, tee: Tee<Hasher, Writer<Tee<Hasher, W>>>) -> Result<(Hash, Hash, u64)> {
    struct Hashed<'a>(&'a mut File, &'a mut Hasher);
    impl Read for Hashed<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(buffer)?;
            self.1.update(&buffer[..read]);
            Ok(read)
        }
    }
    let Tee(mut hasher, mut nar) = tee;
    let mut file = File::open(from).at("open", from)?;
    let size = file.metadata().at("examine", from)?.len();
    nar.file(Mode::Plain, size, &mut Hashed(&mut file, &mut hasher)).at("read", from)?;
    let Tee(nar_hasher, _) = nar.finish().at("read", from)?;
    let nar_size = nar_hasher.written();
    Ok((hasher.finish(), nar_hasher.finish(), nar_size))
}

/// References may only go to what is valid or comes earlier, so that a batch can be cut anywhere.
fn in_reference_order(files: Vec<DerivationFile>) -> Vec<DerivationFile> {
    let mut waiting: BTreeMap<StorePath, DerivationFile> =
        files.into_iter().map(|file| (file.path.clone(), file)).collect();
    let mut order = Vec::with_capacity(waiting.len());
    let starts: Vec<StorePath> = waiting.keys().cloned().collect();
    for start in starts {
        let mut stack = vec![start];
        while let Some(path) = stack.last() {
            let next = waiting
                .get(path)
                .and_then(|file| file.references.iter().find(|reference| waiting.contains_key(*reference)));
            // Texts can't form cycles: a path follows from the contents, which name the references.
            match next {
                Some(next) => stack.push(next.clone()),
                None => {
                    order.extend(waiting.remove(path));
                    stack.pop();
                }
            }
        }
    }
    order
}

fn refuse_cycles(store: &LocalStore, infos: &[PathInfo]) -> Result<()> {
    let references: BTreeMap<&StorePath, &BTreeSet<StorePath>> =
        infos.iter().map(|info| (&info.path, &info.references)).collect();
    let mut done: BTreeSet<&StorePath> = BTreeSet::new();
    for start in references.keys() {
        let mut open: BTreeSet<&StorePath> = BTreeSet::new();
        let mut stack = vec![(*start, false)];
        while let Some((path, leaving)) = stack.pop() {
            if leaving {
                open.remove(path);
                done.insert(path);
                continue;
            }
            if done.contains(path) || !open.insert(path) {
                continue;
            }
            stack.push((path, true));
            for next in references[path] {
                if open.contains(next) && next != path {
                    return Err(StoreError::ReferenceCycle {
                        from: store.display(path),
                        to: store.display(next),
                    });
                }
                if references.contains_key(next) {
                    stack.push((next, false));
                }
            }
        }
    }
    Ok(())
}

/// Keeps a NAR until its hash is known: in memory while it is small, else in a file of the store's file system
/// that has no name, so that a crash leaves nothing.
pub(crate) struct Spool<'a> {
    directory: &'a Path,
    limit: u64,
    memory: Vec<u8>,
    file: Option<File>,
}

impl<'a> Spool<'a> {
    fn new(directory: &'a Path, limit: u64) -> Self {
        Self { directory, limit, memory: Vec::new(), file: None }
    }

    /// The NAR, if it is in memory; else the spool again.
    pub(crate) fn into_memory(self) -> std::result::Result<Vec<u8>, Self> {
        if self.file.is_none() { Ok(self.memory) } else { Err(self) }
    }

    pub(crate) fn into_reader(self) -> Result<Box<dyn BufRead>> {
        match self.file {
            None => Ok(Box::new(io::Cursor::new(self.memory))),
            Some(mut file) => {
                file.seek(SeekFrom::Start(0)).at("read the copy in", self.directory)?;
                Ok(Box::new(BufReader::with_capacity(1 << 16, file)))
            }
        }
    }
}

impl Write for Spool<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && (self.memory.len() + data.len()) as u64 > self.limit {
            let mut file = unnamed_file(self.directory)?;
            file.write_all(&std::mem::take(&mut self.memory))?;
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(data)?,
            None => self.memory.extend_from_slice(data),
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unnamed_file(directory: &Path) -> io::Result<File> {
    use rustix::fs::{Mode as FileMode, OFlags};
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, FileMode::from_raw_mode(0o600)) {
        Ok(file) => Ok(File::from(file)),
        // Not every file system has unnamed files.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {
            let path = directory.join(format!("tmp-nar-{}", std::process::id()));
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            fs::remove_file(&path)?;
            Ok(file)
        }
        Err(error) => Err(error.into()),
    }
}
