//! `cigan sample`: draws samples without a prompt.

use std::ops::Range;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use clap::{Args, ValueEnum};

use super::codes;
use super::common::{Common, of_model};
use super::results::{ForceArgs, single_file};
use super::terminal::Terminal;
use crate::device::IMAGES_AT_ONCE as CHUNK;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::nn::params;
use crate::picture;
use crate::studio::{DEFAULT_SEEDS, Latents, Seeds};
use crate::systems::requests::Truncation;
use crate::systems::{self, ImageSampler, Loaded, SampleNoise, StyleSpace};
use crate::tensorfile::{Data, HostTensor, TensorFile};

/// Generate random images without a prompt.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan sample --model runs/00000-train-stylegan-small32 --seeds 0-63 --truncation 0.7 --out samples
  cigan sample --model M.safetensors --latents codes.safetensors --out images --format safetensors")]
pub struct SampleArgs {
    /// Model file or run directory.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Seeds of the images, one image per seed, such as 0-15,40.
    #[arg(long, value_name = "SEEDS", default_value = DEFAULT_SEEDS)]
    pub seeds: Seeds,
    /// File of latents to use instead of --seeds, such as the codes.safetensors of `generate`.
    ///
    /// The file contains one tensor: z of shape (N, z_dim), w of shape (N, w_dim), ws of shape
    /// (N, num_ws, w_dim), or the codes of a run of `cigan invert`.
    #[arg(long, value_name = "FILE.safetensors", conflicts_with = "seeds")]
    pub latents: Option<PathBuf>,
    /// Class of the images, for class-conditional models.
    #[arg(long, value_name = "N")]
    pub class: Option<u32>,
    /// Size of the images, for models with several sizes: 0 is the smallest [default: the largest].
    #[arg(long, value_name = "N")]
    pub scale: Option<usize>,
    /// Truncation ψ for --seeds and z: 1 disables truncation, 0 gives the mean image.
    #[arg(long, value_name = "PSI", default_value_t = 1.0, allow_negative_numbers = true)]
    pub truncation: f32,
    /// Number of layers to truncate, coarsest first [default: all].
    #[arg(long, value_name = "N")]
    pub cutoff: Option<usize>,
    /// Noise inputs of the layers.
    #[arg(long, value_enum, default_value = "const")]
    pub noise: NoiseMode,
    /// Folder for the images. A single image may have a file instead, such as bird.png.
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
    #[command(flatten)]
    pub force: ForceArgs,
    /// Format of the images.
    #[arg(long, value_enum, default_value = "png")]
    pub format: Format,
}

/// The values of `--noise`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NoiseMode {
    /// Fixed noise, which is part of the model.
    Const,
    /// Random noise for each seed.
    Random,
    /// No noise.
    None,
}

impl From<NoiseMode> for SampleNoise {
    fn from(mode: NoiseMode) -> Self {
        match mode {
            NoiseMode::Const => SampleNoise::Constant,
            NoiseMode::Random => SampleNoise::Random,
            NoiseMode::None => SampleNoise::None,
        }
    }
}

/// The values of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// PNG files such as seed0000.png, and all of them in grid.png.
    Png,
    /// One tensor `images` of shape (N, 3, H, W), not clamped, in images.safetensors.
    Safetensors,
}

pub(super) fn run(args: &SampleArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    terminal.exit_when_interrupted();
    let single = single_file(&args.out) && args.format == Format::Png;
    match single {
        true => args.force.check_file(&args.out)?,
        false => args.force.check_folder(&args.out, &[])?,
    }
    let model = Model::open(&args.model)?;
    let device = common.open_device(terminal)?.device;
    let loaded = systems::open_at_scale(&model, args.scale, &device)?;
    let noise = SampleNoise::from(args.noise);
    let source = Source::open(args, &*loaded, &device)?;
    if args.noise == NoiseMode::Random && loaded.styles().is_err() {
        return Err(Error::user("--noise random: this model has no noise inputs")
            .hint("omit the flag; each seed gives a different image"));
    }
    let names = source.names();
    let count = names.len();
    if single && count != 1 {
        return Err(Error::user(format!(
            "--out {}: a file holds one image, but {count} are to be generated",
            args.out.display()
        ))
        .hint("give a folder, or one seed, such as --seeds 0"));
    }
    match single {
        true => args.force.create_file(&args.out)?,
        false => args.force.create_folder(&args.out, &[])?,
    }
    let prefix = if args.latents.is_some() { "latent" } else { "seed" };
    let mut parts = Vec::new();
    let mut pictures = Vec::new();
    for start in (0..count).step_by(CHUNK) {
        let n = CHUNK.min(count - start);
        let images = source.images(&names, start..start + n, noise)?;
        match args.format {
            Format::Safetensors => parts.push(params::to_host(images)),
            // Write each image at once, so that an interrupted command keeps those it has drawn.
            Format::Png => {
                for (name, picture) in names[start..].iter().zip(picture::from_tensor(images)) {
                    let path = match single {
                        true => args.out.clone(),
                        false => args.out.join(format!("{prefix}{name:04}.png")),
                    };
                    let mut text = vec![
                        (prefix, name.to_string()),
                        ("truncation", args.truncation.to_string()),
                        ("noise", format!("{:?}", args.noise).to_lowercase()),
                        ("model", model.hash().to_owned()),
                    ];
                    text.extend(args.cutoff.map(|cutoff| ("cutoff", cutoff.to_string())));
                    text.extend(args.scale.map(|scale| ("scale", scale.to_string())));
                    text.extend(args.class.map(|class| ("class", class.to_string())));
                    picture::png::write(&path, &picture, &text)?;
                    terminal.wrote(&path);
                    pictures.push(picture);
                }
            }
        }
        terminal.progress("drawing", (start + n) as u64, count as u64);
    }
    if args.format == Format::Safetensors {
        let mut file = TensorFile::default();
        file.tensors.insert("images".into(), joined(parts)?);
        let path = args.out.join("images.safetensors");
        file.sealed().write(&path)?;
        terminal.wrote(&path);
        return Ok(());
    }
    if single {
        return Ok(());
    }
    let path = args.out.join("grid.png");
    picture::png::write(
        &path,
        &picture::square_grid(&pictures),
        &[("model", model.hash().to_owned())],
    )?;
    terminal.wrote(&path);
    Ok(())
}

/// Concatenates batches of images, `[n, 3, H, W]`.
fn joined(parts: Vec<HostTensor>) -> Result<HostTensor> {
    let mut shape = parts.first().map(|part| part.shape.clone()).unwrap_or_default();
    shape[0] = parts.iter().map(|part| part.shape[0]).sum();
    let values = parts.iter().flat_map(HostTensor::to_f32).collect();
    Ok(HostTensor { shape, data: Data::F32(values) })
}

/// Where the images come from.
enum Source<'a> {
    /// A sampler of seeds, at truncation ψ.
    Seeds(Box<dyn ImageSampler + 'a>, &'a [u64], f32),
    /// The styles `[N, num_ws, w_dim]` of seeds or of a file, and the number of each image, which
    /// is also the seed of its noise.
    Styles(&'a dyn StyleSpace, Tensor<3>, Vec<u64>),
}

impl<'a> Source<'a> {
    /// # Errors
    /// If a flag is out of range, the model does not draw from seeds, or the file of `--latents`
    /// does not contain latents of the model.
    fn open(args: &'a SampleArgs, loaded: &'a dyn Loaded, device: &Device) -> Result<Self> {
        let seeds = &args.seeds.0;
        let of_seeds = || loaded.sampler_of_class(args.class).map_err(of_model(&args.model));
        match (&args.latents, args.cutoff) {
            (Some(path), _) => {
                let styles = styles_for(&format!("--latents {}", path.display()), loaded)?;
                let truncation = codes::truncation(args.truncation, args.cutoff, Some(styles))?;
                let ws = read_latents(path, styles, truncation, args.class, device)?;
                let numbers = (0..ws.dims()[0] as u64).collect();
                Ok(Self::Styles(styles, ws, numbers))
            }
            (None, None) => {
                let sampler = of_seeds()?;
                let psi = codes::truncation(args.truncation, None, None)?.psi;
                Ok(Self::Seeds(sampler, seeds, psi))
            }
            (None, cutoff) => {
                of_seeds()?;
                let flag = cutoff.map_or(String::new(), |cutoff| format!("--cutoff {cutoff}"));
                let styles = styles_for(&flag, loaded)?;
                let truncation = codes::truncation(args.truncation, cutoff, Some(styles))?;
                let ws = styles.map(styles.z(seeds), args.class, truncation)?;
                Ok(Self::Styles(styles, ws, seeds.clone()))
            }
        }
    }

    /// The seed or number of each image.
    fn names(&self) -> Vec<u64> {
        match self {
            Self::Seeds(_, seeds, _) => seeds.to_vec(),
            Self::Styles(_, _, numbers) => numbers.clone(),
        }
    }

    /// Draws some of the images.
    fn images(&self, names: &[u64], some: Range<usize>, noise: SampleNoise) -> Result<Tensor<4>> {
        let seeds = &names[some.clone()];
        match self {
            Self::Seeds(sampler, _, psi) => sampler.images(seeds, *psi, noise),
            Self::Styles(space, ws, _) => {
                let ws = ws.clone().narrow(0, some.start, some.len());
                Ok(space.render(ws, noise, seeds))
            }
        }
    }
}

/// The styles of a model, which `flag` needs.
///
/// # Errors
/// If the model has none.
fn styles_for<'a>(flag: &str, loaded: &'a dyn Loaded) -> Result<&'a dyn StyleSpace> {
    loaded.styles().map_err(|error| match loaded.sampler_of_class(None) {
        Ok(_) => error.context(flag).hint("omit the flag, and give --seeds"),
        // It does not draw at all.
        Err(error) => error,
    })
}

/// Reads z, w or ws from a file. Returns ws, `[N, 1 or num_ws, w_dim]`. Only z is truncated and
/// belongs to a class.
///
/// # Errors
/// If the file does not contain latents of the model, contains z for a model that needs prompts, or
/// contains w or ws next to `--class`.
fn read_latents(
    path: &Path,
    styles: &dyn StyleSpace,
    truncation: Truncation,
    class: Option<u32>,
    device: &Device,
) -> Result<Tensor<3>> {
    let name = format!("--latents {}", path.display());
    match Latents::of(&name, &codes::read("--latents", path)?, styles, device)? {
        Latents::Z(z) => {
            styles.check_z().map_err(|error| {
                error
                    .context(&name)
                    .hint("give w or ws, such as the codes.safetensors of `cigan generate`")
            })?;
            styles.map(z, class, truncation)
        }
        Latents::Codes(codes) => match class {
            None => Ok(codes),
            Some(class) => {
                Err(Error::user(format!("--class {class}: w and ws already have a class"))
                    .hint("omit the flag, or give z"))
            }
        },
    }
}
