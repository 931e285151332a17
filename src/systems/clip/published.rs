//! The tensors of published files: their names, their layouts, and the sizes that follow from them.
//!
//! OpenAI's names are the common ones; open_clip has the same, some with the prefix `text.`. Hugging
//! Face's Transformers have other names, divide the weights of attention, and transpose the
//! projections.

use std::collections::BTreeMap;

use super::image;
use super::section::{CT, CV, LOGIT_SCALE};
use super::settings::{ClipNetwork, ImageNetwork, ResnetNetwork, TextNetwork, VitNetwork};
use super::text::TextTower;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::nn::Gelu;
use crate::settings::Checked;
use crate::tensorfile::{Data, HostTensor, TensorFile};
use crate::weights::WeightReader;

/// Numbers in OpenAI's own files, beside the tensors.
const OPENAI: [&str; 3] = ["input_resolution", "context_length", "vocab_size"];

/// Whether a file is OpenAI's own, or was saved from it.
pub(super) fn is_openai(file: &TensorFile) -> bool {
    OPENAI.iter().all(|name| file.tensors.contains_key(*name))
}

/// Puts the tensors of a file in any layout into a model that has nothing else. Returns the sizes.
///
/// # Errors
/// If a tensor is missing, left over, of the wrong shape or not finite, or if a size is out of range.
pub(super) fn fill(model: &mut Model, file: TensorFile, activation: Gelu) -> Result<ClipNetwork> {
    let divided = file.tensors.keys().any(|name| name.starts_with("vision_model."));
    let file = if divided { of_hugging_face(file)? } else { without_prefix(file)? };
    filled(model, file, activation).map_err(|e| match divided {
        true => e.context("with the names of OpenAI"),
        false => e,
    })
}

fn filled(model: &mut Model, mut file: TensorFile, activation: Gelu) -> Result<ClipNetwork> {
    let mut reader = WeightReader::from(&file);
    let network = network(&mut reader, &file, activation)?;
    network.check().map_err(|e| e.hint("the file is for a kind of CLIP that is not supported"))?;
    // Our name, and the published one.
    let mut names = Vec::new();
    for (name, shape) in image::shapes(&network.image, network.size).iter() {
        let shape: Vec<Option<usize>> = shape.iter().copied().map(Some).collect();
        let published = image_name(name);
        reader.take(&published, &shape)?;
        names.push((format!("{CV}.{name}"), published));
    }
    for (name, shape) in TextTower::shapes(&network.text, network.size).iter() {
        let shape: Vec<Option<usize>> = shape.iter().copied().map(Some).collect();
        let published = text_name(name);
        reader.take(&published, &shape)?;
        names.push((format!("{CT}.{name}"), published));
    }
    let scalar = file.tensors.get(LOGIT_SCALE).is_some_and(|scale| scale.shape.is_empty());
    let scale: &[Option<usize>] = if scalar { &[] } else { &[Some(1)] };
    let scale = reader.take(LOGIT_SCALE, scale)?.to_f32();
    // A mask that follows from the length of texts.
    reader.finish(|name| name.ends_with("attn_mask"))?;
    model.put_tensor(LOGIT_SCALE, HostTensor::f32([1], scale)?);
    for (name, published) in names {
        if let Some(tensor) = file.tensors.remove(&published) {
            model.put_tensor(&name, tensor);
        }
    }
    Ok(network)
}

/// The sizes that follow from the shapes of tensors.
fn network(reader: &mut WeightReader, file: &TensorFile, activation: Gelu) -> Result<ClipNetwork> {
    let [tokens, width] = dims(reader, "token_embedding.weight")?;
    let [context, _] = dims(reader, "positional_embedding")?;
    let [_, size] = dims(reader, "text_projection")?;
    let depth = count(file, |index| format!("transformer.resblocks.{index}.ln_1.weight"));
    let [mlp, _] = dims(reader, "transformer.resblocks.0.mlp.c_fc.weight")?;
    let text = TextNetwork { tokens, context, width, depth, mlp };
    let image = if reader.holds("visual.layer1.0.conv1.weight") {
        let [width, ..] = dims::<4>(reader, "visual.conv3.weight")?;
        let grid = grid(reader, "visual.attnpool.positional_embedding")?;
        let blocks = [1, 2, 3, 4]
            .map(|stage| count(file, |index| format!("visual.layer{stage}.{index}.conv1.weight")));
        ImageNetwork::Resnet(ResnetNetwork { width, blocks, grid })
    } else {
        let [width, _, patch, _] = dims(reader, "visual.conv1.weight")?;
        let grid = grid(reader, "visual.positional_embedding")?;
        let depth =
            count(file, |index| format!("visual.transformer.resblocks.{index}.ln_1.weight"));
        let [mlp, _] = dims(reader, "visual.transformer.resblocks.0.mlp.c_fc.weight")?;
        ImageNetwork::Vit(VitNetwork { width, depth, mlp, patch, grid })
    };
    Ok(ClipNetwork { size, activation, image, text })
}

/// The shape of a tensor with D dimensions.
fn dims<const D: usize>(reader: &mut WeightReader, name: &str) -> Result<[usize; D]> {
    let shape = &reader.take(name, &[None; D])?.shape;
    let wrong = |_| Error::internal(format!("`{name}` has {} dimensions", shape.len()));
    shape.as_slice().try_into().map_err(wrong)
}

/// The side of a square grid, from the vectors of its positions and of one more.
fn grid(reader: &mut WeightReader, name: &str) -> Result<usize> {
    let [length, _] = dims(reader, name)?;
    let side = length.saturating_sub(1).isqrt();
    match side > 0 && side * side + 1 == length {
        true => Ok(side),
        false => Err(Error::user(format!("tensor `{name}` has {length} positions"))
            .hint("only square images are supported, which have a square number and one more")),
    }
}

/// The first index without a tensor of that name.
fn count(file: &TensorFile, name: impl Fn(usize) -> String) -> usize {
    (0..).take_while(|&index| file.tensors.contains_key(&name(index))).count()
}

/// The published name of a tensor of the image encoder.
fn image_name(ours: &str) -> String {
    let parts: Vec<&str> = ours.split('.').collect();
    let number = |index: &str| index.parse::<usize>().map_or(0, |index| index + 1);
    let name = match parts.as_slice() {
        ["patches"] => "conv1.weight".to_owned(),
        ["class_token"] => "class_embedding".to_owned(),
        ["norm_in", part] => format!("ln_pre.{part}"),
        ["norm_out", part] => format!("ln_post.{part}"),
        ["projection"] => "proj".to_owned(),
        ["stem", index, rest @ ..] => conv_name(&number(index).to_string(), rest),
        ["stages", stage, index, layer, rest @ ..] => {
            let conv = match *layer {
                "reduce" => conv_name("1", rest),
                "middle" => conv_name("2", rest),
                "expand" => conv_name("3", rest),
                _ => match rest {
                    ["weight"] => "downsample.0.weight".to_owned(),
                    _ => format!("downsample.1.{}", norm_part(rest)),
                },
            };
            format!("layer{}.{index}.{conv}", number(stage))
        }
        ["pool", "positions"] => "attnpool.positional_embedding".to_owned(),
        ["pool", "query", part] => format!("attnpool.q_proj.{part}"),
        ["pool", "key", part] => format!("attnpool.k_proj.{part}"),
        ["pool", "value", part] => format!("attnpool.v_proj.{part}"),
        ["pool", "out", part] => format!("attnpool.c_proj.{part}"),
        parts => transformer_name(parts),
    };
    format!("visual.{name}")
}

/// The published name of a tensor of the text encoder.
fn text_name(ours: &str) -> String {
    let parts: Vec<&str> = ours.split('.').collect();
    match parts.as_slice() {
        ["tokens"] => "token_embedding.weight".to_owned(),
        ["norm_out", part] => format!("ln_final.{part}"),
        ["projection"] => "text_projection".to_owned(),
        parts => transformer_name(parts),
    }
}

/// The published names that both transformers have in common.
fn transformer_name(parts: &[&str]) -> String {
    let ["blocks", index, rest @ ..] = parts else { return "positional_embedding".to_owned() };
    let layer = match rest {
        ["norm1", part] => format!("ln_1.{part}"),
        ["norm2", part] => format!("ln_2.{part}"),
        ["attention", "qkv", part] => format!("attn.in_proj_{part}"),
        ["attention", "out", part] => format!("attn.out_proj.{part}"),
        ["expand", part] => format!("mlp.c_fc.{part}"),
        ["contract", part] => format!("mlp.c_proj.{part}"),
        rest => rest.join("."),
    };
    format!("transformer.resblocks.{index}.{layer}")
}

/// The published name of a part of a convolution with batch normalisation.
fn conv_name(number: &str, rest: &[&str]) -> String {
    match rest {
        ["weight"] => format!("conv{number}.weight"),
        _ => format!("bn{number}.{}", norm_part(rest)),
    }
}

/// The published name of a part of a batch normalisation.
fn norm_part(rest: &[&str]) -> String {
    match rest {
        ["norm", "standing", "mean"] => "running_mean".to_owned(),
        ["norm", "standing", "variance"] => "running_var".to_owned(),
        ["norm", part] => (*part).to_owned(),
        _ => rest.join("."),
    }
}

/// The tensors of open_clip without the prefix of its text encoder.
fn without_prefix(file: TensorFile) -> Result<TensorFile> {
    let mut renamed = TensorFile::default();
    for (name, tensor) in file.tensors {
        let name = name.strip_prefix("text.").map(str::to_owned).unwrap_or(name);
        insert(&mut renamed, name, tensor)?;
    }
    Ok(renamed)
}

/// The tensors of Transformers as OpenAI has them.
fn of_hugging_face(file: TensorFile) -> Result<TensorFile> {
    let mut renamed = TensorFile::default();
    // Queries, keys and values, by the name of all three and of the part.
    let mut divided: BTreeMap<(String, String), [Option<HostTensor>; 3]> = BTreeMap::new();
    for (name, tensor) in file.tensors {
        let parts: Vec<&str> = name.split('.').collect();
        let published = match parts.as_slice() {
            ["vision_model", "embeddings", "class_embedding"] => "visual.class_embedding".into(),
            ["vision_model", "embeddings", "patch_embedding", part] => {
                format!("visual.conv1.{part}")
            }
            ["vision_model", "embeddings", "position_embedding", "weight"] => {
                "visual.positional_embedding".into()
            }
            // Sic.
            ["vision_model", "pre_layrnorm", part] => format!("visual.ln_pre.{part}"),
            ["vision_model", "post_layernorm", part] => format!("visual.ln_post.{part}"),
            ["text_model", "embeddings", "token_embedding", part] => {
                format!("token_embedding.{part}")
            }
            ["text_model", "embeddings", "position_embedding", "weight"] => {
                "positional_embedding".into()
            }
            ["text_model", "final_layer_norm", part] => format!("ln_final.{part}"),
            ["visual_projection", "weight"] => {
                insert(&mut renamed, "visual.proj".into(), transposed(tensor))?;
                continue;
            }
            ["text_projection", "weight"] => {
                insert(&mut renamed, "text_projection".into(), transposed(tensor))?;
                continue;
            }
            [tower @ ("vision_model" | "text_model"), "encoder", "layers", index, layer @ ..] => {
                let tower = if *tower == "vision_model" { "visual." } else { "" };
                let block = format!("{tower}transformer.resblocks.{index}");
                match layer {
                    ["layer_norm1", part] => format!("{block}.ln_1.{part}"),
                    ["layer_norm2", part] => format!("{block}.ln_2.{part}"),
                    ["mlp", "fc1", part] => format!("{block}.mlp.c_fc.{part}"),
                    ["mlp", "fc2", part] => format!("{block}.mlp.c_proj.{part}"),
                    ["self_attn", "out_proj", part] => format!("{block}.attn.out_proj.{part}"),
                    ["self_attn", of @ ("q_proj" | "k_proj" | "v_proj"), part] => {
                        let at = ["q_proj", "k_proj", "v_proj"].iter().position(|name| name == of);
                        let key = (format!("{block}.attn"), (*part).to_owned());
                        divided.entry(key).or_default()[at.unwrap_or_default()] = Some(tensor);
                        continue;
                    }
                    _ => name.clone(),
                }
            }
            _ => name.clone(),
        };
        insert(&mut renamed, published, tensor)?;
    }
    for ((attention, part), parts) in divided {
        let name = format!("{attention}.in_proj_{part}");
        let joined = match parts {
            [Some(q), Some(k), Some(v)] => joined([q, k, v]),
            _ => None,
        };
        let joined = joined.ok_or_else(|| {
            Error::user(format!("`{attention}` lacks a {part} of its queries, keys or values"))
                .hint("copy or download the file again; all three have the same shape")
        })?;
        insert(&mut renamed, name, joined)?;
    }
    Ok(renamed)
}

/// Adds a tensor to a file that does not have one of the same name.
fn insert(file: &mut TensorFile, name: String, tensor: HostTensor) -> Result<()> {
    match file.tensors.insert(name.clone(), tensor) {
        None => Ok(()),
        Some(_) => Err(Error::user(format!("two tensors are called `{name}`"))
            .hint("keep the tensors of one network in the file")),
    }
}

/// Three tensors of the same shape, one after the other. `None` if their shapes differ.
fn joined(parts: [HostTensor; 3]) -> Option<HostTensor> {
    let shape = parts[0].shape.clone();
    let (&rows, rest) = shape.split_first()?;
    if parts.iter().any(|part| part.shape != shape) {
        return None;
    }
    let whole = [&[rows.checked_mul(parts.len())?], rest].concat();
    let data = match &parts.each_ref().map(|part| &part.data) {
        [Data::F16(q), Data::F16(k), Data::F16(v)] => Data::F16([q.as_slice(), k, v].concat()),
        _ => Data::F32(parts.iter().flat_map(HostTensor::to_f32).collect()),
    };
    HostTensor::new(whole, data).ok()
}

/// A matrix with rows and columns exchanged. Tensors of other shapes, which are refused later, stay.
fn transposed(tensor: HostTensor) -> HostTensor {
    fn turned<T: Copy>(values: &[T], [rows, columns]: [usize; 2]) -> Vec<T> {
        (0..rows * columns).map(|at| values[at % rows * columns + at / rows]).collect()
    }
    let [rows, columns] = tensor.shape[..] else { return tensor };
    let data = match &tensor.data {
        Data::F16(values) => Data::F16(turned(values, [rows, columns])),
        _ => Data::F32(turned(&tensor.to_f32(), [rows, columns])),
    };
    HostTensor { shape: vec![columns, rows], data }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    #[test]
    fn names_are_the_published_ones() {
        for (ours, published) in [
            ("patches", "visual.conv1.weight"),
            ("positions", "visual.positional_embedding"),
            ("blocks.11.attention.qkv.bias", "visual.transformer.resblocks.11.attn.in_proj_bias"),
            (
                "blocks.0.attention.out.weight",
                "visual.transformer.resblocks.0.attn.out_proj.weight",
            ),
            ("blocks.3.contract.weight", "visual.transformer.resblocks.3.mlp.c_proj.weight"),
            ("stem.2.norm.standing.mean", "visual.bn3.running_mean"),
            ("stages.0.0.skip.weight", "visual.layer1.0.downsample.0.weight"),
            ("stages.3.2.skip.norm.standing.variance", "visual.layer4.2.downsample.1.running_var"),
            ("stages.1.0.middle.norm.bias", "visual.layer2.0.bn2.bias"),
            ("pool.out.bias", "visual.attnpool.c_proj.bias"),
        ] {
            assert_eq!(image_name(ours), published);
        }
        assert_eq!(text_name("tokens"), "token_embedding.weight");
        assert_eq!(text_name("positions"), "positional_embedding");
        assert_eq!(text_name("norm_out.bias"), "ln_final.bias");
        assert_eq!(text_name("blocks.1.norm2.weight"), "transformer.resblocks.1.ln_2.weight");
    }

    #[test]
    fn tensors_keep_their_type_when_they_are_joined_or_transposed() {
        let halves = |shape: &[usize], from: usize| {
            let count = shape.iter().product::<usize>();
            let values = (from..from + count).map(|x| f16::from_f32(x as f32)).collect();
            HostTensor::new(shape.to_vec(), Data::F16(values)).unwrap()
        };
        let whole = joined([halves(&[1, 2], 0), halves(&[1, 2], 2), halves(&[1, 2], 4)]).unwrap();
        assert_eq!(whole, halves(&[3, 2], 0));
        let turned = transposed(whole);
        assert_eq!(
            (turned.shape.clone(), turned.to_f32()),
            (vec![2, 3], vec![0., 2., 4., 1., 3., 5.])
        );
        assert!(matches!(turned.data, Data::F16(_)));
        let single = HostTensor::f32([2], vec![7.0, 8.0]).unwrap();
        let mixed = joined([halves(&[2], 0), halves(&[2], 2), single]).unwrap();
        assert_eq!(mixed, HostTensor::f32([6], vec![0.0, 1.0, 2.0, 3.0, 7.0, 8.0]).unwrap());
        assert!(joined([halves(&[2], 0), halves(&[2], 0), halves(&[3], 0)]).is_none());
        let scalar = || HostTensor::f32([], vec![1.0]).unwrap();
        assert!(joined([scalar(), scalar(), scalar()]).is_none());
    }
}
