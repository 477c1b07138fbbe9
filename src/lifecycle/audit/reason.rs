//! Why a token is in an audit.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// How urgent a finding is, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// A property that may be intended, such as an owner who is an administrator.
    Info,
    /// A token that is probably not needed, or overdue.
    Warning,
    /// A token that must not be usable any more.
    Critical,
}

impl Severity {
    /// Every severity, in ascending order.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// Returns the word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl FromStr for Severity {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|severity| severity.as_str() == word);
        known.ok_or_else(|| Error::invalid("severity", format_args!("{word:?}"), "info, warning or critical"))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $severity:ident, $remedy:literal;)*) => {
        /// Why a token is in an audit.
        ///
        /// The reasons that concern the use of a token apply to enabled tokens only: a disabled one cannot be used.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum AuditReason {
            $($(#[$doc])* $name,)*
        }

        impl AuditReason {
            /// Every reason, in the order in which they are listed.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the word for it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// Returns how urgent it is.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$name => Severity::$severity,)*
                }
            }

            /// Returns what to do about it.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self {
                    $(Self::$name => $remedy,)*
                }
            }
        }
    };
}

reasons! {
    /// Enabled, and last used too long ago.
    Idle = "idle", Warning, "disable it, and delete it later if it is not missed";
    /// Enabled, but never used since its creation some time ago.
    NeverUsed = "never_used", Warning, "delete it, or give it to the program that it was created for";
    /// Enabled, and created too long ago.
    Old = "old", Warning, "rotate it";
    /// Disabled, neither used nor created for some time, and not in the quarantine of a rotation.
    Disabled = "disabled", Info, "delete it if it is not needed any more";
    /// Without a note.
    NoNote = "no_note", Info, "set a note that names the program that uses it";
    /// Its marker says that it should be deleted by now.
    Expired = "expired", Warning, "sweep it";
    /// Its create ended before its secret was delivered, more than an hour ago.
    Pending = "pending", Warning, "sweep it; if its note was changed, delete it yourself";
    /// A step of its rotation has been due for more than a day.
    RotationStuck = "rotation_stuck", Warning, "finish its rotation with lmtokens rotate --finish, or end it with lmtokens rotate --cancel";
    /// Enabled, although its owner is suspended.
    OwnerSuspended = "owner_suspended", Critical, "disable it";
    /// Enabled, and its owner can also log in to the portal.
    OwnerNotApiOnly = "owner_not_api_only", Info, "replace it by a token of a user who can only use the API";
    /// Enabled, and its owner is an administrator.
    Administrator = "administrator", Info, "replace it by a token of a user with fewer permissions";
    /// Last used from another address than in an earlier report.
    AddressChanged = "address_changed", Warning, "find out who used it, and rotate it if you cannot";
}

impl AuditReason {
    /// Returns whether it is about the owner in the list of users.
    pub(super) fn needs_owner(self) -> bool {
        matches!(self, Self::OwnerSuspended | Self::OwnerNotApiOnly)
    }

    /// Returns whether what the portal says of the token's owner decides.
    pub(super) fn depends_on_owner(self) -> bool {
        self.needs_owner() || self == Self::Administrator
    }

    /// Returns the names of all reasons, for messages.
    pub(crate) fn expected() -> String {
        let names: Vec<_> = Self::ALL.iter().map(|reason| reason.as_str()).collect();
        format!("one of {}", names.join(", "))
    }
}

impl FromStr for AuditReason {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        let known = Self::ALL.iter().copied().find(|reason| reason.as_str() == word);
        known.ok_or_else(|| Error::invalid("reason", format_args!("{word:?}"), Self::expected()))
    }
}

impl fmt::Display for AuditReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
