//! Parts that the GANs that read captions share: batches of images with captions, conditions, and
//! models that draw images for captions in one pass.

pub mod augmentation;
pub mod blocks;
pub mod bottleneck;
pub mod branches;
pub mod caption_batches;
pub mod caption_vectors;
pub mod critics;
pub mod discriminator;
pub mod drawing;
pub mod export;
pub mod inputs;
pub mod loaded;
pub mod mismatched_captions;
pub mod mismatched_images;
pub mod sentence_vectors;
pub mod style;
pub mod trained_generator;
pub mod trunk;

pub use caption_batches::TrainingImages;
pub use mismatched_images::MismatchedImages;
pub use sentence_vectors::SentenceVectors;
pub use trained_generator::TrainedGenerator;
