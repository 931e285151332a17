//! Measures how long several processes take to add up the gradients of a network:
//!
//! ```sh
//! cargo bench --features mpi --bench ranks --no-run
//! mpirun -n 4 target/release/deps/ranks-…
//! ```

use std::time::Instant;

use cigan::ranks::{Reduce, join};

/// Numbers of parameters, in millions: those of D at 32×32 with narrow layers, and of G and D at
/// 256×256 and 1024×1024.
const MILLIONS: [f64; 4] = [0.25, 1.0, 6.0, 25.0];
const REPEATS: usize = 5;

fn main() {
    let (ranks, _session) = join(Reduce::Exact).expect("start it with mpirun");
    if ranks.is_first() {
        println!("{} ranks", ranks.size());
        println!("| parameters (millions) | exact (ms) | fast (ms) |");
    }
    for millions in MILLIONS {
        let len = (millions * 1e6) as usize;
        let own = vec![ranks.rank() as f32 + 0.1; len];
        let best = |work: &dyn Fn()| {
            let mut times: Vec<f64> = Vec::new();
            for _ in 0..=REPEATS {
                // All ranks begin together.
                ranks.sum_fast(&mut [0.0]).expect("all ranks answer");
                let start = Instant::now();
                work();
                times.push(start.elapsed().as_secs_f64() * 1000.0);
            }
            // The first one connects the ranks and allocates.
            times[1..].iter().copied().fold(f64::INFINITY, f64::min)
        };
        let rounds = [vec![own.clone()]];
        let exact = best(&|| {
            ranks.sum_in_order(&rounds, len).expect("all ranks answer");
        });
        let fast = best(&|| ranks.sum_fast(&mut own.clone()).expect("all ranks answer"));
        if ranks.is_first() {
            println!("| {millions} | {exact:.1} | {fast:.1} |");
        }
    }
}
