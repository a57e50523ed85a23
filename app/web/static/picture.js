// "Save as PNG": the picture's own SVG is drawn on a canvas here, twice as large, and saved.
// Without this file the button stays hidden; the SVG can be saved all the same.
(() => {
  "use strict";
  const SCALE = 2;

  function drawn(address) {
    return new Promise((done, failed) => {
      const image = new Image();
      image.onload = () => done(image);
      image.onerror = () => failed(new Error("The picture cannot be read."));
      image.src = address;
    });
  }

  async function save(button) {
    const image = await drawn(button.dataset.png);
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth * SCALE;
    canvas.height = image.naturalHeight * SCALE;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    const content = await new Promise((done) => canvas.toBlob(done, "image/png"));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(content);
    link.download = button.dataset.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  function show() {
    for (const button of document.querySelectorAll("button[data-png][hidden]")) button.hidden = false;
  }

  // The parts of the page are replaced while it lives, so the whole page listens.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-png]");
    if (!button) return;
    save(button).catch((error) => { button.textContent = error.message; });
  });
  new MutationObserver(show).observe(document.body, { childList: true, subtree: true });
  show();
})();
