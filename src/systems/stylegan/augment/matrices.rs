//! Turns elementary draws into one geometry matrix and one colour matrix per image (Karras et al.
//! 2020b, App. B; steps, order and strengths follow `bgc` in their code).

use std::f64::consts::PI;

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::draws;

/// A square matrix for homogeneous coordinates, row by row.
pub type Matrix<const N: usize> = [[f64; N]; N];

/// The largest integer shift, as a fraction of the side.
const XINT_MAX: f64 = 0.125;
/// Standard deviations of log₂ of the isotropic and of the anisotropic scale.
const SCALE_STD: f64 = 0.2;
const ANISO_STD: f64 = 0.2;
/// Standard deviation of the fractional shift, as a fraction of the side.
const XFRAC_STD: f64 = 0.125;
/// Standard deviation of the brightness, and of log₂ of contrast and saturation.
const BRIGHTNESS_STD: f64 = 0.2;
const CONTRAST_STD: f64 = 0.5;
const SATURATION_STD: f64 = 1.0;

/// The draw for one elementary transformation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gated<T> {
    /// Its strength.
    pub value: T,
    /// Uniform on [0, 1); the transformation is applied if this is below the probability.
    pub gate: f64,
}

impl<T> Gated<T> {
    fn or(self, otherwise: T, probability: f64) -> T {
        if self.gate < probability { self.value } else { otherwise }
    }
}

/// All elementary draws for one image, independent of the probability.
///
/// Uniform values are on [0, 1), normal ones from N(0, 1). Fields are in the order in which the
/// transformations are applied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImageDraws {
    /// Uniform: a fair coin.
    pub xflip: Gated<f64>,
    /// Uniform: 0 to 3 quarter turns.
    pub rotate90: Gated<f64>,
    /// Uniform, along x and y: whole pixels.
    pub xint: Gated<[f64; 2]>,
    /// Normal.
    pub scale: Gated<f64>,
    /// Uniform.
    pub rotate_pre: Gated<f64>,
    /// Normal.
    pub aniso: Gated<f64>,
    /// Uniform.
    pub rotate_post: Gated<f64>,
    /// Normal, along x and y.
    pub xfrac: Gated<[f64; 2]>,
    /// Normal.
    pub brightness: Gated<f64>,
    /// Normal.
    pub contrast: Gated<f64>,
    /// Uniform: a fair coin.
    pub lumaflip: Gated<f64>,
    /// Uniform.
    pub hue: Gated<f64>,
    /// Normal.
    pub saturation: Gated<f64>,
}

impl ImageDraws {
    /// The draws for `n` images, a function of (seed, purpose, nimg).
    pub fn batch(seed: u64, purpose: &str, nimg: u64, n: usize) -> Vec<Self> {
        let mut rng = draws::stream(seed, &format!("augment.{purpose}"), nimg);
        (0..n).map(|_| Self::draw(&mut rng)).collect()
    }

    fn draw(rng: &mut impl Rng) -> Self {
        fn gated<R: Rng, T>(rng: &mut R, value: impl FnOnce(&mut R) -> T) -> Gated<T> {
            Gated { value: value(rng), gate: rng.random() }
        }
        fn uniform<R: Rng>(rng: &mut R) -> f64 {
            rng.random()
        }
        fn normal<R: Rng>(rng: &mut R) -> f64 {
            StandardNormal.sample(rng)
        }
        Self {
            xflip: gated(rng, uniform),
            rotate90: gated(rng, uniform),
            xint: gated(rng, |rng| [uniform(rng), uniform(rng)]),
            scale: gated(rng, normal),
            rotate_pre: gated(rng, uniform),
            aniso: gated(rng, normal),
            rotate_post: gated(rng, uniform),
            xfrac: gated(rng, |rng| [normal(rng), normal(rng)]),
            brightness: gated(rng, normal),
            contrast: gated(rng, normal),
            lumaflip: gated(rng, uniform),
            hue: gated(rng, uniform),
            saturation: gated(rng, normal),
        }
    }

    /// The matrix from output pixel to input pixel, (x, y, 1) about the centre of an image of
    /// height and width `size`, x to the right and y downwards. Each step multiplies from the right
    /// by its inverse.
    pub fn inverse_geometry(&self, p: f64, [height, width]: [usize; 2]) -> Matrix<3> {
        let size = [width as f64, height as f64];
        let p_rotate = rotation_probability(p);
        let angle = |draw: Gated<f64>| (draw.or(0.5, p_rotate) * 2.0 - 1.0) * PI;
        let along = |shift: [f64; 2]| [shift[0] * size[0], shift[1] * size[1]];

        let flip = (self.xflip.or(0.0, p) * 2.0).floor();
        let quarter = (self.rotate90.or(0.0, p) * 4.0).floor();
        let whole = along(self.xint.or([0.5; 2], p).map(|u| (u * 2.0 - 1.0) * XINT_MAX))
            .map(f64::round_ties_even);
        let scale = (self.scale.or(0.0, p) * SCALE_STD).exp2();
        let aniso = (self.aniso.or(0.0, p) * ANISO_STD).exp2();
        let part = along(self.xfrac.or([0.0; 2], p).map(|z| z * XFRAC_STD));

        [
            scale_2d(1.0 - 2.0 * flip, 1.0),
            quarter_turns(quarter),
            shift_2d(-whole[0], -whole[1]),
            scale_2d(1.0 / scale, 1.0 / scale),
            rotate_2d(angle(self.rotate_pre)),
            scale_2d(1.0 / aniso, aniso),
            rotate_2d(angle(self.rotate_post)),
            shift_2d(-part[0], -part[1]),
        ]
        .iter()
        .fold(identity(), |inverse, step| product(&inverse, step))
    }

    /// The matrix that maps colours (r, g, b, 1). Each step multiplies from the left.
    pub fn colour(&self, p: f64) -> Matrix<4> {
        let brightness = self.brightness.or(0.0, p) * BRIGHTNESS_STD;
        let contrast = (self.contrast.or(0.0, p) * CONTRAST_STD).exp2();
        let flip = (self.lumaflip.or(0.0, p) * 2.0).floor();
        let hue = (self.hue.or(0.5, p) * 2.0 - 1.0) * PI;
        let saturation = (self.saturation.or(0.0, p) * SATURATION_STD).exp2();

        [
            homogeneous(|i, j| on_diagonal(i, j, 1.0), brightness),
            homogeneous(|i, j| on_diagonal(i, j, contrast), 0.0),
            // I − 2vvᵀ, v = (1, 1, 1)/√3: reflects the luma.
            homogeneous(|i, j| on_diagonal(i, j, 1.0) - 2.0 * flip / 3.0, 0.0),
            rotate_about_grey(hue),
            homogeneous(|i, j| 1.0 / 3.0 + (on_diagonal(i, j, 1.0) - 1.0 / 3.0) * saturation, 0.0),
        ]
        .iter()
        .fold(identity(), |colour, step| product(step, &colour))
    }
}

/// Probability of each rotation such that at least one of the two happens with probability p.
fn rotation_probability(p: f64) -> f64 {
    1.0 - (1.0 - p).clamp(0.0, 1.0).sqrt()
}

fn on_diagonal(i: usize, j: usize, value: f64) -> f64 {
    if i == j { value } else { 0.0 }
}

fn identity<const N: usize>() -> Matrix<N> {
    std::array::from_fn(|i| std::array::from_fn(|j| on_diagonal(i, j, 1.0)))
}

/// The matrix product a·b.
fn product<const N: usize>(a: &Matrix<N>, b: &Matrix<N>) -> Matrix<N> {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..N).map(|k| a[i][k] * b[k][j]).sum()))
}

fn shift_2d(x: f64, y: f64) -> Matrix<3> {
    [[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]]
}

fn scale_2d(x: f64, y: f64) -> Matrix<3> {
    [[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]]
}

fn rotation(cos: f64, sin: f64) -> Matrix<3> {
    [[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]
}

fn rotate_2d(angle: f64) -> Matrix<3> {
    rotation(angle.cos(), angle.sin())
}

/// Rotation by quarter turns. It is exact, so that rounding errors do not widen the margins.
fn quarter_turns(count: f64) -> Matrix<3> {
    match count as usize {
        0 => identity(),
        1 => rotation(0.0, 1.0),
        2 => rotation(-1.0, 0.0),
        _ => rotation(0.0, -1.0),
    }
}

/// A linear map of (r, g, b) and an offset that is the same for all three.
fn homogeneous(linear: impl Fn(usize, usize) -> f64, offset: f64) -> Matrix<4> {
    std::array::from_fn(|i| {
        std::array::from_fn(|j| match (i, j) {
            (3, j) => on_diagonal(3, j, 1.0),
            (_, 3) => offset,
            (i, j) => linear(i, j),
        })
    })
}

/// Rotation by `angle` about (1, 1, 1)/√3, by Rodrigues' formula.
fn rotate_about_grey(angle: f64) -> Matrix<4> {
    const CROSS: Matrix<3> = [[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]];
    let (sin, cos) = angle.sin_cos();
    homogeneous(
        |i, j| on_diagonal(i, j, cos) + (1.0 - cos) / 3.0 + sin * CROSS[i][j] / 3f64.sqrt(),
        0.0,
    )
}
