/** What the server is asked; the token stays in this tab. */

const TOKEN = "token";

/** What the server does not do, in its own words. */
export class Refusal extends Error {
  /** @param {number} status @param {{error: string, hint: string, column?: string}} said @param {number} retry_s */
  constructor(status, said, retry_s = 0) {
    super(said.error);
    this.status = status;
    this.hint = said.hint;
    this.column = said.column;
    this.retry_s = retry_s;
  }
}

/** @param {string} token */
export const keepToken = (token) => sessionStorage.setItem(TOKEN, token);

export const hasToken = () => sessionStorage.getItem(TOKEN) !== null;

/** The address of a route, also behind a proxy that puts the page elsewhere. @param {string} route */
export const address = (route) => new URL(route, document.baseURI).href;

export const model = () => ask("model", {});

/** @param {File | object} input @param {AbortSignal} signal */
export const predict = (input, signal) => ask("predict", { ...body(input), signal });

/**
 * The explanation, which is asked for again while the server is at another one.
 * @param {File | object} input @param {AbortSignal} signal @param {(said: string) => void} waiting
 */
export async function explain(input, signal, waiting) {
  for (let tries = 1; ; tries++) {
    try {
      return await ask("explain", { ...body(input), signal });
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 503 || tries === 30) throw error;
      waiting(error.message);
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.max(1, error.retry_s)));
    }
  }
}

/** @param {File | object} input @returns {RequestInit} */
function body(input) {
  const [content, type] =
    input instanceof Blob
      ? [input, input.type.startsWith("image/") ? input.type : "application/octet-stream"]
      : [JSON.stringify(input), "application/json"];
  return { method: "POST", body: content, headers: { "Content-Type": type } };
}

/** @param {string} route @param {RequestInit} request */
async function ask(route, request) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { ...request.headers, ...(token === null ? {} : { Authorization: `Bearer ${token}` }) };
  let answer, said;
  try {
    answer = await fetch(address(route), { ...request, headers, cache: "no-store" });
    said = await answer.json();
  } catch (error) {
    request.signal?.throwIfAborted();
    throw new Refusal(0, { error: "The server does not answer.", hint: "Is it still running?" });
  }
  if (!answer.ok) throw new Refusal(answer.status, said, Number(answer.headers.get("Retry-After")));
  return said;
}
