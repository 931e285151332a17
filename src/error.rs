//! One error type for the library: what was found, and what the user can do about it.

use std::fmt;
use std::path::Path;

/// Result of every fallible function of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that names the flag or file and the finding, with a hint where one helps.
///
/// The command-line layer prints it as `error: <message>` and `hint: <hint>` and leaves with
/// [`Kind::exit_code`].
#[derive(Debug, thiserror::Error)]
pub struct Error {
    /// Whose turn it is: the user's or ours.
    pub kind: Kind,
    /// Names the flag or the file and says what was found there.
    pub message: String,
    /// How to mend it, as an imperative sentence.
    pub hint: Option<String>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Who can mend an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The user: a flag, a file, the disk.
    User,
    /// Nobody but us: a bug.
    Internal,
    /// The user, who asked for an end, which is no fault; with the exit code of the signal.
    Interrupted(i32),
}

impl Kind {
    /// Exit code of the process (0 is success, 2 is clap's usage error).
    pub fn exit_code(self) -> i32 {
        match self {
            Kind::User => 1,
            Kind::Internal => 70,
            Kind::Interrupted(code) => code,
        }
    }
}

impl Error {
    /// An error that the user can mend.
    pub fn user(message: impl Into<String>) -> Self {
        Self { kind: Kind::User, message: message.into(), hint: None, source: None }
    }

    /// A state that should be impossible: our bug.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { kind: Kind::Internal, message: message.into(), hint: None, source: None }
    }

    /// The end that the user asked for, with the exit code of the signal; the message says what
    /// became of the work.
    pub fn interrupted(exit_code: i32, message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Interrupted(exit_code),
            message: message.into(),
            hint: None,
            source: None,
        }
    }

    /// A failed file operation; the hint follows from what the system said.
    pub fn io(path: impl AsRef<Path>, action: &str, source: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let hint = match source.kind() {
            K::NotFound => Some("check the path; it does not exist"),
            K::PermissionDenied => Some("check the permissions of the file and its folder"),
            K::StorageFull | K::QuotaExceeded | K::FileTooLarge => {
                Some("free some space; what was written before is intact")
            }
            K::IsADirectory => Some("give a file, not a folder"),
            K::NotADirectory | K::AlreadyExists => Some("give a folder, not a file"),
            _ => None,
        };
        Self {
            kind: Kind::User,
            message: format!("{}: cannot {action}: {source}", path.as_ref().display()),
            hint: hint.map(str::to_owned),
            source: Some(Box::new(source)),
        }
    }

    /// Adds (or replaces) the hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Keeps the underlying error for `-v`.
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Puts what was being done in front of the message.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Refuses what is not a positive number.
///
/// # Errors
/// Names the setting.
pub fn positive(name: &str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::user(format!("{name} is {value}")).hint("give a positive number"))
}

/// Refuses what is neither 0 nor a positive number.
///
/// # Errors
/// Names the setting.
pub fn not_negative(name: &str, value: f64) -> Result<()> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::user(format!("{name} is {value}")).hint("give 0 or a positive number"))
}
