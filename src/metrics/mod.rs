//! Measures of pictures and of clouds of features (paper §4.1).

pub mod image;
