//! Safetensors files: named tensors and metadata, written atomically.
//!
//! `cigan` stores models, checkpoints and codes in such files. Tensors and metadata are written in
//! a fixed order, so files with equal content have equal bytes and an equal [`content_hash`].

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

use data_encoding::HEXLOWER;
use half::f16;
use safetensors::Dtype;
use sha2::{Digest, Sha256};

use self::header::{Header, not_safetensors};
use crate::atomic_file::atomic_write_with;
use crate::{Error, Result, input};

/// The content of a safetensors file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TensorFile {
    /// The tensors, by name.
    pub tensors: BTreeMap<String, HostTensor>,
    /// Text by key: configuration, vocabulary, provenance.
    pub metadata: BTreeMap<String, String>,
    /// The types of tensors that the file contains but that cannot be read, by name. They are not
    /// written.
    pub unreadable: BTreeMap<String, String>,
}

/// A tensor in host memory, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Extents, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// The values; their number is the product of `shape`.
    pub data: Data,
}

/// The values of a [`HostTensor`], in the type in which the file stores them.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    F32(Vec<f32>),
    F16(Vec<f16>),
    I64(Vec<i64>),
    U8(Vec<u8>),
}

impl Data {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Data::F32(v) => v.len(),
            Data::F16(v) => v.len(),
            Data::I64(v) => v.len(),
            Data::U8(v) => v.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn dtype(&self) -> Dtype {
        match self {
            Data::F32(_) => Dtype::F32,
            Data::F16(_) => Dtype::F16,
            Data::I64(_) => Dtype::I64,
            Data::U8(_) => Dtype::U8,
        }
    }

    /// An empty value list of type `dtype`; `None` if the type is not supported.
    fn empty(dtype: Dtype) -> Option<Self> {
        Some(match dtype {
            Dtype::F32 => Data::F32(Vec::new()),
            Dtype::F16 => Data::F16(Vec::new()),
            Dtype::I64 => Data::I64(Vec::new()),
            Dtype::U8 => Data::U8(Vec::new()),
            _ => return None,
        })
    }

    /// Appends zeros until there are `len` values.
    fn grow(&mut self, len: usize) {
        match self {
            Data::F32(v) => v.resize(len, 0.0),
            Data::F16(v) => v.resize(len, f16::ZERO),
            Data::I64(v) => v.resize(len, 0),
            Data::U8(v) => v.resize(len, 0),
        }
    }

    fn bytes_per_value(&self) -> usize {
        match self {
            Data::I64(_) => 8,
            Data::F32(_) => 4,
            Data::F16(_) => 2,
            Data::U8(_) => 1,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Data::F32(v) => bytemuck::cast_slice(v),
            Data::F16(v) => bytemuck::cast_slice(v),
            Data::I64(v) => bytemuck::cast_slice(v),
            Data::U8(v) => v,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Data::F32(v) => bytemuck::cast_slice_mut(v),
            Data::F16(v) => bytemuck::cast_slice_mut(v),
            Data::I64(v) => bytemuck::cast_slice_mut(v),
            Data::U8(v) => v,
        }
    }
}

// Values are read and written with the byte order of the memory.
const _: () = assert!(cfg!(target_endian = "little"), "safetensors files are little-endian");

impl HostTensor {
    /// A tensor.
    ///
    /// # Errors
    /// An internal error if the number of values does not match `shape`.
    pub fn new(shape: impl Into<Vec<usize>>, data: Data) -> Result<Self> {
        let shape = shape.into();
        match elements(&shape) {
            Some(n) if n == data.len() => Ok(Self { shape, data }),
            _ => Err(Error::internal(format!(
                "a tensor of shape {shape:?} was given {} values",
                data.len()
            ))),
        }
    }

    /// A tensor of f32 values; see [`HostTensor::new`].
    ///
    /// # Errors
    /// If the shape does not have as many elements as there are values.
    pub fn f32(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Result<Self> {
        Self::new(shape, Data::F32(values))
    }

    /// A tensor of i64 values; see [`HostTensor::new`].
    ///
    /// # Errors
    /// If the shape does not have as many elements as there are values.
    pub fn i64(shape: impl Into<Vec<usize>>, values: Vec<i64>) -> Result<Self> {
        Self::new(shape, Data::I64(values))
    }

    /// The values converted to f32.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(v) => v.clone(),
            Data::F16(v) => v.iter().map(|x| x.to_f32()).collect(),
            Data::I64(v) => v.iter().map(|&x| x as f32).collect(),
            Data::U8(v) => v.iter().map(|&x| x.into()).collect(),
        }
    }

    /// The tensor with f32 values rounded to f16; values of other types stay as they are.
    pub fn to_half(&self) -> Self {
        let data = match &self.data {
            Data::F32(v) => Data::F16(v.iter().map(|&x| f16::from_f32(x)).collect()),
            other => other.clone(),
        };
        Self { shape: self.shape.clone(), data }
    }

    /// Whether the values are floating-point numbers.
    pub fn is_float(&self) -> bool {
        matches!(self.data, Data::F32(_) | Data::F16(_))
    }

    /// Whether no value is infinite or NaN.
    pub fn is_finite(&self) -> bool {
        match &self.data {
            Data::F32(v) => v.iter().all(|x| x.is_finite()),
            Data::F16(v) => v.iter().all(|x| x.is_finite()),
            Data::I64(_) | Data::U8(_) => true,
        }
    }
}

/// Metadata key of the checksum; see [`TensorFile::seal`].
const SEAL: &str = "sha256";

impl TensorFile {
    /// The tensor called `name`.
    ///
    /// # Errors
    /// A user error if there is no such tensor. Callers add the name of the file to it with
    /// [`Error::context`].
    pub fn tensor(&self, name: &str) -> Result<&HostTensor> {
        self.tensors.get(name).ok_or_else(|| match self.unreadable.get(name) {
            Some(dtype) => unsupported(name, dtype),
            None => Error::user(format!("contains no tensor `{name}`"))
                .hint("the file is damaged, or is of another kind or version"),
        })
    }

    /// Adds or replaces the tensor `name`; see [`HostTensor::new`].
    ///
    /// # Errors
    /// If the shape does not have as many elements as there are values.
    pub fn insert_f32(
        &mut self,
        name: impl Into<String>,
        shape: impl Into<Vec<usize>>,
        values: Vec<f32>,
    ) -> Result<()> {
        self.tensors.insert(name.into(), HostTensor::f32(shape, values)?);
        Ok(())
    }

    /// Writes the file to `path` atomically, through a partial file that is renamed.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let (order, header) = self.layout().map_err(|e| e.context(path.display()))?;
        atomic_write_with(path, |out| pour(&order, &header, out))
    }

    /// Adds a checksum of the tensors and of the other metadata to the metadata.
    pub fn seal(&mut self) {
        let sum = self.checksum();
        self.metadata.insert(SEAL.to_owned(), sum);
    }

    /// The file with a checksum; see [`seal`](Self::seal).
    pub fn sealed(mut self) -> Self {
        self.seal();
        self
    }

    /// Whether the file has a checksum.
    pub fn is_sealed(&self) -> bool {
        self.metadata.contains_key(SEAL)
    }

    /// Whether the content matches the checksum of [`seal`](Self::seal); true if there is none.
    pub fn is_intact(&self) -> bool {
        self.metadata.get(SEAL).is_none_or(|sum| *sum == self.checksum())
    }

    /// Removes the checksum, which no longer holds once the content changes.
    pub fn unseal(&mut self) {
        self.metadata.remove(SEAL);
    }

    /// SHA-256 of names, shapes, values and metadata, in a fixed order.
    fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for (key, text) in self.metadata.iter().filter(|(key, _)| *key != SEAL) {
            add(key.as_bytes());
            add(text.as_bytes());
        }
        for (name, tensor) in &self.tensors {
            add(name.as_bytes());
            add(format!("{:?}{:?}", tensor.data.dtype(), tensor.shape).as_bytes());
            add(tensor.data.bytes());
        }
        HEXLOWER.encode(&hash.finalize())
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// An internal error if the number of a tensor's values does not match its shape.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let (order, header) = self.layout()?;
        let mut bytes = Vec::new();
        pour(&order, &header, &mut bytes)
            .map_err(|e| Error::internal(format!("cannot write to memory: {e}")))?;
        Ok(bytes)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// An internal error for any other bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let wrong = |e: safetensors::SafeTensorError| {
            Error::internal(format!("tensors in memory: {e}")).caused_by(e)
        };
        let (_, header) = safetensors::SafeTensors::read_metadata(bytes).map_err(wrong)?;
        let mut file = Self::default();
        file.metadata.extend(header.metadata().clone().unwrap_or_default());
        for (name, view) in safetensors::SafeTensors::deserialize(bytes).map_err(wrong)?.tensors() {
            let mut data = Data::empty(view.dtype())
                .ok_or_else(|| Error::internal(format!("`{name}` has an unknown type")))?;
            data.grow(view.shape().iter().product());
            data.bytes_mut().copy_from_slice(view.data());
            file.tensors.insert(name, HostTensor { shape: view.shape().to_vec(), data });
        }
        Ok(file)
    }

    /// The tensors in the order of the file, and the header.
    ///
    /// The header is not written by `safetensors`, because that takes metadata from a `HashMap`,
    /// whose order differs from run to run.
    fn layout(&self) -> Result<(Vec<&HostTensor>, String)> {
        let mut order: Vec<_> = self.tensors.iter().collect();
        // Wide values come first, as in the reference implementation, so that all are aligned.
        order.sort_by_key(|(_, t)| std::cmp::Reverse(t.data.bytes_per_value()));
        let quoted = |text: &str| serde_json::to_string(text).map_err(header_error);
        let mut entries = Vec::new();
        if !self.metadata.is_empty() {
            let text = serde_json::to_string(&self.metadata).map_err(header_error)?;
            entries.push(format!("\"__metadata__\":{text}"));
        }
        let mut offset = 0;
        for (name, tensor) in &order {
            if elements(&tensor.shape) != Some(tensor.data.len()) {
                return Err(Error::internal(format!(
                    "tensor `{name}` of shape {:?} has {} values",
                    tensor.shape,
                    tensor.data.len()
                )));
            }
            let end = offset + tensor.data.bytes().len();
            entries.push(format!(
                "{}:{{\"dtype\":\"{:?}\",\"shape\":{:?},\"data_offsets\":[{offset},{end}]}}",
                quoted(name)?,
                tensor.data.dtype(),
                tensor.shape
            ));
            offset = end;
        }
        let mut header = format!("{{{}}}", entries.join(","));
        // The header is padded to a multiple of 8 with spaces, which keeps the data aligned.
        let padded = header.len().next_multiple_of(8);
        header.extend(std::iter::repeat_n(' ', padded - header.len()));
        Ok((order.into_iter().map(|(_, tensor)| tensor).collect(), header))
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// A user error that names the file if it is missing, truncated, not safetensors, or has values
    /// of an unsupported type.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = Self::read_as(path, |name| Some(name.to_owned()))?;
        match file.unreadable.first_key_value() {
            Some((name, dtype)) => Err(unsupported(name, dtype).context(path.display())),
            None => Ok(file),
        }
    }

    /// Reads the tensors of a file under other names: `rename` gives them, and `None` leaves a
    /// tensor out. Those of types that cannot be read are listed in [`unreadable`](Self::unreadable).
    ///
    /// # Errors
    /// As [`TensorFile::read`], or if two tensors get the same name.
    pub fn read_as(path: &Path, rename: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let (mut reader, header) = Header::read(path)?;
        let unreadable = |e| Error::io(path, "read", e);
        // Tensors are read in the order of the file, in one pass.
        let mut entries: Vec<_> = header.metadata.tensors().into_iter().collect();
        entries.sort_by_key(|(_, info)| info.data_offsets);
        let (mut tensors, mut unreadable_types) = (BTreeMap::new(), BTreeMap::new());
        let mut position = 0;
        for (name, info) in entries {
            let (begin, end) = info.data_offsets;
            let wrong = |what: &str| not_safetensors(path, format!("tensor `{name}` {what}"));
            let len = elements(&info.shape).ok_or_else(|| wrong("has an invalid shape"))?;
            if begin != position {
                return Err(wrong("does not start where the previous one ends"));
            }
            // This is checked before memory is allocated, since the file may state any shape.
            let unknown = header.unknown.get(&name);
            let size = match unknown {
                Some(_) => None,
                None => description::bytes_per_value(info.dtype),
            };
            if size.is_some_and(|size| len.checked_mul(size) != Some(end - begin)) {
                return Err(wrong("has a size that does not match its shape"));
            }
            position = end;
            let renamed = rename(&name);
            if let (Some(renamed), Some(dtype)) = (&renamed, unknown) {
                unreadable_types.insert(renamed.clone(), dtype.clone());
            }
            let (Some(renamed), Some(_)) = (renamed, size) else {
                let bytes = i64::try_from(end - begin).map_err(|_| wrong("is too large"))?;
                reader.seek_relative(bytes).map_err(unreadable)?;
                continue;
            };
            let data = match Data::empty(info.dtype) {
                Some(mut data) => {
                    data.grow(len);
                    reader.read_exact(data.bytes_mut()).map_err(unreadable)?;
                    data
                }
                None => {
                    let mut bytes = vec![0; end - begin];
                    reader.read_exact(&mut bytes).map_err(unreadable)?;
                    let data = foreign::convert(info.dtype, &bytes);
                    data.ok_or_else(|| wrong("has an unknown type"))?
                }
            };
            let tensor = HostTensor { shape: info.shape.clone(), data };
            if tensors.insert(renamed.clone(), tensor).is_some() {
                return Err(Error::user(format!(
                    "{}: two tensors are called `{renamed}`",
                    path.display()
                ))
                .hint("keep the tensors of one network in the file"));
            }
        }
        Ok(Self { tensors, metadata: header.text(), unreadable: unreadable_types })
    }

    /// Reads a whole file and checks its checksum, if it has one.
    ///
    /// # Errors
    /// As [`TensorFile::read`], or if the checksum is wrong.
    pub fn read_intact(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = Self::read(path)?;
        if file.is_intact() {
            return Ok(file);
        }
        Err(Error::user(format!("{}: its checksum is wrong", path.display()))
            .hint("the file is damaged: copy it again, or use another one"))
    }

    /// Reads only the metadata of a file, and checks the length of the file.
    ///
    /// # Errors
    /// As [`TensorFile::read`].
    pub fn read_metadata(path: impl AsRef<Path>) -> Result<BTreeMap<String, String>> {
        Header::read(path.as_ref()).map(|(_, header)| header.text())
    }

    /// Reads only the names of the tensors, and checks the length of the file.
    ///
    /// # Errors
    /// As [`TensorFile::read`].
    pub fn read_names(path: impl AsRef<Path>) -> Result<Vec<String>> {
        let (_, header) = Header::read(path.as_ref())?;
        Ok(header.metadata.tensors().into_keys().collect())
    }

    /// Whether a file has a checksum, which only this program writes. Its content is not read.
    pub fn has_seal(path: impl AsRef<Path>) -> bool {
        Self::read_metadata(path).is_ok_and(|metadata| metadata.contains_key(SEAL))
    }
}

/// Whether the tensor `name` belongs to the network `prefix`.
pub fn belongs(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
}

/// The number of values of a tensor; None if it overflows.
fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent))
}

/// Writes the result of [`TensorFile::layout`].
fn pour(order: &[&HostTensor], header: &str, out: &mut dyn Write) -> std::io::Result<()> {
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    order.iter().try_for_each(|tensor| out.write_all(tensor.data.bytes()))
}

fn header_error(source: serde_json::Error) -> Error {
    Error::internal(format!("cannot write a safetensors header: {source}")).caused_by(source)
}

/// The error if a tensor has values of a type that cannot be used.
pub(crate) fn unsupported(name: &str, dtype: &str) -> Error {
    Error::user(format!("tensor `{name}` has values of type {dtype}, which is not supported"))
        .hint("convert it to F32, F16 or BF16 in the program that wrote the file")
}

/// The SHA-256 of a file's bytes, as 64 hexadecimal digits.
///
/// # Errors
/// If the file cannot be read.
pub fn content_hash(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let unreadable = |e| Error::io(path, "read", e);
    let mut file = input::open(path, "read")?;
    let mut hash = Sha256::new();
    io::copy(&mut file, &mut hash).map_err(unreadable)?;
    Ok(HEXLOWER.encode(&hash.finalize()))
}

mod description;
mod foreign;
mod header;
#[cfg(test)]
mod tests;
