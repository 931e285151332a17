use super::*;
use crate::kernels::cpu::testing::{close, dot, random};
use crate::kernels::cpu::upfirdn::upfirdn2d;
use crate::kernels::spec::Smooth;

/// Factors of the planes of x `[N, I]` and of gy `[N, O]`.
#[derive(Clone, Copy, Default)]
struct Factors<'a> {
    x: Option<&'a [f32]>,
    gy: Option<&'a [f32]>,
}

/// y, gx and gw by the definition, in double precision, for operands with factors.
fn naive(c: &Conv2d, m: Factors, x: &[f32], w: &[f32], gy: &[f32]) -> [Vec<f32>; 3] {
    if let Some(smooth) = c.smooth {
        // A filter, tested elsewhere, and then a convolution.
        let fir = smooth.fir();
        let plain = Conv2d { in_h: c.mid_h(), in_w: c.mid_w(), smooth: None, ..*c };
        let mid = upfirdn2d(&fir, [c.in_h, c.in_w], x);
        let [y, gmid, gw] = naive(&plain, m, &mid, w, gy);
        let back = fir.adjoint([c.in_h, c.in_w]);
        return [y, upfirdn2d(&back, [c.mid_h(), c.mid_w()], &gmid), gw];
    }
    let (oh, ow, k) = (c.out_h(), c.out_w(), c.kernel);
    let (mut y, mut gx) = (vec![0f64; c.out_len()], vec![0f64; c.in_len()]);
    let mut gw = vec![0f64; c.weight_len()];
    let factor = |s: Option<&[f32]>, i: usize| s.map_or(1.0, |s| f64::from(s[i]));
    for n in 0..c.batch {
        for o in 0..c.out_channels {
            let after = factor(m.gy, n * c.out_channels + o);
            for i in 0..c.in_channels {
                let before = factor(m.x, n * c.in_channels + i);
                for (oy, ox, ky, kx) in quadruples(oh, ow, k, k) {
                    let (iy, ix) = (oy * c.stride + ky, ox * c.stride + kx);
                    let (iy, ix) = (iy.wrapping_sub(c.padding), ix.wrapping_sub(c.padding));
                    if iy >= c.in_h || ix >= c.in_w {
                        continue;
                    }
                    let xi = ((n * c.in_channels + i) * c.in_h + iy) * c.in_w + ix;
                    let yi = ((n * c.out_channels + o) * oh + oy) * ow + ox;
                    let wi = ((o * c.in_channels + i) * k + ky) * k + kx;
                    let (x, gy) = (f64::from(x[xi]) * before, f64::from(gy[yi]) * after);
                    y[yi] += x * f64::from(w[wi]);
                    gx[xi] += gy * f64::from(w[wi]);
                    gw[wi] += gy * x;
                }
            }
        }
    }
    [y, gx, gw].map(|v| v.into_iter().map(|v| v as f32).collect())
}

fn quadruples(
    a: usize,
    b: usize,
    c: usize,
    d: usize,
) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..a * b * c * d).map(move |i| (i / (b * c * d), i / (c * d) % b, i / d % c, i % d))
}

/// y, gx and gw by the kernels.
fn ours(c: &Conv2d, m: Factors, x: &[f32], w: &[f32], gy: &[f32]) -> [Vec<f32>; 3] {
    // The kernels must overwrite all of their output.
    let mut gw = vec![f32::NAN; c.weight_len()];
    let (x, gy) = (Source { planes: x, scale: m.x }, Source { planes: gy, scale: m.gy });
    conv2d_weight_gradient(c, x, gy, &mut gw);
    let (y, gx) = (conv2d(c, x, w), conv2d_data_gradient(c, gy, w));
    check_epilogue(&y, c.out_h() * c.out_w(), |e| conv2d_then(c, x, w, Some(e)));
    check_epilogue(&gx, c.in_h * c.in_w, |e| conv2d_data_gradient_then(c, gy, w, Some(e)));
    [y, gx, gw]
}

/// An epilogue must see every pixel once, and know which it is.
fn check_epilogue(plain: &[f32], plane: usize, run: impl Fn(&Epilogue) -> Vec<f32>) {
    let extra = random(7, plain.len());
    let got = run(&|i, pixels, y| {
        y.iter_mut().zip(&extra[i * plane..][..plane][pixels]).for_each(|(y, extra)| *y += extra);
    });
    let expected: Vec<f32> = plain.iter().zip(&extra).map(|(y, extra)| y + extra).collect();
    assert!(got == expected, "an epilogue for planes of {plane} pixels");
}

fn operands(c: &Conv2d) -> [Vec<f32>; 5] {
    let n = c.batch;
    let lens = [c.in_len(), c.weight_len(), c.out_len(), n * c.in_channels, n * c.out_channels];
    let mut seed = 0;
    lens.map(|len| {
        seed += 1;
        random(seed, len)
    })
}

fn check(c: &Conv2d) {
    let [x, w, gy, of_x, of_gy] = operands(c);
    let modulated = Factors { x: Some(&of_x), gy: Some(&of_gy) };
    for m in [Factors::default(), modulated] {
        let expected = naive(c, m, &x, &w, &gy);
        let got = ours(c, m, &x, &w, &gy);
        for ((got, expected), what) in got.iter().zip(&expected).zip(["y", "gx", "gw"]) {
            close(got, expected, 1e-5, &format!("{what} of {c:?}"));
        }
    }
}

fn conv(
    batch: usize,
    io: [usize; 2],
    hw: [usize; 2],
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Conv2d {
    let ([in_channels, out_channels], [in_h, in_w]) = (io, hw);
    let (smooth, swapped) = (None, false);
    Conv2d {
        batch,
        in_channels,
        out_channels,
        in_h,
        in_w,
        kernel,
        stride,
        padding,
        smooth,
        swapped,
    }
}

#[test]
fn agrees_with_the_definition() {
    for channels in [[1, 1], [3, 17], [16, 3], [33, 40]] {
        for size in [[1, 1], [4, 4], [5, 7], [8, 8], [9, 18]] {
            for kernel in [1, 2, 3, 5] {
                for (stride, padding) in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 2)] {
                    if size[0].min(size[1]) + 2 * padding >= kernel {
                        check(&conv(2, channels, size, kernel, stride, padding));
                    }
                }
            }
        }
    }
}

/// Blocks of several images, of one, and of parts of one.
#[test]
fn agrees_with_the_definition_across_blocks() {
    for (batch, size) in [(1, [1, 40]), (1, [33, 6]), (7, [4, 4]), (5, [8, 12]), (3, [33, 33])] {
        for (kernel, stride, padding) in [(3, 1, 1), (3, 2, 0), (1, 1, 0)] {
            if size[0] >= kernel {
                check(&conv(batch, [18, 35], size, kernel, stride, padding));
            }
        }
    }
}

/// Several rounds of the weight gradient, and other blocks for each number of threads.
#[test]
fn agrees_with_the_definition_for_any_number_of_threads() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    // Three times as many floats as fit a round of two threads.
    let long = conv(2, [33, 40], [150, 60], 3, 1, 1);
    for c in [long, conv(3, [18, 35], [19, 6], 3, 1, 1), conv(3, [18, 35], [19, 7], 3, 2, 0)] {
        let [x, w, gy, ..] = operands(&c);
        let results = [1, 2, 7].map(|threads| {
            pool(threads).install(|| {
                check(&c);
                ours(&c, Factors::default(), &x, &w, &gy)
            })
        });
        for [y, gx, _] in &results {
            assert!(*y == results[0][0] && *gx == results[0][1], "{c:?}");
        }
    }
}

#[test]
fn agrees_with_the_definition_when_smoothed() {
    let sizes = [[4, 4], [8, 8], [5, 7], [16, 16], [40, 6], [70, 34]];
    for (i, size) in sizes.into_iter().enumerate() {
        for (kernel, stride, padding) in [(3, 2, 0), (3, 1, 1), (1, 2, 0), (1, 1, 0), (2, 2, 1)] {
            for smooth in [2, 1, 3] {
                let taps = [0.1, 0.4, 0.3, -0.2];
                let smooth = Some(Smooth { taps, padding: smooth });
                let c = conv(3 - i / 3, [18, 35 - 4 * i], size, kernel, stride, padding);
                check(&Conv2d { smooth, ..c });
            }
        }
    }
}

/// The order of the weight's sides changes neither y nor gx nor gw.
#[test]
fn a_swapped_weight_gives_the_same_results() {
    for (io, kernel, stride, padding) in
        [([3, 17], 3, 1, 1), ([33, 20], 3, 2, 0), ([18, 5], 1, 1, 0), ([5, 35], 2, 2, 1)]
    {
        let c = conv(2, io, [9, 8], kernel, stride, padding);
        let [x, w, gy, ..] = operands(&c);
        let [i, o] = io;
        let taps = kernel * kernel;
        let swap = |w: &[f32]| -> Vec<f32> {
            let filter = |i, o| w[(o * io[0] + i) * taps..][..taps].iter().copied();
            (0..i).flat_map(|i| (0..o).flat_map(move |o| filter(i, o))).collect()
        };
        let [y, gx, gw] = ours(&c, Factors::default(), &x, &w, &gy);
        let swapped = Conv2d { swapped: true, ..c };
        let again = ours(&swapped, Factors::default(), &x, &swap(&w), &gy);
        assert!(again == [y, gx, swap(&gw)], "{c:?}");
    }
}

#[test]
fn an_empty_batch_is_nothing() {
    // What working memory holds must not matter.
    check(&conv(2, [3, 4], [8, 8], 3, 1, 1));
    let c = conv(0, [3, 4], [8, 8], 3, 1, 1);
    let [y, gx, gw] = ours(&c, Factors::default(), &[], &random(1, c.weight_len()), &[]);
    assert!(y.is_empty() && gx.is_empty());
    assert!(gw.iter().all(|g| *g == 0.0));
}

#[test]
fn the_data_gradient_is_the_adjoint() {
    for c in [conv(3, [20, 12], [16, 16], 3, 1, 1), conv(3, [20, 12], [17, 17], 3, 2, 0)] {
        let [x, w, gy, ..] = operands(&c);
        let [y, gx, gw] = ours(&c, Factors::default(), &x, &w, &gy);
        let a = dot(&y, &gy);
        for b in [dot(&x, &gx), dot(&w, &gw)] {
            assert!((a - b).abs() < 1e-3 * (1.0 + a.abs()), "{a} {b} for {c:?}");
        }
    }
}

#[test]
fn repeats_to_the_bit() {
    for c in [conv(5, [40, 33], [16, 16], 3, 1, 1), conv(5, [40, 33], [17, 17], 3, 2, 0)] {
        let [x, w, gy, ..] = operands(&c);
        let first = ours(&c, Factors::default(), &x, &w, &gy);
        for _ in 0..5 {
            assert!(first == ours(&c, Factors::default(), &x, &w, &gy), "{c:?}");
        }
    }
}

/// The error of Winograd's transforms, in units of the result's spread: within a few times that of a
/// plain sum (about 0.6e-6 for 128 channels).
#[test]
fn is_accurate_for_many_channels() {
    for c in [conv(2, [128, 16], [16, 16], 3, 1, 1), conv(2, [128, 16], [33, 33], 3, 2, 0)] {
        let [x, w, gy, ..] = operands(&c);
        let expected = naive(&c, Factors::default(), &x, &w, &gy);
        let got = ours(&c, Factors::default(), &x, &w, &gy);
        for (got, expected) in got.iter().zip(&expected) {
            let error: Vec<f32> = got.iter().zip(expected).map(|(a, b)| a - b).collect();
            let relative = (dot(&error, &error) / dot(expected, expected)).sqrt();
            assert!(relative < 2e-6, "{relative} for {c:?}");
        }
    }
}
