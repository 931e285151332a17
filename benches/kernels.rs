//! Times of the CPU's kernels at the sizes of StyleGAN2 at 32×32 (base 2048) and 64×64 (base 4096),
//! with at most 128 channels and batches of 16.
//!
//!     cargo bench --bench kernels --no-default-features --features cpu -- [filter] [--threads 2]
//!
//! `scripts/bench_kernels_torch.py` prints the same lines for PyTorch.

use std::mem::MaybeUninit;
use std::time::Instant;

use cigan::kernels::cpu::adam::adam;
use cigan::kernels::cpu::conv::{conv2d, conv2d_data_gradient, conv2d_weight_gradient};
use cigan::kernels::cpu::pointwise::{
    NoiseAct, act_gradient, bias_act, channel_sums, noise_act, noise_act_gradients, plane_dots,
    scale_planes, scale_planes_gradients,
};
use cigan::kernels::cpu::shape::Conv2d;
use cigan::kernels::cpu::target::Target;
use cigan::kernels::cpu::upfirdn::upfirdn2d;
use cigan::kernels::{Activation, AdamStep, Fir, Smooth};

const BATCH: usize = 16;
const REPEATS: usize = 25;

struct Bench {
    filter: String,
}

impl Bench {
    /// Prints the shortest time of several runs in milliseconds.
    fn time<T>(&self, name: &str, mut run: impl FnMut() -> T) {
        if !name.contains(&self.filter) {
            return;
        }
        run();
        let best = (0..REPEATS)
            .map(|_| {
                let start = Instant::now();
                std::hint::black_box(run());
                start.elapsed().as_secs_f64()
            })
            .fold(f64::INFINITY, f64::min);
        println!("{name:<34} {:9.3}", best * 1e3);
    }

    fn conv(&self, label: &str, c: Conv2d) {
        let (x, w, gy) = (random(c.in_len()), random(c.weight_len()), random(c.out_len()));
        let mut gw = w.clone();
        let (x, gy) = (x[..].into(), gy[..].into());
        self.time(&format!("{label} y"), || conv2d(&c, x, &w));
        self.time(&format!("{label} gx"), || conv2d_data_gradient(&c, gy, &w));
        self.time(&format!("{label} gw"), || conv2d_weight_gradient(&c, x, gy, &mut gw));
    }

    /// StyleGAN2's convolution down, h → h/2: filter, then stride 2. The data gradient is the
    /// convolution up.
    fn conv_smooth(&self, i: usize, o: usize, h: usize) {
        let smooth = Some(Smooth { taps: [0.125, 0.375, 0.375, 0.125], padding: 2 });
        self.conv(
            &format!("fir+down3 {i}>{o} @{h}"),
            Conv2d { smooth, ..square(i, o, h, 3, 2, 0) },
        );
    }

    /// A transposed 3×3 convolution of stride 2, h → 2h + 1: a data gradient is its forward.
    fn conv_up(&self, from: usize, to: usize, h: usize) {
        let c = square(to, from, 2 * h + 1, 3, 2, 0);
        let (x, w, gy) = (random(c.out_len()), random(c.weight_len()), random(c.in_len()));
        let mut gw = w.clone();
        let label = format!("up3 {from}>{to} @{h}");
        let (x, gy) = (x[..].into(), gy[..].into());
        self.time(&format!("{label} y"), || conv2d_data_gradient(&c, x, &w));
        self.time(&format!("{label} gx"), || conv2d(&c, gy, &w));
        self.time(&format!("{label} gw"), || conv2d_weight_gradient(&c, gy, x, &mut gw));
    }

    fn fir(&self, name: &str, c: usize, h: usize, taps: usize, rates: [usize; 2], pad: [i32; 2]) {
        let [up, down] = rates;
        let fir =
            Fir { taps: random(taps).into(), up, down, pad: [pad; 2], flip: false, gain: 1.0 };
        let x = random(BATCH * c * h * h);
        self.time(&format!("{name} {c} @{h}"), || upfirdn2d(&fir, [h, h], &x));
    }

    fn pointwise(&self, c: usize, h: usize) {
        let (plane, label) = (h * h, format!("{c} @{h}"));
        let (x, g) = (random(BATCH * c * plane), random(BATCH * c * plane));
        let (b, s, noise) = (random(c), random(BATCH * c), random(BATCH * plane));
        let (mut sums, mut dots) = (b.clone(), s.clone());
        let mut y = vec![MaybeUninit::new(0.0); x.len()];
        let act = Activation::LRELU;
        self.time(&format!("bias_act {label}"), || {
            bias_act(Target::apart(&x, &mut y), &b, plane, act)
        });
        self.time(&format!("act_gradient {label}"), || {
            act_gradient(Target::apart(&g, &mut y), &x, act)
        });
        self.time(&format!("channel_sums {label}"), || channel_sums(&g, plane, &mut sums));
        self.time(&format!("scale_planes {label}"), || {
            scale_planes(Target::apart(&x, &mut y), &s, plane)
        });
        self.time(&format!("scale_gradients {label}"), || {
            scale_planes_gradients(Target::apart(&g, &mut y), &x, &s, plane, &mut dots);
        });
        self.time(&format!("plane_dots {label}"), || plane_dots(&x, &g, plane, &mut dots));
        let p = NoiseAct { scale: &s, noise: &noise, strength: 0.1, bias: &b, act };
        self.time(&format!("noise_act {label}"), || noise_act(Target::apart(&x, &mut y), p, plane));
        self.time(&format!("noise_act_gradients {label}"), || {
            noise_act_gradients(Target::apart(&g, &mut y), &x, p, plane);
        });
    }
}

fn random(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state as f32 / u32::MAX as f32 - 0.5
    };
    (0..len).map(|_| next()).collect()
}

fn square(i: usize, o: usize, h: usize, kernel: usize, stride: usize, padding: usize) -> Conv2d {
    let (in_channels, out_channels, in_h, in_w) = (i, o, h, h);
    Conv2d {
        batch: BATCH,
        in_channels,
        out_channels,
        in_h,
        in_w,
        kernel,
        stride,
        padding,
        smooth: None,
        swapped: false,
    }
}

fn main() {
    let mut filter = String::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--threads" {
            let threads = args.next().and_then(|n| n.parse().ok()).expect("--threads N");
            rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("a pool");
        } else if !arg.starts_with("--") {
            filter = arg;
        }
    }
    let bench = Bench { filter };
    for (i, o, h) in [
        (128, 128, 4),
        (128, 128, 8),
        (128, 128, 16),
        (64, 64, 32),
        (128, 128, 32),
        (64, 64, 64),
        (129, 128, 4),
    ] {
        bench.conv(&format!("conv3 {i}>{o} @{h}"), square(i, o, h, 3, 1, 1));
    }
    for (i, o, h) in [(128, 128, 4), (128, 128, 8), (128, 64, 16), (128, 128, 16), (128, 64, 32)] {
        bench.conv_up(i, o, h);
    }
    for (i, o, h) in [(128, 128, 9), (128, 128, 17), (64, 128, 33), (128, 128, 33), (64, 128, 65)] {
        bench.conv(&format!("down3 {i}>{o} @{h}"), square(i, o, h, 3, 2, 0));
    }
    for (i, o, h) in [(128, 128, 8), (128, 128, 16), (64, 128, 32), (128, 128, 32), (64, 128, 64)] {
        bench.conv_smooth(i, o, h);
    }
    for (i, o, h) in
        [(3, 64, 32), (64, 3, 32), (128, 3, 16), (64, 128, 16), (3, 64, 64), (64, 3, 64)]
    {
        bench.conv(&format!("conv1 {i}>{o} @{h}"), square(i, o, h, 1, 1, 0));
    }
    for (c, h) in [(128, 9), (128, 17), (64, 33), (128, 33), (64, 65)] {
        bench.fir("fir", c, h, 4, [1, 1], [1, 1]);
    }
    for (c, h) in [(128, 8), (128, 16), (64, 32), (128, 32), (64, 64)] {
        bench.fir("fir", c, h, 4, [1, 1], [2, 2]);
        bench.fir("fir_down", c, h, 4, [1, 2], [1, 1]);
    }
    for h in [16, 32] {
        bench.fir("fir_up", 3, h, 4, [2, 1], [2, 1]);
    }
    bench.fir("sym6_up", 3, 64, 12, [2, 1], [6, 5]);
    bench.fir("sym6_down", 3, 140, 12, [1, 2], [-1, -1]);
    for (c, h) in [(128, 16), (64, 32), (64, 64)] {
        bench.pointwise(c, h);
    }
    let g = random(4_000_000);
    let (mut m, mut v, mut p) = (g.clone(), random(4_000_000), g.clone());
    v.iter_mut().for_each(|v| *v = v.abs());
    let s = AdamStep { lr: 0.0025, beta1: 0.0, beta2: 0.99, eps: 1e-8, number: 10 };
    bench.time("adam 4M", || {
        adam(&s, &g, &mut m, &mut v, &mut p);
    });
}
