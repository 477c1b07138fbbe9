//! The calls of Windows that take pointers. The standard library creates no file with an access list, and a list that
//! is set later would leave a moment in which others can open the file.

#![allow(unsafe_code, reason = "no safe and established crate has these calls")]

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::path::Path;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{
    ERROR_SUCCESS, GENERIC_READ, GENERIC_WRITE, HANDLE, INVALID_HANDLE_VALUE, LocalFree, WIN32_ERROR,
};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertSidToStringSidW,
    ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo, SDDL_REVISION_1, SE_FILE_OBJECT,
    SetSecurityInfo,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, GetSecurityDescriptorDacl, GetTokenInformation, OWNER_SECURITY_INFORMATION,
    PROTECTED_DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES, TOKEN_QUERY, TOKEN_USER,
    TokenUser,
};
use windows_sys::Win32::Storage::FileSystem::{
    CREATE_NEW, CreateDirectoryW, CreateFileW, FILE_ATTRIBUTE_NORMAL, FILE_SHARE_DELETE, FILE_SHARE_READ,
    FILE_SHARE_WRITE,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};
use windows_sys::core::{BOOL, PWSTR};

/// A security descriptor in memory that `LocalFree` frees.
pub(super) struct Descriptor(PSECURITY_DESCRIPTOR);

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the pointer is from a call whose result is freed with LocalFree, and only here.
        unsafe { LocalFree(self.0) };
    }
}

impl Descriptor {
    /// Reads a descriptor in the security descriptor definition language.
    pub(super) fn parse(text: &str) -> io::Result<Self> {
        let text = terminated(OsStr::new(text))?;
        let mut descriptor = null_mut();
        // SAFETY: the text ends with a zero and outlives the call, which sets the pointer to new memory or fails.
        succeeded(unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                null_mut(),
            )
        })?;
        Ok(Self(descriptor))
    }

    /// Returns the owner and the access list in the security descriptor definition language.
    pub(super) fn text(&self) -> io::Result<String> {
        let (mut text, mut length) = (null_mut(), 0);
        let parts = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
        // SAFETY: the descriptor is valid while `self` lives; the call sets the pointer to a new text or fails.
        succeeded(unsafe {
            ConvertSecurityDescriptorToStringSecurityDescriptorW(
                self.0,
                SDDL_REVISION_1,
                parts,
                &raw mut text,
                &raw mut length,
            )
        })?;
        // SAFETY: the call has succeeded.
        Ok(unsafe { taken(text) })
    }

    fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            // The size of a structure of three members.
            nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or_default(),
            lpSecurityDescriptor: self.0,
            bInheritHandle: 0,
        }
    }
}

/// Creates a file for reading and writing; fails if the path exists.
pub(super) fn create_file(path: &Path, descriptor: &Descriptor) -> io::Result<File> {
    let path = terminated(absolute(path)?.as_os_str())?;
    let attributes = descriptor.attributes();
    // SAFETY: the path ends with a zero; it, the attributes and the descriptor outlive the call.
    let handle = unsafe {
        CreateFileW(
            path.as_ptr(),
            GENERIC_READ | GENERIC_WRITE,
            // As the standard library does.
            FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
            &raw const attributes,
            CREATE_NEW,
            FILE_ATTRIBUTE_NORMAL,
            null_mut(),
        )
    };
    if handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is new, open, and owned by nothing else.
    Ok(unsafe { File::from_raw_handle(handle) })
}

/// Creates a folder; fails if the path exists.
pub(super) fn create_folder(path: &Path, descriptor: &Descriptor) -> io::Result<()> {
    let path = terminated(absolute(path)?.as_os_str())?;
    let attributes = descriptor.attributes();
    // SAFETY: the path ends with a zero; it, the attributes and the descriptor outlive the call.
    succeeded(unsafe { CreateDirectoryW(path.as_ptr(), &raw const attributes) })
}

/// Replaces the access list of an open file. It then inherits no entries.
pub(super) fn set_list(file: &File, descriptor: &Descriptor) -> io::Result<()> {
    let (mut is_present, mut list, mut is_default) = (0, null_mut(), 0);
    // SAFETY: the descriptor is valid while it is borrowed, and with it the list that the pointer is set to.
    succeeded(unsafe {
        GetSecurityDescriptorDacl(descriptor.0, &raw mut is_present, &raw mut list, &raw mut is_default)
    })?;
    if is_present == 0 || list.is_null() {
        return Err(io::Error::other("the access list is missing"));
    }
    let parts = DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION;
    // SAFETY: the file is open and the list is valid during the call, which takes no owner, group and audit list.
    done(unsafe {
        SetSecurityInfo(file.as_raw_handle(), SE_FILE_OBJECT, parts, null_mut(), null_mut(), list, null())
    })
}

/// Returns the owner and the access list of an open file.
pub(super) fn descriptor(file: &File) -> io::Result<Descriptor> {
    let mut descriptor = null_mut();
    let parts = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
    // SAFETY: the file is open; the call sets the pointer to a new descriptor or fails, and is asked for no others.
    done(unsafe {
        GetSecurityInfo(
            file.as_raw_handle(),
            SE_FILE_OBJECT,
            parts,
            null_mut(),
            null_mut(),
            null_mut(),
            null_mut(),
            &raw mut descriptor,
        )
    })?;
    Ok(Descriptor(descriptor))
}

/// Returns the identifier (SID) of the user of this process.
pub(super) fn user() -> io::Result<String> {
    let mut token: HANDLE = null_mut();
    // SAFETY: the handle of the current process is always valid; the call sets the pointer to a new handle or fails.
    succeeded(unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) })?;
    // SAFETY: the handle is new, open, and owned by nothing else.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // A TOKEN_USER and the identifier that it points to, which has at most 68 bytes. Its first member needs the
    // alignment of a pointer.
    let mut buffer = [0_u64; 32];
    let mut length = 0;
    // SAFETY: the buffer has the given size, and the call fails if it is too small.
    succeeded(unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            buffer.as_mut_ptr().cast(),
            u32::try_from(size_of_val(&buffer)).unwrap_or_default(),
            &raw mut length,
        )
    })?;
    // SAFETY: the call has filled the buffer with this structure, for which it is large enough and aligned.
    let user = unsafe { buffer.as_ptr().cast::<TOKEN_USER>().read() };
    let mut text = null_mut();
    // SAFETY: the identifier is in the buffer; the call sets the pointer to a new text or fails.
    succeeded(unsafe { ConvertSidToStringSidW(user.User.Sid, &raw mut text) })?;
    // SAFETY: the call has succeeded.
    Ok(unsafe { taken(text) })
}

/// Copies a text and frees it.
///
/// # Safety
///
/// It must end with a zero and be from a call whose result is freed with `LocalFree`.
unsafe fn taken(text: PWSTR) -> String {
    // SAFETY: the text is valid up to its zero, and is not used after it is freed.
    unsafe {
        let mut length = 0;
        while *text.add(length) != 0 {
            length += 1;
        }
        let copy = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
        LocalFree(text.cast());
        copy
    }
}

/// Returns a path that may be longer than 260 characters, as the standard library passes it to Windows.
fn absolute(path: &Path) -> io::Result<std::path::PathBuf> {
    const LONGEST: usize = 247;
    let path = std::path::absolute(path)?;
    let Some(text) = path.to_str().filter(|text| text.len() > LONGEST) else { return Ok(path) };
    Ok(match text.strip_prefix(r"\\") {
        // It has this form already, or names a device.
        Some(rest) if rest.starts_with(['?', '.']) => path,
        Some(rest) => format!(r"\\?\UNC\{rest}").into(),
        None => format!(r"\\?\{text}").into(),
    })
}

/// Returns a text as Windows reads it, with a zero at its end.
fn terminated(text: &OsStr) -> io::Result<Vec<u16>> {
    let mut units: Vec<u16> = text.encode_wide().collect();
    if units.contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it contains a NUL character"));
    }
    units.push(0);
    Ok(units)
}

fn succeeded(result: BOOL) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn done(error: WIN32_ERROR) -> io::Result<()> {
    // The numbers of errors are those of the system in either type.
    if error == ERROR_SUCCESS { Ok(()) } else { Err(io::Error::from_raw_os_error(error.cast_signed())) }
}
