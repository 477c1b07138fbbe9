//! Reading and setting access lists.

use std::fs::File;
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::{
    FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, READ_CONTROL, WRITE_DAC,
};

use super::{Rights, is_trusted, others_rights, owner};

mod calls;
use calls::Descriptor;

/// Returns the descriptor that gives all rights to this user and to the system, which makes backups, and none that the
/// folder would add.
fn private(flags: &str) -> io::Result<Descriptor> {
    let user = calls::user()?;
    Descriptor::parse(&format!("D:P(A;{flags};FA;;;SY)(A;{flags};FA;;;{user})"))
}

/// Creates a file that only this user can access, for reading and writing; fails if the path exists.
pub(crate) fn create_file(path: &Path) -> io::Result<File> {
    calls::create_file(path, &private("")?)
}

/// Creates a folder that only this user can access, as will be the files in it; fails if the path exists.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    calls::create_folder(path, &private("OICI")?)
}

/// Makes the file at a path accessible to this user only.
pub(crate) fn protect(path: &Path) -> io::Result<()> {
    let file = File::options().access_mode(READ_CONTROL | WRITE_DAC).open(path)?;
    calls::set_list(&file, &private("")?)
}

/// Returns the file or folder at a path, opened without any right to its content. A link is not followed.
pub(crate) fn file_of(path: &Path) -> io::Result<File> {
    let flags = FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT;
    File::options().access_mode(READ_CONTROL).custom_flags(flags).open(path)
}

/// Returns whether two open files are the same one.
pub(crate) fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (winapi_util::file::information(one)?, winapi_util::file::information(other)?);
    let volumes = [one.volume_serial_number(), other.volume_serial_number()];
    // Wine does not know the volume of an open file that was renamed.
    let is_same_volume = volumes[0] == volumes[1] || volumes.contains(&0);
    Ok(is_same_volume && one.file_index() == other.file_index())
}

/// Returns what others may do with an open file.
pub(crate) fn others(file: &File) -> io::Result<Rights> {
    Ok(others_rights(&calls::descriptor(file)?.text()?, &user_in_text()?))
}

/// Returns whether an open file belongs to this user, or to the administrators, whose files are those of an elevated
/// process.
pub(crate) fn is_of_trusted_owner(file: &File) -> io::Result<bool> {
    Ok(is_trusted(owner(&calls::descriptor(file)?.text()?), &user_in_text()?))
}

/// Returns this user as in the text of a descriptor, which has words for some users.
fn user_in_text() -> io::Result<String> {
    let text = Descriptor::parse(&format!("O:{}", calls::user()?))?.text()?;
    Ok(owner(&text).to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::windows::fs::OpenOptionsExt as _;

    use windows_sys::Win32::Storage::FileSystem::{READ_CONTROL, WRITE_DAC};

    use super::{calls, create_file, create_folder, file_of, is_of_trusted_owner, is_same, others, protect};

    /// A path that does not exist.
    fn fresh(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("lmtokens-{name}-{:016x}", getrandom::u64().unwrap()))
    }

    #[test]
    fn only_this_user_can_access_what_is_created() {
        let folder = fresh("folder");
        create_folder(&folder).unwrap();
        let path = folder.join("file");
        let file = create_file(&path).unwrap();
        for open in [&file, &file_of(&path).unwrap(), &file_of(&folder).unwrap()] {
            let text = calls::descriptor(open).unwrap().text().unwrap();
            let rights = others(open).unwrap();
            assert!(!rights.can_read() && !rights.can_change(), "{text}");
            assert!(is_of_trusted_owner(open).unwrap(), "{text}");
        }
        assert_eq!(create_file(&path).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(create_folder(&folder).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
        assert!(is_same(&file, &file_of(&path).unwrap()).unwrap());
        assert!(!is_same(&file, &file_of(&folder).unwrap()).unwrap());
        drop(file);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_open_file_is_protected() {
        // Wine adds the entries of the folder, although the list is protected.
        let folder = fresh("open");
        create_folder(&folder).unwrap();
        let path = folder.join("file");
        std::fs::write(&path, "text").unwrap();
        let everyone = calls::Descriptor::parse("D:P(A;;FA;;;WD)").unwrap();
        let file = File::options().write(true).access_mode(READ_CONTROL | WRITE_DAC).open(&path).unwrap();
        calls::set_list(&file, &everyone).unwrap();
        drop(file);
        assert!(others(&file_of(&path).unwrap()).unwrap().can_read());
        protect(&path).unwrap();
        assert!(!others(&file_of(&path).unwrap()).unwrap().can_read());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
