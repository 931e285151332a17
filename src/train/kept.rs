//! What a trainer computes for snapshots from its other parts.

/// A network that takes many passes to make, such as one with statistics over fixed draws. It is kept
/// until more images have been seen.
pub struct Kept<T>(Option<(u64, T)>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Clone> Kept<T> {
    /// The network after `nimg` images, which `make` makes.
    pub fn at(&mut self, nimg: u64, make: impl FnOnce() -> T) -> T {
        match self.kept(nimg) {
            Some(kept) => kept,
            None => self.keep(nimg, make()),
        }
    }

    /// The network that was kept after `nimg` images.
    pub fn kept(&self, nimg: u64) -> Option<T> {
        self.0.as_ref().filter(|(made, _)| *made == nimg).map(|(_, kept)| kept.clone())
    }

    /// Keeps a network that was made after `nimg` images, and returns it.
    pub fn keep(&mut self, nimg: u64, network: T) -> T {
        self.0.insert((nimg, network)).1.clone()
    }
}
