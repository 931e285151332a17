//! Sources that are prepared from a folder and from a zip, which must give the same.

use cigan::data::{Archive, PrepareOptions, Split, Summary};
use cigan::error::Result;

use crate::fixtures::*;

/// Files of a source: names and contents.
#[derive(Default, Clone)]
pub struct Files(Vec<(String, Vec<u8>)>);

impl Files {
    /// Images of these names, of different colours.
    pub fn images(names: &[&str]) -> Self {
        let mut files = Self::default();
        for (i, name) in names.iter().enumerate() {
            files = files.and(name, flat([10 * i as u8, 100, 200]));
        }
        files
    }

    pub fn and(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.to_owned(), bytes.as_ref().to_vec()));
        self
    }

    /// Prepares the files from a folder and from a zip, and passes the results to `check`, which
    /// must accept both.
    #[track_caller]
    pub fn both(&self, check: impl Fn(&str, &Summary, &Archive)) {
        self.both_with(
            |_| {},
            |kind, result| {
                let (summary, archive) = result.unwrap_or_else(|e| panic!("{kind}: {e}"));
                check(kind, &summary, &archive);
            },
        );
    }

    /// Like [`Files::both`] with changed options; `check` gets errors too.
    pub fn both_with(
        &self,
        change: impl Fn(&mut PrepareOptions),
        check: impl Fn(&str, Result<(Summary, Archive)>),
    ) {
        let tree = Tree::new();
        for (name, bytes) in &self.0 {
            tree.write(&format!("src/{name}"), bytes);
        }
        let files: Vec<(&str, &[u8])> =
            self.0.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        tree.write("src.zip", zipped(&files));
        for (kind, src) in [("folder", "src"), ("zip", "src.zip")] {
            check(kind, tree.prepare(src, &change));
        }
    }

    /// The error that both must give.
    pub fn refused(&self) -> Vec<String> {
        let errors = std::cell::RefCell::new(Vec::new());
        self.both_with(|_| {}, |_, result| errors.borrow_mut().push(refusal(result)));
        errors.into_inner()
    }
}

/// The ids and splits of all images.
pub fn splits(archive: &Archive) -> Vec<(&str, Split)> {
    archive.images().iter().map(|image| (image.id.as_str(), image.split)).collect()
}

/// The remarks about a source.
pub fn notes(summary: &Summary) -> String {
    summary.notes.join("\n")
}
