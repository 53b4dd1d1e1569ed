/** What the model answers. */

import { breakable, make } from "./dom.js";
import { percent, short } from "./numbers.js";

const SHOWN = 5;

/**
 * @param {{target: string | null}} model
 * @param {{class?: string, confidence?: number, probabilities?: Record<string, number>, value?: number}} prediction
 */
export function shown(model, prediction) {
  if (prediction.value !== undefined) {
    const value = make("p", { id: "value", className: "top", title: prediction.value, data: { value: prediction.value } }, short(prediction.value));
    return [make("h2", {}, model.target ?? "Value"), value];
  }
  const top = make(
    "p",
    { id: "class", className: "top", title: prediction.confidence, data: { class: prediction.class, confidence: prediction.confidence } },
    prediction.class,
    " ",
    make("span", { className: "confidence" }, percent(prediction.confidence)),
  );
  const all = Object.entries(prediction.probabilities).sort((one, other) => other[1] - one[1]);
  const rest = all.slice(SHOWN);
  return [
    make("h2", {}, model.target ?? "Class"),
    top,
    table(all.slice(0, SHOWN)),
    rest.length ? make("details", {}, make("summary", {}, `${rest.length} more`), table(rest)) : null,
  ].filter((part) => part !== null);
}

/** @param {[string, number][]} classes */
function table(classes) {
  const rows = classes.map(([name, share]) =>
    make(
      "tr",
      { title: share, data: { class: name, confidence: share } },
      make("th", { scope: "row" }, ...breakable(name)),
      make("td", { className: "number" }, percent(share)),
      make("td", { className: "bar", "aria-hidden": "true" }, bar(share)),
    ),
  );
  return make("table", { className: "bars", "aria-label": "Confidence by class" }, make("tbody", {}, ...rows));
}

/** @param {number} share */
function bar(share) {
  const drawn = make("span", {});
  drawn.style.width = `${100 * share}%`;
  return drawn;
}
