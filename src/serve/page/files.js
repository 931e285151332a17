// Files that the user saves, and safetensors files of latent codes.

export function bytes(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

export function imageBlob(base64) {
  return new Blob([bytes(base64)], { type: "image/png" });
}

/** Row `row` of a safetensors file with a single tensor. */
export function codeRow(base64, row) {
  const file = bytes(base64);
  const start = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
  const { __metadata__, ...tensors } = JSON.parse(new TextDecoder().decode(file.subarray(8, start)));
  const { shape } = Object.values(tensors)[0];
  const size = shape.slice(1).reduce((a, b) => a * b, 1);
  return Array.from(new Float32Array(file.slice(start).buffer, 4 * size * row, size));
}

export function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
