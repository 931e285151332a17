// ZIP files without compression: PNG files do not get smaller.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 255];
  return (crc ^ 0xffffffff) >>> 0;
}

/** Little-endian numbers as bytes: [value, width, value, width, …]. */
function numbers(...fields) {
  const bytes = [];
  for (let i = 0; i < fields.length; i += 2) {
    for (let byte = 0; byte < fields[i + 1]; byte++) bytes.push((fields[i] >>> (8 * byte)) & 255);
  }
  return new Uint8Array(bytes);
}

/** A ZIP file of `files`: [{ name, bytes }]. */
export function zip(files) {
  const UTF8 = 0x800, JANUARY_1980 = 0x21;
  const parts = [], directory = [];
  let offset = 0;
  for (const { name, bytes } of files) {
    const path = new TextEncoder().encode(name);
    // Version, flags, no compression, time, date, checksum, both sizes, lengths of name and extra field.
    const common = numbers(20, 2, UTF8, 2, 0, 2, 0, 2, JANUARY_1980, 2, crc32(bytes), 4, bytes.length, 4, bytes.length, 4, path.length, 2, 0, 2);
    const header = [numbers(0x04034b50, 4), common, path];
    directory.push(numbers(0x02014b50, 4, 20, 2), common, numbers(0, 2, 0, 2, 0, 2, 0, 4, offset, 4), path);
    parts.push(...header, bytes);
    offset += [...header, bytes].reduce((sum, part) => sum + part.length, 0);
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = numbers(0x06054b50, 4, 0, 2, 0, 2, files.length, 2, files.length, 2, size, 4, offset, 4, 0, 2);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}
