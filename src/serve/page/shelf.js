// Storage of results in the browser (IndexedDB), limited in size. Without it, results last until a reload.

/** Largest total size in bytes. The oldest results are dropped first, favourites never. */
export const LIMIT = 200 * 2 ** 20;

/** "index": { id, time, kind, model, key, size, title, thumb }; "results": { id, value }. */
let database = null;
const memory = { index: new Map(), results: new Map() };
let index = []; // newest last
let next = 1;

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

const completed = (transaction) => new Promise((resolve, reject) => {
  transaction.oncomplete = resolve;
  transaction.onabort = transaction.onerror = () => reject(transaction.error);
});

/** Opens the storage. Returns whether results survive a reload. */
export async function open() {
  try {
    const opening = indexedDB.open("cigan", 1);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore("index", { keyPath: "id" });
      opening.result.createObjectStore("results", { keyPath: "id" });
    };
    database = await done(opening);
    await reload();
    return true;
  } catch {
    database = null;
    return false;
  }
}

/** Reads the index again; other tabs may have changed it. */
async function reload() {
  index = database ? await done(database.transaction("index").objectStore("index").getAll()) : [...memory.index.values()];
  next = Math.max(next, 1 + Math.max(0, ...index.map(({ id }) => id)));
}

/** The stored results of a kind ("recent" or "favourite") and model, newest first. */
export function list(kind, model) {
  return index.filter((item) => item.kind === kind && item.model === model).reverse();
}

/** What the index says of a result, or undefined. */
export function find(id) {
  return index.find((item) => item.id === id);
}

export function size() {
  return index.reduce((sum, item) => sum + item.size, 0);
}

/** Stores a result and drops the oldest ones beyond the limit. Returns its id, or null if it is too large. */
export async function add(item, value, limit = LIMIT) {
  if (database) await reload();
  // An upload is stored as a file, which JSON leaves out.
  const bytes = JSON.stringify(value).length + item.thumb.length + (value.picture?.file?.size ?? 0);
  const dropped = [];
  let total = size() + bytes;
  for (const old of index.filter(({ kind }) => kind !== "favourite")) {
    if (total <= limit) break;
    total -= old.size;
    dropped.push(old.id);
  }
  if (total > limit) return null;
  await remove(dropped);
  const stored = await write({ ...item, size: bytes, time: Date.now() }, value);
  index.push(stored);
  return stored.id;
}

/** Writes a result and returns its item in the index, with a new id. */
async function write(item, value) {
  if (!database) {
    const stored = { ...item, id: next++ };
    memory.index.set(stored.id, stored);
    memory.results.set(stored.id, { id: stored.id, value });
    return stored;
  }
  // One transaction finds the id and uses it, because another tab may store a result at the same time.
  const transaction = database.transaction(["index", "results"], "readwrite");
  const ids = await done(transaction.objectStore("index").getAllKeys());
  const id = Math.max(next, 1 + Math.max(0, ...ids));
  next = id + 1;
  const stored = { ...item, id };
  transaction.objectStore("index").add(stored);
  transaction.objectStore("results").put({ id, value });
  await completed(transaction);
  return stored;
}

/** A stored result, or null if it was dropped. */
export async function get(id) {
  const found = database ? await done(database.transaction("results").objectStore("results").get(id)) : memory.results.get(id);
  return found?.value ?? null;
}

export async function remove(ids) {
  if (!ids.length) return;
  if (database) {
    const transaction = database.transaction(["index", "results"], "readwrite");
    for (const id of ids) for (const store of ["index", "results"]) transaction.objectStore(store).delete(id);
    await completed(transaction);
  } else {
    for (const id of ids) {
      memory.index.delete(id);
      memory.results.delete(id);
    }
  }
  index = index.filter(({ id }) => !ids.includes(id));
}
