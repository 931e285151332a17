//! Real photographs: the training split of CUB-200-2011, if it is present.

use std::path::{Path, PathBuf};

use cigan::data::{Crop, Split};

use crate::fixtures::*;

/// `$CIGAN_BIRDS`, or `shared/data/birds` beside the repository.
fn birds() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/birds");
    let path = std::env::var_os("CIGAN_BIRDS").map_or(beside, PathBuf::from);
    path.join("CUB_200_2011/images.txt").is_file().then_some(path)
}

#[test]
fn every_photograph_of_the_birds_is_prepared() {
    let Some(birds) = birds() else {
        eprintln!("skipped: no birds; set $CIGAN_BIRDS to the folder of CUB_200_2011 and text");
        return;
    };
    let tree = Tree::new();
    let (summary, archive) =
        tree.prepare(text(&birds), |options| options.src = birds.clone()).unwrap();
    assert_eq!(summary.images, 5994, "{:?}", summary.skipped);
    assert!(summary.skipped.is_empty(), "{:?}", summary.skipped);
    assert_eq!((summary.captioned, summary.captions), (1654, 16_540));
    assert_eq!(summary.source.crop, Crop::Bbox.name());
    assert_eq!(archive.classes(), 200);
    assert_eq!(summary.splits[&Split::Test], 0);
    // A tenth, within four standard deviations of the binomial distribution.
    assert!((507..692).contains(&summary.splits[&Split::Val]), "{:?}", summary.splits);
    let all: Vec<usize> = (0..archive.len()).collect();
    let mean = |at: usize| {
        let pixels = archive.pixels(&all[at..at + 1]).unwrap();
        pixels.iter().map(|&p| p as f64).sum::<f64>() / pixels.len() as f64
    };
    let dark = all.iter().filter(|&&i| mean(i) < 2.0 || mean(i) > 253.0).count();
    assert_eq!(dark, 0, "images are blank");
}
