//! End-to-end tests of `cigan evaluate`, `import`, `export`, `interpolate` and `mix`.

use std::fs;
use std::path::PathBuf;

use crate::common::models;
use crate::common::program::Cigan;
use cigan::tensorfile::TensorFile;
use serde_json::{Value, json};

fn table<'a>(found: &'a Value, title: &str) -> &'a Vec<Value> {
    let tables = found["tables"].as_array().unwrap();
    let table = tables.iter().find(|t| t["title"] == title);
    table.unwrap_or_else(|| panic!("no table `{title}` in {found}"))["rows"].as_array().unwrap()
}

fn number(row: &Value, name: &str) -> f64 {
    row["metrics"][name].as_f64().unwrap_or_else(|| panic!("no `{name}` in {row}"))
}

fn row<'a>(rows: &'a [Value], name: &str) -> &'a Value {
    let found = rows.iter().find(|row| row["name"].as_str().unwrap().contains(name));
    found.unwrap_or_else(|| panic!("no row `{name}`"))
}

/// The points of each chart of a page as x, y, x, y, …, curve by curve.
fn charts(page: &str) -> Vec<Vec<f64>> {
    let html = fs::read_to_string(page).unwrap();
    let data = html.split("<script type=\"application/json\">").skip(1);
    data.map(|data| {
        let curves: Vec<Vec<[f64; 2]>> =
            serde_json::from_str(data.split("</script>").next().unwrap()).unwrap();
        curves.concat().concat()
    })
    .collect()
}

/// All tables of a tiny model of all stages: the controls have plausible values, and a second run
/// with cached features gives the same results.
#[test]
fn evaluation_measures_models_and_controls() {
    let cigan = Cigan::new();
    let data = cigan.synth(150, 16);
    let one = cigan.train(&["train-stylegan", "--data", &data], "0.016");
    let stage1 = one.to_str().unwrap();
    let two = cigan.train(&["invert", "--data", &data, "--model", stage1], "0.016");
    let stage2 = two.to_str().unwrap();
    let three = cigan.train(&["align-text", "--data", &data, "--model", stage2], "0.032");
    let stage3 = three.to_str().unwrap();

    let evaluate = |words: &[&str]| {
        let samples = if words.contains(&"--samples") { &[][..] } else { &["--samples", "40"] };
        cigan.run(&[&["evaluate", "--data", &data, "--json"], samples, words].concat())
    };
    let out = cigan.path("ev");
    let all = ["--model", stage3, "--out", &out, "--project", "0.2"];
    let first = evaluate(&all).ok().json();
    evaluate(&all).fails(1).says("earlier report").hints();
    assert_eq!(first["models"][0]["trained_on_this_archive"], true);
    // The name of a cache file contains the data, split, count and network.
    let cache_files = || fs::read_dir(cigan.path("cache/features")).unwrap().count();
    let before = cache_files();
    let other = cigan.path("other.zip");
    let synth = ["data", "synth", "--count", "150", "--resolution", "16", "--seed", "1"];
    cigan.run(&[&synth[..], &["--out", &other]].concat()).ok();
    let words = ["--metrics", "samples", "--model", stage1, "--features", "pixels"];
    let own = evaluate(&words).ok().json();
    assert_eq!(cache_files(), before + 2, "features of the reference and of the training images");
    let words = [&words[..], &["--split", "train", "--data", &other]].concat();
    let samples = ["evaluate", "--json", "--samples", "40"];
    let others = cigan.run(&[&samples[..], &words].concat()).ok().json();
    assert_eq!(cache_files(), before + 3, "features of the training images of the other archive");
    assert_ne!(
        number(&table(&others, "Samples")[0], "kid"),
        number(&table(&own, "Samples")[0], "kid")
    );
    assert_eq!(others["models"][0]["trained_on_this_archive"], false);
    let rows = table(&first, "Samples");
    let (model, training) = (&rows[0], row(rows, "training images"));
    assert!(number(training, "frechet") < number(model, "frechet"), "{rows:?}");
    assert!(number(training, "precision") > 0.5, "{rows:?}");
    let rows = table(&first, "Inversion");
    for control in ["G(w_avg)", "mean training", "nearest training", "from w_avg", "from E"] {
        assert!(number(row(rows, control), "mse") > 0.0);
    }
    assert!(number(&rows[0], "cycle") > 0.0);
    // No constant image has a smaller squared error than the mean.
    let mean = number(row(rows, "mean training"), "mse");
    assert!(mean < number(row(rows, "G(w_avg)"), "mse"), "{rows:?}");
    let rows = table(&first, "Overlap of the codes");
    assert!(number(row(rows, "two sets"), "separability") < 0.9, "{rows:?}");
    let rows = table(&first, "Retrieval");
    assert!(number(row(rows, "chance"), "median_rank") > 1.0);
    let rows = table(&first, "Images from captions");
    let (real, shuffled) = (row(rows, "real images"), row(rows, "shuffled"));
    assert!(number(real, "mean_rank") < number(shuffled, "mean_rank"), "{rows:?}");
    assert!(number(&rows[0], "diversity") > 0.0);
    let rows = table(&first, "Edits");
    assert_eq!(number(row(rows, ", inversion"), "from_inversion"), 0.0);
    assert!(number(row(rows, ", towards"), "from_inversion") > 0.0, "{rows:?}");
    assert!(number(row(rows, ", from its own"), "from_inversion") > 0.0, "{rows:?}");
    let html = fs::read_to_string(format!("{out}/index.html")).unwrap();
    assert!(html.contains("data:image/png") && html.contains("Overlap of the codes"));
    assert!(!html.contains("<script src") && !html.contains("src=\"http"));

    // A second run, without projections, which stop by the clock.
    let words = ["--metrics", "samples,text", "--model", stage3];
    assert_eq!(evaluate(&words).ok().stdout, evaluate(&words).ok().stdout);
    let again = evaluate(&words).ok().json();
    assert_eq!(
        table(&again, "Samples"),
        table(&first, "Samples"),
        "cached features give the same values"
    );

    // Refined inversions are closer to the images, and edits of some layers change less.
    let words = ["--metrics", "text", "--model", stage3, "--edit-project", "20", "--edit-bands"];
    let refined = evaluate(&words).ok().json();
    let rows = table(&refined, "Edits");
    let [before, after] =
        [table(&first, "Edits"), rows].map(|rows| number(row(rows, ", inversion"), "mse"));
    assert!(after < before, "{rows:?}");
    let all = number(row(rows, ", towards the text"), "from_inversion");
    for band in ["pose and shape (layers 0-1)", "parts (layers 2-3)", "colours (layers 4-5)"] {
        let changed = number(row(rows, band), "from_inversion");
        assert!(changed > 0.0 && changed < all, "{rows:?}");
    }

    // Settings of edits are not ignored silently.
    let of_edits = ["--edit-strength", "--edit-preserve", "--edit-project", "--edit-tune"];
    let words = ["--metrics", "samples", "--model", stage1, "--features", "pixels", "--edit-bands"];
    let given = of_edits.iter().flat_map(|&flag| [flag, "1"]);
    let mut output = evaluate(&words.into_iter().chain(given).collect::<Vec<_>>()).ok();
    for flag in of_edits.iter().chain(&["--edit-bands"]) {
        output = output.says(&format!("{flag} has no effect without"));
    }

    // A larger λ keeps edits closer to the image.
    let words = ["--metrics", "text", "--model", stage3, "--edit-preserve", "20"];
    let kept = evaluate(&words).ok().json();
    assert_eq!(kept["edit_preserve"], 20.0);
    let [free, held] = [&first, &kept]
        .map(|found| number(row(table(found, "Edits"), ", towards the text"), "perceptual"));
    assert!(held < 0.95 * free, "{held} and {free}");

    // A tuned generator draws inversions closer still.
    let words = ["--metrics", "text", "--model", stage3, "--edit-project", "20"];
    let tuned = evaluate(&[&words[..], &["--edit-tune", "20"]].concat()).ok().json();
    assert_eq!(tuned["edit_tune"], 20);
    let closer = number(row(table(&tuned, "Edits"), ", inversion"), "mse");
    assert!(closer < 0.8 * after, "{closer} after {after}");

    let out = cigan.path("way");
    let words = ["--metrics", "text", "--model", stage3, "--strengths", "0,0.5", "--out", &out];
    let way = evaluate(&words).ok().json();
    let rows = table(&way, "Agreement and diversity by strength");
    let shares: Vec<f64> = rows.iter().map(|row| number(row, "diversity_share")).collect();
    assert!((shares[0] - 1.0).abs() < 1e-6 && shares[1] < shares[0], "{shares:?}");
    // The page has charts by strength, and of rank against share with ascending x.
    let ranks: Vec<f64> = rows.iter().map(|row| number(row, "mean_rank")).collect();
    let real = number(row(table(&way, "Images from captions"), "real images"), "mean_rank");
    let [one, half] = [shares[0], shares[1]];
    let drawn = [
        vec![0.0, ranks[0], 0.5, ranks[1], 0.0, real, 0.5, real],
        vec![0.0, one, 0.5, half],
        vec![half, ranks[1], one, ranks[0], half, real, one, real],
    ];
    let charts = charts(&format!("{out}/index.html"));
    assert_eq!(charts.len(), drawn.len());
    for (chart, drawn) in charts.iter().zip(&drawn) {
        assert!(chart.len() == drawn.len(), "{chart:?} {drawn:?}");
        assert!(chart.iter().zip(drawn).all(|(a, b)| (a - b).abs() <= 1e-4 * b), "{charts:?}");
    }
    let arrived = |row: &Value| number(row, "arrived");
    assert!(arrived(&rows[0]) == 1.0 && arrived(&rows[1]) > 0.0, "{rows:?}");
    // Without directions, the way to the text is too long for 200 steps.
    let mut model = cigan::model::Model::open(stage3).unwrap();
    model.remove_tensor("text_directions");
    let older = cigan.path("older.safetensors");
    model.into_file().write(&older).unwrap();
    let far = evaluate(&["--metrics", "text", "--model", &older, "--strength", "1"]).ok().json();
    let rows = table(&far, "Images from captions");
    assert!(arrived(&rows[0]) < 1.0, "some codes need more than 200 steps: {rows:?}");
    let codes = table(&way, "Text codes");
    assert!(number(&codes[0], "spread_w") > 0.0 && number(&codes[0], "offset") > 0.0, "{codes:?}");
    // A text-conditional network appears in the same tables. It does not invert images.
    let conditional = cigan.train_with_captions(&data, "0.032");
    let conditional = conditional.to_str().unwrap();
    let words = ["--metrics", "samples,text", stage3, conditional];
    let both = evaluate(&words).ok().json();
    // Each model has its own strength, unless one is given.
    let model = cigan::model::Model::open(newest_model(stage3)).unwrap();
    let own = cigan::systems::cigan::text::section::default_strength(&model).unwrap();
    let strengths = [&both, &far].map(|found| found["models"][0]["strength"].as_f64());
    assert!(own.is_some() && strengths == [own, Some(1.0)], "{own:?}, {strengths:?}");
    assert!(both["models"][1]["strength"].is_null());
    assert_eq!(table(&both, "Samples")[0], table(&again, "Samples")[0]);
    assert!(number(&table(&both, "Samples")[1], "kid").is_finite());
    assert_eq!(table(&both, "Retrieval"), table(&again, "Retrieval"));
    let rows = table(&both, "Images from captions");
    assert_eq!(rows[0], table(&again, "Images from captions")[0]);
    assert!(number(&rows[1], "mean_rank") >= 1.0 && number(&rows[1], "diversity_share") > 0.0);
    // The best of several candidates, of models that can rank them.
    let words = ["--metrics", "text", "--candidates", "3"];
    let best = evaluate(&[&words[..], &[stage3]].concat()).ok().json();
    assert_eq!([&best, &again].map(|found| found["candidates"].as_u64()), [Some(3), Some(1)]);
    let found = table(&best, "Images from captions");
    assert_ne!(found[0], rows[0], "other seeds, and other images");
    assert!((0.0..=1.0).contains(&arrived(&found[0])), "{found:?}");
    assert_eq!(found[1..], rows[2..], "the controls stay the same");
    assert!(best.to_string().contains("the best of 3 candidates"), "the note says so");
    evaluate(&[&words[..], &[stage3, conditional]].concat())
        .fails(1)
        .says("--candidates 3")
        .says("cannot rank")
        .hints();
    let words = ["--metrics", "samples", stage1, "--candidates", "3"];
    evaluate(&words).ok().says("--candidates has no effect").says("text, colours");
    for count in ["0", "1001"] {
        evaluate(&[stage3, "--candidates", count]).fails(1).says("--candidates").hints();
    }
    let out = cigan.path("conditional");
    let words = ["--model", conditional, "--out", &out, "--strengths", "0,0.5", "--force"];
    let alone = evaluate(&words).ok().json();
    assert_eq!(alone["tables"].as_array().unwrap().len(), 2, "{alone}");
    assert!(number(&table(&alone, "Samples")[0], "kid").is_finite(), "{alone}");
    evaluate(&["--model", conditional, "--metrics", "inversion"]).fails(1).says("invert").hints();

    let both = evaluate(&["--metrics", "inversion", stage2, stage3]).ok().json();
    let rows = table(&both, "Overlap of the codes");
    assert_eq!(rows[0]["metrics"], rows[1]["metrics"], "stage 3 leaves the encoder alone");

    // Attribute tables, from renders to edits; the probe is trained too briefly to be accurate.
    let words = ["--metrics", "attributes", "--probe-kimg", "0.064", "--edits", "2"];
    let known = evaluate(&[&words[..], &["--model", stage3, "--out", &out, "--force"]].concat())
        .ok()
        .json();
    let rows = table(&known, "Attributes of held-out images");
    for stage in ["fresh renders", "images of val", "projected", "G(E(x))"] {
        assert!((0.0..=1.0).contains(&number(row(rows, stage), "colours")), "{rows:?}");
    }
    assert_eq!(number(row(rows, "chance"), "wing"), 0.125);
    assert!((1.0..=8.0).contains(&number(&table(&known, "Colours of samples")[0], "crown")));
    let rows = table(&known, "Attributes of images from prompts");
    for label in ["one", "three"] {
        for way in ["G(mean code)", "G(T(text))", "text, strength", "no text"] {
            number(row(rows, &format!("{label}: {way}")), "complete");
        }
    }
    let direct = evaluate(&[&words[..], &["--model", conditional]].concat()).ok().json();
    let rows = table(&direct, "Attributes of images from prompts");
    for label in ["one", "three"] {
        number(row(rows, &format!("{label}: directly")), "complete");
    }
    assert!(number(&table(&direct, "Colours of samples")[0], "crown") >= 1.0);
    let edits = known["tables"].as_array().unwrap().last().unwrap();
    assert!(edits["title"].as_str().unwrap().starts_with("Edits by "), "{edits}");
    let mean = row(edits["rows"].as_array().unwrap(), "mean");
    assert!(number(mean, "kept") > 0.0 && number(mean, "asked") <= 1.0);
    let html = fs::read_to_string(format!("{out}/index.html")).unwrap();
    assert!(html.contains("Edits by ") && html.contains("crown asked"));
    let probe = [&words[..], &["--model", stage3]].concat();
    assert_eq!(
        evaluate(&probe).ok().json()["tables"],
        known["tables"],
        "the cached probe gives the same values"
    );
    // Edits start from refined inversions, and depend on λ.
    let edits_of = |extra: &[&str]| {
        let found = evaluate(&[&probe[..], extra].concat()).ok().json();
        found["tables"].as_array().unwrap().last().unwrap().clone()
    };
    let refined = edits_of(&["--edit-project", "20"]);
    assert!(refined["note"].as_str().unwrap().contains("refined by 20 steps"), "{refined}");
    assert_ne!(refined["rows"], edits["rows"]);
    let held = edits_of(&["--edit-preserve", "20"]);
    assert!(held["note"].as_str().unwrap().contains("λ 20"), "{held}");
    assert_ne!(held["rows"], edits["rows"]);
    evaluate(&["--model", stage3, "--metrics", "attributes", "--probe-kimg", "0"])
        .fails(1)
        .says("--probe-kimg")
        .hints();
    // Photographs have no ground-truth attributes.
    let photos = cigan.path("photos");
    fs::create_dir(&photos).unwrap();
    for i in 0..4u8 {
        image::RgbImage::from_pixel(16, 16, image::Rgb([60 * i, 9, 99]))
            .save(format!("{photos}/{i}.png"))
            .unwrap();
    }
    let archive = cigan.path("photos.zip");
    cigan.run(&["data", "prepare", &photos, "--out", &archive, "--resolution", "16"]).ok();
    cigan
        .run(&["evaluate", "--data", &archive, "--model", stage3, "--metrics", "attributes"])
        .fails(1)
        .says("attributes")
        .says("photos.zip")
        .hints();

    evaluate(&["--model", stage1, "--metrics", "text"]).fails(1).says("align-text").hints();
    evaluate(&[]).fails(1).says("no model").hints();
    evaluate(&["--model", stage3, "--split", "test"]).fails(1).says("--split test").hints();
    evaluate(&["--model", stage3, "--samples", "3"]).fails(1).says("--samples 3").hints();
    let weights = cigan.path("w.safetensors");
    fs::write(&weights, b"nonsense").unwrap();
    let features = format!("squeezenet={weights}");
    evaluate(&["--model", stage3, "--features", &features]).fails(1).says("w.safetensors").hints();
    evaluate(&["--model", stage3, "--features", "clip"]).fails(2).says("squeezenet=FILE");

    // Exports: half precision, the generator alone, and the published layout and back.
    let half = cigan.path("half.safetensors");
    cigan.run(&["export", stage3, "--f16", "--out", &half]).ok();
    let sizes =
        [fs::metadata(&half).unwrap().len(), fs::metadata(newest_model(stage3)).unwrap().len()];
    assert!(sizes[0] < sizes[1] * 3 / 4, "{sizes:?}");
    let text = "a small bird with a red crown";
    let pictures = cigan.path("pictures");
    cigan
        .run(&["generate", "--model", &half, "--text", text, "--seeds", "0", "--out", &pictures])
        .ok();
    let alone = cigan.path("alone.safetensors");
    cigan.run(&["export", stage3, "--only", "generator", "--out", &alone]).ok();
    cigan.run(&["generate", "--model", &alone, "--text", text]).fails(1).says("align-text").hints();
    let published = cigan.path("published.safetensors");
    cigan.run(&["export", stage3, "--layout", "stylegan2-ada", "--out", &published]).ok();
    let back = cigan.path("back.safetensors");
    cigan.run(&["import", "stylegan2-ada", &published, "--out", &back]).ok();
    let drawn = [stage3, &alone, &back].map(|model| {
        let out = cigan.path("drawn");
        let words = ["sample", "--model", model, "--seeds", "0-3", "--format", "safetensors"];
        cigan.run(&[&words[..], &["--out", &out, "--force"]].concat()).ok();
        TensorFile::read(format!("{out}/images.safetensors"))
            .unwrap()
            .tensor("images")
            .unwrap()
            .to_f32()
    });
    assert_eq!(drawn[0], drawn[1]);
    // Imported networks clamp activations at ±256 like the published code; nothing here reaches it.
    assert_eq!(drawn[0], drawn[2]);
    let mut broken = TensorFile::read(&published).unwrap();
    broken.tensors.remove("G_ema.synthesis.b8.conv0.weight");
    let path = cigan.path("broken.safetensors");
    broken.write(&path).unwrap();
    let words = ["import", "stylegan2-ada", &path, "--out", &back];
    cigan.run(&words).fails(1).says("the file exists").says("--force");
    let import = cigan.run(&[&words[..], &["--force"]].concat());
    import.fails(1).says("synthesis.b8.conv0.weight").hints();

    let film = cigan.path("film.gif");
    for space in ["w", "z"] {
        let words = ["interpolate", "--model", stage1, "--seeds", "1,2,3", "--frames", "4"];
        cigan.run(&[&words[..], &["--space", space, "--out", &film, "--force"]].concat()).ok();
        assert!(fs::read(&film).unwrap().starts_with(b"GIF89a"));
    }
    let mixed = cigan.path("mixed");
    let words = ["mix", "--model", stage1, "--rows", "0-1", "--columns", "5-7", "--out", &mixed];
    cigan.run(&[&words[..], &["--layers", "1-2"]].concat()).ok();
    let grid = image::open(format!("{mixed}/grid.png")).unwrap();
    assert_eq!((grid.width(), grid.height()), (4 * 64 + 3 * 2, 3 * 64 + 2 * 2));
    // An image that takes all layers from its column equals the column's image.
    cigan.run(&[&words[..], &["--layers", "0-5", "--force"]].concat()).ok();
    let all = image::open(format!("{mixed}/grid.png")).unwrap();
    assert_ne!(all, grid);
    let cell = |row: u32, column: u32| all.crop_imm(column * 66, row * 66, 64, 64);
    assert_eq!(cell(1, 2), cell(0, 2));
    assert_ne!(cell(1, 2), cell(1, 0));
    cigan
        .run(&[&words[..], &["--layers", "3-9", "--force"]].concat())
        .fails(1)
        .says("--layers 3-9")
        .hints();

    let one = ["interpolate", "--model", stage1, "--seeds", "1", "--out", &film];
    cigan.run(&one).fails(1).says("--seeds").hints();
}

/// Samples that `data prepare` has downscaled have no distance to those that `evaluate` downscales.
#[test]
fn larger_samples_are_downscaled_as_photographs_are() {
    let cigan = Cigan::new();
    let run = cigan.train(&["train-stylegan", "--data", &cigan.synth(24, 16)], "0.016");
    let run = run.to_str().unwrap();
    let (drawn, photos) = (cigan.path("drawn"), cigan.path("photos"));
    let words = ["sample", "--model", run, "--seeds", "0-39", "--truncation", "1"];
    cigan.run(&[&words[..], &["--noise", "random", "--out", &drawn]].concat()).ok();
    // Saved again without the metadata, by which `data prepare` refuses images of the program.
    fs::create_dir_all(format!("{photos}/test")).unwrap();
    for seed in 0..40 {
        let name = format!("seed{seed:04}.png");
        let image = image::open(format!("{drawn}/{name}")).unwrap().into_rgb8();
        image.save(format!("{photos}/test/{name}")).unwrap();
    }
    let [small, large] = ["8", "32"].map(|side| {
        let data = cigan.path(&format!("{side}.zip"));
        cigan.run(&["data", "prepare", &photos, "--resolution", side, "--out", &data]).ok();
        data
    });
    let words = ["evaluate", "--model", run, "--split", "test", "--samples", "40", "--json"];
    let evaluate = |data: &str, more: &[&str]| {
        cigan.run(&[&words[..], &["--data", data, "--features", "pixels"], more].concat())
    };
    let found = evaluate(&small, &["--metrics", "samples,collapse"]).ok().json();
    for title in ["Samples", "Collapse"] {
        let tables = found["tables"].as_array().unwrap();
        let note = tables.iter().find(|table| table["title"] == title).unwrap()["note"].to_string();
        assert!(note.contains("downscaled to 8×8"), "{note}");
    }
    let samples = &table(&found, "Samples")[0];
    assert!(number(samples, "frechet").abs() < 1e-5, "{samples}");
    assert_eq!((number(samples, "precision"), number(samples, "recall")), (1.0, 1.0));
    evaluate(&small, &["--metrics", "samples,inversion"])
        .fails(1)
        .says("the images are 8×8")
        .hints();
    evaluate(&small, &[]).fails(1).says("downscale the images").hints();
    evaluate(&large, &["--metrics", "samples"]).fails(1).says("the images are 32×32").hints();
}

/// A model that inverts and generates from text, beside one of the size of the archive.
#[test]
fn models_of_two_sizes_are_compared() {
    let cigan = Cigan::new();
    let (large, small, data) =
        (cigan.path("16.safetensors"), cigan.path("8.safetensors"), cigan.synth(60, 8));
    models::ci_gan(16).file().write(&large).unwrap();
    models::ci_gan(8).file().write(&small).unwrap();
    let out = cigan.path("report");
    let metrics = ["--metrics", "samples,colours,collapse", "--samples", "20", "--json"];
    let evaluate =
        |more: &[&str]| cigan.run(&[&["evaluate", "--data", &data], &metrics[..], more].concat());
    let found = evaluate(&[&large, &small, "--features", "pixels", "--out", &out]).ok().json();
    assert_eq!((&found["resolution"], &found["models"][0]["resolution"]), (&json!(8), &json!(16)));
    assert_eq!(found["models"][1]["resolution"], 8);
    for title in ["Samples", "Colours", "Collapse"] {
        assert!(table(&found, title).len() >= 2, "{title}");
    }
    let page = fs::read_to_string(format!("{out}/index.html")).unwrap();
    assert!(page.contains("16.safetensors: samples (at 16×16)"));
    assert!(page.contains("8.safetensors: images above their inversions"));
    assert!(!page.contains("16.safetensors: images above"));
    // The discriminator of the larger model is no fair measure of smaller images.
    evaluate(&[&large, &small]).ok().says("sees all images enlarged");
    let swapped = evaluate(&[&small, &large]).ok();
    assert!(!swapped.stderr.contains("sees all images enlarged"), "{}", swapped.stderr);
}

fn newest_model(run: &str) -> PathBuf {
    let models = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path());
    let model = models.filter(|p| p.file_name().unwrap().to_string_lossy().starts_with("model-"));
    model.max().unwrap()
}
