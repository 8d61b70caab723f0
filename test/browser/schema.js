// As much of JSON Schema as web/openapi.json uses, to hold the imagined webserver to it.

import { readFileSync } from "node:fs";

const file = new URL("../../web/openapi.json", import.meta.url);
const document = JSON.parse(readFileSync(file, "utf8"));
const kinds = {
  null: (value) => value === null,
  string: (value) => typeof value === "string",
  boolean: (value) => typeof value === "boolean",
  number: (value) => typeof value === "number",
  integer: (value) => Number.isInteger(value),
  array: Array.isArray,
  object: (value) => typeof value === "object" && value !== null && !Array.isArray(value),
};

// What is wrong with a value, in words.
function* problems(schema, value, at) {
  if (schema.$ref) {
    yield* problems(document.components.schemas[schema.$ref.split("/").at(-1)], value, at);
    return;
  }
  if (schema.oneOf) {
    const fitting = schema.oneOf.filter((one) => [...problems(one, value, at)].length === 0);
    if (fitting.length !== 1) yield `${at} fits ${fitting.length} of its forms`;
    return;
  }
  const types = [schema.type ?? []].flat();
  if (types.length > 0 && !types.some((type) => kinds[type](value)))
    yield `${at} is ${JSON.stringify(value)}, not ${types.join(" or ")}`;
  if ("const" in schema && value !== schema.const) yield `${at} is not ${schema.const}`;
  if (schema.enum && !schema.enum.includes(value))
    yield `${at} is ${value}, none of ${schema.enum}`;
  if (schema.pattern && !new RegExp(schema.pattern).test(value)) yield `${at} is ${value}`;
  if (kinds.array(value))
    for (const [place, item] of value.entries())
      yield* problems(schema.items ?? {}, item, `${at}[${place}]`);
  if (kinds.object(value)) yield* members(schema, value, at);
}

function* members(schema, value, at) {
  for (const name of schema.required ?? []) if (!(name in value)) yield `${at}.${name} is missing`;
  for (const [name, member] of Object.entries(value)) {
    const known = schema.properties?.[name];
    if (known) yield* problems(known, member, `${at}.${name}`);
    else if (schema.additionalProperties === false) yield `${at}.${name} is unknown`;
    else yield* problems(schema.additionalProperties ?? {}, member, `${at}.${name}`);
  }
}

export function checkSchema(name, value) {
  const found = [...problems({ $ref: name }, value, name)];
  if (found.length > 0) throw new Error(found.slice(0, 10).join("\n"));
}

// The schema of each event of a stream, by its name.
export const eventSchemas = document.paths["/api/v1/events"].get.responses[200]
  .content["text/event-stream"]["x-events"];
