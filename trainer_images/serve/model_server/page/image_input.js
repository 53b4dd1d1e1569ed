/** An image that is dropped, chosen or pasted. */

import { make } from "./dom.js";

/**
 * @param {(file: File, ratio: Promise<number | null>) => void} given called with each image, and the ratio of its
 *   sides once it is known; null where the browser cannot show it
 */
export function imageInput(given) {
  const chooser = make("input", { id: "file", type: "file", accept: "image/*,.tif,.tiff,.ppm", className: "hidden" });
  const preview = make("div", { id: "preview" });
  const zone = make(
    "label",
    { className: "zone", for: "file" },
    preview,
    make("span", { className: "invitation" }, make("strong", {}, "Choose an image"), ", drop one here, or paste it"),
  );
  let url = "";

  const take = (/** @type {File | undefined} */ file) => {
    if (!file) return;
    URL.revokeObjectURL(url);
    url = URL.createObjectURL(file);
    const picture = make("img", { src: url, alt: `The image ${file.name}` });
    const ratio = picture.decode().then(
      () => {
        const ratio = picture.naturalWidth / picture.naturalHeight;
        picture.style.setProperty("--ratio", String(ratio));
        return ratio;
      },
      () => {
        preview.replaceChildren(make("p", { className: "note" }, `${file.name}: this browser cannot show it.`));
        return null;
      },
    );
    preview.replaceChildren(picture);
    given(file, ratio);
  };

  chooser.addEventListener("change", () => {
    take(chooser.files[0]);
    chooser.value = ""; // the same file can be chosen again
  });
  // Anywhere on the page, or a file that misses the zone replaces the page.
  addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) zone.classList.remove("over");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take(event.dataTransfer?.files[0]);
  });
  addEventListener("paste", (event) => take(event.clipboardData?.files[0]));
  return [chooser, zone];
}
