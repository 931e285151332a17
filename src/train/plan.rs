//! When a run does what.

use serde::{Deserialize, Serialize};

/// When ticks, snapshots and training states are due.
///
/// What stands in `metrics.jsonl` depends on the `*_nimg` alone; the minutes only add files. A
/// multiple of 0 never comes. A step is of several images, so "at a multiple" is the first step
/// that reaches it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// Images seen at the end.
    pub until_nimg: u64,
    /// Images from one line of metrics to the next.
    pub tick_nimg: u64,
    /// Images from one snapshot (pictures, model, evaluation, report) to the next.
    pub snapshot_nimg: u64,
    /// Minutes after a snapshot until one more (pictures, model, report), whatever `nimg` is.
    pub snapshot_minutes: Option<f64>,
    /// Minutes until the first pictures, so that a wrong set-up shows early.
    pub first_pictures_minutes: Option<f64>,
    /// Images from one training state to the next.
    pub state_nimg: u64,
    /// Minutes after a training state until one more.
    pub state_minutes: Option<f64>,
    /// So many training states stay; 0 keeps all.
    pub keep_states: usize,
    /// So many models stay, `best.safetensors` aside; 0 keeps all.
    pub keep_models: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            until_nimg: 0,
            tick_nimg: 4_000,
            snapshot_nimg: 200_000,
            snapshot_minutes: Some(60.0),
            first_pictures_minutes: Some(0.75),
            state_nimg: 200_000,
            state_minutes: Some(10.0),
            keep_states: 2,
            keep_models: 0,
        }
    }
}

/// Whether a multiple of `every` lies in `(before, now]`.
pub(super) fn passes(before: u64, now: u64, every: u64) -> bool {
    every > 0 && now / every > before / every
}

#[cfg(test)]
mod tests {
    use super::passes;

    #[test]
    fn multiples_are_passed_once() {
        let hits: Vec<_> = (0..10).filter(|i| passes(i * 3, i * 3 + 3, 10)).collect();
        assert_eq!(hits, [3, 6, 9]);
        assert!(passes(9, 10, 10) && !passes(10, 11, 10) && !passes(0, 100, 0));
    }
}
