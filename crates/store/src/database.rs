//! The SQLite database of a store: which paths are valid, and what refers to what.
//!
//! The tables are those of C++ Nix 2.34, schema 10 (`src/libstore/schema.sql`), so that both programs can use one
//! store at the same time. Every change is one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nival_formats::{Hash, HashFormat, StoreDir, StorePath};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, Row, TransactionBehavior, params};

use crate::error::{Result, StoreError};
use crate::event::{Reporter, StoreEvent};
use crate::path_info::PathInfo;

/// The schema version that is read and written.
pub(crate) const SCHEMA_VERSION: u32 = 10;

const SCHEMA: &str = "
create table if not exists ValidPaths (
    id               integer primary key autoincrement not null,
    path             text unique not null,
    hash             text not null,
    registrationTime integer not null,
    deriver          text,
    narSize          integer,
    ultimate         integer,
    sigs             text,
    ca               text
);
create table if not exists Refs (
    referrer  integer not null,
    reference integer not null,
    primary key (referrer, reference),
    foreign key (referrer) references ValidPaths(id) on delete cascade,
    foreign key (reference) references ValidPaths(id) on delete restrict
);
create index if not exists IndexReferrer on Refs(referrer);
create index if not exists IndexReference on Refs(reference);
create trigger if not exists DeleteSelfRefs before delete on ValidPaths
  begin
    delete from Refs where referrer = old.id and reference = old.id;
  end;
create table if not exists DerivationOutputs (
    drv  integer not null,
    id   text not null,
    path text not null,
    primary key (drv, id),
    foreign key (drv) references ValidPaths(id) on delete cascade
);
create index if not exists IndexDerivationOutputs on DerivationOutputs(path);
";

/// How the database file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenMode {
    /// For queries, on a file that nobody changes.
    Immutable,
    /// An existing one.
    Existing,
    /// A new one, or one whose creation was cut off.
    Create,
}

pub(crate) struct DatabaseOptions<'a> {
    pub(crate) store_dir: &'a StoreDir,
    pub(crate) file: PathBuf,
    pub(crate) mode: OpenMode,
    pub(crate) use_wal: bool,
    pub(crate) sync: bool,
    pub(crate) reporter: Reporter,
}

pub(crate) struct Database {
    store_dir: StoreDir,
    file: PathBuf,
    connection: Mutex<Connection>,
    reporter: Reporter,
}

impl Database {
    pub(crate) fn open(options: DatabaseOptions<'_>) -> Result<Self> {
        let DatabaseOptions { store_dir, file, mode, use_wal, sync, reporter } = options;
        let connection = connect(&file, mode, use_wal).map_err(|error| failed(&file, error))?;
        let database =
            Self { store_dir: store_dir.clone(), file, connection: Mutex::new(connection), reporter };
        database.run(|connection| configure(connection, mode, use_wal, sync))?;
        Ok(database)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic in another thread can't have left a transaction open: it is rolled back on unwinding.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work`, again and again while another process keeps SQLite busy (C++ Nix: `retrySQLite`).
    fn run<T>(&self, mut work: impl FnMut(&mut Connection) -> Result<T, Failure>) -> Result<T> {
        let mut warned: Option<SystemTime> = None;
        loop {
            let error = match work(&mut self.lock()) {
                Ok(value) => return Ok(value),
                Err(Failure::Store(error)) => return Err(error),
                Err(Failure::Sql(error)) => error,
            };
            if !is_busy(&error) {
                return Err(failed(&self.file, error));
            }
            let now = SystemTime::now();
            if warned.is_none_or(|last| now.duration_since(last).is_ok_and(|age| age.as_secs() >= 10)) {
                (self.reporter)(StoreEvent::DatabaseBusy(&self.file));
                warned = Some(now);
            }
            let jitter = now.duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_micros() % 100);
            std::thread::sleep(Duration::from_millis(u64::from(jitter)));
        }
    }

    /// Runs `work` in a transaction that takes the write lock at its start.
    fn change<T>(&self, mut work: impl FnMut(&Connection) -> Result<T, Failure>) -> Result<T> {
        self.run(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
    }

    pub(crate) fn is_valid(&self, path: &StorePath) -> Result<bool> {
        let text = self.store_dir.display(path);
        self.run(|connection| Ok(path_id(connection, &text)?.is_some()))
    }

    pub(crate) fn filter_valid<'a>(
        &self,
        paths: impl Iterator<Item = &'a StorePath> + Clone,
    ) -> Result<BTreeSet<StorePath>> {
        self.run(|connection| {
            // One transaction: each takes and leaves the database's lock.
            let transaction = connection.transaction()?;
            let mut valid = BTreeSet::new();
            for path in paths.clone() {
                if path_id(&transaction, &self.store_dir.display(path))?.is_some() {
                    valid.insert(path.clone());
                }
            }
            Ok(valid)
        })
    }

    pub(crate) fn path_info(&self, path: &StorePath) -> Result<Option<PathInfo>> {
        let text = self.store_dir.display(path);
        self.run(|connection| {
            let mut query = connection.prepare_cached(
                "select id, hash, registrationTime, deriver, narSize, ultimate, sigs, ca \
                 from ValidPaths where path = ?",
            )?;
            let Some(record) = query.query_row([&text], PathRecord::read).optional()? else {
                return Ok(None);
            };
            let references = self.paths(
                connection,
                "select path from Refs join ValidPaths on reference = id where referrer = ?",
                record.id,
            )?;
            Ok(Some(self.path_info_from(path, record, references)?))
        })
    }

    fn path_info_from(
        &self,
        path: &StorePath,
        record: PathRecord,
        references: BTreeSet<StorePath>,
    ) -> Result<PathInfo, Failure> {
        let bad = |what: &str| {
            Failure::Store(
                self.corrupt(format!("the {what} of `{}` can't be read", self.store_dir.display(path))),
            )
        };
        Ok(PathInfo {
            path: path.clone(),
            nar_hash: Hash::parse_prefixed(&record.hash).map_err(|_| bad("hash"))?,
            nar_size: record.nar_size.unwrap_or(0).max(0) as u64,
            references,
            deriver: match record.deriver.as_deref() {
                None | Some("") => None,
                Some(text) => Some(self.store_dir.parse(text).map_err(|_| bad("deriver"))?),
            },
            registration_time: record.registration_time,
            ultimate: record.ultimate == Some(1),
            signatures: record.sigs.unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            content_address: match record.ca.as_deref() {
                None | Some("") => None,
                Some(text) => Some(text.parse().map_err(|_| bad("content address"))?),
            },
        })
    }

    pub(crate) fn references(&self, path: &StorePath) -> Result<Option<BTreeSet<StorePath>>> {
        let text = self.store_dir.display(path);
        self.run(|connection| match path_id(connection, &text)? {
            None => Ok(None),
            Some(id) => Ok(Some(self.paths(
                connection,
                "select path from Refs join ValidPaths on reference = id where referrer = ?",
                id,
            )?)),
        })
    }

    pub(crate) fn referrers(&self, path: &StorePath) -> Result<BTreeSet<StorePath>> {
        let text = self.store_dir.display(path);
        self.run(|connection| self.referrers_in(connection, &text))
    }

    fn referrers_in(&self, connection: &Connection, text: &str) -> Result<BTreeSet<StorePath>, Failure> {
        self.paths(
            connection,
            "select path from Refs join ValidPaths on referrer = id \
             where reference = (select id from ValidPaths where path = ?)",
            text,
        )
    }

    pub(crate) fn all_valid(&self) -> Result<BTreeSet<StorePath>> {
        self.run(|connection| {
            self.paths(connection, "select path from ValidPaths where ? is null", None::<i64>)
        })
    }

    /// The valid derivations that have `path` as an output.
    pub(crate) fn valid_derivers(&self, path: &StorePath) -> Result<BTreeSet<StorePath>> {
        let text = self.store_dir.display(path);
        self.run(|connection| {
            self.paths(
                connection,
                "select v.path from DerivationOutputs d join ValidPaths v on d.drv = v.id where d.path = ?",
                &text,
            )
        })
    }

    /// The output paths of a valid derivation that were known before it was built.
    pub(crate) fn derivation_outputs(&self, drv: &StorePath) -> Result<Option<BTreeMap<String, StorePath>>> {
        let text = self.store_dir.display(drv);
        self.run(|connection| {
            let Some(id) = path_id(connection, &text)? else { return Ok(None) };
            let mut query =
                connection.prepare_cached("select id, path from DerivationOutputs where drv = ?")?;
            let mut rows = query.query([id])?;
            let mut outputs = BTreeMap::new();
            while let Some(row) = rows.next()? {
                outputs.insert(row.get(0)?, self.parse(row.get_ref(1)?.as_str()?)?);
            }
            Ok(Some(outputs))
        })
    }

    pub(crate) fn path_from_hash_part(&self, hash_part: &str) -> Result<Option<StorePath>> {
        let prefix = format!("{}/{hash_part}", self.store_dir);
        self.run(|connection| {
            let found: Option<String> = connection
                .prepare_cached("select path from ValidPaths where path >= ? limit 1")?
                .query_row([&prefix], |row| row.get(0))
                .optional()?;
            found.filter(|path| path.starts_with(&prefix)).map(|path| self.parse(&path)).transpose()
        })
    }

    /// Registers all of `items`, or none.
    pub(crate) fn register(&self, items: &[Registration<'_>]) -> Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        self.change(|connection| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |age| age.as_secs() as i64);
            let mut ids: HashMap<&StorePath, i64> = HashMap::with_capacity(items.len() * 2);
            for item in items {
                let text = self.store_dir.display(&item.info.path);
                let id = match path_id(connection, &text)? {
                    Some(id) => {
                        update(connection, &text, item)?;
                        id
                    }
                    None => self.insert(connection, &text, item, now)?,
                };
                ids.insert(&item.info.path, id);
            }
            let mut add = connection
                .prepare_cached("insert or replace into Refs (referrer, reference) values (?, ?)")?;
            let mut references = Vec::new();
            for item in items {
                references.clear();
                for reference in &item.info.references {
                    references.push(match ids.get(reference) {
                        Some(id) => *id,
                        None => {
                            let text = self.store_dir.display(reference);
                            let Some(id) = path_id(connection, &text)? else {
                                return Err(StoreError::NotValid(text).into());
                            };
                            ids.insert(reference, id);
                            id
                        }
                    });
                }
                // In the order of the table's key.
                references.sort_unstable();
                let referrer = ids[&item.info.path];
                for reference in &references {
                    add.execute([referrer, *reference])?;
                }
            }
            Ok(())
        })
    }

    fn insert(
        &self,
        connection: &Connection,
        text: &str,
        item: &Registration<'_>,
        now: i64,
    ) -> Result<i64, Failure> {
        let Registration { info, nar_hash, nar_size, outputs } = item;
        connection
            .prepare_cached(
                "insert into ValidPaths \
                 (path, hash, registrationTime, deriver, narSize, ultimate, sigs, ca) \
                 values (?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                text,
                nar_hash.to_prefixed(HashFormat::Base16),
                if info.registration_time == 0 { now } else { info.registration_time },
                info.deriver.as_ref().map(|deriver| self.store_dir.display(deriver)),
                size_column(*nar_size),
                info.ultimate.then_some(1),
                signatures_column(info),
                info.content_address.map(|address| address.to_string()),
            ])?;
        let id = connection.last_insert_rowid();
        let mut add = connection
            .prepare_cached("insert or replace into DerivationOutputs (drv, id, path) values (?, ?, ?)")?;
        for (name, path) in *outputs {
            add.execute(params![id, name, self.store_dir.display(path)])?;
        }
        Ok(id)
    }

    /// Adds signatures to a valid path.
    pub(crate) fn add_signatures(&self, path: &StorePath, signatures: &BTreeSet<String>) -> Result<()> {
        let text = self.store_dir.display(path);
        self.change(|connection| {
            let old: Option<Option<String>> = connection
                .prepare_cached("select sigs from ValidPaths where path = ?")?
                .query_row([&text], |row| row.get(0))
                .optional()?;
            let Some(old) = old else { return Err(StoreError::NotValid(text.clone()).into()) };
            let old = old.unwrap_or_default();
            let all: BTreeSet<&str> =
                old.split_whitespace().chain(signatures.iter().map(String::as_str)).collect();
            let all = all.into_iter().collect::<Vec<_>>().join(" ");
            connection
                .prepare_cached("update ValidPaths set sigs = ? where path = ?")?
                .execute(params![all, text])?;
            Ok(())
        })
    }

    /// Makes a path invalid, unless another valid path refers to it.
    pub(crate) fn invalidate(&self, path: &StorePath) -> Result<()> {
        let text = self.store_dir.display(path);
        self.change(|connection| {
            let mut referrers = self.referrers_in(connection, &text)?;
            referrers.remove(path);
            if !referrers.is_empty() {
                let referrers = referrers.iter().map(|path| self.store_dir.display(path)).collect();
                return Err(StoreError::InUse { path: text.clone(), referrers }.into());
            }
            connection.prepare_cached("delete from ValidPaths where path = ?")?.execute([&text])?;
            Ok(())
        })
    }

    /// Lets SQLite look for damage in its own file.
    pub(crate) fn integrity_errors(&self) -> Result<Vec<String>> {
        self.run(|connection| {
            let mut query = connection.prepare("pragma quick_check")?;
            let lines = query.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
            Ok(lines.into_iter().filter(|line| line != "ok").collect())
        })
    }

    fn paths(
        &self,
        connection: &Connection,
        sql: &str,
        key: impl rusqlite::ToSql,
    ) -> Result<BTreeSet<StorePath>, Failure> {
        let mut query = connection.prepare_cached(sql)?;
        let mut rows = query.query([key])?;
        let mut paths = BTreeSet::new();
        while let Some(row) = rows.next()? {
            paths.insert(self.parse(row.get_ref(0)?.as_str()?)?);
        }
        Ok(paths)
    }

    fn parse(&self, text: &str) -> Result<StorePath, Failure> {
        self.store_dir.parse(text).map_err(|_| {
            Failure::Store(self.corrupt(format!("`{text}` is registered, but isn't a store path")))
        })
    }

    fn corrupt(&self, detail: String) -> StoreError {
        StoreError::CorruptDatabase { path: self.file.clone(), detail }
    }
}

/// A path to register, with the outputs that its derivation names.
pub(crate) struct Registration<'a> {
    pub(crate) info: &'a PathInfo,
    /// These two stand for those of the info.
    pub(crate) nar_hash: Hash,
    pub(crate) nar_size: u64,
    pub(crate) outputs: &'a BTreeMap<String, StorePath>,
}

impl<'a> Registration<'a> {
    pub(crate) fn new(info: &'a PathInfo, outputs: &'a BTreeMap<String, StorePath>) -> Self {
        Self { info, nar_hash: info.nar_hash, nar_size: info.nar_size, outputs }
    }
}

struct PathRecord {
    id: i64,
    hash: String,
    registration_time: i64,
    deriver: Option<String>,
    nar_size: Option<i64>,
    ultimate: Option<i64>,
    sigs: Option<String>,
    ca: Option<String>,
}

impl PathRecord {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            hash: row.get(1)?,
            registration_time: row.get(2)?,
            deriver: row.get(3)?,
            nar_size: row.get(4)?,
            ultimate: row.get(5)?,
            sigs: row.get(6)?,
            ca: row.get(7)?,
        })
    }
}

/// An error inside of a transaction: SQLite's, which may be worth another try, or ours.
enum Failure {
    Sql(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<rusqlite::types::FromSqlError> for Failure {
    fn from(error: rusqlite::types::FromSqlError) -> Self {
        Self::Sql(error.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
    )
}

fn failed(file: &Path, error: rusqlite::Error) -> StoreError {
    let damaged =
        matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
            || matches!(
                error,
                rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..)
            )
            || error.to_string().starts_with("no such table")
            || error.to_string().starts_with("no such column");
    if damaged {
        StoreError::CorruptDatabase { path: file.to_owned(), detail: error.to_string() }
    } else {
        StoreError::Database { path: file.to_owned(), source: error }
    }
}

fn path_id(connection: &Connection, text: &str) -> Result<Option<i64>, Failure> {
    Ok(connection
        .prepare_cached("select id from ValidPaths where path = ?")?
        .query_row([text], |row| row.get(0))
        .optional()?)
}

fn update(connection: &Connection, text: &str, item: &Registration<'_>) -> Result<(), Failure> {
    let Registration { info, nar_hash, nar_size, .. } = item;
    connection
        .prepare_cached(
            "update ValidPaths set narSize = ?, hash = ?, ultimate = ?, sigs = ?, ca = ? where path = ?",
        )?
        .execute(params![
            size_column(*nar_size),
            nar_hash.to_prefixed(HashFormat::Base16),
            info.ultimate.then_some(1),
            signatures_column(info),
            info.content_address.map(|address| address.to_string()),
            text,
        ])?;
    Ok(())
}

fn size_column(size: u64) -> Option<i64> {
    (size != 0).then(|| i64::try_from(size).unwrap_or(i64::MAX))
}

fn signatures_column(info: &PathInfo) -> Option<String> {
    (!info.signatures.is_empty())
        .then(|| info.signatures.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
}

fn connect(file: &Path, mode: OpenMode, use_wal: bool) -> rusqlite::Result<Connection> {
    let access = match mode {
        OpenMode::Immutable => OpenFlags::SQLITE_OPEN_READ_ONLY,
        OpenMode::Existing => OpenFlags::SQLITE_OPEN_READ_WRITE,
        OpenMode::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    };
    // The mutex around the connection makes SQLite's own one needless.
    let flags = access | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let immutable = u8::from(mode == OpenMode::Immutable);
    let uri = format!("file:{}?immutable={immutable}", percent_encode(file));
    let connection = if use_wal {
        Connection::open_with_flags(uri, flags)?
    } else {
        // For file systems without shared memory, such as NFS.
        Connection::open_with_flags_and_vfs(uri, flags, c"unix-dotfile")?
    };
    connection.busy_timeout(Duration::from_hours(1))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn configure(connection: &Connection, mode: OpenMode, use_wal: bool, sync: bool) -> Result<(), Failure> {
    connection.execute_batch("pragma foreign_keys = 1")?;
    if mode == OpenMode::Immutable {
        return Ok(());
    }
    connection.execute_batch(if sync {
        "pragma synchronous = normal"
    } else {
        "pragma synchronous = off"
    })?;
    let wanted = if use_wal { "wal" } else { "truncate" };
    let current: String = connection.query_row("pragma main.journal_mode", [], |row| row.get(0))?;
    if current != wanted {
        let _: String =
            connection.query_row(&format!("pragma main.journal_mode = {wanted}"), [], |row| row.get(0))?;
    }
    if use_wal {
        // Truncated rather than removed on close, so that others can open the database without write access.
        let _: i64 =
            connection.query_row("pragma main.journal_size_limit = 1099511627776", [], |row| row.get(0))?;
        keep_wal_file(connection);
        let _: i64 = connection.query_row("pragma wal_autocheckpoint = 40000", [], |row| row.get(0))?;
    }
    if mode == OpenMode::Create {
        connection.execute_batch(&format!("begin immediate; {SCHEMA} commit"))?;
    }
    let migrations: Option<i64> = connection
        .query_row("select 1 from sqlite_schema where name = 'SchemaMigrations'", [], |row| row.get(0))
        .optional()?;
    if migrations.is_none() {
        connection.execute_batch(
            "create table if not exists SchemaMigrations (migration text primary key not null)",
        )?;
    }
    // A statement on each table, so that a damaged or foreign file is found out here.
    connection.prepare_cached("select id from ValidPaths where path = ?")?;
    connection
        .prepare_cached("select path from Refs join ValidPaths on reference = id where referrer = ?")?;
    connection.prepare_cached("select id, path from DerivationOutputs where drv = ?")?;
    Ok(())
}

fn keep_wal_file(connection: &Connection) {
    let mut enable: c_int = 1;
    // SAFETY: the handle is alive as long as `connection` is borrowed, a null name means the main database, and
    // this file control takes a pointer to an int that it only uses during the call. Failure changes nothing.
    unsafe {
        rusqlite::ffi::sqlite3_file_control(
            connection.handle(),
            std::ptr::null(),
            rusqlite::ffi::SQLITE_FCNTL_PERSIST_WAL,
            (&raw mut enable).cast(),
        );
    }
}

/// Keeps `?`, `#` and `%` in file names from being read as parts of the URI.
fn percent_encode(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    let mut out = String::new();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(byte) {
            out.push(*byte as char);
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string can't fail");
        }
    }
    out
}
