//! Activations, factors of planes, and their gradients: each is one pass over the planes of
//! `[N, C, H, W]`.
//!
//! A cube works on a part of one plane, or, if planes are small, on several of them; so what
//! belongs to a plane is looked up once. Sums leave one number for each part, and
//! [`sums`](super::sums) adds these in a fixed order, so results are the same in every run.

use cubecl::prelude::*;

use super::launch::{Floats, contiguous, dims, element, empty, empty_f32, grid, line, vector};
use super::sums::{Groups, cube_sum, vector_sum};
use crate::kernels::spec::Activation;

/// Vectors of a plane that one cube works on at most.
const PART: usize = 2048;
/// Units of a cube.
const UNITS: usize = 256;

/// How planes are divided among cubes.
#[derive(Clone, Copy)]
pub struct Division {
    /// N·C.
    planes: usize,
    channels: usize,
    /// Elements that are read at once.
    pub vector: usize,
    /// Vectors of a plane.
    vectors: usize,
    /// Parts of a plane, each of [`PART`] vectors.
    parts: usize,
    /// Units along a plane.
    pub wide: usize,
    /// Planes of a cube.
    high: usize,
}

impl Division {
    /// Several small planes may share a cube.
    pub fn shared([n, c, h, w]: [usize; 4]) -> Self {
        let own = Self::own([n, c, h, w]);
        Self { high: UNITS / own.wide, ..own }
    }

    /// Every cube works on one plane, so that it can sum over its units.
    pub fn own([n, c, h, w]: [usize; 4]) -> Self {
        let vector = vector(h * w);
        let vectors = h * w / vector;
        Self {
            planes: n * c,
            channels: c,
            vector,
            vectors,
            parts: vectors.div_ceil(PART),
            wide: vectors.next_power_of_two().min(UNITS),
            high: 1,
        }
    }

    /// Numbers that a sum over every part leaves.
    pub fn sums(&self) -> usize {
        self.planes * self.parts
    }

    /// Whether no plane is divided.
    pub fn is_whole(&self) -> bool {
        self.parts == 1
    }

    /// How these sums belong to the planes.
    pub fn by_plane(&self) -> Groups {
        Groups { offset: 0, outer: 1, groups: self.planes, inner: self.parts }
    }

    /// How these sums belong to the channels.
    pub fn by_channel(&self) -> Groups {
        let outer = self.planes / self.channels;
        Groups { offset: 0, outer, groups: self.channels, inner: self.parts }
    }

    pub fn count(&self) -> CubeCount {
        grid(self.parts, self.planes.div_ceil(self.high))
    }

    pub fn units(&self) -> CubeDim {
        CubeDim::new_2d(self.wide as u32, self.high as u32)
    }

    pub fn sides(&self) -> SidesLaunch {
        SidesLaunch::new(self.planes, self.channels, self.vectors)
    }
}

/// The sizes of [`Division`] that kernels need.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Sides {
    pub planes: usize,
    pub channels: usize,
    pub vectors: usize,
}

/// The part of a plane that a unit works on.
#[derive(CubeType, Clone, Copy)]
pub struct Place {
    /// The number of the plane; a valid one even where nothing is to be done.
    pub plane: usize,
    /// The first vector of this unit within the plane.
    pub start: usize,
    /// The end of its part within the plane.
    pub end: usize,
    /// The first vector of the plane.
    pub offset: usize,
    /// Whether there is such a plane; the grid may have a few lines too many.
    pub exists: bool,
}

#[cube]
pub fn place(sides: &Sides) -> Place {
    let plane = line() * CUBE_DIM_Y as usize + UNIT_POS_Y as usize;
    let start = CUBE_POS_X as usize * PART;
    let end = select(start + PART < sides.vectors, start + PART, sides.vectors);
    let exists = plane < sides.planes;
    let known = select(exists, plane, 0);
    Place {
        plane: known,
        start: start + UNIT_POS_X as usize,
        end: select(exists, end, 0),
        offset: known * sides.vectors,
        exists,
    }
}

/// Writes the sum that belongs to this cube's part of a plane, `offset` behind the first. Every unit must call it.
#[cube]
pub fn leave_sum<N: Size>(
    sums: &mut [f32],
    here: &Place,
    offset: usize,
    sum: Vector<f32, N>,
    #[comptime] units: usize,
) {
    let sum = cube_sum(vector_sum::<N>(sum), units);
    if UNIT_POS == 0 && here.exists {
        sums[offset + here.plane * CUBE_COUNT_X as usize + CUBE_POS_X as usize] = sum;
    }
}

/// An [`Activation`] as a launch argument.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Act {
    pub slope: f32,
    pub gain: f32,
    pub limit: f32,
    #[cube(comptime)]
    pub clamped: bool,
}

pub fn act_arg(act: Activation) -> ActLaunch {
    ActLaunch::new(act.slope, act.gain, act.clamp.unwrap_or(0.0), act.clamp.is_some())
}

#[cube]
pub fn activate<N: Size>(x: Vector<f32, N>, act: &Act) -> Vector<f32, N> {
    let zero = Vector::<f32, N>::new(0.0f32);
    let sloped = select_many(x.greater_than(&zero), x, x * Vector::new(act.slope));
    let y = sloped * Vector::new(act.gain);
    if comptime!(act.clamped) {
        let high = Vector::new(act.limit);
        let low = zero - high;
        let y = select_many(y.greater_than(&high), high, y);
        select_many(y.less_than(&low), low, y)
    } else {
        y
    }
}

/// g times the slope where the output is y.
#[cube]
pub fn sloped<N: Size>(g: Vector<f32, N>, y: Vector<f32, N>, act: &Act) -> Vector<f32, N> {
    let zero = Vector::<f32, N>::new(0.0f32);
    let g = g * Vector::new(act.gain);
    let h = select_many(y.less_equal(&zero), g * Vector::new(act.slope), g);
    if comptime!(act.clamped) {
        let high = Vector::new(act.limit);
        let low = zero - high;
        select_many(y.greater_equal(&high).or(y.less_equal(&low)), zero, h)
    } else {
        h
    }
}

#[cube(launch_unchecked)]
fn bias_act_kernel<E: Float, N: Size>(
    x: &[Vector<E, N>],
    b: &[f32],
    y: &mut [Vector<E, N>],
    sides: &Sides,
    act: &Act,
    #[define(E)] _element: ElemType,
) {
    let here = place(sides);
    let bias = Vector::<f32, N>::new(b[here.plane % sides.channels]);
    let mut at = here.start;
    while at < here.end {
        let found = activate::<N>(Vector::cast_from(x[here.offset + at]) + bias, act);
        y[here.offset + at] = Vector::cast_from(found);
        at += CUBE_DIM_X as usize;
    }
}

/// See [`Kernels::k_bias_act`](crate::kernels::Kernels::k_bias_act).
pub fn bias_act(x: Floats, b: Floats, act: Activation) -> Floats {
    let (x, b) = (contiguous(x), contiguous(b));
    let y = empty(&x, dims::<4>(&x));
    let division = Division::shared(dims(&x));
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: `place` stays within the planes, whose number and size are those of x and y.
    unsafe {
        bias_act_kernel::launch_unchecked(
            &client,
            division.count(),
            division.units(),
            division.vector,
            x.into_buffer_arg(),
            b.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            division.sides(),
            act_arg(act),
            element,
        );
    }
    y
}

#[cube(launch_unchecked)]
fn slope_kernel<E: Float, N: Size>(
    g: &[Vector<E, N>],
    y: &[Vector<E, N>],
    h: &mut [Vector<E, N>],
    sides: &Sides,
    act: &Act,
    #[define(E)] _element: ElemType,
) {
    let here = place(sides);
    let mut at = here.start;
    while at < here.end {
        let i = here.offset + at;
        h[i] =
            Vector::cast_from(sloped::<N>(Vector::cast_from(g[i]), Vector::cast_from(y[i]), act));
        at += CUBE_DIM_X as usize;
    }
}

/// See [`Kernels::k_act_slope`](crate::kernels::Kernels::k_act_slope).
pub fn act_slope(g: Floats, y: Floats, act: Activation) -> Floats {
    let (g, y) = (contiguous(g), contiguous(y));
    let h = empty(&g, dims::<4>(&g));
    let division = Division::shared(dims(&g));
    let (client, element) = (g.client.clone(), element(&g));
    // SAFETY: as above; g, y and h have one shape.
    unsafe {
        slope_kernel::launch_unchecked(
            &client,
            division.count(),
            division.units(),
            division.vector,
            g.into_buffer_arg(),
            y.into_buffer_arg(),
            h.clone().into_buffer_arg(),
            division.sides(),
            act_arg(act),
            element,
        );
    }
    h
}

#[cube(launch_unchecked)]
fn slope_sums_kernel<E: Float, N: Size>(
    g: &[Vector<E, N>],
    y: &[Vector<E, N>],
    h: &mut [Vector<E, N>],
    sums: &mut [f32],
    sides: &Sides,
    act: &Act,
    #[comptime] units: usize,
    #[define(E)] _element: ElemType,
) {
    let here = place(sides);
    let mut sum = Vector::<f32, N>::new(0.0f32);
    let mut at = here.start;
    while at < here.end {
        let i = here.offset + at;
        let found = sloped::<N>(Vector::cast_from(g[i]), Vector::cast_from(y[i]), act);
        h[i] = Vector::cast_from(found);
        sum += found;
        at += CUBE_DIM_X as usize;
    }
    leave_sum::<N>(sums, &here, 0usize.runtime(), sum, units);
}

/// g times the slope, and for each part of a plane its sum.
pub fn slope_sums(g: Floats, y: Floats, act: Activation) -> (Floats, Floats, Division) {
    let (g, y) = (contiguous(g), contiguous(y));
    let h = empty(&g, dims::<4>(&g));
    let division = Division::own(dims(&g));
    let sums = empty_f32(&g, [division.sums()]);
    let (client, element) = (g.client.clone(), element(&g));
    // SAFETY: as above; there is one sum for each part.
    unsafe {
        slope_sums_kernel::launch_unchecked(
            &client,
            division.count(),
            division.units(),
            division.vector,
            g.into_buffer_arg(),
            y.into_buffer_arg(),
            h.clone().into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            division.sides(),
            act_arg(act),
            division.wide,
            element,
        );
    }
    (h, sums, division)
}

#[cube(launch_unchecked)]
fn plane_sums_kernel<E: Float, N: Size>(
    a: &[Vector<E, N>],
    b: &[Vector<E, N>],
    sums: &mut [f32],
    sides: &Sides,
    #[comptime] dots: bool,
    #[comptime] units: usize,
    #[define(E)] _element: ElemType,
) {
    let here = place(sides);
    let mut sum = Vector::<f32, N>::new(0.0f32);
    let mut at = here.start;
    while at < here.end {
        let value = Vector::<f32, N>::cast_from(a[here.offset + at]);
        if comptime!(dots) {
            sum += value * Vector::cast_from(b[here.offset + at]);
        } else {
            sum += value;
        }
        at += CUBE_DIM_X as usize;
    }
    leave_sum::<N>(sums, &here, 0usize.runtime(), sum, units);
}

/// For each part of a plane the sum of a, or of a·b if there is a b.
pub fn plane_sums(a: Floats, b: Option<Floats>) -> (Floats, Division) {
    let a = contiguous(a);
    let dots = b.is_some();
    let b = b.map_or_else(|| a.clone(), contiguous);
    let division = Division::own(dims(&a));
    let sums = empty_f32(&a, [division.sums()]);
    let (client, element) = (a.client.clone(), element(&a));
    // SAFETY: as above; a and b have one shape.
    unsafe {
        plane_sums_kernel::launch_unchecked(
            &client,
            division.count(),
            division.units(),
            division.vector,
            a.into_buffer_arg(),
            b.into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            division.sides(),
            dots,
            division.wide,
            element,
        );
    }
    (sums, division)
}

#[cube(launch_unchecked)]
fn scale_kernel<E: Float, N: Size>(
    x: &[Vector<E, N>],
    s: &[f32],
    y: &mut [Vector<E, N>],
    sides: &Sides,
    #[define(E)] _element: ElemType,
) {
    let here = place(sides);
    let factor = Vector::<f32, N>::new(s[here.plane]);
    let mut at = here.start;
    while at < here.end {
        let value = Vector::<f32, N>::cast_from(x[here.offset + at]);
        y[here.offset + at] = Vector::cast_from(value * factor);
        at += CUBE_DIM_X as usize;
    }
}

/// See [`Kernels::k_scale_planes`](crate::kernels::Kernels::k_scale_planes).
pub fn scale_planes(x: Floats, s: Floats) -> Floats {
    let (x, s) = (contiguous(x), contiguous(s));
    let y = empty(&x, dims::<4>(&x));
    let division = Division::shared(dims(&x));
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: as above; there is one factor for each plane.
    unsafe {
        scale_kernel::launch_unchecked(
            &client,
            division.count(),
            division.units(),
            division.vector,
            x.into_buffer_arg(),
            s.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            division.sides(),
            element,
        );
    }
    y
}

#[cube(launch_unchecked)]
fn scale_gradients_kernel<E: Float, N: Size>(
    x: &[Vector<E, N>],
    s: &[f32],
    g: &[Vector<E, N>],
    of_x: &mut [Vector<E, N>],
    sums: &mut [f32],
    sides: &Sides,
    #[comptime] units: usize,
    #[define(E)] _element: ElemType,
) {
    let here = place(sides);
    let factor = Vector::<f32, N>::new(s[here.plane]);
    let mut sum = Vector::<f32, N>::new(0.0f32);
    let mut at = here.start;
    while at < here.end {
        let i = here.offset + at;
        let gradient = Vector::<f32, N>::cast_from(g[i]);
        of_x[i] = Vector::cast_from(gradient * factor);
        sum += gradient * Vector::cast_from(x[i]);
        at += CUBE_DIM_X as usize;
    }
    leave_sum::<N>(sums, &here, 0usize.runtime(), sum, units);
}

/// The gradient of x in x·s, and for each part of a plane its share of the gradient of s.
pub fn scale_gradients(x: Floats, s: Floats, g: Floats) -> (Floats, Floats, Division) {
    let [x, s, g] = [x, s, g].map(contiguous);
    let of_x = empty(&x, dims::<4>(&x));
    let division = Division::own(dims(&x));
    let sums = empty_f32(&x, [division.sums()]);
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: as above; x, g and the result have one shape.
    unsafe {
        scale_gradients_kernel::launch_unchecked(
            &client,
            division.count(),
            division.units(),
            division.vector,
            x.into_buffer_arg(),
            s.into_buffer_arg(),
            g.into_buffer_arg(),
            of_x.clone().into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            division.sides(),
            division.wide,
            element,
        );
    }
    (of_x, sums, division)
}

#[cube(launch_unchecked)]
fn scale_tangent_kernel<E: Float, N: Size>(
    x: &[Vector<E, N>],
    t: &[Vector<E, N>],
    s: &[f32],
    u: &[f32],
    y: &mut [Vector<E, N>],
    sides: &Sides,
    #[define(E)] _element: ElemType,
) {
    let here = place(sides);
    let factor = Vector::<f32, N>::new(s[here.plane]);
    let along = Vector::<f32, N>::new(u[here.plane]);
    let mut at = here.start;
    while at < here.end {
        let i = here.offset + at;
        let by_factor = Vector::<f32, N>::cast_from(t[i]) * factor;
        y[i] = Vector::cast_from(by_factor + Vector::<f32, N>::cast_from(x[i]) * along);
        at += CUBE_DIM_X as usize;
    }
}

/// See [`Kernels::k_scale_planes_tangent`](crate::kernels::Kernels::k_scale_planes_tangent): planes x and
/// their tangents t, factors s and their tangents u.
pub fn scale_tangent(planes: [Floats; 2], factors: [Floats; 2]) -> Floats {
    let [x, t] = planes.map(contiguous);
    let [s, u] = factors.map(contiguous);
    let y = empty(&x, dims::<4>(&x));
    let division = Division::shared(dims(&x));
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: as above; x, t and y have one shape.
    unsafe {
        scale_tangent_kernel::launch_unchecked(
            &client,
            division.count(),
            division.units(),
            division.vector,
            x.into_buffer_arg(),
            t.into_buffer_arg(),
            s.into_buffer_arg(),
            u.into_buffer_arg(),
            y.clone().into_buffer_arg(),
            division.sides(),
            element,
        );
    }
    y
}

#[cube(launch_unchecked)]
fn scale_tangent_gradients_kernel<E: Float, N: Size>(
    x: &[Vector<E, N>],
    t: &[Vector<E, N>],
    s: &[f32],
    u: &[f32],
    g: &[Vector<E, N>],
    of_x: &mut [Vector<E, N>],
    of_t: &mut [Vector<E, N>],
    sums: &mut [f32],
    sides: &Sides,
    #[comptime] units: usize,
    #[define(E)] _element: ElemType,
) {
    let here = place(sides);
    let factor = Vector::<f32, N>::new(s[here.plane]);
    let along = Vector::<f32, N>::new(u[here.plane]);
    let zero = Vector::<f32, N>::new(0.0f32);
    let (mut by_factor, mut by_along) = (zero, zero);
    let mut at = here.start;
    while at < here.end {
        let i = here.offset + at;
        let gradient = Vector::<f32, N>::cast_from(g[i]);
        of_x[i] = Vector::cast_from(gradient * along);
        of_t[i] = Vector::cast_from(gradient * factor);
        by_factor += gradient * Vector::cast_from(t[i]);
        by_along += gradient * Vector::cast_from(x[i]);
        at += CUBE_DIM_X as usize;
    }
    let kind = sides.planes * CUBE_COUNT_X as usize;
    leave_sum::<N>(sums, &here, 0usize.runtime(), by_factor, units);
    leave_sum::<N>(sums, &here, kind, by_along, units);
}

/// The gradients of x and t in t·s + x·u, and for each part of a plane its shares of the gradients of s,
/// then of u.
pub fn scale_tangent_gradients(
    planes: [Floats; 2],
    factors: [Floats; 2],
    g: Floats,
) -> ([Floats; 2], Floats, Division) {
    let [x, t] = planes.map(contiguous);
    let [s, u] = factors.map(contiguous);
    let g = contiguous(g);
    let [of_x, of_t] = [(); 2].map(|()| empty(&x, dims::<4>(&x)));
    let division = Division::own(dims(&x));
    let sums = empty_f32(&x, [2 * division.sums()]);
    let (client, element) = (x.client.clone(), element(&x));
    // SAFETY: as above; there are two sums for each part.
    unsafe {
        scale_tangent_gradients_kernel::launch_unchecked(
            &client,
            division.count(),
            division.units(),
            division.vector,
            x.into_buffer_arg(),
            t.into_buffer_arg(),
            s.into_buffer_arg(),
            u.into_buffer_arg(),
            g.into_buffer_arg(),
            of_x.clone().into_buffer_arg(),
            of_t.clone().into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            division.sides(),
            division.wide,
            element,
        );
    }
    ([of_x, of_t], sums, division)
}
