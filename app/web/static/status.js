// The age of the page in words, and a fresh copy once a minute while somebody looks.
// Everything is readable without this file; the absolute time stands there already.
(() => {
  "use strict";
  const MINUTE = 60;
  const HOUR = 3600;
  const DAY = 86400;

  function words(seconds, said) {
    const count = (number, one, several) => (number === 1 ? said[one] : said[several].replace("{n}", number));
    if (seconds < MINUTE) return said.moments;
    if (seconds < HOUR) return count(Math.floor(seconds / MINUTE), "minute", "minutes");
    if (seconds < DAY) return count(Math.floor(seconds / HOUR), "hour", "hours");
    return count(Math.floor(seconds / DAY), "day", "days");
  }

  function tell() {
    const place = document.getElementById("age");
    if (!place) return;
    const made = Date.parse(place.dataset.madeAt);
    const seconds = Math.max(0, (Date.now() - made) / 1000);
    const stale = seconds > Number(place.dataset.staleSeconds);
    const said = JSON.parse(place.dataset.words);
    const text = said[stale ? "stale" : "made"].replace("{age}", words(seconds, said));
    const target = place.querySelector(".age-words");
    if (target.textContent !== text) target.textContent = text;
    document.documentElement.classList.toggle("aged", stale);
  }

  async function renew() {
    if (document.hidden || !location.protocol.startsWith("http")) return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("main");
      const old = document.getElementById("main");
      if (!fresh || !old || old.contains(document.activeElement)) return;
      old.replaceWith(document.importNode(fresh, true));
      document.title = page.title;
      tell();
    } catch {
      // Not reachable: the page stays, and its age goes on growing.
    }
  }

  tell();
  setInterval(tell, 10000);
  setInterval(renew, 60000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { tell(); renew(); } });
})();
