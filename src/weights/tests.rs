//! `scripts/make_fixtures.py` made `tests/fixtures/*.pth` with PyTorch 2.15.

use std::path::PathBuf;

use super::*;
use crate::tensorfile::Data;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn all(path: impl AsRef<Path>) -> Result<TensorFile> {
    read(path, |_| true)
}

/// Writes `bytes` to a file and reads it.
fn read_bytes(bytes: &[u8]) -> Result<TensorFile> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pth");
    std::fs::write(&path, bytes).unwrap();
    all(path)
}

/// The message of a user error.
fn message(result: Result<TensorFile>) -> String {
    let error = result.expect_err("a damaged file was read");
    assert_eq!(error.kind, crate::error::Kind::User);
    assert!(error.hint.is_some(), "no hint: {error}");
    error.message
}

#[test]
fn both_containers_hold_every_type_and_view() {
    for name in ["zip.pth", "legacy.pth"] {
        let file = all(fixture(name)).unwrap();
        let get = |name: &str| {
            let tensor = file.tensor(name).unwrap();
            (tensor.shape.clone(), tensor.data.clone())
        };
        let quarters = |n: usize| (0..n).map(|i| i as f32 / 4.0).collect::<Vec<_>>();
        let halves: Vec<_> = quarters(5).into_iter().map(half::f16::from_f32).collect();
        assert_eq!(get("f32"), (vec![2, 3], Data::F32(quarters(6))));
        assert_eq!(get("f64"), (vec![3], Data::F32(quarters(3))));
        assert_eq!(get("f16"), (vec![5], Data::F16(halves)));
        assert_eq!(get("bf16"), (vec![4], Data::F32(quarters(4))));
        assert_eq!(get("i64"), (vec![2], Data::I64(vec![-1, 1 << 40])));
        assert_eq!(get("i32"), (vec![2], Data::I64(vec![-7, 7])));
        assert_eq!(get("i16"), (vec![1], Data::I64(vec![-300])));
        assert_eq!(get("i8"), (vec![1], Data::I64(vec![-5])));
        assert_eq!(get("u8"), (vec![2], Data::U8(vec![0, 255])));
        assert_eq!(get("bool"), (vec![2], Data::U8(vec![1, 0])));
        assert_eq!(get("scalar"), (vec![], Data::I64(vec![3])));
        assert_eq!(get("empty"), (vec![0, 4], Data::F32(vec![])));
        assert_eq!(get("parameter"), (vec![2], Data::F32(quarters(2))));
        assert_eq!(get("whole"), (vec![4, 6], Data::F32(quarters(24))));
        let at = |row: usize, column: usize| (row * 6 + column) as f32 / 4.0;
        let transposed = (0..24).map(|i| at(i % 4, i / 4)).collect();
        assert_eq!(get("transposed"), (vec![6, 4], Data::F32(transposed)));
        let part = (0..6).map(|i| at(1 + i / 3, i % 3 * 2)).collect();
        assert_eq!(get("part"), (vec![2, 3], Data::F32(part)));
        assert_eq!(file.tensors.len(), 16);
    }
}

#[test]
fn only_wanted_tensors_are_read() {
    for name in ["zip.pth", "legacy.pth"] {
        let file = read(fixture(name), |name| name == "part").unwrap();
        assert_eq!(file.tensors.keys().collect::<Vec<_>>(), ["part"]);
    }
}

#[test]
fn nested_dicts_get_dotted_names() {
    let file = all(fixture("nested.pth")).unwrap();
    assert_eq!(
        file.tensors.keys().collect::<Vec<_>>(),
        ["a", "b.c"],
        "without the wrapper `model.`"
    );
}

#[test]
fn pickled_classes_are_refused_by_name() {
    for name in ["module.pth", "module_legacy.pth"] {
        let message = message(all(fixture(name)));
        assert!(message.contains("torch.nn.modules.linear.Linear"), "{message}");
        assert!(message.contains(name), "{message}");
    }
}

/// An older checkpoint with this pickle of the dict and this one of the keys.
fn legacy(program: &[u8], keys: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    bytes.extend(b"\x80\x02M\xe9\x03.");
    bytes.extend(b"\x80\x02}.");
    bytes.extend(program);
    bytes.extend(keys);
    bytes
}

#[test]
fn python_2_pickles_are_read() {
    // OrderedDict([['a', Parameter(_rebuild_tensor(storage, 0, (2,), (1,)))]]), keys of type str.
    let program = b"\x80\x02ccollections\nOrderedDict\nq\x00]q\x01]q\x02(U\x01aq\x03\
        ctorch.nn.parameter\nParameter\nq\x04ctorch._utils\n_rebuild_tensor\nq\x05\
        ((U\x07storageq\x06ctorch\nFloatStorage\nq\x07U\x013q\x08U\x03cpuq\x09K\x02NtQ\
        K\x00K\x02\x85K\x01\x85tR\x85R(\x88\x89h\x00)Rtbea\x85R.";
    let mut bytes = legacy(program, b"\x80\x02]q\x00U\x013a.");
    bytes.extend(2u64.to_le_bytes());
    bytes.extend([1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()));
    let file = read_bytes(&bytes).unwrap();
    assert_eq!(file.tensor("a").unwrap().to_f32(), [1.5, -2.0]);
}

#[test]
fn code_is_refused_and_not_run() {
    let program = b"\x80\x02cos\nsystem\n(X\x05\x00\x00\x00false\x85R.";
    let message = message(read_bytes(&legacy(program, b"")));
    assert!(message.contains("os.system"), "{message}");
}

#[test]
fn code_inside_a_dict_is_refused() {
    // {'a': os.system('false')}
    let program = b"\x80\x02}X\x01\0\0\0acos\nsystem\nX\x05\x00\x00\x00false\x85Rs.";
    let message = message(read_bytes(&legacy(program, b"\x80\x02].")));
    assert!(message.contains("os.system"), "{message}");
}

/// An older checkpoint whose dict is this program, in which `TENSOR` stands for a tensor of one number.
fn scripted(program: &[u8]) -> Vec<u8> {
    let tensor = b"ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\n\
        U\x01aU\x03cpuK\x01tQK\0K\x01\x85K\x01\x85tR";
    let mut whole = b"\x80\x02".to_vec();
    let mut rest = program;
    while let Some((first, after)) = rest.split_first() {
        match rest.strip_prefix(b"TENSOR") {
            Some(after) => {
                whole.extend(tensor);
                rest = after;
            }
            None => {
                whole.push(*first);
                rest = after;
            }
        }
    }
    whole.push(b'.');
    let mut bytes = legacy(&whole, b"\x80\x02]U\x01aa.");
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(0.25f32.to_le_bytes());
    bytes
}

/// TorchScript pickles objects of its classes. `tests/commands/clip.rs` reads a whole archive.
#[test]
fn objects_of_torchscript_are_their_attributes() {
    // Net(x=…, inner=Inner(y=…, sizes=[2]), training=None)
    let program = b"c__torch__.nets\nNet\n)\x81}(U\x01xTENSORU\x05innerc__torch__\nInner\n)\x81}\
        (U\x01yTENSORU\x05sizesctorch.jit._pickle\nbuild_intlist\n]K\x02a\x85RubU\x08trainingNub";
    let file = read_bytes(&scripted(program)).unwrap();
    assert_eq!(file.tensors.keys().collect::<Vec<_>>(), ["inner.y", "x"]);
    assert_eq!(file.tensor("inner.y").unwrap().to_f32(), [0.25]);
}

#[test]
fn hostile_objects_of_torchscript_are_refused() {
    let twenty = [&b"("[..], &b"K\x01K\x02".repeat(20), b"u"].concat();
    let often =
        [&b"c__torch__\nNet\n)\x81}"[..], &twenty, b"q\x01b", &b"h\x01b".repeat(260_000)].concat();
    for (program, finding) in [
        (&b"c__torch__.nets\nNet\nK\x01\x85\x81"[..], "unsupported arguments"),
        (b"c__torch__.nets\nNet\n(U\x01xtR", "unsupported arguments"),
        (b"c__torch__.nets\nNet\n)\x81K\x01b", "the state of an object is not a dict"),
        (b"c__torch__.nets\nNet\n)\x81U\x01xTENSORs", "not a dict"),
        (b"c__torch__.nets\nNet\n)\x81q\0}(U\x01xTENSORU\x01oh\0ub", "nest too deeply"),
        (b"c__torch__nets\nNet\n)\x81", "`__torch__nets.Net`"),
        (b"ctorch.jit._pickle\nbuild_any\n)R", "`torch.jit._pickle.build_any`"),
        (b"ctorch.jit._pickle\nbuild_intlist\n)R", "unsupported arguments"),
        (&often, "too often"),
    ] {
        let message = message(read_bytes(&scripted(program)));
        assert!(message.contains(finding), "{finding}: {message}");
    }
}

#[test]
fn a_view_that_repeats_numbers_is_refused() {
    // {'a': a tensor of 2²⁸ elements with stride 0 in a storage of one f64}
    let mut program = b"\x80\x02}X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n(".to_vec();
    program.extend(b"(X\x07\0\0\0storagectorch\nDoubleStorage\nX\x01\0\0\0aX\x03\0\0\0cpu");
    program.extend(b"K\x01tQK\x00J\x00\x00\x00\x10\x85K\x00\x85tRs.");
    let mut bytes = legacy(&program, b"\x80\x02](X\x01\0\0\0ae.");
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(0.5f64.to_le_bytes());
    let message = message(read_bytes(&bytes));
    assert!(message.contains("larger than"), "{message}");
}

#[test]
fn storages_of_two_sizes_and_impossible_ones_are_refused() {
    // {'z': storage 'a' with one number, 'y': storage 'a' with `total` numbers}
    let numbers = |name: u8, total: &[u8]| {
        let mut bytes = vec![b'X', 1, 0, 0, 0, name];
        bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage");
        bytes.extend(b"ctorch\nDoubleStorage\nX\x01\x00\x00\x00aX\x03\x00\x00\x00cpu");
        bytes.extend(total);
        bytes.extend(b"tQK\x00K\x01\x85K\x01\x85tRs");
        bytes
    };
    let whole = |first: &[u8], second: &[u8]| {
        let mut program = b"\x80\x02}".to_vec();
        program.extend(numbers(b'z', first));
        program.extend(numbers(b'y', second));
        program.push(b'.');
        let mut bytes = legacy(&program, b"\x80\x02](X\x01\x00\x00\x00ae.");
        bytes.extend(1u64.to_le_bytes());
        bytes.extend(0.5f64.to_le_bytes());
        bytes
    };
    let (one, huge) = (b"K\x01", b"\x8a\x08\x01\x00\x00\x00\x00\x00\x00\x20");
    assert_eq!(read_bytes(&whole(one, one)).unwrap().tensor("y").unwrap().to_f32(), [0.5]);
    assert!(message(read_bytes(&whole(one, b"K\x02"))).contains("two sizes"));
    // The size of 2⁶¹ + 1 numbers of 8 bytes overflows to 8.
    assert!(message(read_bytes(&whole(one, huge))).contains("two sizes"));
    assert!(message(read_bytes(&whole(huge, huge))).contains("too large"));
}

#[test]
fn deep_nesting_and_self_reference_are_refused() {
    // A dict that contains itself a hundred times.
    let mut program = b"\x80\x02}q\x00".to_vec();
    for key in 0..100 {
        program.extend([b'K', key, b'h', 0, b's']);
    }
    program.push(b'.');
    let found = message(read_bytes(&legacy(&program, b"\x80\x02].")));
    assert!(found.contains("nest"), "{found}");
    // A million tuples, each inside the next.
    let mut program = b"\x80\x02)".to_vec();
    program.extend([0x85].repeat(1_000_000));
    program.push(b'.');
    let found = message(read_bytes(&legacy(&program, b"\x80\x02].")));
    assert!(found.contains("not a dict"), "{found}");
}

/// A pickle can repeat an object in three bytes; this must cost neither memory nor time.
#[test]
fn repetition_is_bounded() {
    let message_of = |program: &[u8]| message(read_bytes(&legacy(program, b"\x80\x02].")));
    // A list of 5,000 pairs, from which 5,000 dicts are made.
    let mut program = b"\x80\x02](".to_vec();
    (0..5_000).for_each(|_| program.extend(b"K\x01K\x02\x86"));
    program.extend(b"eq\x00ccollections\nOrderedDict\nq\x01");
    (0..5_000).for_each(|_| program.extend(b"h\x01h\x00\x85R"));
    program.push(b'.');
    let found = message_of(&program);
    assert!(found.contains("copies"), "{found}");
    // A text of a megabyte as the name of 10,000 dicts, each with a tensor.
    let mut program = b"\x80\x02}".to_vec();
    let text = vec![b'x'; 1 << 20];
    program.extend([b'X', 0, 0, 0x10, 0]);
    program.extend(&text);
    program.extend(b"q\x02}q\x03");
    program.extend(b"X\x01\0\0\0tctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage");
    program.extend(
        b"ctorch\nDoubleStorage\nX\x01\0\0\0aX\x03\0\0\0cpuK\x01tQK\0K\x01\x85K\x01\x85tRss",
    );
    (0..200).for_each(|_| program.extend(b"h\x02h\x03s"));
    program.push(b'.');
    let mut bytes = legacy(&program, b"\x80\x02](X\x01\0\0\0ae.");
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(0.5f64.to_le_bytes());
    let found = message(read_bytes(&bytes));
    assert!(found.contains("never end"), "{found}");
    // A storage of a megabyte that 5,000 tensors share.
    let mut program = b"\x80\x02}".to_vec();
    program.extend(b"K\0ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage");
    program.extend(b"ctorch\nDoubleStorage\nX\x01\0\0\0aX\x03\0\0\0cpuJ\0\0\x02\0tQq\x02");
    program.extend(b"K\0J\0\0\x02\0\x85K\x01\x85tRq\x03s");
    (0..5_000u16).for_each(|key| {
        program.push(b'M');
        program.extend(key.to_le_bytes());
        program.extend(b"h\x03s");
    });
    program.push(b'.');
    let mut bytes = legacy(&program, b"\x80\x02](X\x01\0\0\0ae.");
    bytes.extend((1u64 << 17).to_le_bytes());
    bytes.extend(vec![0; 8 << 17]);
    let found = message(read_bytes(&bytes));
    assert!(found.contains("larger than the file"), "{found}");
    // A persistent id that is used 300,000 times: looking each up among all would take minutes.
    let began = std::time::Instant::now();
    let mut program = b"\x80\x02(X\x07\0\0\0storage".to_vec();
    program.extend(b"ctorch\nDoubleStorage\nX\x01\0\0\0aX\x03\0\0\0cpuK\x01tq\x01");
    (0..300_000).for_each(|_| program.extend(b"h\x01Q"));
    program.push(b'.');
    message_of(&program);
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

#[test]
fn wrappers_are_removed_and_other_prefixes_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let mut file = TensorFile::default();
    file.insert_f32("_orig_mod.module.a", [1], vec![1.0]).unwrap();
    file.insert_f32("encoder.b", [1], vec![1.0]).unwrap();
    file.write(&path).unwrap();
    let read = all(&path).unwrap();
    let mut reader = WeightReader::from(&read);
    reader.take("a", &[Some(1)]).unwrap();
    let error = reader.take("b", &[Some(1)]).unwrap_err();
    assert!(error.message.contains("`encoder.b`"), "{error}");
    assert!(error.hint.unwrap().contains("`encoder.`"));
    file.insert_f32("a", [1], vec![2.0]).unwrap();
    file.write(&path).unwrap();
    assert!(message(all(&path)).contains("two tensors are called `a`"));
}

/// An unused mask or counter does not make a file unreadable, and neither do types without weights.
#[test]
fn unused_types_are_tolerated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let header = concat!(
        r#"{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"#,
        r#""b":{"dtype":"F64","shape":[1],"data_offsets":[4,12]},"#,
        r#""mask":{"dtype":"BOOL","shape":[3],"data_offsets":[12,15]},"#,
        r#""quantised":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[15,16]}}"#
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend([0x80, 0x3f, 0x00, 0xc0]);
    bytes.extend(0.25f64.to_le_bytes());
    bytes.extend([1, 0, 1, 7]);
    std::fs::write(&path, bytes).unwrap();
    let file = all(&path).unwrap();
    assert_eq!(file.tensor("a").unwrap().to_f32(), [1.0, -2.0]);
    assert_eq!(file.tensor("b").unwrap().to_f32(), [0.25]);
    let mut reader = WeightReader::from(&file);
    reader.take("a", &[None]).unwrap();
    reader.take("b", &[None]).unwrap();
    reader.finish(|_| false).unwrap();
    // Files of this program have no such types.
    assert!(message(TensorFile::read(&path)).contains("F8_E4M3"));
}

/// A needed tensor of a type that cannot be used is not called missing, and an unused one spoils
/// nothing: 8-bit floats, sub-byte floats and types of the future.
#[test]
fn types_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let header = concat!(
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#,
        r#""module.b":{"dtype":"F8_E5M2","shape":[3],"data_offsets":[4,7]},"#,
        r#""c":{"dtype":"I8","shape":[2],"data_offsets":[7,9]},"#,
        r#""d":{"dtype":"F4","shape":[3],"data_offsets":[9,11]},"#,
        r#""e":{"dtype":"POSIT17","shape":[5],"data_offsets":[11,12]}}"#
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(0.5f32.to_le_bytes());
    bytes.extend([0; 8]);
    std::fs::write(&path, bytes).unwrap();
    let file = all(&path).unwrap();
    let mut reader = WeightReader::from(&file);
    assert_eq!(reader.take("a", &[None]).unwrap().to_f32(), [0.5]);
    for (name, dtype) in [("b", "F8_E5M2"), ("c", "integer"), ("d", "F4"), ("e", "POSIT17")] {
        let error = reader.take(name, &[None]).unwrap_err();
        assert!(error.message.contains(&format!("`{name}` has values of type {dtype}")), "{error}");
        assert!(error.hint.unwrap().contains("F32"), "{name}");
    }
    reader.finish(|_| false).unwrap();
}

/// The same for PyTorch, whose newer types have storages of bytes.
#[test]
fn types_of_pytorch_that_cannot_be_used_are_named() {
    let text = |text: &str| {
        let len = (text.len() as u32).to_le_bytes();
        [b"X", &len[..], text.as_bytes()].concat()
    };
    let tensor = |name: &str, function: &str, storage: &str, key: &str, count: u8, rest: &[u8]| {
        let mut bytes = text(name);
        bytes.extend(format!("ctorch._utils\n{function}\n((").into_bytes());
        bytes.extend([text("storage"), format!("c{storage}\n").into_bytes()].concat());
        bytes.extend(
            [text(key), text("cpu"), vec![b'K', count], b"tQK\0K\x02\x85K\x01\x85".to_vec()]
                .concat(),
        );
        bytes.extend(rest);
        bytes.extend(b"tRs");
        bytes
    };
    let hooks = b"\x89ccollections\nOrderedDict\n)R";
    let affine = [&b"(ctorch\nper_tensor_affine\nG\0\0\0\0\0\0\0\0K\0t"[..], hooks].concat();
    let typed = |name: &str| [&hooks[..], format!("ctorch\n{name}\nN").as_bytes()].concat();
    let mut program = b"\x80\x02}".to_vec();
    for entry in [
        tensor("a", "_rebuild_tensor_v2", "torch\nFloatStorage", "0", 2, hooks),
        tensor("b", "_rebuild_qtensor", "torch\nQInt8Storage", "1", 2, &affine),
        tensor(
            "c",
            "_rebuild_tensor_v3",
            "torch.storage\nUntypedStorage",
            "2",
            2,
            &typed("float8_e4m3fn"),
        ),
        tensor("d", "_rebuild_tensor_v2", "torch\nComplexFloatStorage", "3", 2, hooks),
    ] {
        program.extend(entry);
    }
    program.push(b'.');
    let keys = [b"\x80\x02](".to_vec(), text("0"), text("1"), text("2"), text("3"), b"e.".to_vec()];
    let mut bytes = legacy(&program, &keys.concat());
    for (count, numbers) in [
        (2u64, [1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()),
        (2, vec![7; 2]),
        (2, vec![7; 2]),
        (2, vec![7; 16]),
    ] {
        bytes.extend(count.to_le_bytes());
        bytes.extend(numbers);
    }
    let file = read_bytes(&bytes).unwrap();
    let mut reader = WeightReader::from(&file);
    assert_eq!(reader.take("a", &[None]).unwrap().to_f32(), [1.5, -2.0]);
    for (name, dtype) in [("b", "qint8"), ("c", "float8_e4m3fn"), ("d", "complex64")] {
        let error = reader.take(name, &[None]).unwrap_err();
        assert!(error.message.contains(&format!("`{name}` has values of type {dtype}")), "{error}");
    }
    reader.finish(|_| false).unwrap();
    // Other functions of PyTorch are still refused by name.
    let program = b"\x80\x02ctorch\nfloat8_of_the_future\n.";
    assert!(message(read_bytes(&legacy(program, b"\x80\x02]."))).contains("float8_of_the_future"));
}

#[test]
fn every_truncation_is_an_error() {
    for name in ["zip.pth", "legacy.pth", "nested.pth"] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for len in (0..whole.len() - 1).step_by(7) {
            // The index of an archive may be cut without losing a tensor, but not at these lengths.
            assert!(read_bytes(&whole[..len]).is_err(), "{name} cut at {len} was read");
        }
    }
}

#[test]
fn no_damage_panics() {
    for name in ["zip.pth", "legacy.pth"] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for at in (0..whole.len()).step_by(5) {
            let mut damaged = whole.clone();
            damaged[at] ^= [0xff, 0x01, 0x80][at % 3];
            // The older container has no checksum, so wrong numbers are not always noticed.
            let _ = read_bytes(&damaged);
        }
    }
}

#[test]
fn files_of_other_formats_are_described() {
    assert!(message(read_bytes(b"")).contains("neither"));
    assert!(message(read_bytes(b"GIF89a, a picture")).contains("neither"));
    assert!(message(read_bytes(b"PK\x03\x04 cut off")).contains("truncated"));
    assert!(message(read_bytes(b"\x80\x02}.")).contains("not one of torch.save"));
    let missing = all("/nowhere/x.pth").unwrap_err();
    assert!(missing.message.contains("/nowhere/x.pth"), "{missing}");
    let folder = tempfile::tempdir().unwrap();
    assert!(message(all(folder.path())).contains("directory"));
    let path = folder.path().join("x.safetensors");
    std::fs::write(&path, b"no header").unwrap();
    assert!(message(all(path)).contains("not a safetensors file"));
}

#[test]
fn tensors_of_another_network_are_named() {
    let mut file = TensorFile::default();
    file.insert_f32("a", [2, 3], vec![0.0; 6]).unwrap();
    file.insert_f32("b", [1], vec![f32::NAN]).unwrap();
    let mut reader = WeightReader::from(&file);
    assert_eq!(reader.take("a", &[Some(2), None]).unwrap().shape, [2, 3]);
    let text = |error: Error| error.message;
    assert_eq!(text(reader.take("c", &[None]).unwrap_err()), "tensor `c` is missing");
    assert_eq!(
        text(reader.take("a", &[None, Some(4)]).unwrap_err()),
        "tensor `a` has shape [2, 3], expected [any, 4]"
    );
    assert!(text(reader.take("b", &[None]).unwrap_err()).contains("NaN"));
    let left = reader.finish(|_| false).unwrap_err();
    assert_eq!(left.message, "tensor `b` does not belong to this network");
    let mut reader = WeightReader::from(&file);
    reader.take("a", &[None, None]).unwrap();
    reader.finish(|name| name == "b").unwrap();
}

/// The hints for models would lead back to the command that failed.
#[test]
fn hints_about_weight_files_lead_on() {
    let dir = tempfile::tempdir().unwrap();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:aaaa\nsize 12345\n";
    for (name, bytes, hint) in [
        ("w.safetensors", &b"not a model"[..], ".pth"),
        ("w.safetensors", b"\x80\x04\x95\0\0\0\0\0\0\0\0", ".pkl"),
        ("w.safetensors", b"\x89PNG\r\n\x1a\n\0\0\0\0", ".pth"),
        ("w.safetensors", pointer, "git lfs pull"),
        ("w.pth", pointer, "git lfs pull"),
        ("w.pth", b"notes", ".pth"),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = read(&path, |_| true).unwrap_err();
        let found = error.hint.as_deref().unwrap_or_default();
        assert!(found.contains(hint), "{name}: {error:?}");
        assert!(!found.contains("import") && !found.contains("--image"), "{name}: {error:?}");
    }
}
