//! The manifest of an archive, `dataset.json`: in our format, or in that of the official
//! StyleGAN2 dataset tool.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::formats::is_image_name;
use super::record::{ImageRecord, Provenance, Skipped};
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
    pub labels: Option<Vec<(String, u32)>>,
    /// Name of class number `i`.
    #[serde(default)]
    pub class_names: Vec<String>,
    /// The images in the order of the archive.
    pub images: Vec<ImageRecord>,
    /// Files of the source that are not in the archive, and why.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
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

/// Class number by file name; None if the images have no classes.
pub(crate) type Labels = Option<BTreeMap<String, u64>>;

/// A `dataset.json` in either format.
pub(crate) enum AnyManifest {
    Ours(Box<Manifest>),
    Official(Labels),
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

/// What tells our manifests from those of other programs.
#[derive(Deserialize)]
struct Probe {
    version: Option<u32>,
    images: Option<IgnoredAny>,
}

/// Parses a `dataset.json` in either format; `shown` is its path or that of its zip, for error
/// messages.
///
/// # Errors
/// A user error if it is not JSON, if its version is newer than this program, or if its labels are
/// not class numbers.
pub(crate) fn parse(shown: &str, json: Vec<u8>) -> Result<AnyManifest> {
    #[derive(Deserialize)]
    struct Official {
        #[serde(default)]
        labels: Option<Rows>,
    }
    /// Pairs, or an object by file name.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Rows {
        Pairs(Vec<(String, serde_json::Value)>),
        Object(BTreeMap<String, serde_json::Value>),
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
    if let (Some(version), Some(_)) = (probe.version, &probe.images) {
        if version > Manifest::VERSION {
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
    let official: Official = serde_json::from_slice(&json).map_err(broken)?;
    let rows = match official.labels {
        None if probe.images.is_some() => return Ok(AnyManifest::Other),
        None => return Ok(AnyManifest::Official(None)),
        Some(Rows::Pairs(rows)) => rows,
        Some(Rows::Object(rows)) => rows.into_iter().collect(),
    };
    let mut labels = BTreeMap::new();
    for (file, label) in rows {
        let refused = |found: String, hint: &str| {
            Err(Error::user(format!("{shown} labels {file} as {found}")).hint(hint))
        };
        // Programs that know no whole numbers write 3.0.
        let whole = |v: &f64| v.fract() == 0.0 && (0.0..9e15).contains(v);
        let class = label.as_u64().or_else(|| label.as_f64().filter(whole).map(|v| v as u64));
        let Some(class) = class else {
            let hint = "remove `labels` from the file, or give whole numbers from 0";
            return refused(format!("{label}; labels must be class numbers"), hint);
        };
        match labels.get(&file) {
            Some(&first) if first != class => {
                let hint = "give each image one class";
                return refused(format!("{first} and as {class}"), hint);
            }
            _ => labels.insert(file, class),
        };
    }
    Ok(AnyManifest::Official(Some(labels)))
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
