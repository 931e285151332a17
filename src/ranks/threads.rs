//! Ranks that are threads of one process.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::group::{Ranks, Reduce};
use super::link::{Link, PATIENCE, silent};
use crate::error::Result;

struct Threads {
    rank: usize,
    /// By rank.
    to: Vec<Mutex<Sender<Vec<u8>>>>,
    from: Vec<Mutex<Receiver<Vec<u8>>>>,
}

/// `size` ranks for as many threads. If the thread of one rank ends, the others end too.
pub fn threads(size: usize, reduce: Reduce) -> Vec<Ranks> {
    let mut links: Vec<Threads> =
        (0..size).map(|rank| Threads { rank, to: Vec::new(), from: Vec::new() }).collect();
    for sender in 0..size {
        for receiver in 0..size {
            let (to, from) = channel();
            links[sender].to.push(Mutex::new(to));
            // Senders come in order, so each receiver's list is sorted by rank.
            links[receiver].from.push(Mutex::new(from));
        }
    }
    links.into_iter().map(|link| Ranks::linked(link, reduce)).collect()
}

impl Link for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn local_rank(&self) -> usize {
        self.rank
    }

    fn host(&self) -> String {
        "this process".to_owned()
    }

    fn exchange(
        &self,
        out: &[&[u8]],
        into: &mut [&mut [u8]],
        patience: Option<Duration>,
    ) -> Result<()> {
        let others = |rank: &usize| *rank != self.rank;
        for rank in (0..self.size()).filter(others).filter(|&rank| !out[rank].is_empty()) {
            let to = self.to[rank].lock().unwrap_or_else(PoisonError::into_inner);
            to.send(out[rank].to_vec()).map_err(|_| silent(&[rank]))?;
        }
        for rank in (0..self.size()).filter(others) {
            if into[rank].is_empty() {
                continue;
            }
            let from = self.from[rank].lock().unwrap_or_else(PoisonError::into_inner);
            let message = match patience {
                Some(patience) => from.recv_timeout(patience),
                None => from.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            into[rank].copy_from_slice(&message.map_err(|_| silent(&[rank]))?);
        }
        Ok(())
    }

    fn all_reduce(&self, values: &mut [f32]) -> Result<()> {
        let all = self.gather(bytemuck::cast_slice(values), Some(PATIENCE))?;
        values.fill(0.0);
        for part in all {
            let part: Vec<f32> = bytemuck::pod_collect_to_vec(&part);
            values.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
        }
        Ok(())
    }

    /// Nothing to do: the channels close when the thread ends.
    fn abort(&self, _: i32) {}
}
