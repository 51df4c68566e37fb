//! The other engines, each with a table of bytes to bytes.

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bench::group::{Put, Queue};
use bench::load::{Store, Used};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use lmdb::{DatabaseFlags, Environment, Transaction, WriteFlags};
use redb::TableDefinition;
use rusqlite::Connection;

/// An engine that makes several puts durable in one transaction.
pub trait Transactional: Sync {
    fn commit(&self, puts: Vec<Put>) -> io::Result<()>;
}

/// Such an engine, with a group commit.
pub struct Grouped<T> {
    engine: T,
    queue: Queue,
    commits: AtomicU64,
}

impl<T> Grouped<T> {
    pub fn new(engine: T) -> Grouped<T> {
        Grouped { engine, queue: Queue::default(), commits: AtomicU64::new(0) }
    }
}

impl<T: Transactional> Store for Grouped<T> {
    fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.queue.put((key.into(), value.into()), |puts| {
            self.commits.fetch_add(1, Relaxed);
            self.engine.commit(puts)
        })
    }

    /// Its syncs cannot be seen from outside. Bytes are those that this process has handed to the operating system,
    /// where that counts them (Linux); only one engine at a time has its turn.
    fn used(&self) -> Used {
        let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
        let written = io.lines().find_map(|line| line.strip_prefix("wchar: "));
        let bytes = written.and_then(|n| n.parse().ok()).unwrap_or(0);
        Used { syncs: self.commits.load(Relaxed), writes: 0, bytes }
    }
}

/// redb; its transactions are durable as they come.
pub struct Redb(redb::Database);

const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("kv");

impl Redb {
    pub fn create(path: &Path) -> io::Result<Redb> {
        redb::Database::create(path).map(Redb).map_err(io::Error::other)
    }
}

impl Transactional for Redb {
    fn commit(&self, puts: Vec<Put>) -> io::Result<()> {
        let write = || -> Result<(), redb::Error> {
            let transaction = self.0.begin_write()?;
            {
                let mut table = transaction.open_table(TABLE)?;
                for (key, value) in &puts {
                    table.insert(key.as_slice(), value.as_slice())?;
                }
            }
            Ok(transaction.commit()?)
        };
        write().map_err(io::Error::other)
    }
}

/// SQLite with a write-ahead log that is synced at each commit.
pub struct Sqlite(Mutex<Connection>);

impl Sqlite {
    pub fn create(path: &Path, value_bytes: usize) -> io::Result<Sqlite> {
        // Its manual: rows of more than a twentieth of a page are better off in a table with row ids.
        let rowid = if value_bytes > 200 { "" } else { "WITHOUT ROWID" };
        let open = || {
            let connection = Connection::open(path)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.execute_batch(&format!("CREATE TABLE kv (k BLOB PRIMARY KEY, v BLOB) {rowid}"))?;
            Ok::<_, rusqlite::Error>(connection)
        };
        open().map(|connection| Sqlite(Mutex::new(connection))).map_err(io::Error::other)
    }
}

impl Transactional for Sqlite {
    fn commit(&self, puts: Vec<Put>) -> io::Result<()> {
        let mut connection = self.0.lock().map_err(|_| io::Error::other("a panic has been reported"))?;
        let mut write = || {
            let transaction = connection.transaction()?;
            {
                let mut put = transaction
                    .prepare_cached("INSERT INTO kv VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = ?2")?;
                for (key, value) in &puts {
                    put.execute((key, value))?;
                }
            }
            transaction.commit()
        };
        write().map_err(io::Error::other)
    }
}

/// LMDB; its transactions are durable as they come.
pub struct Lmdb(Environment, lmdb::Database);

impl Lmdb {
    pub fn create(path: &Path) -> io::Result<Lmdb> {
        std::fs::create_dir(path)?;
        let open = || {
            let environment = Environment::new().set_map_size(4 << 30).open(path)?;
            let database = environment.create_db(None, DatabaseFlags::empty())?;
            Ok::<_, lmdb::Error>(Lmdb(environment, database))
        };
        open().map_err(io::Error::other)
    }
}

impl Transactional for Lmdb {
    fn commit(&self, puts: Vec<Put>) -> io::Result<()> {
        let write = || {
            let mut transaction = self.0.begin_rw_txn()?;
            for (key, value) in &puts {
                transaction.put(self.1, key, value, WriteFlags::empty())?;
            }
            transaction.commit()
        };
        write().map_err(io::Error::other)
    }
}

/// fjall, with its journal synced at each commit.
pub struct Fjall(Database, Keyspace);

impl Fjall {
    pub fn create(path: &Path) -> io::Result<Fjall> {
        let open = || {
            let database = Database::builder(path).open()?;
            let keyspace = database.keyspace("kv", KeyspaceCreateOptions::default)?;
            Ok::<_, fjall::Error>(Fjall(database, keyspace))
        };
        open().map_err(io::Error::other)
    }
}

impl Transactional for Fjall {
    fn commit(&self, puts: Vec<Put>) -> io::Result<()> {
        let mut batch = self.0.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in puts {
            batch.insert(&self.1, key, value);
        }
        batch.commit().map_err(io::Error::other)
    }
}
