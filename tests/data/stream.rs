//! The training stream: sampler, loader and batches.

use std::collections::BTreeSet;
use std::sync::Arc;

use cigan::data::synth::{SynthOptions, synth};
use cigan::data::{Archive, Item, Loader, Sampler, Split};

use crate::fixtures::*;

const SIDE: u32 = 8;

fn birds(tree: &Tree, count: usize) -> Arc<Archive> {
    let out = tree.path("birds.zip");
    synth(
        &SynthOptions {
            out: out.clone(),
            count,
            resolution: SIDE,
            seed: 0,
            stop: Default::default(),
        },
        &mut |_| {},
    )
    .unwrap();
    Arc::new(Archive::open(out).unwrap())
}

#[test]
fn each_epoch_is_a_permutation_of_all_items() {
    let indices: Vec<usize> = (0..23).map(|i| 5 * i + 2).collect();
    for mirror in [false, true] {
        let sampler = Sampler::new(indices.clone(), mirror, 9).unwrap();
        let len = sampler.epoch_len();
        let all: BTreeSet<(usize, bool)> = indices
            .iter()
            .flat_map(|&i| [Some((i, false)), mirror.then_some((i, true))])
            .flatten()
            .collect();
        assert_eq!(len, all.len());
        let mut orders = BTreeSet::new();
        for epoch in [0, 1, 2, 1_000_000_007] {
            let items = sampler.items(epoch * len as u64, len);
            let seen: Vec<_> = items.iter().map(|item| (item.index, item.mirrored)).collect();
            assert_eq!(seen.iter().copied().collect::<BTreeSet<_>>(), all, "epoch {epoch}");
            orders.insert(seen);
        }
        assert_eq!(orders.len(), 4, "two epochs have the same order");
    }
    assert!(refusal(Sampler::new(Vec::new(), true, 0)).contains("no images to draw from"));
}

#[test]
fn items_depend_only_on_seed_and_number() {
    let make = |seed| Sampler::new((0..10).collect(), true, seed).unwrap();
    let whole = make(4).items(0, 200);
    let sampler = make(4);
    for nimg in (0..180).rev() {
        for batch in [0, 1, 7, 20] {
            assert_eq!(sampler.items(nimg, batch), whole[nimg as usize..nimg as usize + batch]);
        }
    }
    assert_ne!(make(5).items(0, 200), whole);
}

#[test]
fn the_loader_gives_the_same_batches_in_any_order() {
    let tree = Tree::new();
    let archive = birds(&tree, 13);
    let sampler = || Sampler::new(archive.indices_of(Split::Train), true, 1).unwrap();
    let mut in_order = Loader::new(archive.clone(), sampler(), 5).unwrap();
    let batches: Vec<_> = (0..12).map(|i| in_order.batch(5 * i).unwrap()).collect();
    let mut jumping = Loader::new(archive.clone(), sampler(), 5).unwrap();
    for i in [7, 3, 4, 4, 11, 0, 1, 2, 10] {
        assert!(jumping.batch(5 * i as u64).unwrap() == batches[i], "batch {i}");
    }
    assert_eq!(jumping.archive().len(), 13);
    // A loader can be dropped while it decodes ahead, and before its first batch.
    drop(jumping);
    drop(Loader::new(archive.clone(), sampler(), 5).unwrap());
}

#[test]
fn batches_contain_their_images_mirrored_where_stated() {
    let tree = Tree::new();
    let archive = birds(&tree, 13);
    let sampler = Sampler::new(archive.indices_of(Split::Train), true, 2).unwrap();
    let epoch = sampler.epoch_len();
    let mut loader = Loader::new(archive.clone(), sampler, epoch).unwrap();
    let batch = loader.batch(0).unwrap();
    let side = SIDE as usize;
    assert_eq!(batch.pixels.len(), epoch * side * side * 3);
    let mut mirrored = 0;
    for (image, item) in batch.pixels.chunks_exact(side * side * 3).zip(&batch.items) {
        let Item { index, mirrored: flipped } = *item;
        let plain = archive.pixels(&[index]).unwrap();
        assert_ne!(archive.images()[index].split, Split::Val);
        mirrored += flipped as usize;
        for y in 0..side {
            for x in 0..side {
                let from = if flipped { side - 1 - x } else { x };
                let pixel = |of: &[u8], x: usize| of[(y * side + x) * 3..][..3].to_vec();
                assert_eq!(pixel(image, x), pixel(&plain, from));
            }
        }
    }
    assert_eq!(mirrored * 2, epoch);
}

#[test]
fn batches_carry_the_labels_and_captions_of_their_images() {
    let tree = Tree::new();
    for name in ["a", "b", "c"] {
        tree.write(&format!("src/{name}.png"), flat([1, 2, 3]));
    }
    tree.write(
        "src/metadata.jsonl",
        "{\"file_name\": \"a.png\", \"text\": [\"one\", \"uno\"], \"label\": 4}\n\
         {\"file_name\": \"b.png\", \"text\": \"two\"}\n",
    );
    let (_, archive) = tree.prepare("src", |_| {}).unwrap();
    let archive = Arc::new(archive);
    let sampler = Sampler::new(vec![2, 0, 1], true, 3).unwrap();
    let items = sampler.items(6, 12);
    let mut loader = Loader::new(archive.clone(), sampler, 12).unwrap();
    let batch = loader.batch(6).unwrap();
    drop(loader);
    assert_eq!((batch.len(), batch.is_empty()), (12, false));
    assert_eq!(batch.items, items);
    let captions: [&[&str]; 3] = [&["one", "uno"], &["two"], &[]];
    let ids = ["a.png", "b.png", "c.png"];
    assert_eq!(batch.images().len(), 12);
    for (((item, image), label), own) in
        items.iter().zip(batch.images()).zip(batch.labels()).zip(batch.captions())
    {
        assert_eq!(image.id, ids[item.index]);
        assert_eq!(label, [Some(4), None, None][item.index]);
        assert_eq!(own, captions[item.index]);
        // The text is the archive's, and not a copy.
        assert!(std::ptr::eq(own, archive.images()[item.index].captions.as_slice()));
    }
    // Two epochs show every image twice as it is and twice mirrored.
    assert_eq!(batch.labels().filter(|label| *label == Some(4)).count(), 4);
}

#[test]
fn batches_differ_if_only_a_caption_differs() {
    let tree = Tree::new();
    tree.write("src/a.png", flat([1, 2, 3]));
    let mut batches = ["one", "two", "one"].map(|caption| {
        tree.write("src/a.txt", caption);
        let (_, archive) = tree.prepare("src", |_| {}).unwrap();
        let sampler = Sampler::new(vec![0], false, 0).unwrap();
        Loader::new(Arc::new(archive), sampler, 1).unwrap().batch(0).unwrap()
    });
    assert!(batches[0] != batches[1] && batches[0] == batches[2]);
    batches[2].pixels[0] ^= 1;
    assert!(batches[0] != batches[2]);
}

#[test]
fn a_loader_survives_a_damaged_image() {
    let tree = Tree::new();
    let archive = birds(&tree, 4);
    let mut bytes = std::fs::read(archive.path()).unwrap();
    let at = bytes.windows(4).position(|w| w == b"IDAT").unwrap() + 20;
    bytes[at] ^= 0xff;
    tree.write("damaged.zip", bytes);
    let damaged = Arc::new(Archive::open(tree.path("damaged.zip")).unwrap());
    let sampler = Sampler::new((0..4).collect(), false, 0).unwrap();
    let first = sampler.items(0, 4).iter().position(|item| item.index == 0).unwrap() as u64;
    let mut loader = Loader::new(damaged, sampler, 1).unwrap();
    for _ in 0..2 {
        assert!(refusal(loader.batch(first)).contains("00000/img00000000.png"));
        assert!(loader.batch((first + 1) % 4).is_ok());
    }
}
