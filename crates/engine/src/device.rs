//! What the engine asks of a disk: exact reads, whole writes, and a sync that means it.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// One device: a preallocated file, a block device, or a simulated disk.
///
/// Writes may reach the medium in any order, in part, or not at all, until a later [`sync`](Device::sync) has
/// returned `Ok`. Reads see what was written, synced or not.
pub trait Device {
    /// Its size in bytes; it does not change while the device is open.
    fn size(&self) -> u64;
    /// Fills `buf` from `offset`; fewer bytes than asked for are an error.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Returns once every write that returned before this call is on the medium.
    fn sync(&self) -> io::Result<()>;
}

macro_rules! through {
    ($($pointer:ty),*) => {$(
        impl<D: Device + ?Sized> Device for $pointer {
            fn size(&self) -> u64 {
                (**self).size()
            }
            fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
                (**self).read_at(offset, buf)
            }
            fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
                (**self).write_at(offset, bytes)
            }
            fn sync(&self) -> io::Result<()> {
                (**self).sync()
            }
        }
    )*};
}

through!(&D, Rc<D>, Arc<D>, Box<D>);
