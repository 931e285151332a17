//! `cigan mix`: generates a style-mixing grid.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;
use image::RgbImage;

use super::codes::CodeArgs;
use super::common::{Common, of_model};
use super::results::{ForceArgs, REPLACE_RESULTS};
use super::terminal::Terminal;
use super::view::layers;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::picture;
use crate::studio::{Seeds, mix};
use crate::systems;
use crate::systems::requests::check_layers;

/// Maximum number of images in a grid.
const MOST: usize = 1024;

/// Generate a style-mixing grid (Karras et al. 2019, Fig. 3).
#[derive(Debug, Clone, Args)]
#[command(mut_arg("force", |force| force.help(REPLACE_RESULTS)))]
#[command(after_help = "\
The first column shows the samples of --rows, the first row those of --columns. All other images
use the styles of their row, except in --layers, where they use those of their column. Low layers
control coarse features, such as pose and layout; high layers control fine ones, such as colours.

Examples:
  cigan mix --model RUN --rows 0-3 --columns 10-15 --layers 0-3 --out mixed
  cigan mix --model RUN --rows 1,2 --columns 3,4 --layers 4-7 --truncation 0.7 --out colours")]
pub struct MixArgs {
    /// Model file or run directory.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Seeds of the rows.
    #[arg(long, value_name = "SEEDS", default_value = "0-3")]
    pub rows: Seeds,
    /// Seeds of the columns.
    #[arg(long, value_name = "SEEDS", default_value = "10-15")]
    pub columns: Seeds,
    /// Layers to take from the column, such as 0-3 [default: the coarser half].
    #[arg(long, value_name = "FIRST-LAST", value_parser = layers)]
    pub layers: Option<RangeInclusive<usize>>,
    #[command(flatten)]
    pub codes: CodeArgs,
    /// Folder for grid.png.
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
    #[command(flatten)]
    pub force: ForceArgs,
}

pub(super) fn run(args: &MixArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    terminal.exit_when_interrupted();
    let (rows, columns) = (&args.rows.0, &args.columns.0);
    if (rows.len() + 1) * (columns.len() + 1) > MOST {
        return Err(Error::user(format!(
            "--rows, --columns: {} rows × {} columns are too many",
            rows.len(),
            columns.len()
        ))
        .hint(format!(
            "give fewer seeds; a grid has at most {MOST} images, including the first row and column"
        )));
    }
    args.force.check_folder(&args.out, &[])?;
    let model = Model::open(&args.model)?;
    let device = common.open_device(terminal)?.device;
    let loaded = systems::open(&model, &device)?;
    let styles = loaded.styles().map_err(of_model(&args.model))?;
    let num_ws = styles.num_ws();
    let truncation = args.codes.truncation(styles)?;
    let taken = args.layers.clone().unwrap_or(0..=num_ws / 2 - 1);
    styles.check_z()?;
    check_layers(&taken, num_ws)?;
    args.force.create_folder(&args.out, &[])?;
    let total = rows.len() as u64;
    let grid = mix(styles, [rows, columns], &taken, args.codes.class, truncation, |done| {
        terminal.progress("drawing", done as u64, total);
    })?;
    let side = loaded.resolution() as u32;
    let mut pictures = vec![RgbImage::from_pixel(side, side, image::Rgb([255; 3]))];
    pictures.extend(grid.columns);
    for (original, mixtures) in grid.rows {
        pictures.push(original);
        pictures.extend(mixtures);
    }
    let visible: Vec<_> = pictures.iter().map(|p| picture::enlarge_to(p, 64)).collect();
    let path = args.out.join("grid.png");
    let text = [
        ("layers", format!("{}-{}", taken.start(), taken.end())),
        ("truncation", args.codes.truncation.to_string()),
        ("model", model.hash().to_owned()),
    ];
    picture::png::write(&path, &picture::grid(&visible, columns.len() + 1, 2), &text)?;
    terminal.wrote(&path);
    Ok(())
}
