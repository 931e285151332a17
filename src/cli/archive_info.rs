//! Shows the contents of an archive, for `cigan data info` and `cigan info`.

use std::path::Path;

use serde_json::json;

use super::tables;
use crate::data::{Archive, Info, SavedPictures, Skipped};
use crate::error::{Error, Result};
use crate::output::text_of;

/// Describes an archive: its images, captions and splits, and the files that were skipped.
///
/// # Errors
/// If the archive cannot be read.
pub fn describe(file: &Path, as_json: bool) -> Result<String> {
    let archive = Archive::open(file)?;
    let info = Info::of(&archive);
    let manifest = archive.manifest();
    if as_json {
        let json = serde_json::to_string(&info).map_err(|e| Error::internal(e.to_string()))?;
        return Ok(json + "\n");
    }
    let splits: Vec<String> =
        info.splits.iter().map(|(split, count)| format!("{split} {count}")).collect();
    let words = if info.vocabulary == 1 { "word" } else { "words" };
    let mut rows = vec![
        ("images", info.images.to_string()),
        ("resolution", format!("{r}×{r}", r = info.resolution)),
        ("splits", splits.join(", ")),
        ("captioned", info.captioned.to_string()),
        ("captions", info.captions.to_string()),
        ("vocabulary", format!("{} {words}", info.vocabulary)),
        ("classes", archive.classes().to_string()),
        ("source", manifest.source.format.clone()),
        ("crop", manifest.source.crop.clone()),
        ("split rule", manifest.source.split.clone()),
        ("skipped", info.skipped.to_string()),
        ("hash", archive.hash()?.to_owned()),
    ];
    if let Some(problem) = &info.problem {
        rows.push(("problem", problem.clone()));
    }
    let of = |list: &[Skipped]| -> Vec<(&str, String)> {
        list.iter().map(|s| ("", format!("{}: {}", s.file, s.reason))).collect()
    };
    rows.extend(of(&manifest.skipped));
    if !manifest.listed.is_empty() {
        rows.push(("remarks", manifest.listed.len().to_string()));
        rows.extend(of(&manifest.listed));
    }
    Ok(tables::rows(&rows))
}

/// Describes a zip of pictures that the page of `serve` saved, with the commands that draw them.
pub fn describe_saved(file: &Path, saved: &SavedPictures, as_json: bool) -> String {
    let SavedPictures { pictures, codes, commands } = saved;
    if as_json {
        let object = json!({
            "file": text_of(file), "pictures": pictures, "codes": codes, "commands": commands,
        });
        return object.to_string();
    }
    let mut rows = vec![
        ("pictures", format!("{pictures}, saved by the page of `cigan serve`")),
        ("latent codes", format!("{codes} {}", if *codes == 1 { "file" } else { "files" })),
    ];
    rows.extend(commands.iter().map(|command| ("command", command.clone())));
    format!("{}\n{}", file.display(), tables::rows(&rows))
}
