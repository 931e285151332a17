//! The fuzz targets as ordinary tests: every file of their corpora, then mutants of them for a few
//! seconds. A mutant is a function of its number, so a failure can be repeated.
//!
//! A long run, whose figures are in docs/RELIABILITY.md:
//! `CIGAN_FUZZ=1000000 cargo test --test corpus -- --ignored --nocapture --test-threads 1`
//!
//! `CIGAN_UPDATE_CORPUS=1 cargo test --test corpus` writes the corpora again.

mod common;
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cigan::draws;
use common::models;
use fuzz::{TARGETS, Target};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Longest time that one input may take. Tests on a busy machine are slow; hostile inputs take
/// minutes.
const PATIENCE: Duration = Duration::from_secs(20);
/// Largest resident memory of the whole test in MiB.
const MEMORY: f64 = 2048.0;
/// Largest mutant in bytes.
const LARGEST: usize = 1 << 20;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// The corpus of a target in the order of the names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    if target == "pytorch" {
        let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let all = fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path());
        paths.extend(all.filter(|path| path.extension().is_some_and(|e| e == "pth")));
    }
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no corpus");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A mutant of the corpus: one to eight changes of one of its files.
fn mutant(corpus: &[Vec<u8>], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = corpus[rng.random_range(0..corpus.len())].clone();
    for _ in 0..rng.random_range(1..=8) {
        change(&mut bytes, corpus, rng);
        if bytes.len() > LARGEST {
            bytes.truncate(LARGEST);
        }
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], rng: &mut ChaCha8Rng) {
    const NUMBERS: [&str; 12] = [
        "0",
        "1",
        "-1",
        "2",
        "255",
        "65536",
        "4000000000",
        "18446744073709551615",
        "1e999",
        "nan",
        "0.5",
        "-9223372036854775808",
    ];
    const TEXTS: [&str; 12] =
        ["[", "{", "\"", "\\", "}", "\n", "\u{feff}", "../", "\0", "null", ",", "\u{301}"];
    let at = rng.random_range(0..=bytes.len());
    let some = |rng: &mut ChaCha8Rng, len: usize| rng.random_range(0..=len.min(64));
    match rng.random_range(0..10) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
        1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.random_range(0..5)],
        2 => {
            let end = at + some(rng, bytes.len() - at);
            bytes.drain(at..end);
        }
        3 => {
            let end = at + some(rng, bytes.len() - at);
            let copy = bytes[at..end].repeat(rng.random_range(1..=64));
            bytes.splice(at..at, copy);
        }
        4 => bytes.truncate(at),
        5 => {
            // A part of another file of the corpus.
            let other = &corpus[rng.random_range(0..corpus.len())];
            let from = rng.random_range(0..=other.len());
            let to = from + some(rng, other.len() - from);
            bytes.splice(at..at, other[from..to].iter().copied());
        }
        6 => {
            // Another number in place of one.
            let digits = |b: &u8| b.is_ascii_digit() || *b == b'.';
            let Some(start) = bytes[at..].iter().position(digits).map(|offset| at + offset) else {
                return;
            };
            let length = bytes[start..].iter().take_while(|b| digits(b)).count();
            let number = NUMBERS[rng.random_range(0..NUMBERS.len())];
            bytes.splice(start..start + length, number.bytes());
        }
        7 if bytes.len() >= at + 8 => {
            // A size in binary.
            let number = [0, 1, u32::MAX.into(), 1 << 33, u64::MAX][rng.random_range(0..5)];
            bytes[at..at + 8].copy_from_slice(&u64::to_le_bytes(number));
        }
        8 => {
            let text = TEXTS[rng.random_range(0..TEXTS.len())];
            let count = [1, 1, 1, 300, 20_000][rng.random_range(0..5)];
            bytes.splice(at..at, text.repeat(count).into_bytes());
        }
        _ => bytes.insert(at, rng.random()),
    }
}

fn timed(name: &str, target: Target, bytes: &[u8], what: &str) {
    let began = Instant::now();
    target(bytes);
    let time = began.elapsed();
    assert!(time < PATIENCE, "{name}: {what} takes {time:.1?}");
}

/// Runs mutants of a target until `go_on` returns false for their number; returns that.
fn run(name: &str, target: Target, mut go_on: impl FnMut(u64) -> bool) -> u64 {
    let corpus = corpus(name);
    corpus
        .iter()
        .enumerate()
        .for_each(|(i, bytes)| timed(name, target, bytes, &format!("file {i}")));
    let mut number = 0;
    while go_on(number) {
        let mut rng = draws::stream(17, name, number);
        let bytes = mutant(&corpus, &mut rng);
        let what = format!("mutant {number}");
        let result = std::panic::catch_unwind(|| timed(name, target, &bytes, &what));
        if let Err(panic) = result {
            let path = std::env::temp_dir().join(format!("cigan-{name}-{number}"));
            fs::write(&path, &bytes).unwrap();
            eprintln!("{name}: {what} is in {}", path.display());
            std::panic::resume_unwind(panic);
        }
        number += 1;
    }
    number
}

#[test]
fn corpora_and_mutants_are_harmless() {
    if std::env::var_os("CIGAN_UPDATE_CORPUS").is_some() {
        write_corpora();
    }
    for (name, target) in TARGETS {
        let began = Instant::now();
        let count = run(name, *target, |_| began.elapsed() < Duration::from_secs(2));
        eprintln!("{name}: {count} mutants");
    }
    let peak = cigan::train::peak_mb().unwrap_or(0.0);
    assert!(peak < MEMORY, "{peak} MiB");
}

#[test]
#[ignore = "takes hours; see the head of this file"]
fn many_mutants() {
    let variable = |name: &str| std::env::var(name).ok();
    let count: u64 = variable("CIGAN_FUZZ").map_or(100_000, |n| n.parse().expect("a number"));
    let only = variable("CIGAN_FUZZ_TARGET");
    for (name, target) in
        TARGETS.iter().filter(|(name, _)| only.as_deref().is_none_or(|o| o == *name))
    {
        let began = Instant::now();
        run(name, *target, |number| number < count);
        let (time, peak) = (began.elapsed(), cigan::train::peak_mb().unwrap_or(0.0));
        println!("| {name} | {count} | {time:.0?} | {peak:.0} MiB |");
    }
}

/// Writes the small files that the mutants begin with.
fn write_corpora() {
    use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(folder(target)).unwrap();
        fs::write(folder(target).join(name), bytes).unwrap();
    };
    for (name, model) in [
        ("ci-gan.safetensors", models::ci_gan(8)),
        ("text.safetensors", models::text_conditional(8)),
    ] {
        write("model", name, &model.into_file().to_bytes().unwrap());
    }
    let mut tensors = cigan::tensorfile::TensorFile::default();
    tensors.insert_f32("a.weight", [2, 2], vec![0.5; 4]).unwrap();
    tensors.insert_f32("module.b", [1], vec![1.0]).unwrap();
    tensors.metadata.insert("key".into(), "value".into());
    write("safetensors", "plain.safetensors", &tensors.to_bytes().unwrap());
    write("safetensors", "sealed.safetensors", &tensors.sealed().to_bytes().unwrap());
    for kind in [
        cigan::language::TokenKind::Word,
        cigan::language::TokenKind::Bpe,
        cigan::language::TokenKind::Phrase,
    ] {
        let json = models::tokenizer(kind).to_json().unwrap();
        write("tokenizer", &format!("{kind:?}.json").to_lowercase(), json.as_bytes());
    }
    write("pytorch", "pickle.pkl", b"\x80\x04\x95\x0a\0\0\0\0\0\0\0}q\0.");
    let picture = DynamicImage::from(RgbImage::from_fn(9, 7, |x, y| {
        Rgb([(x * 28) as u8, (y * 36) as u8, 90])
    }));
    for (name, format) in [
        ("x.png", ImageFormat::Png),
        ("x.jpg", ImageFormat::Jpeg),
        ("x.gif", ImageFormat::Gif),
        ("x.webp", ImageFormat::WebP),
        ("x.bmp", ImageFormat::Bmp),
        ("x.tiff", ImageFormat::Tiff),
    ] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        write("pictures", name, bytes.get_ref());
    }
    let cigan = common::program::Cigan::new();
    write("archive", "synth.zip", &fs::read(cigan.synth(3, 8)).unwrap());
    for (index, text) in [
        "{\"file_name\": \"a.png\", \"text\": \"a red bird\"}\n{\"file_name\": \"b.png\", \"text\": [\"x\"]}\n",
        "file_name,text,label\na.png,\"a small, red bird\",0\nb.png,5\" long,1\n",
        "{\"labels\": [[\"a.png\", 3], [\"b.png\", null]]}",
        "a red bird\na small bird\n",
        "1 001.Bird/a.jpg\n2 002.Other/b.jpg\n",
        "1 0.0 1.0 20.0 30.0\n",
        "[{\"id\": \"a\", \"title\": \"Soup\", \"ingredients\": [{\"text\": \"salt\"}], \"partition\": \"train\"}]",
        "[{\"id\": \"a\", \"images\": [{\"id\": \"a.png\", \"url\": \"\"}]}]",
    ]
    .into_iter()
    .enumerate()
    {
        write("folder", &format!("{index}.txt"), &[&[index as u8][..], text.as_bytes()].concat());
    }
    let shown = cigan.run(&["config", "show", "birds32"]).ok().stdout;
    write("settings", "birds32.toml", shown.as_bytes());
    write(
        "settings",
        "assignments.txt",
        b"stylegan.batch=16\nstylegan.network.z_dim = 2\nrun.seed=3\n",
    );
    write("seeds", "list.txt", b"0-15,40");
    write("seeds", "choice.txt", b"vgg16=v.pth,layers=conv3_3+conv4_3");
    let draw = "{\"text\":\"a red bird\",\"seeds\":\"0-3\",\"vary\":{\"of\":\"7\",\"by\":0.5},\
                \"strength\":0.2,\"truncation\":0.7,\"steps\":20,\"strip\":false}";
    let edit = "{\"name\":\"x.png\",\"code\":{\"row\":0,\"values\":[0.5,1.0]},\"from\":\"a bird\",\
                \"to\":\"a red bird\",\"strength\":0.3,\"preserve\":0.5,\"steps\":9,\"layers\":[0,3]}";
    write("requests", "draw.json", draw.as_bytes());
    write("requests", "edit.json", edit.as_bytes());
}
