// The page that documents the API, from the same description that programs read.

import { make } from "./dom.js";
import { store } from "./form.js";

const METHODS = ["get", "post"];

const theme = store.get("localStorage", "theme");
if (theme) document.documentElement.dataset.theme = theme;

/** What a reference such as "#/components/schemas/Edit" refers to; anything else is itself. */
function resolved(schema, document) {
  if (!schema?.$ref) return schema;
  return schema.$ref.slice(2).split("/").reduce((part, name) => part[name], document);
}

/** The type of a field in words. */
function typeOf(schema, document) {
  const { anyOf, type, items, enum: values, minimum, maximum } = resolved(schema, document);
  if (anyOf) return `${typeOf(anyOf[0], document)} or null`;
  if (values) return values.map((value) => JSON.stringify(value)).join(" or ");
  if (type === "array" && items) return `list of ${typeOf(items, document)}`;
  const range = minimum === undefined ? "" : maximum === undefined ? `, at least ${minimum}` : `, ${minimum} to ${maximum}`;
  return (type ?? "any") + range;
}

function fields(schema, document) {
  const { properties, required = [] } = resolved(schema, document);
  return make("dl", {}, ...Object.entries(properties).flatMap(([name, field]) => {
    const found = resolved(field, document);
    const description = found.description ?? found.anyOf?.[0].description ?? "";
    const optional = required.includes(name) ? "" : ", optional";
    return [make("dt", {}, make("code", { textContent: name })), make("dd", { textContent: `${typeOf(field, document)}${optional}. ${description}` })];
  }));
}

const openapi = await (await fetch("/api/openapi.json")).json();
const { examples, strength } = await (await fetch("/api/model")).json();
for (const span of document.querySelectorAll(".origin")) span.textContent = location.origin;
for (const span of document.querySelectorAll(".prompt-text")) span.textContent = examples[0] ?? "…";
for (const span of document.querySelectorAll(".strength")) span.textContent = strength;
document.getElementById("paths").append(...Object.entries(openapi.paths).flatMap(([path, item]) => {
  return METHODS.filter((method) => method in item).map((method) => described(method, path, item));
}));
document.body.dataset.ready = "yes";

/** A part of the page that describes a request. */
function described(method, path, item) {
  const { summary, description, requestBody } = item[method];
  const details = make("details", {}, make("summary", {}, make("code", { textContent: `${method.toUpperCase()} ${path}` }), ` ${summary}`), make("p", { textContent: description }));
  for (const { schema, example } of Object.values(requestBody?.content ?? {})) {
    details.append(fields(schema, openapi));
    const ask = resolved(schema, openapi).properties?.ask;
    if (ask) details.append(make("p", {}, "Fields of ", make("code", { textContent: "ask" }), ":"), fields(ask, openapi));
    if (example) details.append(make("pre", { tabIndex: 0 }, make("code", { textContent: JSON.stringify(example, null, 1) })));
  }
  return details;
}
