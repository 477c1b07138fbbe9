//! Access lists of files and folders on Windows, as text in the security descriptor definition language (SDDL).

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(crate) use windows::{
    create_file, create_folder, file_of, is_of_trusted_owner, is_same, others, protect,
};

/// What users other than this one and the administrators may do with a file or a folder: a mask of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights(u32);

impl Rights {
    const NONE: Self = Self(0);
    const ALL: Self = Self(u32::MAX);

    const READ_DATA: u32 = 0x1;
    /// For a folder: create files.
    const WRITE_DATA: u32 = 0x2;
    /// For a folder: create folders.
    const APPEND_DATA: u32 = 0x4;
    const DELETE_CHILD: u32 = 0x40;
    const DELETE: u32 = 0x1_0000;
    const WRITE_LIST: u32 = 0x4_0000;
    const WRITE_OWNER: u32 = 0x8_0000;
    const GENERIC_ALL: u32 = 0x1000_0000;
    const GENERIC_WRITE: u32 = 0x4000_0000;
    const GENERIC_READ: u32 = 0x8000_0000;
    /// The rights with which a user can give themselves any other.
    const CONTROL: u32 = Self::WRITE_LIST | Self::WRITE_OWNER | Self::GENERIC_ALL;

    /// Returns whether they include reading a file.
    pub(crate) fn can_read(self) -> bool {
        self.has(Self::READ_DATA | Self::GENERIC_READ | Self::CONTROL)
    }

    /// Returns whether they include changing or replacing a file.
    pub(crate) fn can_change(self) -> bool {
        self.has(Self::WRITE_DATA | Self::APPEND_DATA | Self::DELETE | Self::GENERIC_WRITE | Self::CONTROL)
    }

    /// Returns whether they include removing files of this user from a folder.
    pub(crate) fn can_remove_files(self) -> bool {
        self.has(Self::DELETE_CHILD | Self::CONTROL)
    }

    fn has(self, mask: u32) -> bool {
        self.0 & mask != 0
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Reads the rights of an entry: a number, or words of two letters.
    fn parse(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_prefix("0x") {
            return u32::from_str_radix(digits, 16).ok().map(Self);
        }
        let rights = words(text)?.map(|word| {
            Some(Self(match word {
                "GA" => Self::GENERIC_ALL,
                "GR" => Self::GENERIC_READ,
                "GW" => Self::GENERIC_WRITE,
                "GX" => 0x2000_0000,
                "RC" => 0x2_0000,
                "SD" => Self::DELETE,
                "WD" => Self::WRITE_LIST,
                "WO" => Self::WRITE_OWNER,
                "FA" => 0x1f_01ff,
                "FR" => 0x12_0089,
                "FW" => 0x12_0116,
                "FX" => 0x12_00a0,
                "CC" => Self::READ_DATA,
                "DC" => Self::WRITE_DATA,
                "LC" => Self::APPEND_DATA,
                "SW" => 0x8,
                "RP" => 0x10,
                "WP" => 0x20,
                "DT" => Self::DELETE_CHILD,
                "LO" => 0x80,
                "CR" => 0x100,
                _ => return None,
            }))
        });
        rights.into_iter().try_fold(Self::NONE, |all, rights| Some(all.and(rights?)))
    }
}

/// Splits a text into words of two letters.
fn words(text: &str) -> Option<impl Iterator<Item = &str>> {
    let is_even = text.is_ascii() && text.len().is_multiple_of(2);
    is_even.then(|| (0..text.len()).step_by(2).filter_map(|start| text.get(start..start + 2)))
}

/// Returns the owner in a descriptor.
fn owner(descriptor: &str) -> &str {
    let text = descriptor.strip_prefix("O:").unwrap_or_default();
    text.split_once("D:").map_or(text, |(owner, _)| owner)
}

/// Returns the rights that a descriptor grants to users other than `user` and the administrators. It has the owner and
/// the list. Anything that is not understood counts as all rights.
fn others_rights(descriptor: &str, user: &str) -> Rights {
    let of_owner =
        if is_trusted(owner(descriptor), user) { Rights::NONE } else { Rights(Rights::WRITE_LIST) };
    // Without a list, everyone has all rights.
    let Some((_, list)) = descriptor.split_once("D:") else { return Rights::ALL };
    if list.contains("NO_ACCESS_CONTROL") {
        return Rights::ALL;
    }
    let entries = list.split_once('(').map(|(_, entries)| entries).unwrap_or_default();
    let rights = entries.split('(').filter(|entry| !entry.is_empty()).map(|entry| entry_rights(entry, user));
    rights.fold(of_owner, Rights::and)
}

/// Returns the rights that an entry grants to others.
fn entry_rights(entry: &str, user: &str) -> Rights {
    let fields: Vec<&str> = entry.trim_end_matches(')').split(';').collect();
    let [kind, flags, rights, _, _, trustee, ..] = *fields.as_slice() else { return Rights::ALL };
    let is_denial = matches!(kind, "D" | "OD" | "XD");
    let is_for_children_only = words(flags).is_some_and(|mut flags| flags.any(|flag| flag == "IO"));
    if is_denial || is_for_children_only || is_trusted(trustee, user) {
        return Rights::NONE;
    }
    Rights::parse(rights).unwrap_or(Rights::ALL)
}

/// Returns whether a trustee is this user, or can read every file anyway, or grants nothing without another entry.
fn is_trusted(trustee: &str, user: &str) -> bool {
    const TRUSTED_INSTALLER: &str = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
    // The owner is checked in any case. An entry for applications in containers needs one for their user, too.
    let is_word = matches!(trustee, "SY" | "BA" | "LA" | "DA" | "EA" | "OW" | "CO" | "CG" | "AC");
    let is_administrator = trustee.starts_with("S-1-5-21-")
        && ["-500", "-512", "-519"].iter().any(|number| trustee.ends_with(number));
    trustee == user
        || is_word
        || is_administrator
        || trustee == TRUSTED_INSTALLER
        || trustee.starts_with("S-1-15-")
}

#[cfg(test)]
mod tests {
    use super::{Rights, others_rights, owner};

    const USER: &str = "S-1-5-21-1-2-3-1001";

    fn rights(list: &str) -> Rights {
        others_rights(&format!("O:{USER}D:{list}"), USER)
    }

    #[test]
    fn lists_of_this_user_and_of_administrators_grant_nothing_to_others() {
        for list in [
            &format!("P(A;;FA;;;SY)(A;;FA;;;{USER})"),
            &format!("AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;FA;;;{USER})"),
            "P",
            "(A;OICIIO;GA;;;WD)",
            "(D;;FA;;;WD)(A;;FA;;;OW)",
            "(A;;FA;;;S-1-5-21-7-8-9-512)(A;;FA;;;S-1-15-2-1)",
        ] {
            assert_eq!(rights(list), Rights::NONE, "{list}");
        }
    }

    #[test]
    fn rights_of_others_are_found() {
        let found = |list: &str| {
            let rights = rights(list);
            (rights.can_read(), rights.can_change(), rights.can_remove_files())
        };
        // Read and execute, as of the users below C:\.
        assert_eq!(found("AI(A;ID;0x1200a9;;;BU)"), (true, false, false));
        assert_eq!(found("(A;OICI;FR;;;WD)"), (true, false, false));
        // Modify, as of the authenticated users below C:\.
        assert_eq!(found("(A;ID;0x1301bf;;;AU)"), (true, true, false));
        assert_eq!(found("(A;;FW;;;S-1-5-21-1-2-3-1002)"), (false, true, false));
        assert_eq!(found("(A;;DT;;;BU)"), (false, false, true));
        for everything in
            ["NO_ACCESS_CONTROL", "(A;;FA;;;WD)", "(A;;GA;;;AU)", "(A;;WO;;;IU)", "(A;;??;;;WD)", "(?"]
        {
            assert_eq!(found(everything), (true, true, true), "{everything}");
        }
        assert_eq!(others_rights("", USER), Rights::ALL);
    }

    #[test]
    fn another_owner_can_change_the_list() {
        let descriptor = "O:S-1-5-21-1-2-3-1002D:P(A;;FA;;;SY)";
        assert_eq!(owner(descriptor), "S-1-5-21-1-2-3-1002");
        assert!(others_rights(descriptor, USER).can_read());
        assert!(!others_rights("O:BAD:P(A;;FA;;;SY)", USER).can_read());
    }
}
