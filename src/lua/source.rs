//! Whole files that a script reads: bounded in size, and interruptible whatever the read waits for.

use std::io;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::cancel::Canceller;
use super::open_beneath::Beneath;

/// Reads a file, a pipe or a device to its end.
///
/// # Errors
/// Any I/O error, more than `most` bytes, or an interrupt of the script.
pub fn whole(path: &Beneath, most: usize, canceller: &Canceller) -> io::Result<Vec<u8>> {
    // A blocking call is interrupted when the script must stop.
    let must_stop = || canceller.reason().is_some();
    let file = path.open(OFlags::RDONLY, &must_stop)?;
    let too_large = || {
        let most = most >> 20;
        io::Error::other(format!("it has more than {most} MiB; read it in pieces with io.open"))
    };
    let about = rustix::fs::fstat(&file)?;
    let size = usize::try_from(about.st_size).unwrap_or(0);
    if size > most {
        return Err(too_large());
    }
    let mut content = Vec::with_capacity(size + 1);
    loop {
        const CHUNK: usize = 1 << 16;
        if content.len() > most {
            return Err(too_large());
        }
        content.reserve(CHUNK.min(size.max(CHUNK)));
        match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut content)) {
            Ok(0) => return Ok(content),
            Ok(_) => {}
            Err(Errno::INTR) if !must_stop() => {}
            Err(error) => return Err(error.into()),
        }
        if must_stop() {
            return Err(Errno::INTR.into());
        }
    }
}
