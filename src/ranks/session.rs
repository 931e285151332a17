//! Joining the ranks that were started together.

use super::group::{Ranks, Reduce};
use super::launcher::launched;
use crate::error::Result;

/// Keeps the ranks connected until it is dropped.
pub struct Session {
    #[cfg(feature = "mpi")]
    _mpi: Option<super::mpi::Session>,
}

/// Connects this process with those that were started together with it. A process that was started
/// alone loads no library.
///
/// # Errors
/// If there are others and this build has no MPI, or MPI does not start.
pub fn join(reduce: Reduce) -> Result<(Ranks, Session)> {
    match launched() {
        #[cfg(feature = "mpi")]
        Some(launched) => {
            let (link, session) = super::mpi::join(launched)?;
            Ok((Ranks::linked(link, reduce), Session { _mpi: Some(session) }))
        }
        #[cfg(not(feature = "mpi"))]
        Some(launched) => {
            let _ = reduce;
            Err(launched.unconnected())
        }
        None => Ok((
            Ranks::alone(),
            Session {
                #[cfg(feature = "mpi")]
                _mpi: None,
            },
        )),
    }
}
