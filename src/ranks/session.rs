//! Joining the ranks that were started together.

use super::group::{Ranks, Reduce};
use super::launcher::launched;
use crate::error::{Error, Result};

/// Keeps the ranks connected until it is dropped.
pub struct Session {
    #[cfg(feature = "mpi")]
    _mpi: Option<super::mpi::Session>,
}

/// Connects this process with those that were started together with it. A process that was started
/// alone loads no library.
///
/// # Errors
/// If there are others and this build has no MPI, MPI does not start, or another rank has failed
/// before it could join; see [`fail_to_join`].
pub fn join(reduce: Reduce) -> Result<(Ranks, Session)> {
    let (ranks, session) = connect(reduce)?;
    ranks.meet(Ok(Vec::new()))?;
    Ok((ranks, session))
}

/// Tells the other ranks, which would otherwise wait for it, that this one failed before it could
/// [`join`] them. They fail with the same error. Does nothing if this rank has tried to join, or is
/// the only one.
pub fn fail_to_join(error: Error) {
    if let Ok((ranks, _session)) = connect(Reduce::default()) {
        // The result is the error of this rank, whose caller already has it.
        let _ = ranks.meet(Err(error));
    }
}

fn connect(reduce: Reduce) -> Result<(Ranks, Session)> {
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
