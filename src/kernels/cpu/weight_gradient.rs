//! The weight gradient: left matrices of x, transposed, times right matrices of gy.

use rayon::prelude::*;

use super::blocks::share;
use super::lowered::{Lowered, Rows};
use super::scratch::{Scratch, Shared};
use super::shape::{Conv2d, Source};
use super::table::table;
use super::vector::gemm::{PANEL, Product, spaced};
use super::vector::simd::LANES;
use super::weights;

/// The number of floats per thread in the matrices of one round. All together should fit the
/// third-level cache; larger rounds mean that the sums are read and written less often.
const CHUNK_FLOATS: usize = 3 << 18;

/// The most floats in the matrices of one round, for any number of threads: 32 MiB, as many as the
/// third-level caches of large processors hold.
const MOST_FLOATS: usize = 1 << 23;

/// Rows of the sums in a task.
const TASK_ROWS: usize = 96;

/// The least number of tasks. Where there are fewer, each sum is kept in several parts.
const TASKS: usize = 16;

/// Computes gw `[O, I, k, k]` from x `[N, I, H, W]` and gy `[N, O, H', W']`.
///
/// A round takes some blocks: first all threads arrange them as matrices, then all threads multiply,
/// each for different elements of the sums. So threads share no sum, and none has to be merged.
pub fn weight_gradient(c: &Conv2d, x: Source, gy: Source, gw: &mut [f32]) {
    if c.batch == 0 {
        return gw.fill(0.0);
    }
    let k = table();
    let lowered = Lowered::new(c);
    let (depth, panels) = (lowered.depth, lowered.panels());
    let blocks = lowered.blocks(panels * PANEL);
    let matrix = spaced(depth * PANEL);
    let groups = depth.div_ceil(TASK_ROWS);
    let tasks = panels * lowered.matrices * groups;
    let parts = TASKS.div_ceil(tasks);
    let sum = panels * lowered.matrices * matrix;
    let mut sums = Scratch::new(parts * sum);
    let to = Shared::new(&mut sums);
    let points: Vec<Vec<usize>> = (0..lowered.matrices)
        .map(|m| (0..lowered.points).filter(|&p| lowered.matrix(p) == m).collect())
        .collect();
    let tiles = |b: usize| lowered.tiles(&blocks.get(b));
    let chunk = (CHUNK_FLOATS * rayon::current_num_threads().max(2)).min(MOST_FLOATS);
    let mut next = 0;
    while next < blocks.len() {
        // As many blocks as the chunk has room for, at least one.
        let first = next;
        let mut rows = vec![0];
        while next < blocks.len() {
            let more = rows[next - first] + tiles(next);
            if next > first && more * (depth + panels * PANEL) * lowered.points > chunk {
                break;
            }
            rows.push(more);
            next += 1;
        }
        let all = rows[next - first];
        let (left_stride, right_stride) = (spaced(all * depth), spaced(all * panels * PANEL));
        let mut left = Scratch::new(lowered.points * left_stride);
        let mut right = Scratch::new(lowered.points * right_stride);
        let (left, right) = (Shared::new(&mut left), Shared::new(&mut right));
        (first..next).into_par_iter().for_each(|b| {
            let (block, row) = (blocks.get(b), rows[b - first]);
            let at = left.at(row * depth);
            let halves = PANEL / LANES;
            let offset = |cb: usize| cb / halves * all * PANEL + cb % halves * LANES;
            let to = Rows { at: right.at(row * PANEL), point: right_stride, row: PANEL };
            // SAFETY: the matrices have these rows, and only this task writes them.
            unsafe {
                lowered.input(k, x, &block, Rows { at, point: left_stride, row: depth });
                lowered.output_gradient(k, gy, &block, to, offset);
            }
        });
        (0..tasks * parts).into_par_iter().for_each(|task| {
            let (part, task) = (task % parts, task / parts);
            let (panel, task) = (task % panels, task / panels);
            let (group, index) = (share(depth, groups, task % groups), task / groups);
            let mine = share(all, parts, part);
            for (nth, point) in points[index].iter().enumerate() {
                let at = (panel * lowered.matrices + index) * matrix + group.start * PANEL;
                let product = Product {
                    rows: group.len(),
                    depth: mine.len(),
                    a: left.at(point * left_stride + mine.start * depth + group.start),
                    a_row: 1,
                    a_col: depth,
                    b: right.at(point * right_stride + (panel * all + mine.start) * PANEL),
                    c: to.at(part * sum + at),
                    accumulate: first > 0 || nth > 0,
                };
                // SAFETY: the matrices have these sizes; only this task writes these sums.
                unsafe { (k.product)(&product) };
            }
        });
    }
    let (whole, others) = sums.split_at_mut(sum);
    for part in others.chunks_exact(sum) {
        whole.iter_mut().zip(part).for_each(|(a, b)| *a += b);
    }
    weights::gradient(&lowered, whole, gw);
}
