//! The files that the cases name.

use std::fs;
use std::io::Write;
use std::path::Path;

use image::{Rgb, RgbImage};
use tempfile::TempDir;

use crate::common::models;
use crate::common::program::{Cigan, tiny};
use cigan::model::Model;
use cigan::tensorfile::{HostTensor, TensorFile};

/// Words of the cases that stand for files.
pub const NAMES: [(&str, &str); 18] = [
    ("DATA", "data.zip"),
    ("DATA8", "data8.zip"),
    ("DATA32", "data32.zip"),
    ("NOCAPTIONS", "no-captions.zip"),
    ("MODEL", "ci-gan.safetensors"),
    ("STYLE", "stylegan.safetensors"),
    ("TEXTGAN", "text-gan.safetensors"),
    ("GAN", "gan-int-cls.safetensors"),
    ("STACK", "stackgan.safetensors"),
    ("MAPPER", "clip2gan.safetensors"),
    ("DAMSM", "damsm.safetensors"),
    ("DAMSM32", "damsm32.safetensors"),
    ("STATE", "state-dict.safetensors"),
    ("CLIP", "clip.pt"),
    ("VOCABULARY", "merges.txt.gz"),
    ("CODES", "drawn/codes.safetensors"),
    ("Z", "z.safetensors"),
    ("RUN", "runs/00000-train-stylegan-custom"),
];

/// Creates all files in a folder.
pub fn prepare() -> TempDir {
    let cigan = Cigan::new();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let path = |name: &str| at(name).display().to_string();
    models(&at);
    data(&at, &cigan, &path);
    for (name, bytes) in [
        ("notes.txt", &b"buy seeds"[..]),
        ("blank.txt", b"\n\n"),
        ("prompts.txt", b"a red bird\n"),
        ("utf16.txt", b"\xff\xfea\0 \0b\0i\0r\0d\0"),
        ("page.html", b"<!DOCTYPE html><html></html>"),
        ("packed.tar.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\0"),
        ("keras.h5", b"\x89HDF\r\n\x1a\n\0\0\0\0\0\0\0\0"),
        ("pickle.pkl", b"\x80\x04\x95\x0a\0\0\0\0\0\0\0}\x94."),
        ("top.toml", b"batch = 3\n"),
        ("named.toml", b"[run]\nname = \"mine\"\n"),
        ("deep.toml", "a.".repeat(300).as_bytes()),
        (
            "pointer.safetensors",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12345\n",
        ),
    ] {
        fs::write(at(name), bytes).unwrap();
    }
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/clip");
    for (name, golden) in [("clip.pt", "openai.pt"), ("merges.txt.gz", "merges.txt.gz")] {
        fs::copy(goldens.join(golden), at(name)).unwrap();
    }
    fs::create_dir(at("nothing")).unwrap();
    fs::create_dir(at("site")).unwrap();
    fs::write(at("site/index.html"), "<html><title>Mine</title></html>").unwrap();
    fs::create_dir(at("own")).unwrap();
    fs::write(at("own/seed0000.png"), "not a result").unwrap();
    fs::write(at("own.png"), "not a result").unwrap();
    fs::write(at("own.zip"), "not an archive").unwrap();
    let mut zip = zip::ZipWriter::new(fs::File::create(at("torch.pth")).unwrap());
    zip.start_file("net/data.pkl", zip::write::SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
    let train = ["train-stylegan", "--data", &path("data8.zip"), "--out", &path("runs")];
    cigan.run(&[&train[..], &tiny("train-stylegan"), &["--kimg", "0.008"]].concat()).ok();
    let edited = at("edited");
    copy(&at("runs/00000-train-stylegan-custom"), &edited);
    let settings = fs::read_to_string(edited.join("config.toml")).unwrap();
    let settings = settings.replace("lr = 0.00", "lr = 0.01");
    fs::write(edited.join("config.toml"), settings).unwrap();
    let run = at("runs/00000-train-stylegan-custom");
    for name in ["moved", "unrecorded", "unborn", "damaged-run"] {
        copy(&run, &at(name));
    }
    fs::write(at("moved/inputs.toml"), "data = \"/missing/data.zip\"\n").unwrap();
    fs::remove_file(at("unrecorded/inputs.toml")).unwrap();
    for entry in fs::read_dir(&run).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("model-") || name == "best.safetensors" {
            fs::remove_file(at("unborn").join(&name)).unwrap();
        }
        if name.starts_with("state-") {
            let state = at("damaged-run").join(&name);
            let mut bytes = fs::read(&state).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(state, bytes).unwrap();
        }
    }
    let words = ["export", &path("stylegan.safetensors"), "--layout", "stylegan2-ada", "--out"];
    cigan.run(&[&words[..], &[&path("state-dict.safetensors")]].concat()).ok();
    let model = path("ci-gan.safetensors");
    let words = ["generate", "--model", &model, "--text", "bird", "--steps", "0", "--seeds", "0-1"];
    cigan.run(&[&words[..], &["--out", &path("drawn")]].concat()).ok();
    folder
}

fn models(at: &dyn Fn(&str) -> std::path::PathBuf) {
    let write = |name: &str, model: Model| model.into_file().sealed().write(at(name)).unwrap();
    write("ci-gan.safetensors", models::ci_gan(16));
    write("stylegan.safetensors", models::stylegan(8));
    write("text-gan.safetensors", models::text_conditional(16));
    write("gan-int-cls.safetensors", models::gan_int_cls(32));
    write("stackgan.safetensors", models::stackgan());
    write("clip2gan.safetensors", models::clip2gan(16));
    write("damsm.safetensors", models::damsm_alone(16));
    write("damsm32.safetensors", models::damsm_alone(32));
    let bytes = fs::read(at("ci-gan.safetensors")).unwrap();
    fs::write(at("short.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    let mut flipped = bytes;
    let last = flipped.len() - 1000;
    flipped[last] ^= 0x40;
    fs::write(at("flipped.safetensors"), flipped).unwrap();
    let tensor = |name: &str, file: &str, shape: &[usize]| {
        let mut tensors = TensorFile::default();
        tensors.insert_f32(name, shape, vec![0.5; shape.iter().product()]).unwrap();
        tensors.write(at(file)).unwrap();
    };
    tensor("z", "z.safetensors", &[2, 8]);
    tensor("w", "w.safetensors", &[2, 8]);
    tensor("w", "misshapen.safetensors", &[2, 3]);
    let mut both = TensorFile::read(at("w.safetensors")).unwrap();
    both.insert_f32("z", [1, 8], vec![0.5; 8]).unwrap();
    both.write(at("both.safetensors")).unwrap();
    let mut nan = TensorFile::default();
    nan.insert_f32("w", [1, 8], vec![f32::NAN; 8]).unwrap();
    nan.write(at("nan.safetensors")).unwrap();
    // Models that were edited, and models of later versions.
    let edited = |file: &str, change: &dyn Fn(&str, &str) -> (String, String)| {
        let mut model = models::ci_gan(16).into_file();
        let changed = model.metadata.iter().map(|(key, text)| change(key, text));
        model.metadata = changed.collect();
        model.write(at(file)).unwrap();
    };
    edited("renamed.safetensors", &|key, text| {
        (key.to_owned(), text.replace("\"mapping_layers\"", "\"layers\""))
    });
    edited("out-of-range.safetensors", &|key, text| {
        (key.to_owned(), text.replace("\"resolution\":16", "\"resolution\":17"))
    });
    edited("newer.safetensors", &|key, text| {
        (key.to_owned(), if key == "cigan.model" { "99".to_owned() } else { text.to_owned() })
    });
    edited("foreign.safetensors", &|key, text| {
        let known = key == "cigan.model" || !key.starts_with("cigan.");
        (if known { key.to_owned() } else { format!("{key}-2") }, text.to_owned())
    });
    let header = concat!(
        r#"{"synthesis.b4.const":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},"#,
        r#""synthesis.b4.conv1.weight":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}  "#
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend([0; 6]);
    fs::write(at("f8.safetensors"), bytes).unwrap();
    // The quantised weights of another program.
    let mut quantised = TensorFile::default();
    let integers = HostTensor::i64([64, 3, 3, 3], vec![7; 64 * 27]).unwrap();
    quantised.tensors.insert("features.0.weight".to_owned(), integers);
    quantised.write(at("quantised.safetensors")).unwrap();
}

fn data(at: &dyn Fn(&str) -> std::path::PathBuf, cigan: &Cigan, path: &dyn Fn(&str) -> String) {
    for (name, side) in [("data.zip", "16"), ("data32.zip", "32"), ("data8.zip", "8")] {
        let words = ["data", "synth", "--out", &path(name), "--count", "24", "--resolution", side];
        cigan.run(&words).ok();
    }
    let photo = |i: u8| RgbImage::from_fn(16, 16, |x, y| Rgb([i * 9, x as u8 * 16, y as u8 * 16]));
    let folder = |name: &str, count: u8| {
        fs::create_dir(at(name)).unwrap();
        (0..count).for_each(|i| photo(i).save(at(name).join(format!("{i}.png"))).unwrap());
    };
    let text = |name: &str, text: &str| fs::write(at(name), text).unwrap();
    folder("photos", 20);
    let mut zip = zip::ZipWriter::new(fs::File::create(at("photos.zip")).unwrap());
    for i in 0..20 {
        zip.start_file(format!("{i}.png"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&fs::read(at(&format!("photos/{i}.png"))).unwrap()).unwrap();
    }
    zip.finish().unwrap();
    let whole = fs::read(at("data.zip")).unwrap();
    fs::write(at("cut.zip"), &whole[..whole.len() / 2]).unwrap();
    let words = ["data", "prepare", &path("photos"), "--out", &path("no-captions.zip")];
    cigan.run(&[&words[..], &["--resolution", "16"]].concat()).ok();
    folder("captioned", 3);
    text("captioned/metadata.csv", "file_name,words\n0.png,a bird\n1.png,a red bird\n");
    folder("unknown-split", 3);
    text("unknown-split/metadata.csv", "file_name,text,split\n0.png,a bird,foo\n");
    folder("mixed-labels", 3);
    text("mixed-labels/metadata.csv", "file_name,label\n0.png,1\n1.png,red\n");
    folder("broken-list", 3);
    text("broken-list/dataset.json", "{\"labels\": [[\"0.png\", 0]]");
    folder("recipes", 3);
    text("recipes/layer1.json", "[]");
    folder("birds", 3);
    fs::create_dir(at("birds/images")).unwrap();
    text("birds/images.txt", "1 a.png\n");
    fs::create_dir(at("damaged")).unwrap();
    text("damaged/a.png", "not an image");
    let jpeg = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/pictures/restarts.jpg");
    fs::write(at("cut.jpg"), &fs::read(jpeg).unwrap()[..900]).unwrap();
    let mut huge = Vec::new();
    let mut header = png::Encoder::new(&mut huge, 30_000, 30_000);
    header.set_depth(png::BitDepth::One);
    header.write_header().unwrap().write_chunk(png::chunk::IDAT, &[]).unwrap();
    fs::write(at("huge.png"), huge).unwrap();
}

/// Copies a folder with everything in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}
