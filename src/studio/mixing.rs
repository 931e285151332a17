//! Combining codes: interpolation between two z, and style mixing.

use std::ops::RangeInclusive;

use burn::tensor::Tensor;
use image::RgbImage;

use crate::error::Result;
use crate::nn::params::to_vec;
use crate::picture;
use crate::systems::requests::{Truncation, check_layers};
use crate::systems::{SampleNoise, StyleSpace};

/// Spherical interpolation between a and b, `[1, z_dim]`, at a fraction `at` of the arc.
pub fn great_circle(a: Tensor<2>, b: Tensor<2>, at: f64) -> Tensor<2> {
    let number = |t: Tensor<2>| f64::from(to_vec(t.sum())[0]);
    let lengths = (number(a.clone() * a.clone()) * number(b.clone() * b.clone())).sqrt();
    let angle = (number(a.clone() * b.clone()) / lengths.max(1e-12)).clamp(-1.0, 1.0).acos();
    if angle.sin().abs() < 1e-6 {
        return a * (1.0 - at) + b * at;
    }
    a * (((1.0 - at) * angle).sin() / angle.sin()) + b * ((at * angle).sin() / angle.sin())
}

/// Style mixing (Karras et al. 2019): the styles of `base`, except in `layers`, which come from
/// `other`. Both are `[N, num_ws, w_dim]`.
pub fn mixed(base: &Tensor<3>, other: &Tensor<3>, layers: &RangeInclusive<usize>) -> Tensor<3> {
    let num_ws = base.dims()[1];
    let (first, behind) = (*layers.start(), *layers.end() + 1);
    let part = |ws: &Tensor<3>, from: usize, to: usize| ws.clone().narrow(1, from, to - from);
    let mut parts = vec![part(other, first, behind)];
    if first > 0 {
        parts.insert(0, part(base, 0, first));
    }
    if behind < num_ws {
        parts.push(part(base, behind, num_ws));
    }
    Tensor::cat(parts, 1)
}

/// The images of a grid of mixed styles.
#[derive(Debug, Clone)]
pub struct MixedGrid {
    /// The images of the seeds of the columns.
    pub columns: Vec<RgbImage>,
    /// For each seed of the rows its image, and its mixtures with the seeds of the columns.
    pub rows: Vec<(RgbImage, Vec<RgbImage>)>,
}

/// Mixes the styles of seeds: those of a row, except in `layers`, which come from the column.
/// `observe` receives the number of rows that are done.
///
/// # Errors
/// If the model does not draw from seeds alone, or does not have the class or the layers.
pub fn mix(
    styles: &dyn StyleSpace,
    [rows, columns]: [&[u64]; 2],
    layers: &RangeInclusive<usize>,
    class: Option<u32>,
    truncation: Truncation,
    mut observe: impl FnMut(usize),
) -> Result<MixedGrid> {
    styles.check_z()?;
    check_layers(layers, styles.num_ws())?;
    let ws = |seeds: &[u64]| styles.map(styles.z(seeds), class, truncation);
    let draw = |ws: Tensor<3>| picture::from_tensor(styles.render(ws, SampleNoise::Constant, &[]));
    let (from_rows, from_columns) = (ws(rows)?, ws(columns)?);
    let mut grid = MixedGrid { columns: draw(from_columns.clone()), rows: Vec::new() };
    for (index, original) in draw(from_rows.clone()).into_iter().enumerate() {
        let row = from_rows.clone().narrow(0, index, 1).repeat_dim(0, columns.len());
        grid.rows.push((original, draw(mixed(&row, &from_columns, layers))));
        observe(index + 1);
    }
    Ok(grid)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn styles(value: f32) -> Tensor<3> {
        Tensor::full([1, 4, 2], value, &Device::flex())
    }

    #[test]
    fn layers_come_from_the_other_styles() {
        for (layers, expected) in
            [(0..=0, [2., 1., 1., 1.]), (1..=2, [1., 2., 2., 1.]), (3..=3, [1., 1., 1., 2.])]
        {
            let found = to_vec(mixed(&styles(1.0), &styles(2.0), &layers));
            let per_layer: Vec<f32> = found.chunks(2).map(|style| style[0]).collect();
            assert_eq!(per_layer, expected, "{layers:?}");
        }
    }

    #[test]
    fn the_middle_of_a_quarter_circle_has_the_same_length() {
        let point = |x: [f32; 2]| {
            Tensor::<2>::from_data(TensorData::new(x.to_vec(), [1, 2]), &Device::flex())
        };
        let middle = to_vec(great_circle(point([1.0, 0.0]), point([0.0, 1.0]), 0.5));
        let half = 0.5f32.sqrt();
        assert!(middle.iter().all(|x| (x - half).abs() < 1e-6), "{middle:?}");
    }
}
