//! The manifest of an archive, `dataset.json`: in our format, or in that of the official
//! StyleGAN2 dataset tool.

mod labels;

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use self::labels::{Class, MAX_RECORDS, Stated};
use super::bounded;
use super::formats::is_image_name;
use super::record::{ImageRecord, MAX_CAPTIONS, Provenance, Skipped};
use super::text;
use crate::error::{Error, Result};

/// Name of the zip entry that holds the manifest.
pub(crate) const MANIFEST_FILE: &str = "dataset.json";

/// Largest `dataset.json` that is read: a million images with ten captions each have less.
pub(crate) const MAX_BYTES: u64 = 1 << 30;
/// Class numbers are below this. A network has parameters for each class.
pub(crate) const MAX_CLASSES: u64 = 1 << 16;

/// The contents of an archive's `dataset.json`.
///
/// The official StyleGAN2 dataset tool writes `labels` alone. Its loader ignores the other fields,
/// so it can read our archives too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the fields below.
    pub version: u32,
    /// Side of the square images in pixels.
    pub resolution: u32,
    /// Where the images came from.
    pub source: Provenance,
    /// `[[file, class], …]` for every image, or null if an image has no class.
    #[serde(default, deserialize_with = "some_labels")]
    pub labels: Option<Vec<(String, u32)>>,
    /// Name of class number `i`.
    #[serde(default, deserialize_with = "bounded::list::<_, _, MAX_RECORDS>")]
    pub class_names: Vec<String>,
    /// The images in the order of the archive.
    #[serde(deserialize_with = "images")]
    pub images: Vec<ImageRecord>,
    /// Files of the source that are not in the archive, and why.
    #[serde(default, deserialize_with = "bounded::list::<_, _, MAX_RECORDS>")]
    pub skipped: Vec<Skipped>,
    /// Files that a remark was made about when the archive was prepared, and the remark, if it did
    /// not state all of their names.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "bounded::list::<_, _, MAX_RECORDS>"
    )]
    pub listed: Vec<Skipped>,
}

fn some_labels<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<(String, u32)>>, D::Error> {
    #[derive(Deserialize)]
    struct Labels(
        #[serde(deserialize_with = "bounded::list::<_, _, MAX_RECORDS>")] Vec<(String, u32)>,
    );
    Ok(Option::<Labels>::deserialize(deserializer)?.map(|Labels(list)| list))
}

/// Reads the images, and counts what belongs to each of them.
fn images<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ImageRecord>, D::Error> {
    bounded::weighed(deserializer, MAX_RECORDS, weight)
}

/// The number of records that an image counts as.
fn weight(image: &ImageRecord) -> usize {
    let phrases = image.phrases.as_ref().map_or(0, Vec::len);
    1 + image.captions.len() + phrases + image.attributes.len()
}

impl Manifest {
    /// The version that this program writes, and the newest one that it reads.
    pub const VERSION: u32 = 1;

    /// Checks that the class numbers can be those of a network; `shown` is the path of the archive.
    pub(crate) fn check_classes(&self, shown: &str) -> Result<()> {
        let large = |image: &&ImageRecord| image.label.is_some_and(|l| l as u64 >= MAX_CLASSES);
        match self.images.iter().find(large) {
            Some(image) => Err(Error::user(format!(
                "{shown}: {} has the class number {}; numbers must be below {MAX_CLASSES}",
                image.file,
                image.label.unwrap_or_default()
            ))
            .hint("prepare the source again; `cigan data prepare` numbers such classes from 0")),
            None => Ok(()),
        }
    }
}

impl Manifest {
    /// The text of the manifest; `shown` is the path of the archive.
    ///
    /// # Errors
    /// A user error if this program would refuse the archive.
    pub(crate) fn to_json(&self, shown: &str) -> Result<Vec<u8>> {
        self.check_classes(shown)?;
        let refused = |found: String, hint: &str| {
            Err(Error::user(format!("{shown}: {MANIFEST_FILE} {found}")).hint(hint))
        };
        if let Some(found) = self.inconsistency() {
            return refused(found, "give each image its own id, and classes that have names");
        }
        let json = serde_json::to_vec(self)
            .map_err(|e| Error::internal(format!("{MANIFEST_FILE}: {e}")))?;
        let (size, records) = (json.len() as u64, self.images.iter().map(weight).sum::<usize>());
        if size > MAX_BYTES || records > MAX_RECORDS {
            return refused(
                format!(
                    "would have {size} bytes and {records} images and captions; the limits are \
                     {MAX_BYTES} and {MAX_RECORDS}"
                ),
                "prepare the source in parts, or with fewer captions",
            );
        }
        Ok(json)
    }

    /// Content of the manifest that `data prepare` would not have written, as a phrase.
    pub(crate) fn inconsistency(&self) -> Option<String> {
        let (mut files, mut ids) = (HashSet::new(), HashSet::new());
        for image in &self.images {
            let file = &image.file;
            if !files.insert(file) {
                return Some(format!("lists {file} twice"));
            }
            if !ids.insert(&image.id) {
                return Some(format!("gives two images the id {:?}", image.id));
            }
            if image.captions.len() > MAX_CAPTIONS {
                let count = image.captions.len();
                return Some(format!("gives {file} {count} captions; the limit is {MAX_CAPTIONS}"));
            }
            if image.captions.iter().any(|caption| caption.trim().is_empty()) {
                return Some(format!("gives {file} an empty caption"));
            }
            let names = self.class_names.len();
            if let Some(label) = image.label.filter(|&label| names > 0 && label as usize >= names) {
                return Some(format!("gives {file} the class {label}, but names {names} classes"));
            }
        }
        let expected: Option<Vec<(&str, u32)>> =
            self.images.iter().map(|image| Some((image.file.as_str(), image.label?))).collect();
        let labels = self.labels.iter().flatten().map(|(file, label)| (file.as_str(), *label));
        let same = labels.eq(expected.into_iter().flatten());
        (!same).then(|| "has `labels` that differ from those of its images".to_owned())
    }
}

/// Class number by file name; None if the images have no classes.
pub(crate) type Labels = Option<BTreeMap<String, u64>>;

/// A `dataset.json` in either format.
pub(crate) enum AnyManifest {
    Ours(Box<Manifest>),
    /// That of the official tool, and the first of its keys that have no meaning.
    Official(Labels, Vec<String>),
    /// A file of another program that happens to have this name.
    Other,
}

/// Whether a file that starts with `head` may be a manifest: others call an array of rows
/// `dataset.json`.
pub(crate) fn is_object(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    head.trim_ascii_start().first() != Some(&b'[')
}

/// Whether a `dataset.json` is that of an archive of cigan, of any version.
pub(crate) fn is_ours(json: &[u8]) -> bool {
    serde_json::from_slice::<Probe>(json).is_ok_and(|p| p.version.is_some() && p.images.is_some())
}

/// Number of keys without a meaning that are kept, and of the bytes of each.
const MAX_OTHERS: usize = 100;

/// The fields that distinguish our manifests from those of other programs.
#[derive(Default)]
struct Probe {
    version: Option<Class>,
    images: Option<IgnoredAny>,
    source: Option<IgnoredAny>,
    /// Whether there are labels, or null in their place.
    labels: bool,
    others: Vec<String>,
}

impl<'de> Deserialize<'de> for Probe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Probe;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Probe, A::Error> {
                let mut probe = Probe::default();
                while let Some(mut key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "version" => probe.version = map.next_value()?,
                        "images" => probe.images = map.next_value()?,
                        "source" => probe.source = map.next_value()?,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            probe.labels |= key == "labels";
                            if key != "labels" && probe.others.len() < MAX_OTHERS {
                                key.truncate(key.floor_char_boundary(MAX_OTHERS));
                                probe.others.push(key);
                            }
                        }
                    }
                }
                Ok(probe)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// Parses a `dataset.json` in either format; `shown` is its path or that of its zip, for error
/// messages. It takes a small multiple of the size of the text, because values that have no meaning
/// are not kept.
///
/// # Errors
/// A user error if it is not JSON, if its version is newer than this program, or if its labels are
/// not class numbers.
pub(crate) fn parse(shown: &str, json: Vec<u8>) -> Result<AnyManifest> {
    #[derive(Deserialize)]
    struct Official {
        #[serde(default)]
        labels: Option<Stated>,
    }
    let shown = match shown.ends_with(MANIFEST_FILE) {
        true => shown.to_owned(),
        false => format!("{shown}: {MANIFEST_FILE}"),
    };
    let json = text::to_utf8(json).map_err(|reason| {
        Error::user(format!("{shown}: {reason}")).hint("save the file as UTF-8")
    })?;
    let broken = |e: serde_json::Error| {
        Error::user(format!("{shown} is broken: {e}")).hint(
            "if you wrote the file, correct or remove it; if cigan wrote it, copy or prepare the \
             archive again",
        )
    };
    let probe: Probe = serde_json::from_slice(&json).map_err(broken)?;
    if let (Some(Class::Number(version)), Some(_)) = (&probe.version, &probe.images) {
        if *version > Manifest::VERSION.into() {
            return Err(Error::user(format!(
                "{shown} has version {version}; this program reads versions up to {}",
                Manifest::VERSION
            ))
            .hint("use a newer cigan"));
        }
        let manifest: Manifest = serde_json::from_slice(&json).map_err(broken)?;
        manifest.check_classes(&shown)?;
        return Ok(AnyManifest::Ours(Box::new(manifest)));
    }
    if probe.version.is_some() && probe.source.is_some() {
        return Err(Error::user(format!("{shown} is that of an archive, but has no `images`"))
            .hint("copy the archive or prepare its source again"));
    }
    let official: Official = serde_json::from_slice(&json).map_err(broken)?;
    match official.labels {
        // An object without labels that contains something else is that of another program.
        None if probe.images.is_some() || !probe.labels && !probe.others.is_empty() => {
            Ok(AnyManifest::Other)
        }
        None => Ok(AnyManifest::Official(None, probe.others)),
        Some(Stated { labels, refused: None }) => {
            Ok(AnyManifest::Official(Some(labels), probe.others))
        }
        Some(Stated { refused: Some((file, found, hint)), .. }) => {
            Err(Error::user(format!("{shown} labels {file} as {found}")).hint(hint))
        }
    }
}

/// An image in a zip that has no manifest of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlainImage {
    /// Number of its entry within the zip.
    pub entry: usize,
    /// Name of that entry; it is the image's id too.
    pub name: String,
    /// Class number, from 0.
    pub label: Option<u64>,
}

/// The images among the entries of a zip, sorted by name, and the files that `labels` names but
/// the zip lacks. `names` are the names of all entries in order.
pub(crate) fn plain_images<'a>(
    names: impl Iterator<Item = &'a str>,
    labels: &Labels,
) -> (Vec<PlainImage>, Vec<Skipped>) {
    let mut absent: BTreeMap<&str, u64> =
        labels.iter().flatten().map(|(name, &class)| (name.as_str(), class)).collect();
    let mut images = Vec::new();
    for (entry, name) in names.enumerate() {
        let label = absent.remove(name);
        if is_image_name(name) && !name.starts_with("__MACOSX/") {
            images.push(PlainImage { entry, name: name.to_owned(), label });
        }
    }
    images.sort_by(|a, b| a.name.cmp(&b.name));
    let skipped = absent
        .into_keys()
        .map(|name| Skipped::new(name, format!("listed in {MANIFEST_FILE}, but not in the zip")))
        .collect();
    (images, skipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_images_are_sorted_and_labelled_by_name() {
        let names = ["b.png", "dataset.json", "a.jpg", "__MACOSX/a.jpg", "note.txt"];
        let labels = [("a.jpg", 3), ("note.txt", 1), ("gone.png", 2)];
        let labels = Some(labels.map(|(name, class)| (name.to_owned(), class)).into());
        let (images, skipped) = plain_images(names.into_iter(), &labels);
        let image = |entry, name: &str, label| PlainImage { entry, name: name.into(), label };
        assert_eq!(images, [image(2, "a.jpg", Some(3)), image(0, "b.png", None)]);
        let names: Vec<&str> = skipped.iter().map(|skipped| skipped.file.as_str()).collect();
        assert_eq!(names, ["gone.png"]);
    }
}
