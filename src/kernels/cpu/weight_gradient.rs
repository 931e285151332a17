//! The weight gradient: left matrices of x, transposed, times right matrices of gy, summed over
//! blocks.

use rayon::prelude::*;

use super::blocks::share;
use super::conv::Conv2d;
use super::gemm::{PANEL, Product, spaced};
use super::isa::kernels;
use super::lowered::Lowered;
use super::planes::Source;
use super::scratch::{Scratch, Shared};
use super::simd::LANES;
use super::weights;

/// gw [O, I, k, k] from x [N, I, H, W] and gy [N, O, H', W'].
///
/// Every thread sums a fixed share of the blocks; the shares are then added in their order.
pub fn weight_gradient(c: &Conv2d, x: Source, gy: Source, gw: &mut [f32]) {
    let k = kernels();
    let lowered = Lowered::new(c);
    let (depth, panels) = (lowered.depth, lowered.panels());
    let blocks = lowered.blocks(panels * PANEL);
    let parts = rayon::current_num_threads().min(blocks.len());
    let matrix = spaced(depth * PANEL);
    let part = lowered.matrices * panels * matrix;
    let mut sums = Scratch::new(parts * part);
    let to = Shared::new(&mut sums);
    (0..parts).into_par_iter().for_each(|p| {
        let mine = share(blocks.len(), parts, p);
        for b in mine.clone() {
            let block = blocks.get(b);
            let tiles = lowered.tiles(&block);
            let left = lowered.input(k, x, &block);
            let left_stride = spaced(tiles * depth);
            let halves = PANEL / LANES;
            let offset = |cb: usize| cb / halves * tiles * PANEL + cb % halves * LANES;
            let right =
                lowered.output_gradient(k, gy, &block, (panels * tiles * PANEL, PANEL, offset));
            let right_stride = spaced(panels * tiles * PANEL);
            for point in 0..lowered.points {
                let (index, first) = lowered.matrix(point);
                for panel in 0..panels {
                    let product = Product {
                        rows: depth,
                        depth: tiles,
                        a: left[point * left_stride..].as_ptr(),
                        a_row: 1,
                        a_col: depth,
                        b: right[point * right_stride + panel * tiles * PANEL..].as_ptr(),
                        c: to.at(p * part + (index * panels + panel) * matrix),
                        accumulate: b != mine.start || !first,
                    };
                    // SAFETY: the matrices have these sizes; only this task writes its sums.
                    unsafe { (k.product)(&product) };
                }
            }
        }
    });
    weights::gradient(&lowered, &sums, parts, gw);
}
