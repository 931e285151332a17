//! The error type of the library: what went wrong, and how the user can fix it.

use std::fmt;
use std::path::Path;

/// The result of the fallible functions of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that names the flag or file and the problem, with a hint where one helps.
///
/// The command line prints it as `error: <message>` and `hint: <hint>` and exits with
/// [`Kind::exit_code`].
#[derive(Debug, thiserror::Error)]
pub struct Error {
    /// Who can fix it.
    pub kind: Kind,
    /// The flag or file, and the problem with it.
    pub message: String,
    /// How to fix it, in the imperative.
    pub hint: Option<String>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Who can fix an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The user: a flag, a file, the disk.
    User,
    /// The developers: it is a bug.
    Internal,
    /// Nobody: the user interrupted the work. Contains the exit code of the signal.
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
    /// An error that the user can fix.
    pub fn user(message: impl Into<String>) -> Self {
        Self { kind: Kind::User, message: message.into(), hint: None, source: None }
    }

    /// A state that should be impossible: a bug.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { kind: Kind::Internal, message: message.into(), hint: None, source: None }
    }

    /// An interruption by the user, with the exit code of the signal. The message says what was
    /// saved.
    pub fn interrupted(exit_code: i32, message: impl Into<String>) -> Self {
        Self {
            kind: Kind::Interrupted(exit_code),
            message: message.into(),
            hint: None,
            source: None,
        }
    }

    /// A failed file operation. The hint depends on the error of the operating system.
    pub fn io(path: impl AsRef<Path>, action: &str, source: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let hint = match source.kind() {
            K::NotFound => Some("check the path; it does not exist"),
            K::PermissionDenied => Some("check the permissions of the file and its folder"),
            K::StorageFull | K::QuotaExceeded | K::FileTooLarge => {
                Some("free some space; files written earlier are intact")
            }
            K::IsADirectory => Some("give a file, not a folder"),
            K::NotADirectory | K::AlreadyExists => Some("give a folder, not a file"),
            K::InvalidData => Some("check whether it is the right file; its content is not valid"),
            _ => Some("check the disk and the path, and try again"),
        };
        // The same words on every system, without its error number.
        let reason = match source.kind() {
            K::NotFound => "no such file or folder".to_owned(),
            _ => {
                let text = source.to_string();
                text.split_once(" (os error").map_or(text.clone(), |(text, _)| text.to_owned())
            }
        };
        Self {
            kind: Kind::User,
            message: format!("{}: cannot {action}: {reason}", path.as_ref().display()),
            hint: hint.map(str::to_owned),
            source: Some(Box::new(source)),
        }
    }

    /// Adds (or replaces) the hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Attaches the underlying error, which `-v` prints.
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Puts the table of a settings file before the key with which the message begins.
    pub fn below(mut self, table: &str) -> Self {
        self.message = format!("{table}.{}", self.message);
        self
    }

    /// Prefixes the message with its context, such as a flag or file name.
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

/// Checks that a setting is a positive number.
///
/// # Errors
/// If it is not; the message names the setting.
pub fn positive(name: &str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::user(format!("{name} is {value}")).hint("give a positive number"))
}
