//! Captions that do not fit an image: those of images of another class (Xu et al. 2018).

use rand::Rng;

use crate::data::Archive;

/// For each of a batch of images, the place in the batch of a caption that does not fit it. `None` for
/// a single image.
///
/// The captions are moved by one distance, the one with the fewest captions of the same class. A
/// caption that still fits is replaced by another one of the batch, if there is one.
pub fn mismatched_captions(
    images: &[usize],
    archive: &Archive,
    rng: &mut impl Rng,
) -> Option<Vec<usize>> {
    let n = images.len();
    let fits = |a: usize, b: usize| same(archive, images[a], images[b]);
    let first = rng.random_range(0..n.max(1));
    let distances = (0..n.saturating_sub(1)).map(|step| 1 + (first + step) % (n - 1));
    let wrong = |distance: &usize| (0..n).filter(|&row| fits(row, (row + distance) % n)).count();
    let distance = distances.min_by_key(wrong)?;
    let other = |row: usize| {
        let moved = (row + distance) % n;
        if !fits(row, moved) {
            return moved;
        }
        (0..n).map(|step| (moved + step) % n).find(|&at| !fits(row, at)).unwrap_or(moved)
    };
    Some((0..n).map(other).collect())
}

/// Whether captions of one image may fit the other: they are the same image or of the same class.
fn same(archive: &Archive, a: usize, b: usize) -> bool {
    let label = |image: usize| archive.images()[image].label;
    a == b || label(a).is_some() && label(a) == label(b)
}
