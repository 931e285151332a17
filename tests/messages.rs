//! A snapshot of the messages that users meet most often, so that changed wording shows in review.
//!
//! Update it with `CIGAN_UPDATE_SNAPSHOTS=1 cargo test --test messages`.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use common::program::Cigan;

/// The environment variable that asks for an update instead of a comparison.
const UPDATE: &str = "CIGAN_UPDATE_SNAPSHOTS";
/// The model that comes with the sources.
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/birds32.safetensors");
/// A tiny CLIP.
const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/clip/openai.pt");

/// Command lines that fail or warn, as users type them. `DATA` is an archive of 16×16 images,
/// `MODEL` a trained model, `CLIP` published
/// weights.
const LINES: &[&str] = &[
    // Paths.
    "generate --model missing.safetensors --text bird",
    "generate --model notes.txt --text bird",
    "generate --model empty --text bird",
    "info missing.safetensors",
    "data info missing.zip",
    "data info notes.txt",
    "data prepare missing --out new.zip",
    "data prepare empty --out new.zip",
    "edit --model MODEL --image notes.txt --text bird",
    "edit --model MODEL --image cut.jpg --text bird",
    "edit --model MODEL --image huge.png --text bird",
    "project --model MODEL --image damaged.jpg --steps 0 --out projected",
    "data info checkpoint.pth",
    "data synth --out birds.tar --count 2",
    "verify notes.txt",
    "import stylegan2-ada notes.txt --out new.safetensors",
    "import clip CLIP --out new.safetensors",
    "import clip CLIP --vocab notes.txt --out new.safetensors",
    "export MODEL --out MODEL",
    // Prompts and numbers.
    "generate --model MODEL --text xyzzy --out drawn --seeds 0 --steps 1",
    "generate --model MODEL --text bird,xyzzy --out drawn --seeds 0 --steps 1 --strength 0.01",
    "generate --model MODEL --text bird --strength 2",
    "generate --model MODEL --text bird --truncation nan",
    "generate --model MODEL --text bird --seeds 5-1",
    "sample --model MODEL --class 3",
    "interpolate --model MODEL --seeds 1 --out film.gif",
    "mix --model MODEL --layers 0-99",
    "edit --model MODEL --codes notes.txt --text bird",
    // Training.
    "train-stylegan --data missing.zip",
    "train-stylegan --data DATA --preset bird",
    "train-stylegan --data DATA --set stylegan.bacth=3",
    "train-stylegan --data DATA --set stylegan.batch=many",
    "train-stylegan --data DATA --set inversion.batch=3",
    "train-stylegan --data DATA --set stylegan.batch",
    "train-stylegan --data DATA --kimg 0",
    "train-stylegan --data DATA --batch 7",
    "train-stylegan --data DATA --aug ade",
    "train-stylegan --data DATA --condition class",
    "train-stylegan --data DATA --config notes.txt",
    "train-stylegan --data DATA --config typo.toml",
    "train-stylegan --resume missing",
    "train-stylegan --resume empty",
    "invert --data DATA --model MODEL",
    "invert --data DATA --model missing.safetensors",
    "invert --data DATA --model MODEL --perceptual vgg16=missing.pth",
    "align-text --data DATA --model MODEL",
    "train-damsm --data DATA --set damsm.batch=1",
    "train-baseline --system gan-int-cls --data DATA",
    "train-baseline --system gan-int-cls --data DATA --text MODEL",
    "train-baseline --system gan-int-cls --unconditional --data DATA",
    "train-baseline --system stackgan-v2 --data DATA",
    "train-baseline --system stackgan-v2 --unconditional --data DATA --text MODEL",
    "train-baseline --system stackgan-v2 --variant gan --data DATA",
    "train-baseline --system dall-e --data DATA --text MODEL",
    "generate --model MODEL --text bird --scale 1",
    "generate --model MODEL --text bird --candidates 16 --rank-by MISSING",
    "interpolate --model MODEL --texts bird --out film.gif",
    // Evaluation.
    "evaluate --data DATA",
    "evaluate --data DATA --model MODEL",
    "evaluate --data DATA --model MODEL --samples 3",
    // The command line itself.
    "generate --model MODEL",
    "genrate",
    "generate --modle MODEL --text bird",
];

#[test]
fn messages_are_as_the_snapshot_has_them() {
    let cigan = Cigan::new();
    fs::create_dir(cigan.path("empty")).unwrap();
    fs::write(cigan.path("notes.txt"), "buy seeds").unwrap();
    fs::write(cigan.path("typo.toml"), "[stylegan]\nbacth = 3\n").unwrap();
    let jpeg = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/pictures/restarts.jpg");
    let jpeg = fs::read(jpeg).unwrap();
    fs::write(cigan.path("cut.jpg"), &jpeg[..900]).unwrap();
    fs::write(cigan.path("damaged.jpg"), [&jpeg[..900], &[0xff, 0xd9]].concat()).unwrap();
    let mut huge = Vec::new();
    let mut header = png::Encoder::new(&mut huge, 30_000, 30_000);
    header.set_depth(png::BitDepth::One);
    header.write_header().unwrap().write_chunk(png::chunk::IDAT, &[]).unwrap();
    fs::write(cigan.path("huge.png"), huge).unwrap();
    let mut zip = zip::ZipWriter::new(fs::File::create(cigan.path("checkpoint.pth")).unwrap());
    zip.start_file("net/data.pkl", zip::write::SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
    let data = cigan.synth(24, 16);
    let folder = Path::new(&data).parent().unwrap().display().to_string();
    let mut found = String::new();
    for line in LINES {
        let words: Vec<&str> = line
            .split(' ')
            .map(|word| match word {
                "DATA" => data.as_str(),
                "MODEL" => MODEL,
                "CLIP" => CLIP,
                word => word,
            })
            .collect();
        let ran = cigan.run(&words);
        let message = ran
            .stderr
            .replace(&data, "DATA")
            .replace(MODEL, "MODEL")
            .replace(CLIP, "CLIP")
            .replace(&format!("{folder}/"), "")
            .replace("cigan.exe", "cigan");
        // Progress depends on the speed of the machine.
        let message = message.lines().filter(|line| !line.starts_with("optimising"));
        let message: Vec<&str> = message.map(str::trim_end).collect();
        let code = ran.code.unwrap_or(-1);
        write!(found, "$ cigan {line}\n{}\n[exit code {code}]\n\n", message.join("\n").trim_end())
            .unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/messages.txt");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &found).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    for (found, expected) in found.split("\n\n").zip(expected.split("\n\n")) {
        assert_eq!(found, expected, "if this is intended, run the test with {UPDATE}=1");
    }
    assert_eq!(found.len(), expected.len(), "lines were added or removed: run with {UPDATE}=1");
}
