import { make } from "./dom.js";
import { keepToken } from "./server.js";

/**
 * A form that asks for the token.
 * @param {string | null} problem what was wrong with the last one
 * @param {() => void} entered
 */
export function tokenForm(problem, entered) {
  const field = make("input", {
    id: "token", type: "password", required: true, autocomplete: "off", spellcheck: false,
    "aria-describedby": "token-note",
  });
  const form = make(
    "form",
    { className: "token" },
    make("label", { for: "token" }, "Token"),
    make("div", { className: "row" }, field, make("button", {}, "Open")),
    make("p", { id: "token-note", className: "note" }, "The server answers those who have its token. It is kept in this tab alone."),
    problem ? make("p", { className: "problem", role: "alert" }, problem) : null,
  );
  form.addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    keepToken(field.value.trim());
    entered();
  });
  return form;
}
