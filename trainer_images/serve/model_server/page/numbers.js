/** Numbers as a person reads them. */

/** @param {number} share between 0 and 1 */
export function percent(share) {
  if (share > 0 && share < 0.0005) return "<0.1%";
  if (share < 1 && share >= 0.9995) return ">99.9%";
  return `${(100 * share).toFixed(1)}%`;
}

/** @param {number} number */
export const short = (number) => String(Number(number.toPrecision(6)));

/** A difference: of a probability in percentage points, of a quantity in its unit. @param {number} drop @param {boolean} isShare */
export function difference(drop, isShare) {
  const text = isShare ? (100 * Math.abs(drop)).toFixed(1) : short(Math.abs(drop));
  if (Number(text) === 0) return text;
  return `${drop < 0 ? "−" : "+"}${text}`;
}
