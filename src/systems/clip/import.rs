//! Importing published weights.

use std::path::Path;

use serde_json::json;

use super::published::{fill, is_openai};
use super::section::{CLIP, MERGES};
use super::settings::{ClipNetwork, ImageNetwork};
use crate::error::{Error, Result};
use crate::language::BytePairTokenizer;
use crate::language::byte_pairs::{UNMERGED, read_merges};
use crate::model::{Model, Provenance};
use crate::nn::Gelu;
use crate::systems::{Import, ImportOption, ImportOptions, ImportedModel};
use crate::tensorfile::TensorFile;

pub(super) static IMPORTS: [Import; 1] = [Import {
    name: "clip",
    about: "Import CLIP, which ranks images by their agreement with a text",
    details: "\
FILE contains a vision transformer or a modified ResNet and its text encoder: a .pt file of OpenAI,
a state dict or safetensors file of open_clip, or a file of Hugging Face's Transformers. The sizes
of the networks are inferred from the shapes of the tensors. Weights in half precision stay so.

Prompts are repaired as CLIP's authors do with ftfy: references of HTML, curly quotation marks,
ligatures, letters of full width and control characters. Text that was decoded with the wrong
encoding, such as cafÃ©, is not repaired.

Examples:
  cigan import clip ViT-B-32.pt --vocab bpe_simple_vocab_16e6.txt.gz --out clip.safetensors
  cigan import clip laion.safetensors --vocab merges.txt --activation gelu --out clip.safetensors
  cigan generate --model RUN --text \"a red bird\" --candidates 64 --rank-by clip.safetensors",
    options: &[VOCAB, ACTIVATION],
    import,
}];

const VOCAB: ImportOption = ImportOption {
    name: "vocab",
    value: "FILE",
    about: "List of merges, which weight files do not contain (required): \
            bpe_simple_vocab_16e6.txt.gz of OpenAI, or merges.txt of Hugging Face",
    choices: &[],
};

const ACTIVATION: ImportOption = ImportOption {
    name: "activation",
    value: "NAME",
    about: "Activation of the networks, which weights do not tell; with the wrong one, rankings are \
            worse. OpenAI's weights have quick-gelu, in any layout; those of open_clip have gelu, \
            unless their name ends in quickgelu. Required except for OpenAI's own files",
    choices: &["quick-gelu", "gelu"],
};

/// The model of a published file, and the sizes of its networks.
///
/// # Errors
/// If an option is missing, or the file or the vocabulary does not fit.
fn import(file: TensorFile, options: &ImportOptions) -> Result<ImportedModel> {
    let Some(vocabulary) = options.get(VOCAB.name) else {
        return Err(Error::user("--vocab: CLIP needs its vocabulary").hint(
            "give bpe_simple_vocab_16e6.txt.gz of github.com/openai/CLIP (folder clip), or the \
             merges.txt beside the weights",
        ));
    };
    let activation = activation(options, is_openai(&file))?;
    let mut model = Model::new();
    let network = fill(&mut model, file, activation)?;
    let named = |e: Error| e.context("--vocab");
    let count = network.text.tokens - UNMERGED;
    let merges = read_merges(Path::new(vocabulary), count).map_err(named)?;
    BytePairTokenizer::new(&merges, network.text.context).map_err(named)?;
    model.set_text(MERGES, merges);
    let provenance = Provenance {
        cigan: env!("CARGO_PKG_VERSION").to_owned(),
        settings: json!({ "imported": "clip" }),
        ..Default::default()
    };
    model.set(&CLIP, &network, provenance)?;
    Ok(ImportedModel { model, description: described(&network) })
}

/// The activation that was given, or that of OpenAI's own files.
fn activation(options: &ImportOptions, openai: bool) -> Result<Gelu> {
    let Some(given) = options.get(ACTIVATION.name) else {
        return match openai {
            true => Ok(Gelu::QuickGelu),
            false => Err(Error::user("--activation: these weights do not tell theirs").hint(
                "give quick-gelu for weights of OpenAI and for names that end in quickgelu, gelu for \
                 others of open_clip; `hidden_act` or `quick_gelu` in a config.json tells it",
            )),
        };
    };
    let found = Gelu::ALL.into_iter().find(|(name, _)| given == *name);
    found.map(|(_, activation)| activation).ok_or_else(|| {
        Error::user(format!("--activation {}: unknown", given.display()))
            .hint(format!("choose from {}", ACTIVATION.choices.join(", ")))
    })
}

/// The sizes of the networks in words.
fn described(network: &ClipNetwork) -> String {
    let side = network.image.side();
    let image = match &network.image {
        ImageNetwork::Vit(vit) => {
            format!("vision transformer, {} layers, patches of {1}×{1}", vit.depth, vit.patch)
        }
        ImageNetwork::Resnet(resnet) => {
            format!("modified ResNet, {} blocks", resnet.blocks.iter().sum::<usize>())
        }
    };
    let activation = Gelu::ALL.iter().find(|(_, act)| *act == network.activation);
    format!(
        "{image}, images of {side}×{side}; text transformer, {} layers, texts of {} tokens; vectors of \
         {}; {}",
        network.text.depth,
        network.text.context,
        network.size,
        activation.map_or("", |(name, _)| name)
    )
}
