//! Processes that train one model together, each on its own device and with its share of every
//! batch.
//!
//! Trainers see only [`Ranks`]. Several processes compute the same bits as one, because everything is
//! added up in the order of the batch; see [`Reduce`].

mod group;
mod launcher;
mod link;
#[cfg(feature = "mpi")]
mod mpi;
mod ordered;
mod session;
mod threads;

pub use group::{Ranks, Reduce};
pub use launcher::{Launched, launched};
pub use session::{Session, fail_to_join, join};
pub use threads::threads;
