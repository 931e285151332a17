//! The files of a source as one tree, whether it is a folder or a zip.
//!
//! All layouts read from this tree, so hidden folders, links, odd names and limits have one rule.

mod disk;
mod names;
mod zipped;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

pub(super) use names::{file_name, is_ignored, parent, stem};

use self::names::composed;
use crate::data::record::Skipped;
use crate::data::text::{self, MAX_TEXT_BYTES};
use crate::data::zip_file::{self, Zip};
use crate::error::{Error, Result};
use crate::mistaken;
use crate::output::destination;
use crate::run_files::{CONFIG, LOCK, PLAN, is_whole_run};

/// Each run contains one of these files, beside others; see [`is_whole_run`].
const MARKS_OF_RUNS: &[&str] = &[LOCK, CONFIG, PLAN];

/// Why a file is not used that has the name of another one.
const SAME_NAME: &str = "two files have this name";

/// Starts the mark that the names of one file share. No path contains it.
const SHARED: char = '\0';

/// The files of a source, sorted by name.
#[derive(Debug)]
pub(super) struct Tree {
    src: PathBuf,
    zip: Option<Zip>,
    entries: Vec<Entry>,
    /// Entries whose names are not in the composed Unicode form (NFC), by that form.
    by_composed: HashMap<String, usize>,
    /// Links to files of the source: the entry that is the file itself, or the first of its links.
    originals: HashMap<usize, usize>,
    /// Links to folders of the source, and the names of the folders.
    pub linked_folders: Vec<(String, String)>,
    /// The nearest folder that contains the source and all files to which links in it lead that are
    /// not below it. None if there are no such links.
    pub around_links: Option<PathBuf>,
    /// Folders of results of cigan, which are not part of the source.
    pub runs: Vec<String>,
    /// Entries that cannot be read, and why.
    pub problems: Vec<Skipped>,
    /// Hidden and system folders, and hidden images, which are ignored.
    pub ignored: Vec<String>,
    /// Files of a zip whose names are in an encoding that the zip does not tell.
    pub uncertain: Vec<String>,
}

/// One file.
#[derive(Debug)]
struct Entry {
    /// Path relative to the source, with `/`.
    name: String,
    place: Place,
    /// If the entry is a link, the path of its file relative to the source. No other entry need have
    /// this name, because the file may be in a hidden folder.
    link_to: Option<Box<str>>,
}

/// Where the bytes of a file are.
#[derive(Debug)]
enum Place {
    /// In the folder of the source, at the path that its name states.
    Below,
    /// Elsewhere on the disk, or at a path that its name does not state exactly.
    At(Box<Path>),
    /// Entry number of the zip.
    Zip(usize),
}

/// The file that a path in an index or metadata file refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A file of the tree.
    File(usize),
    /// One of several files; it is unclear which.
    Several,
    /// Nothing: there is no such file.
    Missing,
    /// A place that is not below the source.
    Outside,
}

impl Found {
    /// The number of the file, if it is one.
    pub fn file(&self) -> Option<usize> {
        match self {
            Self::File(at) => Some(*at),
            _ => None,
        }
    }
}

impl Tree {
    /// Lists the folder or zip `src`.
    ///
    /// # Errors
    /// If it is missing, neither a folder nor a zip, or cannot be read at all. Parts that cannot be
    /// read become [`Tree::problems`].
    pub fn open(src: &Path) -> Result<Self> {
        let info = fs::metadata(src).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::user(format!("{}: no such file or folder", src.display()))
                    .hint("check the path of SRC")
            }
            _ => Error::io(src, "read", e),
        })?;
        let mut tree = Tree {
            src: src.to_owned(),
            zip: None,
            entries: Vec::new(),
            by_composed: HashMap::new(),
            originals: HashMap::new(),
            linked_folders: Vec::new(),
            around_links: None,
            runs: Vec::new(),
            problems: Vec::new(),
            ignored: Vec::new(),
            uncertain: Vec::new(),
        };
        if info.is_dir() {
            disk::scan(src, "", &mut tree)?;
        } else {
            let zip = zip_file::open(src).map_err(|e| {
                match [zip_file::NOT_A_ZIP, zip_file::EMPTY].iter().any(|s| e.message.ends_with(s))
                {
                    true => e.hint("SRC is a folder or a zip; extract other archives first"),
                    false => e,
                }
            })?;
            zipped::scan(&zip, &mut tree);
            tree.zip = Some(zip);
        }
        tree.sort();
        tree.leave_out_runs();
        Ok(tree)
    }

    /// Removes the folders of results: `cigan train .` writes its run into the source.
    fn leave_out_runs(&mut self) {
        let mut folders: Vec<String> = Vec::new();
        for name in self.names().filter(|name| MARKS_OF_RUNS.contains(&file_name(name))) {
            let folder = parent(name);
            // Entries are sorted, so an outer folder comes first.
            let inside = folders.iter().any(|outer| folder.starts_with(&format!("{outer}/")));
            let known = folders.last().is_some_and(|last| last == folder);
            let has = |name: &str| {
                let name = format!("{folder}/{name}");
                self.get(&name).is_some() || self.has_folder(&name)
            };
            if !folder.is_empty() && !inside && !known && is_whole_run(has) {
                folders.push(folder.to_owned());
            }
        }
        for folder in &folders {
            self.leave_out(folder);
        }
        self.runs = folders;
    }

    /// Removes the files below a folder.
    pub fn leave_out(&mut self, folder: &str) {
        self.entries.drain(self.below(folder));
        let prefix = format!("{folder}/");
        self.problems.retain(|problem| !problem.file.starts_with(&prefix));
        self.sort();
    }

    /// Adds the folder `path` under the name `name`. Layouts whose files lie beside the source use
    /// it. A folder that does not exist adds nothing.
    pub fn attach(&mut self, path: &Path, name: &str) {
        if self.zip.is_some() || self.has_folder(name) || !path.is_dir() {
            return;
        }
        if let Err(error) = disk::scan(path, &format!("{name}/"), self) {
            self.problems.push(Skipped::new(name, error.message));
        }
        self.sort();
    }

    /// Adds the file `path` under the name `name`, if it exists.
    pub fn attach_file(&mut self, path: &Path, name: &str) {
        if self.zip.is_none() && self.get(name).is_none() && path.is_file() {
            let place = Place::At(path.into());
            self.entries.push(Entry { name: name.to_owned(), place, link_to: None });
            self.sort();
        }
    }

    /// Removes the file `path`, if it is in the tree: the output of a command is not its input.
    pub fn forget(&mut self, path: &Path) {
        let path = destination(path);
        let (Ok(root), Ok(path)) = (self.src.canonicalize(), path.canonicalize()) else { return };
        if self.zip.is_none()
            && let Ok(inner) = path.strip_prefix(&root)
        {
            let name = inner.to_string_lossy().replace('\\', "/");
            self.entries.retain(|entry| entry.name != name);
            self.sort();
        }
    }

    /// Widens [`Tree::around_links`] to contain the file `real`, which is not in the folder `root`.
    /// Both are absolute and without links.
    fn include_link(&mut self, root: &Path, real: &Path) {
        let known = self.around_links.as_deref().unwrap_or(root);
        let both = known.ancestors().find(|folder| real.starts_with(folder));
        self.around_links = both.map(Path::to_owned);
    }

    fn sort(&mut self) {
        self.entries.sort_by(|a, b| a.name.cmp(&b.name));
        let problems = &mut self.problems;
        self.entries.dedup_by(|again, first| {
            let same = again.name == first.name;
            if same {
                problems.push(Skipped::new(&again.name, SAME_NAME));
            }
            same
        });
        self.problems.sort_by(|a, b| a.file.cmp(&b.file));
        self.ignored.sort();
        self.by_composed = self
            .entries
            .iter()
            .enumerate()
            .rev()
            .filter_map(|(at, entry)| Some((composed(&entry.name)?, at)))
            .collect();
        let mut first: HashMap<&str, usize> = HashMap::new();
        // One of the names of a file comes before links to it.
        for (at, entry) in self.entries.iter().enumerate() {
            if let Some(mark) = entry.link_to.as_deref().filter(|link| link.starts_with(SHARED)) {
                first.entry(mark).or_insert(at);
            }
        }
        let mut originals = HashMap::new();
        for (at, entry) in self.entries.iter().enumerate() {
            let Some(target) = entry.link_to.as_deref() else { continue };
            // A link may lead to one of several names of a file.
            let shared = self.get(target).and_then(|file| self.entries[file].link_to.as_deref());
            let target = shared.filter(|mark| mark.starts_with(SHARED)).unwrap_or(target);
            let itself = self.get(target).filter(|&file| self.entries[file].link_to.is_none());
            let original = itself.unwrap_or_else(|| *first.entry(target).or_insert(at));
            if original != at {
                originals.insert(at, original);
            }
        }
        self.originals = originals;
    }

    /// The file that entry number `at` is, which has another name if that is a link.
    pub fn original(&self, at: usize) -> usize {
        self.originals.get(&at).copied().unwrap_or(at)
    }

    /// The source, as the user gave it.
    pub fn src(&self) -> &Path {
        &self.src
    }

    /// Whether the source is a zip.
    pub fn is_zip(&self) -> bool {
        self.zip.is_some()
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Path of file number `at`, relative to the source.
    pub fn name(&self, at: usize) -> &str {
        &self.entries[at].name
    }

    /// The names of all files, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The file with this name. Composed and decomposed Unicode forms of a name are the same.
    pub fn get(&self, name: &str) -> Option<usize> {
        let exact = |name: &str| self.entries.binary_search_by(|e| e.name.as_str().cmp(name)).ok();
        exact(name).or_else(|| {
            let composed = composed(name);
            let name = composed.as_deref().unwrap_or(name);
            exact(name).or_else(|| self.by_composed.get(name).copied())
        })
    }

    /// Numbers of the files below the folder `folder` (`""` is the source itself).
    pub fn below(&self, folder: &str) -> std::ops::Range<usize> {
        if folder.is_empty() {
            return 0..self.entries.len();
        }
        let prefix = format!("{}/", folder.trim_end_matches('/'));
        let from = self.entries.partition_point(|e| e.name.as_str() < prefix.as_str());
        let count = self.entries[from..].partition_point(|e| e.name.starts_with(&prefix));
        from..from + count
    }

    /// Whether a folder has any file.
    pub fn has_folder(&self, folder: &str) -> bool {
        !self.below(folder).is_empty()
    }

    /// Finds the file that `path` refers to in an index that lies in `folder`. `\` means `/`, and an
    /// absolute path may lead into the source.
    pub fn find(&self, folder: &str, path: &str) -> Found {
        let path = path.trim();
        let mut outside = false;
        for form in [path.to_owned(), path.replace('\\', "/")] {
            let name = match names::is_absolute(&form) {
                true => self.relative(&form),
                false => names::join(folder, &form),
            };
            outside |= name.is_none();
            // Paths of web sites have the source as their root.
            let name = name.or_else(|| names::join("", form.strip_prefix('/')?));
            if let Some(at) = name.and_then(|name| self.get(&name)) {
                return Found::File(at);
            }
        }
        if outside { Found::Outside } else { Found::Missing }
    }

    /// Turns an absolute path into one relative to the source; None if it leads elsewhere.
    fn relative(&self, path: &str) -> Option<String> {
        let roots = [std::path::absolute(&self.src).ok(), self.src.canonicalize().ok()];
        let mut roots = roots.iter().flatten().filter(|_| self.zip.is_none());
        roots.find_map(|root| names::strip(path, &root.to_string_lossy()))
    }

    /// Reads file number `at`.
    ///
    /// # Errors
    /// Why it cannot be read, as a phrase for a list of skipped files.
    pub fn read(&self, at: usize, limit: u64) -> Result<Vec<u8>, String> {
        let too_large = |size: u64| format!("has {size} bytes; the limit is {limit}");
        if let (Place::Zip(entry), Some(zip)) = (&self.entries[at].place, &self.zip) {
            return zip_file::read_bytes(&mut zip.clone(), *entry, limit).map_err(|e| e.message);
        }
        let (file, size) = open_file(&self.path(at))?;
        if size > limit {
            return Err(too_large(size));
        }
        let mut bytes = Vec::with_capacity(size.min(1 << 24) as usize);
        // The file may grow while it is read.
        file.take(limit + 1).read_to_end(&mut bytes).map_err(cannot_read)?;
        if bytes.len() as u64 > limit { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
    }

    /// Like [`Tree::read`], for a file of text.
    ///
    /// # Errors
    /// Those of [`Tree::read`], or what the file is instead.
    pub fn read_whole(&self, at: usize, limit: u64) -> Result<Vec<u8>, String> {
        as_named(self.read(at, limit)?)
    }

    /// Size of file number `at` in bytes; 0 if it cannot be read.
    pub fn size(&self, at: usize) -> u64 {
        match (&self.entries[at].place, &self.zip) {
            (Place::Zip(entry), Some(zip)) => {
                zip.clone().by_index_raw(*entry).map_or(0, |entry| entry.size())
            }
            _ => fs::metadata(self.path(at)).map_or(0, |info| info.len()),
        }
    }

    /// Passes the content of file number `at` to `work` as a stream.
    ///
    /// # Errors
    /// Why it cannot be opened, as a phrase.
    pub fn stream<T>(&self, at: usize, work: impl FnOnce(&mut dyn Read) -> T) -> Result<T, String> {
        if let (Place::Zip(entry), Some(zip)) = (&self.entries[at].place, &self.zip) {
            let mut zip = zip.clone();
            let cause = match zip.by_index(*entry) {
                Ok(mut file) => return Ok(work(&mut file)),
                Err(cause) => cause,
            };
            return Err(zip_file::error(&mut zip, *entry, cause).message);
        }
        let (mut file, _) = open_file(&self.path(at))?;
        Ok(work(&mut file))
    }

    /// Reads a text file as UTF-8; see [`text::to_utf8`].
    ///
    /// # Errors
    /// Why it cannot be read, as a phrase.
    pub fn read_text(&self, at: usize) -> Result<Vec<u8>, String> {
        text::to_utf8(self.read_whole(at, MAX_TEXT_BYTES)?)
    }

    /// Reads an index file, which must be UTF-8 throughout.
    ///
    /// # Errors
    /// A user error that names the file.
    pub fn read_index(&self, at: usize) -> Result<String> {
        self.read_whole(at, MAX_TEXT_BYTES)
            .and_then(text::to_string)
            .map_err(|reason| self.unusable(at, &reason))
    }

    /// The error of a file that cannot be used for this `reason`.
    pub fn unusable(&self, at: usize, reason: &str) -> Error {
        let hint = match self.open_problem(at) {
            Some(hint) => hint,
            None if self.size(at) > MAX_TEXT_BYTES => {
                "divide it into several files, such as one metadata.csv for each folder of images"
                    .to_owned()
            }
            None => "correct the file, or remove it to prepare the images without it".to_owned(),
        };
        // The reason may state it already, for a list of skipped files.
        let reason =
            reason.strip_suffix(&hint).map_or(reason, |reason| reason.trim_end_matches("; "));
        Error::user(format!("{}: {reason}", self.shown(self.name(at)))).hint(hint)
    }

    /// The hint if file number `at` cannot be opened, or is not what its name says.
    fn open_problem(&self, at: usize) -> Option<String> {
        if let Some(kind) = mistaken::recognise(&self.head(at, mistaken::HEAD as u64)) {
            return Some(kind.hint.to_owned());
        }
        if let (Place::Zip(entry), Some(zip)) = (&self.entries[at].place, &self.zip) {
            let mut zip = zip.clone();
            let cause = zip.by_index(*entry).err()?;
            return zip_file::error(&mut zip, *entry, cause).hint;
        }
        let path = self.path(at);
        File::open(&path).err().and_then(|e| Error::io(path, "read", e).hint)
    }

    /// The first bytes of a file, at most `count`; empty if it cannot be read.
    pub fn head(&self, at: usize, count: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.stream(at, |reader| reader.take(count).read_to_end(&mut bytes));
        bytes
    }

    /// The path of a file for messages: `birds/images.txt`, `birds.zip: images.txt`.
    pub fn shown(&self, name: &str) -> String {
        match self.is_zip() {
            _ if name.is_empty() => self.src.display().to_string(),
            true => format!("{}: {name}", self.src.display()),
            false => self.src.join(name).display().to_string(),
        }
    }

    fn path(&self, at: usize) -> PathBuf {
        match &self.entries[at].place {
            Place::At(path) => path.to_path_buf(),
            Place::Below | Place::Zip(_) => self.src.join(&self.entries[at].name),
        }
    }
}

/// The content of a file of text, unless it is that of another kind of file.
///
/// # Errors
/// The kind of the file, as a phrase.
fn as_named(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    match mistaken::recognise(&bytes) {
        Some(kind) => Err(format!("is {}; {}", kind.name, kind.hint)),
        None => Ok(bytes),
    }
}

/// Opens a regular file. Opening a pipe would wait for a writer, and devices have no end.
fn open_file(path: &Path) -> Result<(File, u64), String> {
    let info = fs::metadata(path).map_err(cannot_read)?;
    if !info.is_file() {
        return Err("is not a regular file".into());
    }
    Ok((File::open(path).map_err(cannot_read)?, info.len()))
}

fn cannot_read(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}
