//! Number types of other programs' files, converted to those of [`Data`].

use half::{bf16, f16};
use safetensors::Dtype;

use super::Data;

/// Converts little-endian values: floating-point numbers to f32 or f16, integers to i64 or u8. `None`
/// if the type cannot be read.
pub(super) fn convert(dtype: Dtype, bytes: &[u8]) -> Option<Data> {
    Some(match dtype {
        Dtype::F64 => Data::F32(each(bytes, |b| f64::from_le_bytes(b) as f32)),
        Dtype::F32 => Data::F32(each(bytes, f32::from_le_bytes)),
        Dtype::BF16 => Data::F32(each(bytes, |b| bf16::from_le_bytes(b).to_f32())),
        Dtype::F16 => Data::F16(each(bytes, f16::from_le_bytes)),
        Dtype::I64 => Data::I64(each(bytes, i64::from_le_bytes)),
        Dtype::U64 => Data::I64(each(bytes, |b| u64::from_le_bytes(b) as i64)),
        Dtype::I32 => Data::I64(each(bytes, |b| i32::from_le_bytes(b).into())),
        Dtype::U32 => Data::I64(each(bytes, |b| u32::from_le_bytes(b).into())),
        Dtype::I16 => Data::I64(each(bytes, |b| i16::from_le_bytes(b).into())),
        Dtype::U16 => Data::I64(each(bytes, |b| u16::from_le_bytes(b).into())),
        Dtype::I8 => Data::I64(each(bytes, |b| i8::from_le_bytes(b).into())),
        Dtype::U8 | Dtype::BOOL => Data::U8(bytes.to_vec()),
        _ => return None,
    })
}

/// Converts each group of `N` bytes to a number.
fn each<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&b| number(b)).collect()
}
