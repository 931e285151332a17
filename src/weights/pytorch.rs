//! The two containers that `torch.save` writes: a zip archive, or, before PyTorch 1.6, several
//! pickles followed by raw numbers. torchvision's VGG16 and pytorch-fid's Inception use the older
//! one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::rc::Rc;

use half::{bf16, f16};
use zip::{CompressionMethod, ZipArchive};

use super::pickle::{Machine, damaged, ended};
use super::values::{Element, Storage, TensorView, Value};
use crate::error::{Error, Result};
use crate::tensorfile::{Data, HostTensor, TensorFile};

/// The number in the first pickle of the older container.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
/// The version of the older container that is supported.
const PROTOCOL: i128 = 1001;

/// Gives the name under which a tensor is kept; `None` leaves it out.
type Rename<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Bytes of tensors for each byte of the file, at most. Tied weights are one storage that several
/// tensors share; a hostile file could make millions of tensors share one.
const SHARES: u64 = 4;

/// Reads a zip archive: `NAME/data.pkl`, and one file `NAME/data/KEY` for each storage.
pub(super) fn read_zip(file: File, rename: &Rename) -> Result<TensorFile> {
    let most = largest(&file)?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|e| {
        Error::user("truncated: a zip archive without its index")
            .hint("copy or download it again")
            .caused_by(e)
    })?;
    let program = archive.file_names().find_map(|name| name.strip_suffix("/data.pkl"));
    let Some(root) = program.map(str::to_owned) else {
        return Err(Error::user("a zip archive, but not one of torch.save: it has no `data.pkl`")
            .hint("if it contains a file of weights, extract that file and give its name"));
    };
    if let Ok(order) = entry(&mut archive, &format!("{root}/byteorder")) {
        let mut text = String::new();
        // If this fails, the next check refuses the file.
        let _ = order.take(16).read_to_string(&mut text);
        if text.trim() != "little" {
            return Err(damaged("its numbers are big-endian"));
        }
    }
    let mut machine = Machine::new();
    let dict = {
        let program = entry(&mut archive, &format!("{root}/data.pkl"))?;
        machine.run(&mut BufReader::new(program))?
    };
    collect(&machine, &dict, rename, most, |storage| {
        let mut found = entry(&mut archive, &format!("{root}/data/{}", storage.key))?;
        let bytes = storage.total.checked_mul(storage.element.size()).map(|n| n as u64);
        if bytes != Some(found.size()) {
            return Err(damaged("the size of a storage differs from its description"));
        }
        let mut numbers = Vec::new();
        found.read_to_end(&mut numbers).map_err(ended)?;
        Ok(numbers)
    })
}

/// A file in the archive. It must be uncompressed, so that it is not larger than the archive.
fn entry<'a, R: Read + Seek>(
    archive: &'a mut ZipArchive<R>,
    name: &str,
) -> Result<zip::read::ZipFile<'a, R>> {
    let found = archive
        .by_name(name)
        .map_err(|e| damaged(&format!("`{name}` is missing from the archive")).caused_by(e))?;
    if found.compression() != CompressionMethod::Stored {
        return Err(damaged(&format!("`{name}` is compressed")));
    }
    Ok(found)
}

/// Reads the older container. It starts with pickles of the magic number, the version, the byte
/// order and sizes of types, the dict, and the keys of the storages. Then each storage follows: the
/// number of its elements, and the elements.
pub(super) fn read_legacy(file: File, rename: &Rename) -> Result<TensorFile> {
    let most = largest(&file)?;
    let mut input = BufReader::new(file);
    input.rewind().map_err(ended)?;
    let mut machine = Machine::new();
    if !matches!(machine.run(&mut input)?, Value::Int(MAGIC)) {
        return Err(Error::user("a pickle, but not one of torch.save").hint(
            "save `model.state_dict()` with torch.save; convert a .pkl of the official \
                 StyleGAN2-ADA with scripts/convert_stylegan2_pkl.py",
        ));
    }
    if !matches!(machine.run(&mut input)?, Value::Int(PROTOCOL)) {
        return Err(damaged("its version is unknown"));
    }
    machine.run(&mut input)?;
    let dict = machine.run(&mut input)?;
    let keys = machine.run(&mut input)?;
    let mut places = BTreeMap::new();
    for key in machine.members(&keys)? {
        let key: Rc<str> = match key {
            Value::Text(key) => key.clone(),
            Value::Int(key) => key.to_string().into(),
            _ => return Err(damaged("the key of a storage is not a string")),
        };
        let storage =
            machine.storage(&key).ok_or_else(|| damaged("a storage belongs to no tensor"))?;
        let mut count = [0; 8];
        input.read_exact(&mut count).map_err(ended)?;
        if u64::from_le_bytes(count) != storage.total as u64 {
            return Err(damaged("the size of a storage differs from its description"));
        }
        let bytes = storage.total.checked_mul(storage.element.size());
        let bytes = bytes.and_then(|n| i64::try_from(n).ok()).ok_or_else(too_large)?;
        places.insert(key, input.stream_position().map_err(ended)?);
        input.seek_relative(bytes).map_err(ended)?;
    }
    collect(&machine, &dict, rename, most, |storage| {
        let at = places.get(&storage.key).ok_or_else(|| damaged("a storage is missing"))?;
        let bytes = (storage.total * storage.element.size()) as u64;
        input.seek(SeekFrom::Start(*at)).map_err(ended)?;
        let mut numbers = Vec::new();
        // The buffer grows with the data, so a wrong length does not allocate memory.
        (&mut input).take(bytes).read_to_end(&mut numbers).map_err(ended)?;
        if (numbers.len() as u64) < bytes {
            return Err(ended(std::io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(numbers)
    })
}

/// Reads each storage that contains wanted tensors once, and copies the tensors from it.
fn collect(
    machine: &Machine,
    dict: &Value,
    rename: &Rename,
    most: u64,
    mut load: impl FnMut(&Storage) -> Result<Vec<u8>>,
) -> Result<TensorFile> {
    let mut file = TensorFile::default();
    let mut by_key: BTreeMap<&str, Vec<(String, &TensorView)>> = BTreeMap::new();
    let mut total = 0u64;
    for (name, tensor) in machine.named_tensors(dict)? {
        let Some(name) = rename(&name) else { continue };
        let tensor = &machine.tensors[tensor];
        if let Some(dtype) = tensor.unreadable {
            file.unreadable.insert(name, dtype.to_owned());
            continue;
        }
        let storage = &machine.storages[tensor.storage];
        let bytes = tensor.shape.iter().fold(storage.element.size() as u64, |bytes, &extent| {
            bytes.saturating_mul(extent as u64)
        });
        total = total.saturating_add(bytes);
        if total > most {
            return Err(damaged("its tensors are many times larger than the file"));
        }
        by_key.entry(&storage.key).or_default().push((name, tensor));
    }
    for tensors in by_key.into_values() {
        let whole = &machine.storages[tensors[0].1.storage];
        let bytes = load(whole)?;
        for (name, tensor) in tensors {
            let storage = &machine.storages[tensor.storage];
            if (storage.element, storage.total) != (whole.element, whole.total) {
                return Err(damaged(&format!("tensor `{name}` has another type than its storage")));
            }
            let tensor = view(tensor, storage, &bytes)
                .ok_or_else(|| damaged(&format!("tensor `{name}` is larger than its storage")))?;
            if file.tensors.contains_key(&name) {
                return Err(Error::user(format!("two tensors are called `{name}`"))
                    .hint("save the tensors of one network"));
            }
            file.tensors.insert(name, tensor);
        }
    }
    Ok(file)
}

/// Largest total size in bytes of the tensors of a file.
fn largest(file: &File) -> Result<u64> {
    let len = file.metadata().map_err(ended)?.len();
    Ok(len.saturating_mul(SHARES).saturating_add(1 << 20))
}

/// Copies a tensor from its storage; `None` if it reaches beyond the end.
fn view(tensor: &TensorView, storage: &Storage, bytes: &[u8]) -> Option<HostTensor> {
    let TensorView { offset, shape, strides, .. } = tensor;
    let count = shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent))?;
    if strides.len() != shape.len() || count > storage.len {
        return None;
    }
    let mut last = *offset;
    for (&extent, &stride) in shape.iter().zip(strides) {
        last = last.checked_add(extent.saturating_sub(1).checked_mul(stride)?)?;
    }
    if count > 0 && last >= storage.len {
        return None;
    }
    let size = storage.element.size();
    let start = storage.start + offset;
    // With a stride of 0, the tensor could be larger than the file.
    if count.checked_mul(size)? > bytes.len() {
        return None;
    }
    let mut ordered = Vec::with_capacity(count * size);
    if count > 0 && is_contiguous(shape, strides) {
        ordered.extend_from_slice(bytes.get(start * size..(start + count) * size)?);
    } else {
        for index in 0..count {
            let (mut rest, mut at) = (index, start);
            for (&extent, &stride) in shape.iter().zip(strides).rev() {
                at += rest % extent * stride;
                rest /= extent;
            }
            ordered.extend_from_slice(bytes.get(at * size..(at + 1) * size)?);
        }
    }
    HostTensor::new(shape.clone(), numbers(storage.element, &ordered)?).ok()
}

/// Whether the elements are stored in order and without gaps.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(&extent, &stride)| {
        let fits = extent == 1 || stride == expected;
        expected *= extent;
        fits
    })
}

/// Converts little-endian numbers to a type that [`Data`] supports; `None` if the type cannot be read.
fn numbers(element: Element, bytes: &[u8]) -> Option<Data> {
    Some(match element {
        Element::F32 => Data::F32(each(bytes, f32::from_le_bytes)),
        Element::F64 => Data::F32(each(bytes, |b| f64::from_le_bytes(b) as f32)),
        Element::Bf16 => Data::F32(each(bytes, |b| bf16::from_le_bytes(b).to_f32())),
        Element::F16 => Data::F16(each(bytes, f16::from_le_bytes)),
        Element::I64 => Data::I64(each(bytes, i64::from_le_bytes)),
        Element::I32 => Data::I64(each(bytes, |b| i32::from_le_bytes(b).into())),
        Element::I16 => Data::I64(each(bytes, |b| i16::from_le_bytes(b).into())),
        Element::I8 => Data::I64(each(bytes, |b| i8::from_le_bytes(b).into())),
        Element::U8 | Element::Bool => Data::U8(bytes.to_vec()),
        Element::Other { .. } => return None,
    })
}

/// Converts each group of `N` bytes to a number.
fn each<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&b| number(b)).collect()
}

/// The error if the size of a storage overflows.
fn too_large() -> Error {
    damaged("a storage has an impossible size")
}
