//! `cigan sample`: draws samples without a prompt.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor};
use clap::{Args, ValueEnum};

use super::codes;
use super::common::{Common, create_folder};
use super::terminal::Terminal;
use crate::draws;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::nn::params;
use crate::picture;
use crate::studio::{DEFAULT_SEEDS, Latents, Seeds};
use crate::systems::stylegan::generator::Truncation;
use crate::systems::stylegan::mapping::expand;
use crate::systems::stylegan::sample::latents;
use crate::systems::stylegan::{Generator, Noise};
use crate::systems::{self, Loaded};
use crate::tensorfile::{Data, HostTensor, TensorFile};

/// Number of images per batch.
const CHUNK: usize = 32;

/// Generate random images without a prompt.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan sample --model runs/00000-train-stylegan-birds32 --seeds 0-63 --truncation 0.7 --out samples
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
    /// Truncation ψ of seeds and z: 1 is none, 0 gives the mean image.
    #[arg(long, value_name = "PSI", default_value_t = 1.0, allow_negative_numbers = true)]
    pub truncation: f32,
    /// Number of layers to truncate, coarsest first [default: all].
    #[arg(long, value_name = "N")]
    pub cutoff: Option<usize>,
    /// Noise inputs of the layers.
    #[arg(long, value_enum, default_value = "const")]
    pub noise: NoiseMode,
    /// Folder for the images.
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
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
    let model = Model::open(&args.model)?;
    let device = common.open_device(terminal)?.device;
    let loaded = systems::open(&model, &device)?;
    // Codes from a file need no prompt, even where seeds do.
    let generator = match args.latents {
        Some(_) => loaded.generator()?,
        None => loaded.unconditional()?,
    };
    let truncation = codes::truncation(args.truncation, args.cutoff, generator)?;
    let ws = match &args.latents {
        Some(path) => {
            let label = |count: usize| codes::label(&model, args.class, count, &device);
            let (ws, mapped) = read_latents(path, &*loaded, truncation, label, &device)?;
            if let (false, Some(class)) = (mapped, args.class) {
                return Err(Error::user(format!("--class {class}: w and ws already have a class"))
                    .hint("omit the flag, or give z"));
            }
            ws
        }
        None => {
            let z = latents(&args.seeds.0, None, generator.mapping.z_dim(), &device);
            let label = codes::label(&model, args.class, args.seeds.0.len(), &device)?;
            generator.ws(z, label, truncation)
        }
    };
    let count = ws.dims()[0];
    let names: Vec<u64> = match &args.latents {
        Some(_) => (0..count as u64).collect(),
        None => args.seeds.0.clone(),
    };
    create_folder(&args.out)?;
    let prefix = if args.latents.is_some() { "latent" } else { "seed" };
    let mut parts = Vec::new();
    let mut pictures = Vec::new();
    for start in (0..count).step_by(CHUNK) {
        let n = CHUNK.min(count - start);
        let noise = noise(args.noise, generator, &names[start..start + n], &device);
        let images = generator.synthesize(ws.clone().narrow(0, start, n), &noise);
        match args.format {
            Format::Safetensors => parts.push(params::to_host(images)),
            // Write each image at once, so that an interrupted command keeps those it has drawn.
            Format::Png => {
                for (name, picture) in names[start..].iter().zip(picture::from_tensor(images)) {
                    let path = args.out.join(format!("{prefix}{name:04}.png"));
                    let mut text = vec![
                        (prefix, name.to_string()),
                        ("truncation", args.truncation.to_string()),
                        ("noise", format!("{:?}", args.noise).to_lowercase()),
                        ("model", model.hash().to_owned()),
                    ];
                    text.extend(args.cutoff.map(|cutoff| ("cutoff", cutoff.to_string())));
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
        file.write(&path)?;
        terminal.wrote(&path);
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

fn noise(mode: NoiseMode, generator: &Generator, seeds: &[u64], device: &Device) -> Noise {
    match mode {
        NoiseMode::Const => Noise::Const,
        NoiseMode::None => Noise::None,
        NoiseMode::Random => {
            let mut rngs: Vec<_> =
                seeds.iter().map(|&seed| draws::stream(seed, "noise.sample", 0)).collect();
            generator.synthesis.draw_noise_each(&mut rngs, device)
        }
    }
}

/// Reads z, w or ws from a file. Returns ws, `[N, num_ws, w_dim]`, and whether they were mapped
/// from z. Only z is truncated and uses `label`, a function of the number of images.
///
/// # Errors
/// If the file does not contain latents of the model, or contains z for a model that needs prompts.
fn read_latents(
    path: &std::path::Path,
    loaded: &dyn Loaded,
    truncation: Truncation,
    label: impl FnOnce(usize) -> Result<Option<Tensor<2>>>,
    device: &Device,
) -> Result<(Tensor<3>, bool)> {
    let name = format!("--latents {}", path.display());
    let generator = loaded.generator()?;
    match Latents::of(&name, &TensorFile::read(path)?, generator, device)? {
        Latents::Z(z) => {
            let generator = loaded.unconditional().map_err(|error| {
                error
                    .context(&name)
                    .hint("give w or ws, such as the codes.safetensors of `cigan generate`")
            })?;
            let label = label(z.dims()[0])?;
            Ok((generator.ws(z, label, truncation), true))
        }
        Latents::Codes(codes) => Ok((expand(codes, generator.synthesis.num_ws()), false)),
    }
}
