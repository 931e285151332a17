//! Ranks connected by MPI.

use std::ffi::c_int;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mpi::environment::{self, Universe};
use mpi::ffi;
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::traits::AsRaw;
use mpi::{Count, Threading};

use super::launcher::Launched;
use super::link::{Link, PATIENCE, silent};
use crate::error::{Error, Kind, Result};

/// Bytes of a message; longer ones are sent in parts, because MPI counts with 32 bits.
const MESSAGE: usize = 1 << 30;
/// How long to poll the library for messages without a pause.
const AWAKE: Duration = Duration::from_millis(20);
/// The time after which a wait counts as long: another rank evaluates, or is gone.
const LONG: Duration = Duration::from_secs(1);
/// The pauses between polls, before and after that time.
const PAUSES: [Duration; 2] = [Duration::from_micros(100), Duration::from_millis(2)];

/// MPI, from its start to its end. The thread that started it must drop it.
pub struct Session {
    universe: Universe,
}

impl Drop for Session {
    fn drop(&mut self) {
        // Ending MPI waits for all ranks, and the others wait for work that this one will no longer
        // do.
        if std::thread::panicking() {
            self.universe.world().abort(Kind::Internal.exit_code());
        }
    }
}

/// Starts MPI.
///
/// # Errors
/// If it does not start, or connects other processes than those that were started.
pub fn join(launched: Launched) -> Result<(Mpi, Session)> {
    let hint = "start it with the mpirun of the MPI library that cigan was built with; see \
         docs/SCALING.md";
    let Some((universe, threading)) = mpi::initialize_with_threading(Threading::Serialized) else {
        return Err(Error::internal("MPI was started twice"));
    };
    let world = universe.world();
    if world.size() as usize != launched.size {
        return Err(Error::user(format!(
            "MPI connects {} processes, but {} were started",
            world.size(),
            launched.size
        ))
        .hint(hint));
    }
    if threading < Threading::Serialized {
        return Err(Error::user("this MPI library allows no threads")
            .hint("use a build of the library with thread support, as distributions have"));
    }
    let link = Mpi {
        rank: world.rank() as usize,
        size: launched.size,
        local_rank: world.split_shared(world.rank()).rank() as usize,
        host: environment::processor_name().unwrap_or_else(|_| "an unnamed host".to_owned()),
        world: Mutex::new(World(world)),
    };
    Ok((link, Session { universe }))
}

/// The connection of one rank.
pub struct Mpi {
    rank: usize,
    size: usize,
    local_rank: usize,
    host: String,
    /// Locked during every call of the library, which need not support two threads at once.
    world: Mutex<World>,
}

struct World(SimpleCommunicator);

// SAFETY: the handle of a communicator may be used by any thread, one at a time, because MPI was
// started with `Threading::Serialized`; the lock in `Mpi` sees to that.
unsafe impl Send for World {}

/// A message in transit: the rank at its other end, if it is a single one, and MPI's handle.
type Pending = (Option<usize>, ffi::MPI_Request);

impl Mpi {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for messages. It sleeps between polls, so that a long wait takes no CPU time.
    fn wait(mut pending: Vec<Pending>, patience: Option<Duration>) -> Result<()> {
        let mut since = Instant::now();
        loop {
            let before = pending.len();
            pending.retain_mut(|(_, request)| {
                let mut done: c_int = 0;
                // SAFETY: the request is active, and its buffer outlives this call.
                unsafe { ffi::MPI_Test(request, &mut done, ffi::RSMPI_STATUS_IGNORE) };
                done == 0
            });
            if pending.is_empty() {
                return Ok(());
            }
            if pending.len() < before {
                since = Instant::now();
            }
            let waited = since.elapsed();
            if patience.is_some_and(|patience| waited > patience) {
                let mut ranks: Vec<usize> = pending.iter().filter_map(|(rank, _)| *rank).collect();
                ranks.sort_unstable();
                ranks.dedup();
                return Err(silent(&ranks));
            }
            if waited < AWAKE {
                std::thread::yield_now();
            } else {
                std::thread::sleep(if waited < LONG { PAUSES[0] } else { PAUSES[1] });
            }
        }
    }
}

impl Link for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn local_rank(&self) -> usize {
        self.local_rank
    }

    fn host(&self) -> String {
        self.host.clone()
    }

    fn exchange(
        &self,
        out: &[&[u8]],
        into: &mut [&mut [u8]],
        patience: Option<Duration>,
    ) -> Result<()> {
        let world = self.world();
        let comm = world.0.as_raw();
        let others = |rank: &usize| *rank != self.rank;
        let mut pending: Vec<Pending> = Vec::new();
        let mut start = |rank: usize, transfer: &dyn Fn(c_int, &mut ffi::MPI_Request)| {
            // SAFETY: a null handle is a valid value.
            let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
            transfer(rank as c_int, &mut request);
            pending.push((Some(rank), request));
        };
        // SAFETY: the library sets its constant before it is initialised.
        let bytes = unsafe { ffi::RSMPI_UINT8_T };
        // Each buffer stays borrowed until `wait` has seen the end of the transfer. If it gives up,
        // its error ends the process, see `Link::exchange`.
        for rank in (0..self.size).filter(others) {
            for part in into[rank].chunks_mut(MESSAGE) {
                let (at, count) = (part.as_mut_ptr().cast(), part.len() as Count);
                // SAFETY: as said above.
                start(rank, &|rank, request| unsafe {
                    ffi::MPI_Irecv(at, count, bytes, rank, 0, comm, request);
                });
            }
        }
        for rank in (0..self.size).filter(others) {
            for part in out[rank].chunks(MESSAGE) {
                let (at, count) = (part.as_ptr().cast(), part.len() as Count);
                // SAFETY: as said above.
                start(rank, &|rank, request| unsafe {
                    ffi::MPI_Isend(at, count, bytes, rank, 0, comm, request);
                });
            }
        }
        Self::wait(pending, patience)
    }

    fn all_reduce(&self, values: &mut [f32]) -> Result<()> {
        let world = self.world();
        for part in values.chunks_mut(MESSAGE / 4) {
            let own = part.to_vec();
            // SAFETY: a null handle is a valid value.
            let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
            // SAFETY: both buffers have the length that is passed, and outlive `wait`, as in
            // `exchange`.
            unsafe {
                ffi::MPI_Iallreduce(
                    own.as_ptr().cast(),
                    part.as_mut_ptr().cast(),
                    part.len() as Count,
                    ffi::RSMPI_FLOAT,
                    ffi::RSMPI_SUM,
                    world.0.as_raw(),
                    &mut request,
                );
            }
            Self::wait(vec![(None, request)], Some(PATIENCE))?;
        }
        Ok(())
    }

    fn abort(&self, exit_code: i32) {
        self.world().0.abort(exit_code)
    }
}
