// PNG files: reading and keeping the text that records how a picture was made.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/** The chunks of a PNG file as [{ type, bytes, data }]: the whole chunk and its data. Throws if it is none. */
function chunks(file) {
  if (!SIGNATURE.every((byte, i) => file[i] === byte)) throw new Error("not a PNG file");
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const found = [];
  for (let at = SIGNATURE.length; at + 12 <= file.length;) {
    const length = view.getUint32(at);
    if (at + 12 + length > file.length) break;
    const type = String.fromCharCode(...file.subarray(at + 4, at + 8));
    found.push({ type, bytes: file.subarray(at, at + 12 + length), data: file.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  return found;
}

const isText = ({ type }) => type === "tEXt" || type === "iTXt";

/** The text of a PNG file by keyword; empty if it is not a PNG file. */
export function textOf(file) {
  const text = {};
  let found;
  try { found = chunks(file); } catch { return text; }
  for (const { type, data } of found.filter(isText)) {
    const end = data.indexOf(0);
    if (end < 1) continue;
    const keyword = new TextDecoder("latin1").decode(data.subarray(0, end));
    if (type === "tEXt") text[keyword] = new TextDecoder("latin1").decode(data.subarray(end + 1));
    else if (data[end + 1] === 0) {
      // Language and translated keyword follow; both end with a zero.
      const language = data.indexOf(0, end + 3);
      const translated = data.indexOf(0, language + 1);
      if (language > 0 && translated > 0) text[keyword] = new TextDecoder().decode(data.subarray(translated + 1));
    }
  }
  return text;
}

/** The PNG file `to` with the text that the PNG files `from` have in common. */
export function withTextOf(to, ...from) {
  const [first, ...others] = from.map((file) => chunks(file).filter(isText).map(({ bytes }) => bytes));
  const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
  const text = first.filter((chunk) => others.every((file) => file.some((other) => same(chunk, other))));
  const [header, ...rest] = chunks(to);
  return new Blob([new Uint8Array(SIGNATURE), header.bytes, ...text, ...rest.map(({ bytes }) => bytes)], { type: "image/png" });
}

/** An image in memory from a PNG file in Base64. */
export async function decoded(base64) {
  const image = new Image();
  image.src = "data:image/png;base64," + base64;
  await image.decode();
  return image;
}

/** A canvas as a PNG file. */
export function encoded(canvas) {
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** A picture `factor` times as large, with its text. `smooth` interpolates; otherwise pixels become squares. */
export async function enlarged(file, base64, factor, smooth) {
  if (factor === 1) return new Blob([file], { type: "image/png" });
  const image = await decoded(base64);
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth * factor;
  canvas.height = image.naturalHeight * factor;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = smooth;
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await encoded(canvas);
  return withTextOf(new Uint8Array(await blob.arrayBuffer()), file);
}
