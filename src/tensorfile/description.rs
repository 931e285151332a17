//! The JSON text of a safetensors header.
//!
//! The `safetensors` crate parses it into values of any kind first, which take many times the size of
//! the text. This reader keeps only what a header may contain, and knows types that the crate does not
//! know.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};

/// Key of the texts.
const TEXTS: &str = "__metadata__";
/// Largest number of dimensions of a tensor.
const MAX_DIMENSIONS: usize = 64;

/// Parses a header. Tensors of types that this program does not read, such as those of newer versions
/// of the format, become bytes, and their types are returned by name.
///
/// # Errors
/// The problem with the header.
pub(super) fn parse(header: &[u8]) -> Result<(Metadata, BTreeMap<String, String>), String> {
    let Description { texts, tensors } =
        serde_json::from_slice(header).map_err(|e| e.to_string())?;
    let mut unknown = BTreeMap::new();
    let mut tensors: Vec<(String, TensorInfo)> = tensors
        .into_iter()
        .map(|(name, tensor)| {
            let data_offsets = tensor.data_offsets;
            let info = match tensor.dtype {
                Type::Known(dtype) => TensorInfo { dtype, shape: tensor.shape.0, data_offsets },
                Type::Unknown(dtype) => {
                    unknown.insert(name.clone(), dtype);
                    let size = data_offsets.1.saturating_sub(data_offsets.0);
                    TensorInfo { dtype: Dtype::U8, shape: vec![size], data_offsets }
                }
            };
            (name, info)
        })
        .collect();
    tensors.sort_by_key(|(_, tensor)| tensor.data_offsets);
    let metadata = Metadata::new(texts, tensors).map_err(|e| e.to_string())?;
    Ok((metadata, unknown))
}

/// Bytes per value of a type that can be read; `None` for others.
pub(super) fn bytes_per_value(dtype: Dtype) -> Option<usize> {
    Some(match dtype {
        Dtype::F64 | Dtype::I64 | Dtype::U64 => 8,
        Dtype::F32 | Dtype::I32 | Dtype::U32 => 4,
        Dtype::F16 | Dtype::BF16 | Dtype::I16 | Dtype::U16 => 2,
        Dtype::I8 | Dtype::U8 | Dtype::BOOL => 1,
        _ => return None,
    })
}

/// The content of a header.
struct Description {
    texts: Option<HashMap<String, String>>,
    tensors: HashMap<String, Tensor>,
}

impl<'de> Deserialize<'de> for Description {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Description;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object with an entry for each tensor")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Description, A::Error> {
                let mut found = Description { texts: None, tensors: HashMap::new() };
                while let Some(name) = map.next_key::<String>()? {
                    if name == TEXTS {
                        found.texts = map.next_value()?;
                        continue;
                    }
                    let tensor = map.next_value()?;
                    if found.tensors.contains_key(&name) {
                        return Err(Error::custom(format!("tensor `{name}` is there twice")));
                    }
                    found.tensors.insert(name, tensor);
                }
                Ok(found)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[derive(Deserialize)]
struct Tensor {
    dtype: Type,
    shape: Shape,
    data_offsets: (usize, usize),
}

/// The type of a tensor's values.
enum Type {
    Known(Dtype),
    Unknown(String),
}

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known: StrDeserializer<'_, serde::de::value::Error> = name.as_str().into_deserializer();
        let known = Dtype::deserialize(known).ok();
        let read = known.filter(|dtype| bytes_per_value(*dtype).is_some());
        Ok(read.map_or_else(|| Self::Unknown(name), Self::Known))
    }
}

/// The sides of a tensor.
struct Shape(Vec<usize>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sides;
        impl<'de> Visitor<'de> for Sides {
            type Value = Shape;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of sizes")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
                let mut sides = Vec::new();
                while let Some(side) = seq.next_element()? {
                    if sides.len() >= MAX_DIMENSIONS {
                        let reason = format!("a tensor has more than {MAX_DIMENSIONS} dimensions");
                        return Err(Error::custom(reason));
                    }
                    sides.push(side);
                }
                Ok(Shape(sides))
            }
        }
        deserializer.deserialize_seq(Sides)
    }
}
