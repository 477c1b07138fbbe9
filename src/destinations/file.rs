//! The destination `file`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use zeroize::Zeroizing;

use super::pending_file::{Earlier, Existing, Pending, previous_name, read_start};
use super::secure_file::{check_file, check_folder, failed, folder_of};
use super::secure_folder::{Entry, SecureFolder};
use super::{Attempt, BoxFuture, Destination, Remaining, Remains, RequestedToken};
use crate::advice::Advice;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::ids::TokenId;
use crate::lock::locked;
use crate::model::Token;
use crate::process;
use crate::secret::Secret;
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
    /// Whether all users who can write to the folder are trusted.
    pub trust_folder: bool,
}

impl ToFile {
    /// Returns the destination for one call. The pending files of the call stay locked until it is dropped.
    #[must_use]
    pub fn destination(self) -> Arc<dyn Destination> {
        Arc::new(FileDestination(Arc::new(Shared {
            file: self,
            shown_path: OnceLock::new(),
            pending: Mutex::default(),
        })))
    }

    fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// Opens the folder and checks it and the path.
    fn folder(&self) -> Result<Arc<SecureFolder>> {
        check_file(&self.path)?;
        let path = folder_of(&self.path);
        check_folder(&path, self.trust_folder)?;
        SecureFolder::open(&path)
            .map(Arc::new)
            .map_err(|error| failed(format!("cannot open the folder {}: {error}", path.display())))
    }

    /// As `folder`, and fails if the file exists and must not be replaced by that of a token that replaces another.
    fn folder_for_new(&self, replaces: Option<&Token>) -> Result<Arc<SecureFolder>> {
        let folder = self.folder()?;
        match replaces {
            Some(old) => self.existing(old).map(|_| folder),
            None if !self.overwrite && self.path.symlink_metadata().is_ok() => Err(self.exists()),
            None => Ok(folder),
        }
    }

    fn exists(&self) -> Error {
        failed(format!("{} exists already", self.path.display())).suggest(Advice::Overwrite)
    }

    /// Returns what happens to the file when that of a token that replaces `old` takes its place. Fails if it must not
    /// be replaced. The secret of `old` is kept, because it is needed if the rotation is cancelled.
    fn existing(&self, old: &Token) -> Result<Existing> {
        let previous = self.previous(old);
        let is_kept = match previous.content(old)? {
            Content::Missing => false,
            Content::Only | Content::Included | Content::Unknown => true,
            Content::Other => {
                let message = format!(
                    "{} exists already and is not the file of token {}",
                    previous.path.display(),
                    old.id
                );
                return Err(failed(message).suggest("move it to another folder"));
            }
        };
        let kept = if is_kept { Existing::Replaced } else { Existing::KeptAs(previous.name().to_owned()) };
        match self.content(old)? {
            Content::Missing => Ok(Existing::Refused),
            Content::Only => Ok(kept),
            Content::Included | Content::Unknown if self.overwrite => Ok(kept),
            Content::Other if self.overwrite => Ok(Existing::Replaced),
            // A cancelled rotation left the secret of the token that was to replace the old one.
            Content::Other if previous.content(old)? == Content::Only && self.has_one_token()? => {
                Ok(Existing::Replaced)
            }
            _ => Err(self.exists_for(old)),
        }
    }

    /// As `exists`, for a file that may have `old` in another format.
    fn exists_for(&self, old: &Token) -> Error {
        let Ok(Some((text, true))) = self.read() else { return self.exists() };
        match Form::ALL.into_iter().find(|form| form.has_only(&text, old)) {
            Some(form) => {
                let path = self.path.display();
                failed(format!(
                    "{path} exists already, with token {} in the format {}",
                    old.id,
                    form.as_str()
                ))
                .suggest(Advice::FileFormat { format: form.as_str() })
            }
            None => self.exists(),
        }
    }

    /// Returns what the file has of a token.
    fn content(&self, token: &Token) -> Result<Content> {
        match self.folder()?.entry(self.name()) {
            Ok(Entry::Own) => {}
            Ok(Entry::Missing) => return Ok(Content::Missing),
            _ => return Ok(Content::Other),
        }
        let Some((text, is_whole)) = self.read()? else { return Ok(Content::Missing) };
        if is_whole && self.form.has_only(&text, token) {
            return Ok(Content::Only);
        }
        Ok(match &token.access_id {
            Some(access_id) if text.contains(access_id) => Content::Included,
            Some(_) if is_whole && self.form != Form::Key => Content::Other,
            _ => Content::Unknown,
        })
    }

    fn has_one_token(&self) -> Result<bool> {
        Ok(self.read()?.is_some_and(|(text, is_whole)| is_whole && self.form.has_one_token(&text)))
    }

    /// Reads the beginning of the file; `None` if it is not a regular file of this user. Returns whether that is all.
    fn read(&self) -> Result<Option<(Zeroizing<String>, bool)>> {
        let cannot = |error| failed(format!("cannot read {}: {error}", self.path.display()));
        let Some(mut file) = self.folder()?.open_own(self.name()).map_err(cannot)? else { return Ok(None) };
        let (text, is_whole) = read_start(&mut file).map_err(cannot)?;
        Ok(Some((Zeroizing::new(String::from_utf8_lossy(&text).into_owned()), is_whole)))
    }

    /// Returns the file beside, in which the secret of a token is kept when it is replaced.
    fn previous(&self, old: &Token) -> Self {
        Self { path: self.path.with_file_name(previous_name(self.name(), old.id)), ..self.clone() }
    }
}

/// What a file has of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// The file does not exist.
    Missing,
    /// The token and nothing else.
    Only,
    /// Something besides the token, or the token in another format.
    Included,
    /// Not the token, or not a file of this user.
    Other,
    /// Its format does not show whose it is.
    Unknown,
}

/// A file as the destination of one call.
struct FileDestination(Arc<Shared>);

struct Shared {
    file: ToFile,
    /// The path for messages, once it is known.
    shown_path: OnceLock<String>,
    /// The pending files of this call, by the tag of their attempt.
    pending: Mutex<HashMap<Tag, Pending>>,
}

impl Shared {
    /// Returns the path for messages. The first call reads it from the file system.
    fn shown_path(&self) -> &str {
        self.shown_path.get_or_init(|| {
            let path = &self.file.path;
            match (folder_of(path).canonicalize(), path.file_name()) {
                (Ok(folder), Some(name)) => folder.join(name).display().to_string(),
                _ => path.display().to_string(),
            }
        })
    }

    fn take(&self, tag: &Tag) -> Option<Pending> {
        locked(&self.pending).remove(tag)
    }

    fn keep(&self, tag: Tag, pending: Pending) {
        locked(&self.pending).insert(tag, pending);
    }

    /// Takes the pending file of an attempt, of this call or of a process that has ended.
    fn take_or_adopt(&self, tag: &Tag) -> Result<Option<Pending>> {
        match self.take(tag) {
            Some(pending) => Ok(Some(pending)),
            None => Pending::adopt(self.file.folder()?, self.file.name(), tag),
        }
    }

    fn remains(&self, token: &RequestedToken) -> Result<Remains> {
        let Earlier { matching, undelivered, others } =
            Earlier::find(&self.file.folder()?, self.file.name(), token)?;
        let mut remains = Remains { deliveries: Vec::new(), undelivered, others };
        for (tag, pending) in matching {
            if let Some(token) = pending.token() {
                let path = pending.path().display().to_string();
                remains.deliveries.push(Remaining { token, tag, path });
                self.keep(tag, pending);
            }
        }
        Ok(remains)
    }

    fn prepare(&self, portal: String, tag: Tag, replaces: Option<&Token>) -> Result<()> {
        let folder = self.file.folder_for_new(replaces)?;
        let pending = Pending::create(folder, self.file.name(), portal, &tag)?;
        self.keep(tag, pending);
        Ok(())
    }

    fn deliver(&self, token: &Token, tag: &Tag) -> Result<()> {
        let mut pending = self.take(tag).ok_or_else(|| failed("the pending file was not created"))?;
        if tag.replaces.is_none() {
            self.file.folder_for_new(None)?;
        }
        // Before the token is enabled: the final file is written after that.
        self.file.form.write(token, &pending.portal()?)?;
        pending.deliver(token, tag)?;
        self.keep(*tag, pending);
        Ok(())
    }

    fn commit(&self, token: &Token, tag: &Tag) -> Result<()> {
        match self.take_or_adopt(tag)? {
            Some(pending) => {
                let existing = if self.file.overwrite { Existing::Replaced } else { Existing::Refused };
                pending.put_in_place(token, self.file.form, &existing)?;
                pending.remove_placed()
            }
            // An earlier process committed it, and was killed before it could say so.
            None if !matches!(self.file.content(token)?, Content::Missing | Content::Other) => Ok(()),
            None => Err(self.missing(token)),
        }
    }

    fn replace(&self, old: &Token, token: &Token, tag: &Tag) -> Result<()> {
        let Some(pending) = self.take_or_adopt(tag)? else { return Err(self.missing(token)) };
        let existing = match self.file.content(token) {
            // An earlier process was killed after this step.
            Ok(Content::Only) => Ok(Existing::Replaced),
            Ok(_) => self.file.existing(old),
            Err(error) => Err(error),
        };
        let placed = existing.and_then(|existing| pending.put_in_place(token, self.file.form, &existing));
        self.keep(*tag, pending);
        placed
    }

    fn abandon(&self, tag: &Tag) -> Result<()> {
        match self.take(tag) {
            Some(pending) if pending.token().is_none() => removed(pending),
            // A delivered secret is kept.
            _ => Ok(()),
        }
    }

    fn remove_pending(&self, old: TokenId, token_id: i64) -> Result<()> {
        let folder = self.file.folder()?;
        for tag in Earlier::replacing(&folder, self.file.name(), old)? {
            // That of another process is not this one.
            let Ok(Some(pending)) = self.take_or_adopt(&tag) else { continue };
            if pending.token().is_none_or(|token| token.id == token_id) {
                pending.remove_placed()?;
            }
        }
        Ok(())
    }

    fn remove_previous(&self, old: &Token) -> Result<()> {
        let previous = self.file.previous(old);
        if previous.content(old)? == Content::Only {
            let removed = previous.folder()?.remove(previous.name());
            removed.map_err(|error| failed(format!("cannot remove {}: {error}", previous.path.display())))?;
        }
        Ok(())
    }

    fn take_over(&self, tag: &Tag) -> Result<bool> {
        let pending = self.take_or_adopt(tag)?;
        let is_held = pending.is_some();
        if let Some(pending) = pending {
            self.keep(*tag, pending);
        }
        Ok(is_held)
    }

    fn recover(&self, tag: &Tag) -> Result<Option<Secret>> {
        let Some(mut pending) = self.take(tag) else { return Ok(None) };
        let secret = pending.read_secret(tag);
        self.keep(*tag, pending);
        secret
    }

    fn recover_placed(&self, old: TokenId, token_id: i64) -> Result<Option<Secret>> {
        let folder = self.file.folder()?;
        for tag in Earlier::replacing(&folder, self.file.name(), old)? {
            let Ok(Some(mut pending)) = self.take_or_adopt(&tag) else { continue };
            let is_of_token = pending.token().is_some_and(|token| token.id == token_id);
            let secret = if is_of_token { pending.read_secret(&tag)? } else { None };
            self.keep(tag, pending);
            if secret.is_some() {
                return Ok(secret);
            }
        }
        Ok(None)
    }

    fn missing(&self, token: &Token) -> Error {
        failed(format!(
            "the key of token {} is neither in {} nor in a pending file beside it",
            token.id,
            self.file.path.display()
        ))
        .suggest(Advice::Delete { id: token.id })
    }

    fn discard(&self, tag: &Tag) -> Result<()> {
        self.take_or_adopt(tag)?.map_or(Ok(()), removed)
    }
}

fn removed(pending: Pending) -> Result<()> {
    let path = pending.path();
    pending.remove().map_err(|error| failed(format!("cannot remove {}: {error}", path.display())))
}

/// Runs file operations on a thread where they may block.
fn blocking<'a, T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> BoxFuture<'a, Result<T>> {
    // Boxed, so that the future is in the binary once per result.
    let work: Box<dyn FnOnce() -> Result<T> + Send> = Box::new(work);
    Box::pin(async {
        process::offloaded(work).await.unwrap_or_else(|| Err(failed("writing to disk ended unexpectedly")))
    })
}

impl Destination for FileDestination {
    fn check(&self, replaces: Option<&Token>) -> Result<()> {
        let file = &self.0.file;
        // The existing file may be that of a create that only has to be finished.
        let folder = file.folder()?;
        // Here, where reading the file system may block.
        self.0.shown_path();
        if Earlier::exists(&folder, file.name()) { Ok(()) } else { file.folder_for_new(replaces).map(drop) }
    }

    fn warning(&self) -> Option<Event> {
        let file = &self.0.file;
        check_folder(&folder_of(&file.path), file.trust_folder).ok().flatten()
    }

    fn remains<'a>(&'a self, token: &'a RequestedToken) -> BoxFuture<'a, Result<Remains>> {
        let (shared, token) = (Arc::clone(&self.0), token.clone());
        blocking(move || shared.remains(&token))
    }

    fn prepare<'a>(&'a self, attempt: &'a Attempt<'a>) -> BoxFuture<'a, Result<()>> {
        let (shared, portal, tag) = (Arc::clone(&self.0), attempt.token.portal.clone(), *attempt.tag);
        let replaces = attempt.replaces.cloned();
        blocking(move || shared.prepare(portal, tag, replaces.as_ref()))
    }

    fn abandon<'a>(&'a self, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let (shared, tag) = (Arc::clone(&self.0), *tag);
        blocking(move || shared.abandon(&tag))
    }

    fn release<'a>(&'a self, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let (shared, tag) = (Arc::clone(&self.0), *tag);
        blocking(move || {
            drop(shared.take(&tag));
            Ok(())
        })
    }

    fn deliver<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let (shared, token, tag) = (Arc::clone(&self.0), token.clone(), *tag);
        blocking(move || shared.deliver(&token, &tag))
    }

    fn commit<'a>(&'a self, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let (shared, token, tag) = (Arc::clone(&self.0), token.clone(), *tag);
        blocking(move || shared.commit(&token, &tag))
    }

    fn replace<'a>(&'a self, old: &'a Token, token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let (shared, old, token, tag) = (Arc::clone(&self.0), old.clone(), token.clone(), *tag);
        blocking(move || shared.replace(&old, &token, &tag))
    }

    fn remove_pending<'a>(&'a self, old: TokenId, token: &'a Token) -> BoxFuture<'a, Result<()>> {
        let (shared, token_id) = (Arc::clone(&self.0), token.id);
        blocking(move || shared.remove_pending(old, token_id))
    }

    fn remove_previous<'a>(&'a self, old: &'a Token) -> BoxFuture<'a, Result<()>> {
        let (shared, old) = (Arc::clone(&self.0), old.clone());
        blocking(move || shared.remove_previous(&old))
    }

    fn take_over<'a>(&'a self, tag: &'a Tag) -> BoxFuture<'a, Result<bool>> {
        let (shared, tag) = (Arc::clone(&self.0), *tag);
        blocking(move || shared.take_over(&tag))
    }

    fn recover<'a>(&'a self, tag: &'a Tag) -> BoxFuture<'a, Result<Option<Secret>>> {
        let (shared, tag) = (Arc::clone(&self.0), *tag);
        blocking(move || shared.recover(&tag))
    }

    fn recover_placed<'a>(&'a self, old: TokenId, token: &'a Token) -> BoxFuture<'a, Result<Option<Secret>>> {
        let (shared, token_id) = (Arc::clone(&self.0), token.id);
        blocking(move || shared.recover_placed(old, token_id))
    }

    fn may_have<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<bool>> {
        let (shared, token) = (Arc::clone(&self.0), token.clone());
        blocking(move || {
            let content = shared.file.content(&token)?;
            Ok(!matches!(content, Content::Missing | Content::Other))
        })
    }

    fn discard<'a>(&'a self, _token: &'a Token, tag: &'a Tag) -> BoxFuture<'a, Result<()>> {
        let (shared, tag) = (Arc::clone(&self.0), *tag);
        blocking(move || shared.discard(&tag))
    }

    fn exclusive_location(&self) -> Option<String> {
        Some(self.describe())
    }

    fn refuses_to_replace(&self) -> bool {
        !self.0.file.overwrite
    }

    fn location(&self, tag: &Tag) -> String {
        let pending = locked(&self.0.pending);
        pending.get(tag).map_or_else(|| self.describe(), |pending| pending.path().display().to_string())
    }

    fn finishes_on_repeat(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        self.0.shown_path().to_owned()
    }
}
