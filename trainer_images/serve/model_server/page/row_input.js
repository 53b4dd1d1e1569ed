/** A form with a field for each column. */

import { make } from "./dom.js";

/**
 * @param {{columns: {kind: string, name: string, values?: (string | number)[], format?: string}[], example: Record<string, unknown>}} table
 * @param {(row: Record<string, string | number | null>) => void} given called with each row
 */
export function rowInput(table, given) {
  const fields = table.columns.map((column, position) => field(column, position, table.example[column.name]));
  const form = make(
    "form",
    { id: "row", noValidate: true },
    make("div", { className: "fields" }, ...fields.map((each) => each.whole)),
    make("p", { className: "note" }, "An empty field is a missing value."),
    make("button", {}, "Predict"),
  );
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    given(Object.fromEntries(fields.map((each) => [each.name, cell(each)])));
  });

  /** Show what is wrong at its field; false where it is in none. @param {any} error */
  const mark = (error) => {
    let marked = false;
    for (const each of fields) {
      const isIt = error?.column === each.name;
      each.control.setAttribute("aria-invalid", String(isIt));
      each.problem.textContent = isIt ? `${error.message} ${error.hint}` : "";
      if (isIt) each.control.focus();
      marked ||= isIt;
    }
    return marked;
  };
  return { form, mark };
}

/** As JSON has it: a number where it is one, null for a missing one. @param {any} field */
function cell({ control, isNumeric }) {
  const text = control.value.trim();
  if (text === "") return null;
  return isNumeric && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

/** @param {any} column @param {number} position @param {unknown} example */
function field(column, position, example) {
  const id = `column-${position}`;
  const shared = { id, name: column.name, "aria-describedby": `${id}-problem` };
  const control = column.values?.length ? choice(column.values, shared) : typed(column, shared);
  control.value = example === null || example === undefined ? "" : String(example);
  const problem = make("p", { id: `${id}-problem`, className: "problem", role: "alert" });
  const whole = make("div", { className: "field" }, make("label", { for: id }, column.name), control, problem);
  const isNumeric = column.kind === "number" || typeof column.values?.[0] === "number";
  return { name: column.name, control, problem, whole, isNumeric };
}

/** @param {(string | number)[]} values @param {object} shared */
function choice(values, shared) {
  const options = values.map((value) => make("option", { value: String(value) }, String(value)));
  return make("select", shared, make("option", { value: "" }, "missing"), ...options);
}

/** As text: what is wrong with it is for the server to say. @param {any} column @param {object} shared */
function typed(column, shared) {
  const date = column.format === "ISO8601" ? "2026-03-31" : column.format;
  return make("input", {
    ...shared,
    type: "text",
    autocomplete: "off",
    spellcheck: false,
    inputMode: column.kind === "number" ? "decimal" : "text",
    placeholder: column.kind === "date" ? date : column.kind,
  });
}
