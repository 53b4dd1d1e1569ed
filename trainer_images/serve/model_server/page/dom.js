/**
 * An element with these properties and children. Text is shown as it is, never read as HTML.
 * @param {string} tag
 * @param {Record<string, unknown>} [properties] `data` becomes data-…, names with a dash attributes
 * @param {...(Node | string | null)} children those that are null are left out
 * @returns {any}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "data") Object.assign(element.dataset, value);
    else if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, String(value));
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** A name that may be broken after its underscores. @param {string} name @returns {(Node | string)[]} */
export const breakable = (name) => name.split(/(?<=_)/).flatMap((part) => [part, make("wbr")]);

/** @param {string} id @returns {any} */
export const at = (id) => document.getElementById(id);
