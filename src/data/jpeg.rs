//! Decoding JPEG files, with a check of whether their data is complete.
//!
//! Decoders fill what is missing with grey, without an error. The strict mode of `zune-jpeg` reports
//! damaged data, but it also reports bytes that change no pixel, and not that the data ends too
//! early. So it reads a copy of the file, without the former and with an invalid code after the end
//! of the data.

use std::borrow::Cow;
use std::collections::BTreeMap;

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// The end marker.
const END: [u8; 2] = [0xff, 0xd9];
/// What follows the data in the copy that is decoded: no Huffman code consists of ones (ITU-T T.81,
/// C.2). A decoder reads a few bytes ahead, but uses none of these if the data is complete.
const AFTER_THE_DATA: [u8; 32] = *b"\xff\0\xff\0\xff\0\xff\0\xff\0\xff\0\xff\0\xff\0\
                                    \xff\0\xff\0\xff\0\xff\0\xff\0\xff\0\xff\0\xff\0";
/// At least so many zeros at the end of a file count as never written.
const ZEROS: usize = 64;
/// Largest number of bytes after the first scan of a progressive JPEG that are left out.
const MAX_STRAY: usize = 4096;

/// The content of a JPEG.
pub(super) enum Content<'a> {
    /// The pixels, in grey or RGB with 8 bits, as the `image` crate decodes them.
    Pixels(Vec<u8>),
    /// Parts of the data are damaged or missing, although the file has its end marker. Decoders
    /// show what they can of this content.
    Damaged(Cow<'a, [u8]>),
}

/// Reads a JPEG. Returns None if the file breaks off, or has zeros in place of its end. Only the end
/// marker may be missing.
pub(super) fn read(bytes: &[u8]) -> Option<Content<'_>> {
    let outline = Outline::of(bytes);
    let data_end = outline.data_end?;
    if !outline.ended && !outline.has_all_scans() {
        return None;
    }
    let data = match outline.ended {
        true => &bytes[..data_end],
        // The last byte may be the first half of the end marker.
        false => without_zeros(bytes.strip_suffix(&[0xff]).unwrap_or(bytes)),
    };
    let scan = data.get(outline.first_scan..)?;
    let whole = |scan: &[u8]| [&outline.head, scan, &AFTER_THE_DATA, &END].concat();
    if let Some(pixels) = decode(&whole(scan)) {
        return Some(Content::Pixels(pixels));
    }
    // Bytes between the scans are skipped, except for those after the first one.
    let first_end = outline.first_scan_end.min(data.len()) - outline.first_scan;
    let (first, others) = scan.split_at(first_end);
    let alone = |first: &[u8]| decode(&[&outline.head, first, &END].concat()).is_some();
    let shorter = without_stray(first, alone).map(|first| [first, others].concat());
    match shorter.as_deref().and_then(|scan| decode(&whole(scan))) {
        Some(pixels) => Some(Content::Pixels(pixels)),
        None if !outline.ended => None,
        None => Some(Content::Damaged(match shorter {
            Some(scan) => [&outline.head, &scan, &END[..]].concat().into(),
            None => bytes.into(),
        })),
    }
}

/// The pixels of a JPEG without any damage.
fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().ok()?;
    let color = match decoder.input_colorspace()? {
        color @ (ColorSpace::RGB | ColorSpace::Luma) => color,
        _ => ColorSpace::RGB,
    };
    decoder.set_options(options.jpeg_set_out_colorspace(color));
    decoder.decode().ok()
}

/// The first scan without as many bytes at its end as prevent that it is decoded; None if it can
/// be decoded as it is, or not at all.
fn without_stray(scan: &[u8], decodes: impl Fn(&[u8]) -> bool) -> Option<&[u8]> {
    let most = scan.len().min(MAX_STRAY);
    let without = |count: usize| &scan[..scan.len() - count];
    if decodes(scan) {
        return None;
    }
    let (mut too_few, mut enough) = (0, 8.min(most));
    while !decodes(without(enough)) {
        if enough == most {
            return None;
        }
        (too_few, enough) = (enough, (2 * enough).min(most));
    }
    while enough - too_few > 1 {
        let middle = too_few.midpoint(enough);
        match decodes(without(middle)) {
            true => enough = middle,
            false => too_few = middle,
        }
    }
    Some(without(enough))
}

/// The content of a file without many zeros at its end. One that belongs to a byte 0xff of the coded
/// data is kept.
fn without_zeros(bytes: &[u8]) -> &[u8] {
    let kept = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let stuffed = bytes[..kept].ends_with(&[0xff]);
    if bytes.len() - kept < ZEROS { bytes } else { &bytes[..kept + usize::from(stuffed)] }
}

/// Whether the segments of a JPEG lead to its end marker.
pub(super) fn reaches_the_end(bytes: &[u8]) -> bool {
    let outline = Outline::of(bytes);
    outline.ended && outline.data_end.is_some()
}

/// The segments of a JPEG (ITU-T T.81, annex B).
///
/// Segments are skipped by their length, so the end marker of a thumbnail in the EXIF block does
/// not count. Like decoders, this skips bytes between segments that belong to none.
#[derive(Default)]
struct Outline {
    /// The segments up to the data of the first scan, without bytes that belong to none.
    head: Vec<u8>,
    /// Where the data of the first scan begins.
    first_scan: usize,
    /// Where it ends.
    first_scan_end: usize,
    /// Where the data of the last scan ends.
    data_end: Option<usize>,
    /// Whether the file has its end marker.
    ended: bool,
    /// For each component, which of its coefficients have all their bits.
    coefficients: BTreeMap<u8, [bool; 64]>,
}

impl Outline {
    fn of(bytes: &[u8]) -> Self {
        let mut outline = Self::default();
        outline.head.extend(bytes.iter().take(2));
        outline.follow(bytes);
        // Damaged data may look like a segment of any length. Whole data does not contain the end
        // marker.
        if let Some(end) = &mut outline.data_end
            && !outline.ended
            && bytes.ends_with(&END)
        {
            (*end, outline.ended) = (bytes.len() - END.len(), true);
        }
        outline
    }

    /// Follows the segments to the end marker; returns None if the file ends before.
    fn follow(&mut self, bytes: &[u8]) -> Option<()> {
        const END_OF_IMAGE: u8 = 0xd9;
        const START_OF_SCAN: u8 = 0xda;
        let mut at = 2;
        let mut progressive = false;
        loop {
            // A marker is 0xff, which may be repeated as padding, and a code.
            let code = loop {
                match *bytes.get(at..at + 2)? {
                    [0xff, code] if code != 0 && code != 0xff => break code,
                    _ => at += 1,
                }
            };
            let start = at;
            at += 2;
            match code {
                END_OF_IMAGE => {
                    self.ended = true;
                    return Some(());
                }
                // Markers without a segment.
                0x01 | 0xd0..=0xd8 => continue,
                _ => {}
            }
            let length = u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]) as usize;
            let segment = bytes.get(at..at + length)?;
            at += length;
            if self.data_end.is_none() {
                self.head.extend_from_slice(&bytes[start..at]);
            }
            match code {
                // Baseline, extended and progressive, each also with arithmetic coding.
                0xc0..=0xc2 | 0xc9 | 0xca => {
                    progressive = matches!(code, 0xc2 | 0xca);
                    let components = segment.get(8..).unwrap_or_default().chunks_exact(3);
                    self.coefficients = components.map(|c| (c[0], [false; 64])).collect();
                }
                START_OF_SCAN => {
                    self.note_scan(segment, progressive);
                    let begins = at;
                    let ends = data_end(bytes, at);
                    at = ends.unwrap_or(bytes.len());
                    if self.data_end.replace(at).is_none() {
                        (self.first_scan, self.first_scan_end) = (begins, at);
                    }
                    ends?;
                }
                _ => {}
            }
        }
    }

    /// Notes which coefficients a scan completes.
    fn note_scan(&mut self, segment: &[u8], progressive: bool) {
        let count = *segment.get(2).unwrap_or(&0) as usize;
        let components = segment.get(3..3 + 2 * count).unwrap_or_default();
        let band = match segment.get(3 + 2 * count..) {
            Some(&[from, to, bits, ..]) if progressive && bits & 15 == 0 => from..=to.min(63),
            Some(_) if progressive => return,
            _ => 0..=63,
        };
        for component in components.chunks_exact(2) {
            let Some(known) = self.coefficients.get_mut(&component[0]) else { continue };
            band.clone().for_each(|at| known[at as usize] = true);
        }
    }

    fn has_all_scans(&self) -> bool {
        self.coefficients.values().flatten().all(|known| *known)
    }
}

/// Where the coded data that begins at `at` ends: at the next marker. Stuffed zeros and restart
/// markers are part of it.
fn data_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += match bytes.get(at..at + 2)? {
            [0xff, 0x00 | 0xd0..=0xd7] => 2,
            [0xff, 0xff] => 1,
            [0xff, _] => return Some(at),
            _ => 1,
        };
    }
}
