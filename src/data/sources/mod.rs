//! The layouts of captioned image data, each listed as [`SourceItem`]s.
//!
//! Every layout reads from one tree of files, which a folder and a zip provide alike. Listing a
//! source reads its indices and captions only; the images are read later, when an archive is
//! prepared.

mod archive;
mod attributes;
mod captions;
mod cub;
mod folder;
mod json_array;
mod labels;
mod layout;
mod listing;
mod metadata;
mod pickle;
mod recipe1m;
mod remarks;
mod rows;
mod split_names;
mod splits;
mod tables;
mod tree;
mod unused;
mod wording;

use std::path::Path;

use self::layout::Layout;
use self::tree::Tree;
use crate::data::formats::is_image_name;
use crate::data::record::Split;
use crate::error::{Error, Result};
pub use listing::{CaptionSource, CubSplit, Format, Listing, Picture, SourceItem};

/// Whether a file of a zip is hidden or belongs to the system, and is no part of a source.
pub(super) fn is_hidden(name: &str) -> bool {
    name.split('/').any(tree::is_ignored)
}

/// The content of a zip with these names that only its preparation reads, as a phrase: folders of
/// splits and tables of captions.
pub(super) fn only_prepared<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut folder = None;
    for name in names.filter(|name| !is_hidden(name)) {
        if tables::is_metadata(name) {
            return Some(format!("captions in {name}"));
        }
        let held_out = || splits::stated_by(tree::parent(name)).is_some_and(|s| s != Split::Train);
        if folder.is_none() && is_image_name(name) && held_out() {
            folder = Some(tree::parent(name));
        }
    }
    folder.map(|folder| format!("folders of splits, such as {folder}/"))
}

/// How a source is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListOptions<'a> {
    /// Its layout; [`Format::Auto`] recognises it.
    pub format: Format,
    /// Which split of CUB to use.
    pub cub_split: CubSplit,
    /// The column of metadata files that contains the captions; None looks for common names.
    pub caption_column: Option<&'a str>,
    /// Where the captions come from.
    pub captions: CaptionSource,
    /// A file that is not part of the source though it may lie in it, because it is written.
    pub out: Option<&'a Path>,
}

/// Lists the images of the folder or zip `src`.
///
/// # Errors
/// A user error if the source does not have this layout, or if an index file is broken.
pub fn list(src: &Path, options: &ListOptions) -> Result<Listing> {
    let mut tree = Tree::open(src)?;
    if let Some(out) = options.out {
        tree.forget(out);
    }
    let recognised = layout::recognise(&tree, options.format)?;
    if let (Some(column), false) =
        (options.caption_column, matches!(recognised.layout, Layout::Images))
    {
        return Err(Error::user(format!(
            "--caption-column {column}: {} has a layout with captions of its own ({})",
            src.display(),
            recognised.notes.join("; ")
        ))
        .hint("omit --caption-column, or read SRC as a plain folder with --format folder"));
    }
    if options.captions != CaptionSource::Human && !matches!(recognised.layout, Layout::Cub { .. })
    {
        return Err(Error::user(format!(
            "--captions {}: only CUB-200-2011 has attributes; found {}",
            options.captions.name(),
            recognised.notes.join("; ")
        ))
        .hint("omit --captions, or name the layout with --format cub"));
    }
    for folder in &recognised.archives {
        tree.leave_out(folder);
    }
    let uncertain = std::mem::take(&mut tree.uncertain);
    let runs = std::mem::take(&mut tree.runs);
    let mut listing = match recognised.layout {
        Layout::Archive { root, manifest } => archive::list(tree, &root, *manifest),
        Layout::Cub { root } => cub::list(tree, &root, options.cub_split, options.captions),
        Layout::Recipe1m { root } => recipe1m::list(tree, &root),
        Layout::Images => folder::list(tree, options.caption_column),
    }?;
    listing.notes.splice(0..0, recognised.notes);
    listing.remark(
        "archives of cigan in SRC are not used",
        &recognised.archives,
        "give such a folder as SRC, or read its images without their captions with --format folder",
    );
    listing.remark("runs of cigan in SRC are not used", &runs, "");
    // Without any image, the hint says it.
    if !listing.items.is_empty() {
        listing.notes.extend(listing.link_hint());
    }
    listing.leave_out_repeated();
    listing.remark(
        "names that are not UTF-8 were read as code page 437 and may be wrong",
        &uncertain,
        "extract the zip and give the folder, or pack it with names in UTF-8",
    );
    Ok(listing)
}
