//! Layers, written once for values with an optional tangent ([`Dual`]), and tools for training
//! them: Adam, moving averages, and access to parameters by name.

pub mod adam;
pub mod conv;
pub mod dual;
pub mod ema;
pub mod init;
pub mod linear;
pub mod minibatch_std;
pub mod modulated;
pub mod params;
pub mod plain;
pub mod resample;
pub mod residual;
pub mod resize;

pub use adam::{Adam, AdamSettings};
pub use conv::ConvLayer;
pub use dual::Dual;
pub use init::Init;
pub use linear::Linear;
pub use modulated::{ModulatedConv, ToRgb};
pub use plain::{GroupNorm, PlainConv, PlainLinear};
