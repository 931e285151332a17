//! Sums over ranks whose result does not depend on the number of ranks.
//!
//! Each rank adds up one slice of the buffers, for which it receives that slice of all rounds, and
//! then sends the sum to all others. With one round in each rank, every value travels as often as in
//! the ring algorithm of MPI libraries.

use super::link::{Link, PATIENCE};
use crate::error::{Error, Result};

/// Values of a slice that are sent at once.
const SLICE: usize = 1 << 20;

/// Adds up the rounds of all ranks; see [`Ranks::sum_in_order`](super::Ranks::sum_in_order).
///
/// # Errors
/// If a rank does not answer, or has buffers of another length.
pub fn sum(link: &dyn Link, groups: &[Vec<Vec<f32>>], len: usize) -> Result<Vec<f32>> {
    let counts = counts(link, groups, len)?;
    let mut sum = vec![0.0; len];
    let ranks = link.size();
    for start in (0..len).step_by(SLICE * ranks) {
        let end = (start + SLICE * ranks).min(len);
        let width = (end - start).div_ceil(ranks);
        let slice =
            |rank: usize| (start + rank * width).min(end)..(start + (rank + 1) * width).min(end);
        let own = slice(link.rank());

        let out: Vec<Vec<f32>> = (0..ranks)
            .map(|rank| {
                groups.iter().flatten().flat_map(|round| &round[slice(rank)]).copied().collect()
            })
            .collect();
        let mut into: Vec<Vec<f32>> = (counts.iter())
            .map(|counts| vec![0.0; counts.iter().sum::<usize>() * own.len()])
            .collect();
        exchange(link, &out, &mut into)?;
        into[link.rank()].clone_from(&out[link.rank()]);

        let mut taken = vec![0; ranks];
        let mut first = true;
        for group in 0..groups.len() {
            for rank in 0..ranks {
                for _ in 0..counts[rank][group] {
                    let round = &into[rank][taken[rank]..taken[rank] + own.len()];
                    taken[rank] += own.len();
                    let sum = &mut sum[own.clone()];
                    // 0 + x is not x for x = −0.
                    match std::mem::replace(&mut first, false) {
                        true => sum.copy_from_slice(round),
                        false => sum.iter_mut().zip(round).for_each(|(sum, x)| *sum += x),
                    }
                }
            }
        }

        let out = vec![sum[own].to_vec(); ranks];
        let mut into: Vec<Vec<f32>> = (0..ranks).map(|rank| vec![0.0; slice(rank).len()]).collect();
        exchange(link, &out, &mut into)?;
        for (rank, part) in into.iter().enumerate().filter(|(rank, _)| *rank != link.rank()) {
            sum[slice(rank)].copy_from_slice(part);
        }
    }
    Ok(sum)
}

/// The number of rounds of each rank, by group.
fn counts(link: &dyn Link, groups: &[Vec<Vec<f32>>], len: usize) -> Result<Vec<Vec<usize>>> {
    let own: Vec<u64> =
        std::iter::once(len).chain(groups.iter().map(Vec::len)).map(|n| n as u64).collect();
    let mut counts = Vec::new();
    for (rank, message) in
        link.gather(bytemuck::cast_slice(&own), Some(PATIENCE))?.iter().enumerate()
    {
        let numbers: Vec<u64> = bytemuck::pod_collect_to_vec(message);
        if numbers.len() != own.len() || numbers[0] != own[0] {
            return Err(Error::internal(format!("rank {rank} has gradients of another network")));
        }
        counts.push(numbers[1..].iter().map(|&count| count as usize).collect());
    }
    Ok(counts)
}

fn exchange(link: &dyn Link, out: &[Vec<f32>], into: &mut [Vec<f32>]) -> Result<()> {
    let out: Vec<&[u8]> = out.iter().map(|part| bytemuck::cast_slice(part)).collect();
    let mut into: Vec<&mut [u8]> =
        into.iter_mut().map(|part| bytemuck::cast_slice_mut(part)).collect();
    link.exchange(&out, &mut into, Some(PATIENCE))
}

#[cfg(test)]
mod tests {
    use super::super::group::{Ranks, Reduce};
    use super::super::threads::threads;
    use crate::draws;

    /// The sum on every rank, where rank r has `counts[r][g]` rounds of group g.
    fn sums(counts: &[Vec<usize>], all: &[Vec<Vec<f32>>], len: usize) -> Vec<Vec<f32>> {
        let mut starts = vec![0; all.len()];
        let shares: Vec<Vec<Vec<Vec<f32>>>> = counts
            .iter()
            .map(|counts| {
                let share = |(group, &count): (usize, &usize)| {
                    starts[group] += count;
                    all[group][starts[group] - count..starts[group]].to_vec()
                };
                counts.iter().enumerate().map(share).collect()
            })
            .collect();
        std::thread::scope(|scope| {
            let work = |(ranks, share): (Ranks, &Vec<Vec<Vec<f32>>>)| {
                let share = share.clone();
                scope.spawn(move || ranks.sum_in_order(&share, len).unwrap())
            };
            let ranks = threads(counts.len(), Reduce::Exact).into_iter();
            let running: Vec<_> = ranks.zip(&shares).map(work).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn sums_do_not_depend_on_the_number_of_ranks() {
        // Sizes far apart, so that every other order gives other bits.
        let round = |i: u64| {
            let values = draws::normal(&mut draws::stream(0, "sum", i), 1001);
            values.into_iter().map(|x| x * 10f32.powi(i as i32 % 5 - 2)).collect::<Vec<f32>>()
        };
        let all = vec![(0..6).map(round).collect::<Vec<_>>(), (6..10).map(round).collect()];
        let mut expected = all[0][0].clone();
        for round in all.iter().flatten().skip(1) {
            expected.iter_mut().zip(round).for_each(|(sum, x)| *sum += x);
        }
        for counts in [
            vec![vec![6, 4]],
            vec![vec![3, 2], vec![3, 2]],
            vec![vec![1, 0], vec![5, 4]],
            vec![vec![2, 1], vec![2, 2], vec![2, 1]],
            vec![vec![6, 0], vec![0, 0], vec![0, 0], vec![0, 4]],
        ] {
            for sum in sums(&counts, &all, 1001) {
                let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert!(bits(&sum) == bits(&expected), "{counts:?}");
            }
        }
    }
}
