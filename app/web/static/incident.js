// "Save as PNG": the picture's own SVG is drawn on a canvas here, twice as large, and saved.
// "Copy" takes the words of a message. Without this file both buttons stay hidden: the SVG can be
// saved and the words can be marked all the same.
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
    for (const button of document.querySelectorAll("button[data-png][hidden], button[data-copy][hidden]")) button.hidden = false;
  }

  async function copy(button) {
    const words = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(words.textContent);
      button.textContent = "Copied";
    } catch {  // not allowed here: the words are marked, for the keys to copy them
      getSelection().selectAllChildren(words);
      button.textContent = "Marked";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 4000);
  }

  // The parts of the page are replaced while it lives, so the whole page listens.
  document.addEventListener("click", (event) => {
    const copied = event.target.closest("button[data-copy]");
    if (copied) copy(copied);
    const button = event.target.closest("button[data-png]");
    if (!button) return;
    save(button).catch((error) => { button.textContent = error.message; });
  });
  new MutationObserver(show).observe(document.body, { childList: true, subtree: true });
  show();
})();
