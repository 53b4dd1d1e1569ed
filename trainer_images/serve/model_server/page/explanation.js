/** What the answer is due to. */

import { breakable, make } from "./dom.js";
import { difference, short } from "./numbers.js";

const SHOWN = 8;

/** @param {string} said */
export const awaited = (said) => [make("h2", {}, "Explanation"), make("p", { className: "note busy" }, said)];

/** @param {Error & {hint?: string}} error */
export const failed = (error) => [make("h2", {}, "Explanation"), make("p", { className: "note" }, `${error.message} ${error.hint ?? ""}`)];

/**
 * The image in grey, with what speaks for its class in red.
 * @param {any} explained @param {number | null} ratio of the image's sides, which the model takes as a square
 */
export function ofImage(explained, ratio) {
  const isShare = explained.class !== undefined;
  const what = isShare ? explained.class : "the value";
  const most = isShare ? `${(100 * explained.largest_drop).toFixed(1)} percentage points` : short(explained.largest_drop);
  const picture = make("img", { id: "map", src: explained.picture, alt: `Where in the image there is evidence for ${what}` });
  if (ratio) picture.style.setProperty("--ratio", String(ratio));
  return [
    make("h2", {}, "Explanation"),
    make(
      "figure",
      {},
      picture,
      make(
        "figcaption",
        {},
        make("span", { className: "key for" }, "evidence for it"),
        make("span", { className: "key against" }, "against it"),
        make("p", { className: "note" }, `With a part of the image hidden, ${isShare ? `the confidence in “${what}”` : "the value"} changes by up to ${most}.`),
      ),
    ),
  ];
}

/** How much each cell counts. @param {any} explained @param {Record<string, unknown>} row */
export function ofRow(explained, row) {
  const isShare = explained.class !== undefined;
  const drops = Object.entries(explained.drops);
  if (!drops.length) return [make("h2", {}, "Explanation"), make("p", { className: "note" }, "The model needs all cells: none can be left out to see what it counts.")];
  const most = Math.max(...drops.map(([, drop]) => Math.abs(drop))) || 1;
  const counting = drops.filter(([, drop]) => /[1-9]/.test(difference(drop, isShare))).length;
  const first = drops.slice(0, Math.min(SHOWN, counting));
  const rest = drops.slice(first.length);
  const table = (/** @type {[string, number][]} */ some) => columns(some, most, isShare, row);
  return [
    make("h2", {}, "Explanation"),
    make("p", { className: "note" }, first.length ? said(explained, isShare) : "Each cell is as good as an empty one: it has what the model takes that for."),
    first.length ? table(first) : null,
    rest.length ? make("details", {}, make("summary", {}, `${rest.length} ${first.length ? "more" : "columns"}`), table(rest)) : null,
  ].filter((part) => part !== null);
}

/** @param {any} explained @param {boolean} isShare */
const said = (explained, isShare) =>
  isShare
    ? `What each cell adds to the confidence in “${explained.class}”, compared with an empty one, in percentage points.`
    : "What each cell adds to the value, compared with an empty one.";

/** @param {[string, number][]} drops @param {number} most @param {boolean} isShare @param {Record<string, unknown>} row */
function columns(drops, most, isShare, row) {
  const rows = drops.map(([name, drop]) => {
    const drawn = make("span", { className: drop < 0 ? "against" : "for" });
    drawn.style.width = `${(50 * Math.abs(drop)) / most}%`;
    return make(
      "tr",
      { title: drop, data: { column: name, drop } },
      make("th", { scope: "row" }, ...breakable(name), make("span", { className: "cell" }, String(row[name]))),
      make("td", { className: "number" }, difference(drop, isShare)),
      make("td", { className: "bar middle", "aria-hidden": "true" }, drawn),
    );
  });
  return make("table", { className: "bars", "aria-label": "What each cell adds" }, make("tbody", {}, ...rows));
}
