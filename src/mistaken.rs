//! Files that are not what their names say, recognised by their first bytes: the remains of a
//! failed download or an unfinished `git clone`, and formats of other programs.

/// The kind of a mistaken file, and a hint for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Completes "the file is …".
    pub name: &'static str,
    pub hint: &'static str,
}

/// Number of first bytes that [`recognise`] looks at.
pub(crate) const HEAD: usize = 64;

const POINTER: Kind = Kind {
    name: "a Git LFS pointer, not the file itself",
    hint: "fetch the files with `git lfs pull` in the repository, or download this one by itself",
};
const PAGE: Kind = Kind {
    name: "a web page",
    hint: "the download gave a page instead of the file; download it again, and check its size",
};
const PACKED: &str = "extract it, and give the file or the folder in it";
const OTHER_WEIGHTS: &str =
    "load it with the program that it is for, and save the tensors as .safetensors there";

/// Formats by their first bytes.
const KNOWN: &[(&[u8], &str, &str)] = &[
    (b"\x1f\x8b", "compressed with gzip", PACKED),
    (b"BZh", "compressed with bzip2", PACKED),
    (b"\xfd7zXZ\0", "compressed with xz", PACKED),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard", PACKED),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", PACKED),
    (b"Rar!\x1a\x07", "a RAR archive", PACKED),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras writes", OTHER_WEIGHTS),
    (b"GGUF", "a GGUF file of llama.cpp", OTHER_WEIGHTS),
    (b"\x93NUMPY", "a NumPy array", OTHER_WEIGHTS),
    (b"%PDF", "a PDF document", "give another file"),
];

/// Recognises a file by its first [`HEAD`] bytes; `None` if it is none of these kinds.
pub(crate) fn recognise(head: &[u8]) -> Option<Kind> {
    if head.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Some(POINTER);
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let tag = text.get(..9).unwrap_or(text).to_ascii_lowercase();
    if tag.starts_with(b"<!doctype") || tag.starts_with(b"<html") || tag.starts_with(b"<head") {
        return Some(PAGE);
    }
    let known = KNOWN.iter().find(|(magic, _, _)| head.starts_with(magic));
    known.map(|&(_, name, hint)| Kind { name, hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_mistakes_are_recognised_and_nothing_else() {
        let name = |head: &[u8]| recognise(head).map_or("", |kind| kind.name);
        assert!(name(b"version https://git-lfs.github.com/spec/v1\noid sha256:ab").contains("LFS"));
        for page in ["<!DOCTYPE html><html>", "\u{feff}\n <HTML lang=en>", "<html>", "<head>"] {
            assert_eq!(name(page.as_bytes()), "a web page", "{page}");
        }
        assert!(name(b"GGUF\x03\0\0\0").contains("GGUF"));
        for other in
            [&b""[..], b"<", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"version 1", b"{\"a\": 1}"]
        {
            assert_eq!(recognise(other), None, "{other:?}");
        }
    }
}
