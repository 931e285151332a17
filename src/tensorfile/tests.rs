use std::fs;

use super::*;
use crate::atomic_file::partial_path;

fn sample() -> TensorFile {
    let mut file = TensorFile::default();
    file.insert_f32("weight", [2, 3], vec![1.0, -2.5, 0.0, 1e-30, 3.0, 4.0]).unwrap();
    let half = Data::F16(vec![f16::from_f32(0.5); 3]);
    file.tensors.insert("half".into(), HostTensor::new([3], half).unwrap());
    file.tensors.insert("step".into(), HostTensor::i64([], vec![1 << 40]).unwrap());
    let bytes = Data::U8(vec![7, 8, 9, 10, 11]);
    file.tensors.insert("bytes".into(), HostTensor::new([5], bytes).unwrap());
    file.tensors.insert("empty".into(), HostTensor::f32([0, 4], vec![]).unwrap());
    for key in ["vocabulary", "config", "a", "ünï \"code\"\n"] {
        file.metadata.insert(key.into(), format!("value of {key}"));
    }
    file
}

fn message(result: Result<impl Sized>) -> String {
    let error = result.err().expect("an error");
    assert_eq!(error.kind, crate::error::Kind::User);
    assert!(error.hint.is_some(), "{error} has no hint");
    error.to_string()
}

#[test]
fn a_written_file_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    sample().write(&path).unwrap();
    assert_eq!(TensorFile::read(&path).unwrap(), sample());
    assert_eq!(TensorFile::read_metadata(&path).unwrap(), sample().metadata);
    assert!(!partial_path(&path).exists());
    TensorFile::default().write(&path).unwrap();
    assert_eq!(TensorFile::read(&path).unwrap(), TensorFile::default());
}

#[test]
fn the_reference_implementation_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    sample().write(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap().len(), 4);
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("weight").unwrap().shape(), [2, 3]);
    assert_eq!(file.tensor("bytes").unwrap().data(), [7, 8, 9, 10, 11]);
}

#[test]
fn equal_content_has_equal_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    sample().write(&a).unwrap();
    TensorFile::read(&a).unwrap().write(&b).unwrap();
    assert_eq!(content_hash(&a).unwrap(), content_hash(&b).unwrap());
    fs::write(&a, "abc").unwrap();
    // FIPS 180-2, appendix B.1.
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(content_hash(&a).unwrap(), expected);
}

#[test]
fn errors_name_damaged_files_and_the_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    assert!(message(TensorFile::read(&path)).contains("model.safetensors"));
    assert!(message(TensorFile::read(dir.path())).contains("cannot read"));

    sample().write(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in [8, 20, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        for found in [message(TensorFile::read(&path)), message(TensorFile::read_metadata(&path))] {
            assert!(found.contains("model.safetensors"), "{found}");
            assert!(found.contains(&format!("has {length} bytes instead of")), "{found}");
        }
    }
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(message(TensorFile::read(&path)).contains(&format!("instead of {}", whole.len())));

    fs::write(&path, b"").unwrap();
    assert!(message(TensorFile::read(&path)).contains("is empty"));
    for other in [&b"short"[..], b"PK\x03\x04 and so on, a zip archive", b"\x02\0\0\0\0\0\0\0[]"] {
        fs::write(&path, other).unwrap();
        assert!(message(TensorFile::read(&path)).contains("not a safetensors file"));
    }
}

/// Writes a file with one tensor `x` that has this description and `bytes` bytes of values.
fn forged(path: &Path, description: &str, bytes: usize) {
    let header = format!("{{\"x\":{description}}}");
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(vec![0; bytes]);
    fs::write(path, file).unwrap();
}

#[test]
fn invalid_headers_are_errors_and_never_panics() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    forged(&path, r#"{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}"#, 4);
    let found = message(TensorFile::read(&path));
    assert!(found.contains("`x`") && found.contains("F8_E4M3"), "{found}");
    for (description, bytes) in [
        (r#"{"dtype":"F32","shape":[2],"data_offsets":[0,4]}"#, 4),
        (r#"{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#, 8),
        (r#"{"dtype":"F32","shape":[1],"data_offsets":[4,0]}"#, 4),
        (r#"{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,4]}"#, 4),
        (r#"{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4]}"#, 4),
        (r#"{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}"#, 4),
        (r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#, 4),
    ] {
        forged(&path, description, bytes);
        message(TensorFile::read(&path));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let error = sample().write(full).unwrap_err();
    assert!(error.to_string().contains("/dev/full"), "{error}");
    assert!(error.hint.unwrap().contains("free some space"));
    // The device was not replaced by a file.
    assert!(!fs::metadata(full).unwrap().is_file());
}

#[test]
fn shapes_and_values_must_agree() {
    assert!(HostTensor::f32([2, 2], vec![0.0; 3]).is_err());
    assert!(HostTensor::f32([usize::MAX, 2], vec![0.0; 3]).is_err());
    let mut file = sample();
    file.tensors.get_mut("weight").unwrap().shape = vec![7];
    let dir = tempfile::tempdir().unwrap();
    assert!(file.write(dir.path().join("x")).is_err());
}

#[test]
fn half_precision_and_finiteness() {
    let x = HostTensor::f32([2], vec![1.0, 1e-3]).unwrap();
    assert_eq!(x.to_half().to_f32()[0], 1.0);
    assert!((x.to_half().to_f32()[1] - 1e-3).abs() < 1e-6);
    assert!(x.is_finite());
    assert!(!HostTensor::f32([1], vec![f32::NAN]).unwrap().is_finite());
}

/// Version 0.7 of the format added C64.
#[test]
fn a_tensor_of_an_unknown_type_spoils_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
        "freqs":{"dtype":"C64","shape":[1],"data_offsets":[4,12]},
        "z":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend([1f32, 0.0, 0.0, 2.0].iter().flat_map(|v| v.to_le_bytes()));
    fs::write(&path, bytes).unwrap();
    let error = TensorFile::read(&path).unwrap_err();
    assert!(error.message.contains("`freqs` has values of type C64"), "{error}");
    let file = TensorFile::read_as(&path, |name| Some(name.to_owned())).unwrap();
    let error = file.tensor("freqs").unwrap_err();
    assert!(error.message.contains("type C64"), "{error}");
    assert_eq!(file.unreadable["freqs"], "C64");
    let tensors = file.tensors;
    assert_eq!((tensors["a"].to_f32()[0], tensors["z"].to_f32()[0]), (1.0, 2.0));
}
