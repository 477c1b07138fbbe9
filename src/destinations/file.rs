//! The destination `file`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tokio::sync::oneshot;

use super::secure_file::{check_place, create_private, failed, folder_of, sync_folder_of};
use super::{BoxFuture, Destination};
use crate::advice::Advice;
use crate::error::Result;
use crate::model::Token;
use crate::process;
use crate::tag::Tag;
use crate::token_output::Form;

/// A file, readable by its owner only. Until the token is enabled, the secret is in a pending file beside it.
#[derive(Debug, Clone)]
pub struct ToFile {
    /// The path of the file.
    pub path: PathBuf,
    /// The format.
    pub form: Form,
    /// Whether an existing file is replaced.
    pub overwrite: bool,
}

impl ToFile {
    fn check_now(&self) -> Result<()> {
        check_place(&self.path)?;
        if !self.overwrite && self.path.symlink_metadata().is_ok() {
            return Err(failed(format!("{} exists already", self.path.display())).suggest(Advice::Overwrite));
        }
        Ok(())
    }

    /// `PATH.TAG.pending`
    fn pending(&self, tag: &Tag) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{tag}.pending"));
        self.path.with_file_name(name)
    }

    fn write_pending(&self, token: &Token, tag: &Tag) -> Result<()> {
        self.check_now()?;
        let pending = self.pending(tag);
        let text = self.form.write(token)?;
        let written = create_private(&pending).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            sync_folder_of(&pending)
        });
        written.map_err(|error| {
            let _ = std::fs::remove_file(&pending);
            failed(format!("cannot write {}: {error}", pending.display()))
        })
    }

    fn put_in_place(&self, tag: &Tag) -> Result<()> {
        let pending = self.pending(tag);
        let moved = if self.overwrite {
            check_place(&self.path).and_then(|()| self.moved(std::fs::rename(&pending, &self.path), &pending))
        } else {
            self.moved(rename_to_new(&pending, &self.path), &pending)
        };
        moved?;
        self.moved(sync_folder_of(&self.path), &pending)
    }

    fn moved(&self, result: io::Result<()>, pending: &Path) -> Result<()> {
        result.map_err(|error| {
            failed(format!(
                "cannot move the secret from {} to {}: {error}",
                pending.display(),
                self.path.display()
            ))
            .suggest("move the file yourself: it is complete, and readable by its owner only")
        })
    }
}

/// Renames a file without replacing another.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::hard_link(from, to) {
        Ok(()) => std::fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // The file system has no hard links.
        Err(_) if to.symlink_metadata().is_err() => std::fs::rename(from, to),
        Err(error) => Err(error),
    }
}

/// Runs file operations on a thread where they may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (ended, result) = oneshot::channel();
    process::offload(move || drop(ended.send(work())));
    result.await.unwrap_or_else(|_| Err(failed("writing to disk ended unexpectedly")))
}

impl Destination for ToFile {
    fn check(&self) -> Result<()> {
        self.check_now()
    }

    fn deliver<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let (destination, token, tag) = (self.clone(), token.clone(), *tag);
        Box::pin(blocking(move || destination.write_pending(&token, &tag)))
    }

    fn commit<'a>(&'a self, _token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let (destination, tag) = (self.clone(), *tag);
        Box::pin(blocking(move || destination.put_in_place(&tag)))
    }

    fn discard<'a>(&'a self, _token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let pending = self.pending(tag);
        Box::pin(blocking(move || match std::fs::remove_file(&pending) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(format!("cannot remove {}: {error}", pending.display())))
            }
            _ => {
                let _ = sync_folder_of(&pending);
                Ok(())
            }
        }))
    }

    fn describe(&self) -> String {
        let folder = folder_of(&self.path);
        match (folder.canonicalize(), self.path.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name).display().to_string(),
            _ => self.path.display().to_string(),
        }
    }
}
