//! A file or a block device as a [`Device`].

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use engine::{Device, UNIT};

/// Of a file whose bytes are promised, one part in so many is filled: the log, and some values.
const FILLED_PART: u64 = 4;

/// A file or a block device, locked for this process.
#[derive(Debug)]
pub struct FileDevice {
    file: File,
    bytes: u64,
    syncs: AtomicU64,
    writes: AtomicU64,
    written: AtomicU64,
}

/// What has been asked of a device since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Used {
    /// Syncs.
    pub syncs: u64,
    /// Writes.
    pub writes: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Why a file or block device cannot be used.
#[derive(Debug)]
pub enum FileError {
    /// Another process has it open.
    Locked,
    /// The operating system refused.
    Io(io::Error),
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FileError::Locked => {
                write!(f, "the device is in use by another process; stop that process first")
            }
            FileError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FileError {}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> FileError {
        FileError::Io(error)
    }
}

impl FileDevice {
    /// Creates a file of `bytes` zero bytes (rounded down to whole units), for its owner only: it will hold what clients
    /// store. An existing file is an error.
    ///
    /// The file is filled, not just sized: a hole would be allocated by the file system at the first write, and then
    /// each sync would write file system metadata too, and could fail for want of space in the middle of the log. The
    /// directory is synced, because (1) the file is created, (2) the node promises and acknowledges on it, (3) the
    /// power fails before the directory entry is on the medium, (4) file and promise are gone.
    pub fn create(path: &Path, bytes: u64) -> Result<FileDevice, FileError> {
        FileDevice::create_promised(path, bytes, |_, _| Ok(false))
    }

    /// The same; but where the file system can set the bytes aside (`promise`, which says whether it did), only the first
    /// part is filled. Behind it the space is there as certainly, and each sector's first write costs its sync a little
    /// metadata: the price of a large device that is made at once.
    pub fn create_promised(
        path: &Path,
        bytes: u64,
        promise: impl FnOnce(&File, u64) -> io::Result<bool>,
    ) -> Result<FileDevice, FileError> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        let bytes = bytes / UNIT * UNIT;
        let filled = |promised| if promised { bytes / FILLED_PART } else { bytes };
        let made = lock(&file).and_then(|()| Ok(fill(&file, filled(promise(&file, bytes)?), path)?));
        if made.is_err() {
            // A half-filled file would only be in the way of the next attempt.
            let _ = std::fs::remove_file(path);
        }
        made.map(|()| FileDevice::new(file, bytes))
    }

    /// Opens an existing file or block device for reading and writing.
    pub fn open(path: &Path) -> Result<FileDevice, FileError> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        lock(&file)?;
        // The end, not the metadata's length: that is 0 for a block device.
        let bytes = file.seek(SeekFrom::End(0))?;
        Ok(FileDevice::new(file, bytes))
    }

    fn new(file: File, bytes: u64) -> FileDevice {
        let [syncs, writes, written] = [const { AtomicU64::new(0) }; 3];
        FileDevice { file, bytes, syncs, writes, written }
    }

    /// What has been asked of it.
    pub fn used(&self) -> Used {
        let [syncs, writes, bytes] =
            [&self.syncs, &self.writes, &self.written].map(|count| count.load(Relaxed));
        Used { syncs, writes, bytes }
    }
}

fn fill(file: &File, bytes: u64, path: &Path) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    let mut at = 0;
    while at < bytes {
        let n = (bytes - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..n as usize], at)?;
        at += n;
    }
    file.sync_all()?;
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// `device-lock`. Without it: (1) a second process opens the device, (2) both recover the same log and append at the
/// same place, (3) each acknowledges what the other overwrites. The lock goes with the process, however it dies.
fn lock(file: &File) -> Result<(), FileError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => FileError::Locked,
        TryLockError::Error(error) => FileError::Io(error),
    })
}

impl Device for FileDevice {
    fn size(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.writes.fetch_add(1, Relaxed);
        self.written.fetch_add(bytes.len() as u64, Relaxed);
        self.file.write_all_at(bytes, offset)
    }

    /// Data only: the file's size and place never change after `create`.
    fn sync(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Relaxed);
        self.file.sync_data()
    }
}
