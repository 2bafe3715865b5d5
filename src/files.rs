//! Files that people read: written whole through a temporary file beside them and renamed, so that a crash or a full disk leaves
//! either the old file or the new one.

use std::io::{self, Write};
use std::path::Path;

/// Replaces a file's content.
///
/// # Errors
/// Any I/O error; the old file is then untouched.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    write_whole_with(path, |out| out.write_all(content))
}

/// Replaces a file's content by what `write` writes.
///
/// # Errors
/// Any I/O error, also of `write`; the old file is then untouched.
pub fn write_whole_with(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What the old file had, or what a plain new file gets (the umask still applies to a new one).
        let permissions = match path.metadata() {
            Ok(old) => old.permissions(),
            Err(_) => std::fs::Permissions::from_mode(0o644),
        };
        builder.permissions(permissions);
    }
    let mut file = io::BufWriter::new(builder.tempfile_in(folder)?);
    write(&mut file)?;
    file.flush()?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
