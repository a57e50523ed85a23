// "Copy" takes the words of a message. Without this file the button stays hidden: the words can be
// marked all the same.
(() => {
  "use strict";

  function show() {
    for (const button of document.querySelectorAll("button[data-copy][hidden]")) button.hidden = false;
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
  });
  new MutationObserver(show).observe(document.body, { childList: true, subtree: true });
  show();
})();
