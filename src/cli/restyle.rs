//! `cigan restyle`: gives images another text and keeps their style.

use std::path::PathBuf;

use clap::Args;
use image::RgbImage;

use super::common::{Common, of_model, stopped};
use super::results::{ForceArgs, REPLACE_RESULTS};
use super::terminal::Terminal;
use super::view::{batch, unique_names};
use crate::data::open_photos;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::picture;
use crate::studio::{Studio, restyle};
use crate::systems;

/// Maximum number of images in a grid.
const MOST: usize = 1024;
/// Smallest side of an image in the grid.
const SHOWN: u32 = 64;

/// Give images another text and keep their style (Reed et al. 2016, style transfer).
#[derive(Debug, Clone, Args)]
#[command(mut_arg("force", |force| force.help(REPLACE_RESULTS)))]
#[command(after_help = "\
The first column of grid.png shows the images; each other column shows them with one text. The
style is all that a text does not say, such as the pose and the background. Each result is also
written to a file, such as bird-00-restyled.png for the first text.

Examples:
  cigan restyle --model RUN --image bird.jpg --text \"a red bird\" --text \"a blue bird\" --out restyled
  cigan restyle --model RUN --image *.jpg --text \"a yellow bird\" --match --out yellow")]
pub struct RestyleArgs {
    /// Model file or run directory of `train-style`.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Images whose style is kept: the rows of the grid.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub image: Vec<PathBuf>,
    /// Prompt for the new images: a column of the grid; may be repeated.
    #[arg(long, value_name = "TEXT", required = true)]
    pub text: Vec<String>,
    /// Scale styles to the length of random noise.
    ///
    /// The encoder shortens styles that it is unsure of, which makes images more alike.
    #[arg(long = "match")]
    pub matched: bool,
    /// Folder for the results.
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
    #[command(flatten)]
    pub force: ForceArgs,
}

pub(super) fn run(args: &RestyleArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    let (rows, columns) = (args.image.len(), args.text.len());
    if rows * (columns + 1) > MOST {
        return Err(Error::user(format!(
            "--image, --text: {rows} rows × {columns} columns are too many"
        ))
        .hint(format!("give fewer images or texts; a grid has at most {MOST} images")));
    }
    let names = unique_names(&args.image);
    let file = |name: &str, text: usize| format!("{name}-{text:02}-restyled.png");
    let planned: Vec<String> =
        names.iter().flat_map(|name| (0..columns).map(move |text| file(name, text))).collect();
    args.force.check_folder(&args.out, &planned)?;
    let model = Model::open(&args.model)?;
    let device = common.open_device(terminal)?.device;
    let loaded = systems::open(&model, &device)?;
    loaded.style_reader().map_err(of_model(&args.model))?;
    let studio = Studio::of(loaded)?;
    for text in &args.text {
        if let Some(warning) = studio.check("--text", text)?.warning() {
            terminal.warning(&warning);
        }
    }
    let side = studio.resolution();
    let photos = open_photos(&args.image, side, &mut |text| terminal.warning(text))?;
    args.force.create_folder(&args.out, &planned)?;
    let reader = studio.loaded().style_reader()?;
    let texts: Vec<&str> = args.text.iter().map(String::as_str).collect();
    let mut pictures: Vec<RgbImage> = Vec::new();
    for (index, (photo, name)) in photos.iter().zip(&names).enumerate() {
        terminal.progress("restyling", index as u64, rows as u64);
        let image = batch(std::slice::from_ref(photo), side, &device);
        let results = restyle(reader, image, &texts, args.matched)?;
        pictures.push(photo.clone());
        for (column, (result, text)) in results.iter().zip(&texts).enumerate() {
            let path = args.out.join(file(name, column));
            let matched = args.matched.to_string();
            let text = [("prompt", (*text).to_owned()), ("match", matched)];
            let text = [&text[..], &[("model", model.hash().to_owned())]].concat();
            picture::png::write(&path, result, &text)?;
            terminal.wrote(&path);
        }
        pictures.extend(results);
        stopped(terminal)?;
    }
    terminal.progress("restyling", rows as u64, rows as u64);
    let visible: Vec<_> = pictures.iter().map(|p| picture::enlarge_to(p, SHOWN)).collect();
    let path = args.out.join("grid.png");
    let text = [("texts", texts.join("\n")), ("model", model.hash().to_owned())];
    picture::png::write(&path, &picture::grid(&visible, columns + 1, 2), &text)?;
    terminal.wrote(&path);
    Ok(())
}
