/** The same request on a command line. */

import { make } from "./dom.js";
import { address, hasToken } from "./server.js";

/** @param {File | object | null} input */
export function curl(input) {
  const header = hasToken() ? '--header "Authorization: Bearer $TOKEN" ' : "";
  return `curl ${header}${given(input)} ${address("predict")}`;
}

/** @param {File | object | null} input */
function given(input) {
  if (input === null) return "--form image=@IMAGE.jpg";
  if (!(input instanceof File)) return `--json ${quoted(JSON.stringify(input))}`;
  if (/^[\w.-]+$/.test(input.name)) return `--form image=@${input.name}`;
  return `--form ${quoted(`image=@"${input.name.replace(/["\\]/g, "\\$&")}"`)}`;
}

/** As one word of a shell. @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** @param {File | object | null} input */
export function shown(input) {
  const text = curl(input);
  const children = [make("h2", {}, "On a command line"), make("pre", { id: "curl", tabIndex: 0 }, text)];
  if (navigator.clipboard) {
    const button = make("button", { type: "button", className: "quiet" }, "Copy");
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    });
    children.push(button);
  }
  return children;
}
