//! Checks of the sizes: every number has a range, and networks have a reasonable size.

use super::image;
use super::settings::{
    ClipNetwork, ImageNetwork, ResnetNetwork, TextNetwork, VitNetwork, head_size,
};
use super::text::TextTower;
use crate::error::{Error, Result};
use crate::language::byte_pairs::UNMERGED;
use crate::settings::Checked;
use crate::settings::limits::{MAX_LAYERS, MAX_WIDTH, check_values, within};

/// Largest side of the grid of an image.
const MAX_GRID: usize = 32;
/// Largest side of a patch in pixels.
const MAX_PATCH: usize = 64;
/// Largest side of an image in pixels.
const MAX_SIDE: usize = 1024;
/// Largest number of tokens of a vocabulary.
const MAX_TOKENS: usize = 1 << 20;
/// Largest number of tokens of a text.
const MAX_CONTEXT: usize = 512;

impl Checked for ClipNetwork {
    fn check(&self) -> Result<()> {
        within("clip.size", self.size, 1..=MAX_WIDTH)?;
        self.image.check()?;
        self.text.check()?;
        within("the side of the images", self.image.side(), 1..=MAX_SIDE)?;
        let values = image::shapes(&self.image, self.size).values();
        let text = TextTower::shapes(&self.text, self.size).values();
        check_values("clip", values.saturating_add(text))
    }
}

impl Checked for ImageNetwork {
    fn check(&self) -> Result<()> {
        match self {
            Self::Vit(vit) => vit.check(),
            Self::Resnet(resnet) => resnet.check(),
        }
    }
}

impl Checked for VitNetwork {
    fn check(&self) -> Result<()> {
        within("clip.image.vit.width", self.width, 1..=MAX_WIDTH)?;
        within("clip.image.vit.depth", self.depth, 1..=MAX_LAYERS)?;
        within("clip.image.vit.mlp", self.mlp, 1..=8 * MAX_WIDTH)?;
        within("clip.image.vit.patch", self.patch, 1..=MAX_PATCH)?;
        within("clip.image.vit.grid", self.grid, 1..=MAX_GRID)?;
        check_heads("clip.image.vit.width", self.width, head_size(self.width))
    }
}

impl Checked for ResnetNetwork {
    fn check(&self) -> Result<()> {
        // The first layers of the stem have half as many channels.
        within("clip.image.resnet.width", self.width, 2..=MAX_WIDTH / 32)?;
        if !self.width.is_multiple_of(2) {
            return Err(Error::user(format!("clip.image.resnet.width is {}", self.width))
                .hint("use an even number"));
        }
        for blocks in self.blocks {
            within("clip.image.resnet.blocks", blocks, 1..=MAX_LAYERS)?;
        }
        within("clip.image.resnet.grid", self.grid, 1..=MAX_GRID)
    }
}

impl Checked for TextNetwork {
    fn check(&self) -> Result<()> {
        within("clip.text.tokens", self.tokens, UNMERGED..=MAX_TOKENS)?;
        // The marks of the start and the end, and a token between them.
        within("clip.text.context", self.context, 3..=MAX_CONTEXT)?;
        within("clip.text.width", self.width, 1..=MAX_WIDTH)?;
        within("clip.text.depth", self.depth, 1..=MAX_LAYERS)?;
        within("clip.text.mlp", self.mlp, 1..=8 * MAX_WIDTH)?;
        check_heads("clip.text.width", self.width, self.head())
    }
}

/// Checks that the length of the vectors of a head divides the width.
fn check_heads(name: &str, width: usize, head: usize) -> Result<()> {
    match width.is_multiple_of(head) {
        true => Ok(()),
        false => Err(Error::user(format!("{name} is {width}"))
            .hint(format!("use a multiple of {head}, the length of the vectors of one head"))),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::super::resnet::ModifiedResnet;
    use super::super::vit::VisionTransformer;
    use super::*;
    use crate::language::Tokens;
    use crate::nn::params::collect;
    use crate::nn::{Gelu, Init};
    use crate::shapes::Shapes;
    use crate::tensorfile::TensorFile;

    const TEXT: TextNetwork =
        TextNetwork { tokens: 49_408, context: 77, width: 512, depth: 12, mlp: 2048 };

    fn vit(patch: usize) -> ImageNetwork {
        let grid = 224 / patch;
        ImageNetwork::Vit(VitNetwork { width: 768, depth: 12, mlp: 3072, patch, grid })
    }

    fn resnet50() -> ImageNetwork {
        ImageNetwork::Resnet(ResnetNetwork { width: 64, blocks: [3, 4, 6, 3], grid: 7 })
    }

    /// Number of values that training changes, which leaves out the statistics of normalisations.
    fn trained(shapes: &Shapes) -> u64 {
        let own = shapes.iter().filter(|(name, _)| !name.contains(".standing."));
        own.map(|(_, shape)| shape.iter().product::<usize>() as u64).sum()
    }

    #[test]
    fn numbers_of_weights_are_the_published_ones() {
        for (image, size, own, all) in [
            (vit(32), 512, 87_849_216, 151_277_313),
            (vit(16), 512, 86_192_640, 149_620_737),
            (resnet50(), 1024, 38_316_896, 102_007_137),
        ] {
            let network = ClipNetwork { size, activation: Gelu::QuickGelu, image, text: TEXT };
            network.check().unwrap();
            assert_eq!(network.image.side(), 224);
            let found = trained(&image::shapes(&network.image, size));
            assert_eq!(found, own, "{:?}", network.image);
            // One more is the factor of cosines.
            assert_eq!(found + trained(&TextTower::shapes(&TEXT, size)) + 1, all);
        }
        assert_eq!((TEXT.block().heads, TEXT.block().width), (8, 512));
        let ImageNetwork::Vit(vit) = vit(16) else { panic!("a vision transformer") };
        assert_eq!((vit.block().heads, vit.length()), (12, 197));
        let ImageNetwork::Resnet(resnet) = resnet50() else { panic!("a ResNet") };
        assert_eq!((resnet.heads(), resnet.features(), resnet.length()), (32, 2048, 50));
        // The heads of the largest encoders of open_clip are longer.
        let huge = VitNetwork { width: 1280, depth: 32, mlp: 5120, patch: 14, grid: 16 };
        assert_eq!(huge.block().heads, 16);
    }

    #[test]
    fn shapes_are_those_of_the_networks() {
        let (device, act) = (Device::flex(), Gelu::Gelu);
        let init = &mut Init::new(0, "clip", &device);
        let image = Tensor::zeros([1, 3, 64, 64], &device);
        let vit = VitNetwork { width: 128, depth: 2, mlp: 5, patch: 16, grid: 4 };
        let net = VisionTransformer::new(&vit, 3, act, init);
        let mut file = TensorFile::default();
        collect(&net, "CV", &mut file);
        VisionTransformer::shapes(&vit, 3).check("CV", &file).unwrap();
        assert_eq!(net.forward(image.clone()).dims(), [1, 3]);

        let resnet = ResnetNetwork { width: 4, blocks: [1, 2, 1, 1], grid: 2 };
        let net = ModifiedResnet::new(&resnet, 3, init);
        let mut file = TensorFile::default();
        collect(&net, "CV", &mut file);
        ModifiedResnet::shapes(&resnet, 3).check("CV", &file).unwrap();
        assert_eq!(net.forward(image).dims(), [1, 3]);

        let text = TextNetwork { tokens: 600, context: 5, width: 16, depth: 2, mlp: 7 };
        let net = TextTower::new(&text, 3, act, init);
        let mut file = TensorFile::default();
        collect(&net, "CT", &mut file);
        TextTower::shapes(&text, 3).check("CT", &file).unwrap();
        let tokens = Tokens { ids: vec![1, 599, 0, 1, 2, 599], lengths: vec![2, 3], length: 3 };
        assert_eq!(net.forward(&tokens).dims(), [2, 3]);
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        let network = |image: ImageNetwork, text: TextNetwork| ClipNetwork {
            size: 8,
            activation: Gelu::Gelu,
            image,
            text,
        };
        let vit = VitNetwork { width: 64, depth: 1, mlp: 4, patch: 8, grid: 2 };
        let resnet = ResnetNetwork { width: 4, blocks: [1; 4], grid: 1 };
        network(ImageNetwork::Vit(vit.clone()), TEXT).check().unwrap();
        network(ImageNetwork::Resnet(resnet.clone()), TEXT).check().unwrap();
        for image in [
            ImageNetwork::Vit(VitNetwork { width: 100, ..vit.clone() }),
            ImageNetwork::Vit(VitNetwork { grid: 33, ..vit.clone() }),
            // Each number is in its range, but the image is too large.
            ImageNetwork::Vit(VitNetwork { patch: 64, grid: 32, ..vit.clone() }),
            ImageNetwork::Vit(VitNetwork { width: 16_384, depth: 64, mlp: 131_072, ..vit }),
            ImageNetwork::Resnet(ResnetNetwork { width: 5, ..resnet.clone() }),
            ImageNetwork::Resnet(ResnetNetwork { width: 1024, ..resnet.clone() }),
            ImageNetwork::Resnet(ResnetNetwork { blocks: [1, 0, 1, 1], ..resnet }),
        ] {
            let error = network(image.clone(), TEXT).check().unwrap_err();
            assert!(error.hint.is_some(), "{image:?}");
        }
    }
}
