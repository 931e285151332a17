//! The schedule of a run: when ticks, snapshots and checkpoints are due.

/// The schedule of ticks, snapshots and checkpoints.
///
/// The content of `metrics.jsonl` depends only on the `*_nimg` fields; the minutes only add files.
/// An interval of 0 images means never. A step processes several images, so an event that is due
/// at a multiple of its interval happens after the first step that reaches the multiple.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Total number of images; training ends there.
    pub until_nimg: u64,
    /// Images between two lines of metrics.
    pub tick_nimg: u64,
    /// Images between two snapshots (pictures, model, evaluation, report).
    pub snapshot_nimg: u64,
    /// Minutes after a snapshot until an additional one (pictures, model, report), at any `nimg`.
    pub snapshot_minutes: Option<f64>,
    /// Minutes until the first pictures, so that a wrong set-up shows early.
    pub first_pictures_minutes: Option<f64>,
    /// Images between two checkpoints.
    pub state_nimg: u64,
    /// Minutes after a checkpoint until an additional one.
    pub state_minutes: Option<f64>,
    /// Minutes after a report until a tick writes it again.
    pub report_minutes: Option<f64>,
    /// Whether a report includes an event file for TensorBoard.
    pub tensorboard: bool,
    /// Number of newest checkpoints to keep; 0 keeps all.
    pub keep_states: usize,
    /// Number of newest models to keep, in addition to `best.safetensors`; 0 keeps all.
    pub keep_models: usize,
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
