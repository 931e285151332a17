//! A trainer whose numbers are all known, and runs of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use cigan::report::Metrics;
use cigan::tensorfile::{HostTensor, TensorFile};
use cigan::train::{
    Evaluation, EventSink, Interrupt, NullSink, Outcome, Parts, Picture, Plan, Run, RunDirectory,
    Signal, Trainer, drive,
};
use cigan::{Error, Result, draws};

pub const BATCH: u64 = 8;

/// A trainer that does a random walk: each step moves one weight by a draw that depends on `nimg`.
pub struct Walker {
    pub nimg: u64,
    pub weight: f32,
    pub sum: f32,
    pub count: u32,
    /// Number of images after which the weight becomes NaN.
    pub diverge_at: Option<u64>,
    /// Number of images after which the trainer raises a signal.
    pub stop_at: Option<(u64, Interrupt)>,
    /// Number of images after which evaluations fail with this error.
    pub evaluation_ends: Option<(u64, fn() -> Error)>,
    /// Number of images from which on every line of metrics deserves a warning.
    pub warns_at: Option<u64>,
}

impl Walker {
    pub fn new() -> Self {
        Self {
            nimg: 0,
            weight: 1.0,
            sum: 0.0,
            count: 0,
            diverge_at: None,
            stop_at: None,
            evaluation_ends: None,
            warns_at: None,
        }
    }

    pub fn from_state(state: &TensorFile) -> Self {
        let mut walker = Self::new();
        walker.restore(state).unwrap();
        walker
    }

    pub fn score(&self) -> f64 {
        (self.nimg as f64 - 64.5).abs()
    }
}

impl Trainer for Walker {
    fn device(&self) -> Device {
        Device::flex()
    }

    fn nimg(&self) -> u64 {
        self.nimg
    }

    fn step(&mut self) -> Result<()> {
        let draw = draws::normal(&mut draws::stream(7, "walk", self.nimg), 1)[0];
        self.nimg += BATCH;
        self.weight += 0.1 * draw;
        if self.diverge_at.is_some_and(|at| self.nimg >= at) {
            self.weight = f32::NAN;
        }
        self.sum += self.weight;
        self.count += 1;
        if let Some((at, interrupt)) = &self.stop_at
            && self.nimg >= *at
        {
            interrupt.raise(Signal::Terminate);
        }
        Ok(())
    }

    fn metrics(&mut self) -> Result<Metrics> {
        let mean = self.sum / self.count as f32;
        (self.sum, self.count) = (0.0, 0);
        if !mean.is_finite() {
            return Err(Error::user("the loss `loss_g` is not finite").hint("lower `lr`"));
        }
        Ok([("loss_g", mean.into()), ("weight", self.weight.into())].into_iter().collect())
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        parts.other(
            self,
            |walker, file| {
                let walk = vec![walker.weight, walker.sum, walker.count as f32];
                file.insert_f32("walk", [3], walk).unwrap();
            },
            |walker, state, _| {
                let walk = state.tensor("walk")?.to_f32();
                (walker.weight, walker.sum, walker.count) = (walk[0], walk[1], walk[2] as u32);
                Ok(())
            },
        )?;
        parts.nimg(&mut self.nimg)
    }

    fn model(&mut self) -> Result<TensorFile> {
        let mut file = TensorFile::default();
        file.tensors.insert("weight".into(), HostTensor::f32([], vec![self.weight])?);
        Ok(file)
    }

    fn pictures(&mut self) -> Result<Vec<Picture>> {
        let image = image::RgbImage::from_pixel(4, 4, image::Rgb([self.nimg as u8; 3]));
        Ok(vec![Picture { name: "fakes".into(), image }])
    }

    fn reference_pictures(&mut self) -> Result<Vec<Picture>> {
        Ok(vec![Picture { name: "reals".into(), image: image::RgbImage::new(4, 4) }])
    }

    fn snapshot_metrics(&mut self) -> Result<Metrics> {
        Ok([("spread", f64::from(self.weight.abs()))].into_iter().collect())
    }

    fn warning(&self, metrics: &Metrics) -> Option<String> {
        let late = metrics.get("nimg")? >= self.warns_at? as f64;
        late.then(|| "the walk goes astray".to_owned())
    }

    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        if let Some((at, error)) = self.evaluation_ends
            && self.nimg >= at
        {
            return Err(error());
        }
        let score = self.score();
        Ok(Some(Evaluation { metrics: [("kid", score)].into_iter().collect(), score }))
    }
}

/// Ticks at 16, 32, …; snapshots at 32, 64, …; checkpoints at 40, 80, …; nothing by the clock.
pub fn plan(until_nimg: u64) -> Plan {
    Plan {
        until_nimg,
        tick_nimg: 16,
        snapshot_nimg: 32,
        snapshot_minutes: None,
        first_pictures_minutes: None,
        state_nimg: 40,
        state_minutes: None,
        report_minutes: None,
        tensorboard: false,
        keep_states: 2,
        keep_models: 0,
    }
}

pub fn create(parent: &Path) -> Run {
    let directory = RunDirectory::create(parent, "invert", "walk").unwrap();
    directory.write_config("[inversion]\nlr = 0.1 # <not html>\n").unwrap();
    Run::new(directory, "invert", Interrupt::manual())
}

/// Runs a training from start to end without interruption.
pub fn uninterrupted(parent: &Path, plan: &Plan) -> PathBuf {
    let mut run = create(parent);
    let outcome = drive(&mut Walker::new(), &mut run, plan, &mut NullSink).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    run.directory.path().to_owned()
}

/// Resumes the run in `dir`.
pub fn resume(dir: &Path, plan: &Plan, sink: &mut dyn EventSink) {
    let directory = RunDirectory::open(dir).unwrap();
    let (mut run, state) = Run::resume(directory, "invert", Interrupt::manual(), sink).unwrap();
    let mut walker = state.map_or_else(Walker::new, |state| Walker::from_state(&state));
    drive(&mut walker, &mut run, plan, sink).unwrap();
}

/// The lines of metrics without the values that depend on the machine.
pub fn lines(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let timeless = |line: &str| {
        let mut line: BTreeMap<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        assert!(line.remove("sec_per_kimg").is_some() || line.contains_key("kid"));
        line.remove("rss_mb");
        serde_json::to_string(&line).unwrap()
    };
    text.lines().map(timeless).collect()
}

pub fn names(dir: &Path, part: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.filter(|name| name.contains(part)).collect();
    names.sort();
    names
}

/// Asserts that both runs contain the same models, checkpoints, pictures and metrics.
pub fn assert_same(a: &Path, b: &Path) {
    assert_eq!(lines(a), lines(b));
    for part in ["state-", "best"] {
        assert_eq!(names(a, part), names(b, part));
    }
    for name in names(a, ".safetensors").into_iter().chain(names(a, ".png")) {
        assert_eq!(fs::read(a.join(&name)).unwrap(), fs::read(b.join(&name)).unwrap(), "{name}");
    }
}
