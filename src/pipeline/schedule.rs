//! The length of each stage of a whole training, from its measured speed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Share of the time that training may take; the rest is for snapshots and the evaluation.
const TRAINING: f64 = 0.9;

/// One stage of a whole training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageLength {
    /// Its command, such as `train-stylegan`.
    pub command: String,
    /// Length in thousands of images.
    pub kimg: f64,
    /// Measured time per thousand images in seconds.
    pub seconds_per_kimg: f64,
    /// Disk space that the stage takes in bytes; 0 in the plans of earlier versions, which did not
    /// measure it.
    #[serde(default)]
    pub bytes: u64,
}

impl StageLength {
    /// Estimated time of the stage.
    pub fn time(&self) -> Duration {
        Duration::try_from_secs_f64(self.kimg * self.seconds_per_kimg).unwrap_or(Duration::MAX)
    }
}

/// The length that the user requested.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Length {
    /// The lengths of the preset.
    Preset,
    /// Thousands of images of the first stage; the others keep their proportion to it.
    Kimg(f64),
    /// Time of the whole training in seconds.
    Seconds(f64),
}

/// Scales the stages, which have the lengths of the preset, all by the same factor.
pub fn scale(stages: &mut [StageLength], length: Length) {
    let factor = match length {
        Length::Preset => 1.0,
        Length::Kimg(kimg) => stages.first().map_or(1.0, |first| kimg / first.kimg),
        Length::Seconds(seconds) => {
            let preset: f64 = stages.iter().map(|stage| stage.time().as_secs_f64()).sum();
            TRAINING * seconds / preset
        }
    };
    for stage in stages {
        // Three significant digits are all that the measurement supports, and they read well in
        // names and logs.
        stage.kimg = significant(stage.kimg * factor);
    }
}

/// Rounds to three significant digits.
fn significant(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 2 - value.log10().floor() as i32;
    // The power of ten is at least 1, so that the result is the nearest decimal number.
    match digits >= 0 {
        true => (value * 10f64.powi(digits)).round() / 10f64.powi(digits),
        false => (value / 10f64.powi(-digits)).round() * 10f64.powi(-digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages() -> Vec<StageLength> {
        [("train-stylegan", 200.0, 12.0), ("invert", 100.0, 18.0), ("align-text", 40.0, 4.0)]
            .map(|(command, kimg, seconds_per_kimg)| StageLength {
                command: command.into(),
                kimg,
                seconds_per_kimg,
                bytes: 0,
            })
            .to_vec()
    }

    fn scaled(length: Length) -> Vec<f64> {
        let mut stages = stages();
        scale(&mut stages, length);
        stages.iter().map(|stage| stage.kimg).collect()
    }

    #[test]
    fn stages_keep_their_proportions() {
        assert_eq!(scaled(Length::Preset), [200.0, 100.0, 40.0]);
        assert_eq!(scaled(Length::Kimg(1.0)), [1.0, 0.5, 0.2]);
        assert_eq!(scaled(Length::Kimg(3.3333)), [3.33, 1.67, 0.667]);
        // 2400 + 1800 + 160 seconds; 0.9 · 8720 is 1.8 times as much.
        assert_eq!(scaled(Length::Seconds(8720.0)), [360.0, 180.0, 72.0]);
    }

    #[test]
    fn three_digits_are_kept() {
        for (value, expected) in
            [(12345.0, 12300.0), (0.123456, 0.123), (99.96, 100.0), (7.0, 7.0), (0.0, 0.0)]
        {
            assert_eq!(significant(value), expected);
        }
    }
}
