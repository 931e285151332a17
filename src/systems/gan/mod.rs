//! Parts that several GAN systems share: losses, batches of images with captions, conditions, and
//! models that draw images of captions in one pass.

pub mod adversarial;
pub mod augmentation;
pub mod caption_batches;
pub mod drawing;
pub mod export;
pub mod gradient_penalty;
pub mod inputs;
pub mod loaded;
pub mod matching;
pub mod mismatched_images;
pub mod sentence_vectors;

pub use adversarial::AdversarialLoss;
pub use caption_batches::TrainingImages;
pub use matching::MatchingSettings;
pub use mismatched_images::MismatchedImages;
pub use sentence_vectors::SentenceVectors;
