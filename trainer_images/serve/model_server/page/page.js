/** The page: asks the server what the model takes, and then the model. */

import { shown as answerShown } from "./answer.js";
import { shown as commandShown } from "./command.js";
import { at, make } from "./dom.js";
import * as explanation from "./explanation.js";
import { imageInput } from "./image_input.js";
import { rowInput } from "./row_input.js";
import * as server from "./server.js";
import { tokenForm } from "./token.js";

let asked = new AbortController();

async function open() {
  let model;
  try {
    model = await server.model();
  } catch (error) {
    at("input").replaceChildren(...(error.status === 401 ? [askToken(error)] : [problem(error)]));
    document.querySelector("#token")?.focus();
    return;
  }
  introduce(model);
  if (model.input.kind === "images") {
    at("input").replaceChildren(...imageInput((file, ratio) => askImage(model, file, ratio)));
    at("command").replaceChildren(...commandShown(null));
  } else {
    const { form, mark } = rowInput(model.input, (row) => askRow(model, row, mark));
    at("input").replaceChildren(form);
    at("command").replaceChildren(...commandShown(model.input.example));
  }
}

/** @param {server.Refusal} error */
function askToken(error) {
  return tokenForm(server.hasToken() ? `${error.message} ${error.hint}` : null, open);
}

/** @param {any} model */
function introduce(model) {
  document.title = model.name;
  at("answer").hidden = false;
  at("name").textContent = model.name;
  const what =
    model.task === "classification"
      ? ["classes", model.classes.length > 12 ? `${model.classes.slice(0, 12).join(", ")} and ${model.classes.length - 12} others` : model.classes.join(", "), ""]
      : ["predicts", model.target ?? "a number", ""];
  const facts = [
    ["model", model.model === model.name ? "" : model.model, ""],
    ["sha256", model.version.slice(0, 12), model.version],
    ["run", model.run_id?.slice(0, 12), `trainer show ${model.run_id}`],
    ["from", model.framework, ""],
    ["run by", model.served_by, ""],
    what,
  ].filter(([, text]) => text);
  at("about").replaceChildren(
    ...facts.map(([name, text, title]) => make("div", {}, make("dt", {}, name), make("dd", { title }, text))),
  );
}

/** @param {any} model @param {File} file @param {Promise<number | null>} ratio */
async function askImage(model, file, ratio) {
  if (file.size > model.largest_body) {
    const sizes = [file.size, model.largest_body].map((size) => `${(size / 1024 ** 2).toFixed(0)} MB`);
    asked.abort();
    at("answer").replaceChildren(problem({ message: `${file.name} has ${sizes[0]}, and the server takes ${sizes[1]}.`, hint: "Use a smaller file." }));
    return;
  }
  await ask(model, file, async (explained) => explanation.ofImage(explained, await ratio));
}

/** @param {any} model @param {Record<string, string | number | null>} row @param {(error: any) => boolean} mark */
async function askRow(model, row, mark) {
  mark(null);
  await ask(model, row, async (explained) => explanation.ofRow(explained, row), mark);
}

/**
 * Show the answer, and then its explanation, unless something else is asked meanwhile.
 * @param {any} model @param {File | object} input
 * @param {(explained: any) => Promise<Node[]>} draw
 * @param {(error: any) => boolean} mark shows an error in a place of its own
 */
async function ask(model, input, draw, mark = () => false) {
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  const place = at("answer");
  place.setAttribute("aria-busy", "true");
  at("command").replaceChildren(...commandShown(input));
  try {
    const { model: answering, predictions } = await server.predict(input, signal);
    if (answering.version !== model.version) introduce(Object.assign(model, await server.model()));
    const reason = make("div", { id: "explanation", "aria-busy": "true" });
    place.replaceChildren(...answerShown(model, predictions[0]), reason);
    place.setAttribute("aria-busy", "false");
    const wait = (/** @type {string} */ said) => reason.replaceChildren(...explanation.awaited(said));
    wait("Asking the model with parts of the input hidden …");
    try {
      const explained = await server.explain(input, signal, wait);
      const drawn = await draw(explained.explanation);
      if (!signal.aborted) reason.replaceChildren(...drawn);
    } catch (error) {
      if (!signal.aborted) reason.replaceChildren(...explanation.failed(error));
    }
    reason.setAttribute("aria-busy", "false");
  } catch (error) {
    if (signal.aborted) return;
    place.setAttribute("aria-busy", "false");
    if (error.status === 401) at("input").replaceChildren(askToken(error));
    place.replaceChildren(...(mark(error) || error.status === 401 ? [] : [problem(error)]));
  }
}

/** @param {{message: string, hint?: string}} error */
const problem = (error) =>
  make("div", { className: "problem", role: "alert" }, make("p", {}, make("strong", {}, error.message)), make("p", {}, error.hint ?? ""));

open();
