//! CLIP2GAN as users run it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::clip::published;
use crate::common::models::{ci_gan, clip2gan, damsm_alone, stylegan};
use crate::common::program::{Cigan, CommandOutput, tiny};
use cigan::model::Model;
use image::RgbImage;
use serde_json::{Value, json};

fn pixels(path: impl AsRef<Path>) -> RgbImage {
    image::open(path).unwrap().into_rgb8()
}

fn info(cigan: &Cigan, model: &str) -> Value {
    cigan.run(&["info", model, "--json"]).ok().json()
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().unwrap().keys().collect()
}

/// Writes a model to a file.
fn write(cigan: &Cigan, name: &str, model: &Model) -> String {
    let path = cigan.path(name);
    model.file().write(&path).unwrap();
    path
}

/// An archive of images of side 16, a generator and encoders with random weights.
fn inputs(cigan: &Cigan, count: usize) -> [String; 3] {
    let generator = write(cigan, "stylegan.safetensors", &stylegan(16));
    [cigan.synth(count, 16), generator, write(cigan, "damsm.safetensors", &damsm_alone(16))]
}

/// The words of a command that trains.
fn train([data, model, embedding]: [&str; 3]) -> [&str; 9] {
    let system = ["train-baseline", "--system", "clip2gan"];
    let [a, b, c] = system;
    [a, b, c, "--data", data, "--model", model, "--embedding", embedding]
}

fn lines(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn it_trains_draws_and_is_measured() {
    let cigan = Cigan::new();
    let [data, generator, damsm] = inputs(&cigan, 120);
    let words = train([&data, &generator, &damsm]);
    let run = cigan.train(&[&words[..], &["--eval", &data]].concat(), "0.064");
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    for name in [
        "loss/D",
        "loss/D_penalty",
        "loss/reconstruction",
        "loss/perceptual",
        "loss/adversarial",
        "loss/diversity",
        "score/real",
        "score/fake",
        "val/reconstruction",
        "val/mean_image",
        "eval/kid",
    ] {
        assert!(text.contains(&format!("\"{name}\"")), "{name} is not in\n{text}");
    }
    assert!(!text.contains("loss/identity"), "{text}");
    assert_eq!(pixels(run.join("fakes-init.png")).dimensions(), (8 * 16, 4 * 16));
    assert!(pixels(run.join("reconstructions-init.png")).width() > 12 * 64);
    let model = run.display().to_string();
    let shown = info(&cigan, &model);
    assert_eq!(shown["system"], "CLIP2GAN");
    let expected = [
        "sample",
        "mix",
        "interpolate",
        "generate",
        "interpolate --texts",
        "edit",
        "edit --attribute",
        "generate --rank-by",
    ];
    assert_eq!(shown["commands"], json!(expected));
    let all = ["D", "DT", "DV", "G_ema", "M", "M_D", "M_captions", "M_means"];
    assert_eq!(keys(&shown["weights"]), all);
    // 6 → 32 → 32 → 6·8.
    assert_eq!(shown["weights"]["M"], 6 * 32 + 32 + 32 * 32 + 32 + 32 * 48 + 48);
    cigan.run(&["info", &model]).ok();
    cigan.run(&["verify", &model]).ok();
    let measured = ["evaluate", "--model", &model, "--data", &data, "--samples", "20"];
    let measured = [&measured[..], &["--features", "pixels", "--metrics", "samples", "--json"]];
    assert!(cigan.run(&measured.concat()).ok().json().to_string().contains("kid"));

    // A model exported for generating has no discriminators and no encoder of images.
    let small = cigan.path("small.safetensors");
    cigan.run(&["export", &model, "--only", "generator", "--out", &small]).ok();
    let kept = ["DT", "G_ema", "M", "M_captions", "M_means"];
    assert_eq!(keys(&info(&cigan, &small)["weights"]), kept);
    let draw = |model: &str, out: &str| {
        let words = ["generate", "--model", model, "--text", "a red bird", "--seeds", "3"];
        cigan.run(&[&words[..], &["--out", out]].concat())
    };
    let files = ["whole.png", "small.png"].map(|name| cigan.path(name));
    draw(&model, &files[0]).ok();
    draw(&small, &files[1]).ok();
    assert_eq!(pixels(&files[0]), pixels(&files[1]));
    let edit = ["edit", "--model", &small, "--image", &files[0], "--text", "a red bird"];
    cigan.run(&edit).fails(1).says("no encoder of images").hints();
    cigan.run(&["sample", "--model", &small, "--seeds", "0", "--out", &cigan.path("s")]).ok();
}

/// A model with random weights draws like any other.
#[test]
fn prompts_and_seeds_give_images() {
    let cigan = Cigan::new();
    let model = write(&cigan, "model.safetensors", &clip2gan(16));
    let place = |folder: &str, name: &str| Path::new(&cigan.path(folder)).join(name);
    let generate = |folder: &str, text: &str, extra: &[&str]| {
        let out = cigan.path(folder);
        let words = ["generate", "--model", &model, "--text", text, "--out", &out];
        cigan.run(&[&words[..], extra].concat())
    };
    generate("drawn", "a red bird", &["--seeds", "0-2"]).ok();
    let first = pixels(place("drawn", "seed0001.png"));
    assert_ne!(first, pixels(place("drawn", "seed0002.png")));
    generate("alone", "a red bird", &["--seeds", "1"]).ok();
    assert_eq!(first, pixels(place("alone", "seed0001.png")));
    generate("yellow", "a small yellow bird", &["--seeds", "1"]).ok();
    assert_ne!(first, pixels(place("yellow", "seed0001.png")));
    // Without noise, all seeds give one image.
    generate("one", "a red bird", &["--seeds", "0-1", "--truncation", "0"]).ok();
    assert_eq!(pixels(place("one", "seed0000.png")), pixels(place("one", "seed0001.png")));
    // Codes of generated images give the same images.
    let codes = place("drawn", "codes.safetensors").display().to_string();
    let again = cigan.path("again");
    cigan.run(&["sample", "--model", &model, "--latents", &codes, "--out", &again]).ok();
    assert_eq!(first, pixels(place("again", "latent0001.png")));
    generate("ranked", "a red bird", &["--seeds", "0", "--candidates", "4", "--keep", "2"]).ok();
    generate("near", "a red bird", &["--seeds", "0", "--vary", "7", "--vary-by", "0"]).ok();
    generate("seven", "a red bird", &["--seeds", "7"]).ok();
    assert_eq!(pixels(place("near", "seed0000.png")), pixels(place("seven", "seed0007.png")));
    generate("steps", "a red bird", &["--seeds", "0", "--steps", "9"]).ok().says("does not apply");
    cigan.draws_weighted_words(&model);
    let film = cigan.path("film.apng");
    let texts = ["--texts", "a red bird", "a small yellow bird", "--seeds", "1"];
    let words = ["interpolate", "--model", &model, "--frames", "2", "--out", &film];
    cigan.run(&[&words[..], &texts].concat()).ok();
    let samples = cigan.path("samples");
    let sample = ["sample", "--model", &model, "--seeds", "0-3", "--out", &samples];
    cigan.run(&[&sample[..], &["--class", "1"]].concat()).fails(1).says("--class 1").hints();
    cigan.run(&sample).ok();
    let rank = ["generate", "--model", &model, "--text", "a red bird", "--candidates", "3"];
    let rank = [&rank[..], &["--rank-by", &model, "--seeds", "0", "--out", &cigan.path("by")]];
    cigan.run(&rank.concat()).ok();
}

#[test]
fn images_are_edited_in_one_pass() {
    let cigan = Cigan::new();
    let model = write(&cigan, "model.safetensors", &clip2gan(16));
    let photo = cigan.path("photo.png");
    RgbImage::from_fn(16, 16, |x, y| image::Rgb([x as u8 * 16, 99, y as u8 * 16]))
        .save(&photo)
        .unwrap();
    let edit = |out: &str, extra: &[&str]| {
        let out = cigan.path(out);
        let words = ["edit", "--model", &model, "--image", &photo, "--out", &out];
        cigan.run(&[&words[..], extra].concat())
    };
    let image = |out: &str, name: &str| {
        pixels(Path::new(&cigan.path(out)).join(format!("photo-{name}.png")))
    };
    let red = ["--attribute", "a red bird"];
    edit("red", &red).ok();
    let plain = image("red", "edited");
    // The sweep of one attribute has its image for the amount 1 in the fourth place.
    let sweep = image("red", "sweep");
    assert!(sweep.width() > 5 * 128 && sweep.height() > 128);
    for (name, extra) in [
        ("twice", &["--attribute", "a red bird=2"][..]),
        ("less", &["--attribute", "a red bird=-1"]),
        ("both", &["--attribute", "a red bird", "--attribute", "a small yellow bird=0.5"]),
        ("literal", &["--attribute", "a red bird", "--from", "none"]),
        ("other", &["--attribute", "a red bird", "--from", "a small yellow bird"]),
        ("embedding", &["--attribute", "a red bird", "--start", "embedding"]),
        ("coarse", &["--attribute", "a red bird", "--layers", "0-1"]),
    ] {
        edit(name, extra).ok();
        assert_ne!(plain, image(name, "edited"), "{name}");
    }
    edit("encoder", &[&red[..], &["--start", "encoder"]].concat()).ok();
    assert_eq!(plain, image("encoder", "edited"));
    // An attribute without amount, or equal to the neutral text, changes nothing.
    edit("nothing", &["--attribute", "a red bird=0"]).ok();
    edit("neutral", &["--attribute", "a bird"]).ok();
    assert_eq!(image("nothing", "edited"), image("neutral", "edited"));
    assert!(Path::new(&cigan.path("red")).join("codes.safetensors").is_file());
    // The same as a difference of two texts.
    edit("between", &["--from", "a bird", "--to", "a red bird", "--strength", "1"]).ok();
    assert_eq!(plain, image("between", "edited"));
    assert!(!Path::new(&cigan.path("between")).join("curve.jsonl").exists());
    edit("to", &["--text", "a red bird", "--strip", "0,1", "--preserve", "1"])
        .ok()
        .says("--preserve does not apply");
    let file = cigan.path("one.png");
    let words = ["edit", "--model", &model, "--image", &photo, "--out", &file];
    cigan.run(&[&words[..], &red].concat()).ok();
    assert_eq!(plain, pixels(&file));
    let text = cigan::picture::png::read_text(Path::new(&file)).unwrap();
    assert_eq!((text["attributes"].as_str(), text["from"].as_str()), ("a red bird=1", "a bird"));
    let shown = cigan.run(&["info", &file]).ok().stdout;
    assert!(shown.contains("--attribute 'a red bird=1' --from 'a bird'"), "{shown}");
    // Codes of earlier results are edited as well.
    let codes = Path::new(&cigan.path("red")).join("codes.safetensors").display().to_string();
    let out = cigan.path("codes");
    let words = ["edit", "--model", &model, "--codes", &codes, "--out", &out];
    cigan.run(&[&words[..], &["--attribute", "a red bird=-1"]].concat()).ok();
    assert!(Path::new(&out).join("code0000-edited.png").is_file());

    edit("x", &["--attribute", "a red bird=3"]).fails(1).says("--attribute").hints();
    edit("x", &["--attribute", "a red bird=much"]).fails(2);
    edit("x", &["--attribute", "zzz"]).fails(1).says("--attribute").hints();
    edit("x", &[&red[..], &["--layers", "3-9"]].concat()).fails(1).says("--layers").hints();
    edit("x", &[&red[..], &["--text", "a red bird"]].concat()).fails(2);
    edit("x", &["--text", "a red bird", "--project", "5"]).fails(1).says("--project").hints();
    edit("y", &["--text", "a red bird", "--tune", "5"]).fails(1).says("--tune").hints();
    let space = ["--text", "a red bird", "--project-space", "w"];
    edit("in-w", &space).ok().says("--project-space does not apply");
    edit("x", &["--from", "a bird", "--to", "a bird"]).fails(1).says("--from, --to").hints();
    // Without an encoder, images are inverted by their vectors.
    let mut without = clip2gan(16);
    without.remove_section(&cigan::systems::cigan::inversion::INVERSION);
    let without = write(&cigan, "without.safetensors", &without);
    let words = ["edit", "--model", &without, "--image", &photo, "--out", &out, "--force"];
    cigan.run(&[&words[..], &red].concat()).ok();
    let edited = pixels(Path::new(&out).join("photo-edited.png"));
    assert_eq!(edited, image("embedding", "edited"));
    let refused = cigan.run(&[&words[..], &red, &["--start", "encoder"]].concat());
    refused.fails(1).says("--start encoder").hints();
    let other = write(&cigan, "ci-gan.safetensors", &ci_gan(16));
    let words = ["edit", "--model", &other, "--image", &photo, "--out", &out, "--force"];
    cigan.run(&[&words[..], &red].concat()).fails(1).says("cannot add attributes").hints();
}

fn models_equal(a: &Path, b: &Path, name: &str) -> bool {
    fs::read(a.join(name)).unwrap() == fs::read(b.join(name)).unwrap()
}

#[test]
fn runs_resume_exactly() {
    let cigan = Cigan::new();
    let [data, generator, damsm] = inputs(&cigan, 24);
    let words = train([&data, &generator, &damsm]);
    let whole = cigan.train(&words, "0.064");
    let parts = cigan.train(&[&words[..], &["--snapshot-kimg", "0.016"]].concat(), "0.032");
    let run = parts.display().to_string();
    let resume = ["train-baseline", "--resume", &run, "--kimg", "0.064"];
    // Both models belong to the run.
    let hidden = cigan.path("hidden.safetensors");
    fs::rename(&damsm, &hidden).unwrap();
    cigan.run(&resume).fails(1).says("does not exist").says("--embedding");
    let wrong = [&resume[..], &["--embedding", &generator]].concat();
    cigan.run(&wrong).fails(1).says("not the model that the run started with").hints();
    cigan.run(&[&resume[..], &["--embedding", &hidden]].concat()).ok();
    assert!(models_equal(&whole, &parts, "model-000000064.safetensors"), "the models differ");
}

/// The vectors are the codes of E and T, which the model contains.
#[test]
fn codes_of_ci_gan_are_an_embedding() {
    let cigan = Cigan::new();
    let data = cigan.synth(24, 16);
    let base = write(&cigan, "ci-gan.safetensors", &ci_gan(16));
    let words = train([&data, &base, "codes"]);
    let run = cigan.train(&words, "0.032");
    let model = run.display().to_string();
    let shown = info(&cigan, &model);
    assert_eq!(shown["system"], "CLIP2GAN");
    let all = ["D", "E", "G_ema", "M", "M_D", "M_captions", "M_means", "T", "perceptual_units"];
    assert_eq!(keys(&shown["weights"]), all);
    let same = train([&data, &base, &base]);
    let again = cigan.train(&same, "0.032");
    assert!(models_equal(&run, &again, "model-000000032.safetensors"));
    let small = cigan.path("small.safetensors");
    cigan.run(&["export", &model, "--only", "generator", "--out", &small]).ok();
    for model in [&model, &small] {
        let out = cigan.path("out");
        let words = ["generate", "--model", model, "--text", "a red bird", "--seeds", "0"];
        cigan.run(&[&words[..], &["--force", "--out", &out]].concat()).ok();
    }
    // Training a stage of CI-GAN again leaves a model of CI-GAN.
    let words = ["invert", "--data", &data, "--model", &model];
    let inverted = cigan.train(&words, "0.008").display().to_string();
    assert_eq!(info(&cigan, &inverted)["system"], "CI-GAN");
    // With encoders of DAMSM, T is left out; E remains, to invert images.
    let damsm = write(&cigan, "damsm.safetensors", &damsm_alone(16));
    let run = cigan.train(&train([&data, &base, &damsm]), "0.016").display().to_string();
    let weights = info(&cigan, &run)["weights"].clone();
    assert!(weights.get("E").is_some() && weights.get("T").is_none(), "{weights}");
    let words = ["invert", "--data", &data, "--model", &run];
    let inverted = cigan.train(&words, "0.008").display().to_string();
    let shown = info(&cigan, &inverted);
    assert_eq!(shown["system"], "CI-GAN");
    assert!(shown["weights"].get("DT").is_none(), "{}", shown["weights"]);
}

/// CLIP has a vocabulary of its own, which is not a list of words.
#[test]
fn clip_is_an_embedding() {
    let cigan = Cigan::new();
    let [data, generator, _] = inputs(&cigan, 24);
    let clip = cigan.path("clip.safetensors");
    let [weights, vocabulary] =
        ["openai.pt", "merges.txt.gz"].map(|name| published(name).display().to_string());
    let import = ["import", "clip", &weights, "--vocab", &vocabulary, "--out", &clip];
    cigan.run(&import).ok();
    let model = cigan.train(&train([&data, &generator, &clip]), "0.016").display().to_string();
    let shown = info(&cigan, &model);
    assert_eq!(shown["system"], "CLIP2GAN");
    assert!(shown["weights"].get("CV").is_some(), "{}", shown["weights"]);
    assert!(cigan.run(&["info", &model]).ok().stdout.contains("parts of words"));
    cigan.run(&["verify", &model]).ok();
    let small = cigan.path("small.safetensors");
    cigan.run(&["export", &model, "--only", "generator", "--out", &small]).ok();
    assert!(info(&cigan, &small)["weights"].get("CV").is_none());
    let drawn = [&model, &small].map(|model| {
        let out = cigan.path("drawn.png");
        let words = ["generate", "--model", model, "--text", "an unheard-of (bird:1.5)"];
        cigan.run(&[&words[..], &["--seeds", "1", "--force", "--out", &out]].concat()).ok();
        pixels(out)
    });
    assert_eq!(drawn[0], drawn[1]);
    let empty = ["generate", "--model", &model, "--text", " ", "--seeds", "1"];
    cigan.run(&empty).fails(1).says("--text").hints();
    let words = ["edit", "--model", &model, "--image", &cigan.path("drawn.png")];
    let words = [&words[..], &["--attribute", "blue wings=2", "--out", &cigan.path("blue")]];
    cigan.run(&words.concat()).ok();
}

/// Every ablation trains, and changes the result.
#[test]
fn losses_and_noise_can_be_chosen() {
    let cigan = Cigan::new();
    let [data, generator, damsm] = inputs(&cigan, 24);
    let words = train([&data, &generator, &damsm]);
    let default = cigan.train(&words, "0.016");
    let name = "model-000000016.safetensors";
    for (set, has, lacks) in [
        ("adversarial=nonsaturating", "loss/D_penalty", "loss/identity"),
        ("adversarial_weight=0", "loss/diversity", "loss/D"),
        ("diversity_weight=0", "loss/D", "loss/diversity"),
        ("perceptual_weight=0", "loss/D", "loss/perceptual"),
        ("identity_weight=1", "loss/identity", "val/none"),
        ("network.noise.kind=none", "loss/D", "loss/diversity"),
        ("network.noise.kind=add", "loss/diversity", "loss/identity"),
        ("network.noise.kind=lafite", "loss/diversity", "loss/identity"),
        ("network.depth=2", "loss/D", "loss/identity"),
        ("center=false", "loss/D", "loss/identity"),
        ("mirror=false", "loss/D", "loss/identity"),
    ] {
        let set = format!("clip2gan.{set}");
        let mut own = tiny("clip2gan");
        own.extend(["--set", &set, "--kimg", "0.016", "--out"]);
        let runs = cigan.path("ablations");
        let ran = cigan.run(&[&words[..], &own, &[&runs]].concat()).ok();
        let run = PathBuf::from(ran.stdout.lines().next().unwrap());
        let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        assert!(text.contains(&format!("\"{has}\"")), "{set}: {text}");
        assert!(!text.contains(&format!("\"{lacks}\"")), "{set}: {text}");
        assert!(!models_equal(&default, &run, name), "{set} changes nothing");
    }
    // Without the losses that need a discriminator, the model needs none.
    let small = cigan.path("small.safetensors");
    cigan.run(&["export", &generator, "--only", "generator", "--out", &small]).ok();
    let words = train([&data, &small, &damsm]);
    let run = |extra: &[&str]| cigan.run(&[&words[..], &tiny("clip2gan"), extra].concat());
    run(&[]).fails(1).says("--model").says("no discriminator").says("train-stylegan");
    let zero = ["clip2gan.adversarial_weight=0", "clip2gan.perceptual_weight=0"];
    run(&["--set", zero[0], "--dry-run"]).fails(1).says("no discriminator").hints();
    run(&["--set", zero[0], "--set", zero[1], "--dry-run"]).ok();
}

/// The mapper reconstructs held-out images better than the mean image does, and better with their own
/// vectors than with those of other images. E of the same model provides the vectors.
#[test]
fn the_mapper_learns_to_reconstruct() {
    let cigan = Cigan::new();
    let data = cigan.synth(200, 16);
    let stage1 = cigan.train(&["train-stylegan", "--data", &data], "1.5").display().to_string();
    let damsm = ["train-damsm", "--data", &data, "--set", "damsm.view_weight=1"];
    let damsm = cigan.train(&damsm, "0.5").display().to_string();
    let words = train([&data, &stage1, &damsm]);
    let lr = ["--set", "clip2gan.lr=0.002", "--set", "clip2gan.adversarial_weight=0"];
    let run = cigan.train(&[&words[..], &lr].concat(), "3");
    let lines = lines(&run);
    let last = lines.iter().rfind(|line| line.get("val/reconstruction").is_some()).unwrap();
    let [own, others, mean] = ["reconstruction", "of_others", "mean_image"]
        .map(|name| last[format!("val/{name}")].as_f64().unwrap());
    assert!(own < 0.95 * mean, "{own}, mean image {mean}");
    assert!(own < 0.98 * others, "{own}, with vectors of others {others}");
}

#[test]
fn bad_input_is_refused_with_a_hint() {
    let cigan = Cigan::new();
    let [data, generator, damsm] = inputs(&cigan, 24);
    let bare = ["train-baseline", "--system", "clip2gan", "--data", &data];
    let with = |extra: &[&str]| -> CommandOutput { cigan.run(&[&bare[..], extra].concat()) };
    with(&["--embedding", &damsm]).fails(1).says("--model is missing").says("train-stylegan");
    with(&["--embedding", "codes"]).fails(1).says("--model is missing").hints();
    with(&["--model", &generator]).fails(1).says("--embedding is missing").says("train-damsm");
    let refused = with(&["--model", &damsm, "--embedding", &damsm]);
    refused.fails(1).says("--model").says("no StyleGAN").hints();
    let refused = with(&["--model", &generator, "--embedding", &generator]);
    refused.fails(1).says("--embedding").says("no encoders").hints();
    let refused = with(&["--model", &generator, "--embedding", "codes"]);
    refused.fails(1).says("--embedding").says("align-text");
    let base = write(&cigan, "ci-gan.safetensors", &ci_gan(16));
    let refused = with(&["--model", &generator, "--embedding", &base]);
    refused.fails(1).says("another generator").hints();
    let other = write(&cigan, "stylegan32.safetensors", &stylegan(32));
    let refused = with(&["--model", &other, "--embedding", &damsm]);
    refused.fails(1).says("--data: the images are 16×16").hints();
    let other = write(&cigan, "damsm32.safetensors", &damsm_alone(32));
    let refused = with(&["--model", &generator, "--embedding", &other]);
    refused.fails(1).says("encodes images of 32×32").hints();
    let both = ["--model", &generator, "--embedding", &damsm];
    let all = |extra: &[&str]| with(&[&both[..], extra].concat());
    all(&["--text", &damsm]).fails(1).says("--text").says("--embedding");
    all(&["--unconditional"]).fails(1).says("--unconditional").hints();
    all(&["--set", "clip2gan.network.depth=1"]).fails(1).says("depth").hints();
    all(&["--set", "clip2gan.batch=1"]).fails(1).says("batch").hints();
    all(&["--set", "clip2gan.adversarial=gan"]).fails(1).says("adversarial").hints();
    all(&["--set", "gan_int_cls.batch=8"]).fails(1).says("does not read").hints();
    let words = ["train-baseline", "--system", "attngan", "--data", &data, "--text", &damsm];
    let refused = cigan.run(&[&words[..], &["--embedding", &damsm]].concat());
    refused.fails(1).says("--embedding").hints();
    // Encoders with random weights do not find images.
    let many = cigan.synth(500, 16);
    let words = train([&many, &generator, &damsm]);
    let refused = cigan.run(&[&words[..], &tiny("clip2gan")].concat());
    refused.fails(1).says("--embedding").says("do not find their images").says("train-damsm");
    // Without captions, texts have no mean.
    let mute = Cigan::new();
    let folder = PathBuf::from(mute.path("photos"));
    fs::create_dir(&folder).unwrap();
    for i in 0..20u8 {
        RgbImage::from_fn(16, 16, |x, y| image::Rgb([i * 9, x as u8 * 16, y as u8 * 16]))
            .save(folder.join(format!("{i}.png")))
            .unwrap();
    }
    let data = mute.path("photos.zip");
    let source = folder.display().to_string();
    let prepare = ["data", "prepare", &source, "--out", &data, "--resolution", "16"];
    mute.run(&[&prepare[..], &["--split", "all"]].concat()).ok();
    let words = train([&data, &generator, &damsm]);
    mute.run(&words).fails(1).says("--data").says("clip2gan.center=false");
    let center = ["--set", "clip2gan.center=false"];
    let run = mute.train(&[&words[..], &center].concat(), "0.016").display().to_string();
    let words = ["sample", "--model", &run, "--seeds", "0", "--out", &mute.path("out")];
    mute.run(&words).fails(1).says("trained without captions").hints();
    let words = ["generate", "--model", &run, "--text", "a red bird", "--seeds", "0"];
    mute.run(&[&words[..], &["--out", &mute.path("drawn")]].concat()).ok();
}
