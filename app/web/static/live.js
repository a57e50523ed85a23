// Live updates: when /live says "changed", fetch this page again and swap its live parts.
// Everything works without this file; it only saves the reload.
(() => {
  "use strict";
  const stream = document.body.dataset.stream;
  // On a phone the navigation is a strip: what is shown must be in sight.
  const shown = document.querySelector(".top nav [aria-current]");
  if (shown) shown.scrollIntoView({ block: "nearest", inline: "nearest" });
  if (!stream || !window.EventSource) return;
  const state = document.getElementById("live-state");
  let running = false;
  let again = false;

  function say(word, kind) {
    if (!state) return;
    const text = state.querySelector(".live-word");
    if (text.textContent !== word) text.textContent = word;
    state.dataset.kind = kind;
  }

  function chosen(select) {
    const first = [...select.options].findIndex((option) => option.defaultSelected);
    return select.selectedIndex !== Math.max(first, 0);
  }

  // A part in which someone types or chooses is left alone until they are done.
  function busy(part) {
    if (part.matches("form, #actions") && part.contains(document.activeElement)) return true;
    if ([...part.querySelectorAll("select")].some(chosen)) return true;
    return [...part.querySelectorAll("textarea, input:not([type=hidden])")].some(
      (field) => (field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== field.defaultValue),
    );
  }

  function swap(part, fresh) {
    if (part.isEqualNode(fresh)) return;
    if (busy(part)) return;
    const shut = new Map([...part.querySelectorAll("details[id]")].map((d) => [d.id, d.open]));
    const focus = document.activeElement;
    const path = part.contains(focus) ? focus.id || focus.getAttribute("href") : null;
    for (const details of fresh.querySelectorAll("details[id]")) {
      if (shut.has(details.id)) details.open = shut.get(details.id);
    }
    part.replaceWith(fresh);
    if (path) {
      const target = document.getElementById(path) || fresh.querySelector(`[href="${CSS.escape(path)}"]`);
      if (target) target.focus({ preventScroll: true });
    }
  }

  async function refresh() {
    if (running) { again = true; return; }
    running = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of document.querySelectorAll("[data-live][id]")) {
          const fresh = page.getElementById(part.id);
          if (fresh) swap(part, document.importNode(fresh, true));
        }
        document.title = page.title;
      }
    } catch {
      say("Not connected", "lost");
    } finally {
      running = false;
      if (again) { again = false; setTimeout(refresh, 500); }
    }
  }

  let source;
  function open() {
    source = new EventSource(stream);
    // The page may be older than a new stream. One that is taken up again says itself what it missed.
    let fresh = true;
    source.addEventListener("open", () => { say("Live", "on"); if (fresh) refresh(); fresh = false; });
    source.addEventListener("changed", () => { if (!document.hidden) refresh(); else again = true; });
    source.addEventListener("error", () => {
      say("Not connected", "lost");
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 5000);
    });
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden && again) { again = false; refresh(); } });
  window.addEventListener("pagehide", () => source && source.close());
  window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  const tenant = document.getElementById("tenant");
  if (tenant) tenant.addEventListener("change", () => tenant.form.submit());
  open();
})();
