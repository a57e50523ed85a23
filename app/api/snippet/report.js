/*!
 * Sextant reporting snippet. No dependency, no cookie, nothing is read from the page.
 *
 *   <script src="https://sextant.example/v1/snippet/report.js"
 *           data-key="sxt_pub_…" data-service="exchange-online" defer></script>
 *   <script>window.sextant.report({http_status: 503, message: "…"})</script>
 *
 * Reports are gathered for a few seconds and sent together; what cannot be sent is dropped, so that
 * a page never waits for it. Errors of the page are told by themselves with data-errors.
 */
(function (window, document) {
  "use strict";
  var MOST = 20, WAIT = 3000, PER_PAGE = 100, LONGEST = 2000;
  var script = document.currentScript || {dataset: {}, src: ""};
  var settings = {
    url: script.dataset.url || script.src.replace(/\/v1\/snippet\/report\.js.*$/, "/v1/intake/browser"),
    key: script.dataset.key || "",
    service: script.dataset.service || "other",
    client: script.dataset.client || "browser",
    region: script.dataset.region || ""
  };
  var KNOWN = ["id", "occurred_at", "service", "client", "code", "http_status", "message", "symptom", "region"];
  var queue = [], timer = null, told = 0, last = "";

  function clean(given) {
    var made = {}, name, index;
    for (index = 0; index < KNOWN.length; index += 1) {
      name = KNOWN[index];
      if (given[name] !== undefined && given[name] !== null && given[name] !== "") { made[name] = given[name]; }
    }
    made.service = made.service || settings.service;
    made.client = made.client || settings.client;
    if (settings.region && !made.region) { made.region = settings.region; }
    if (made.message) { made.message = String(made.message).slice(0, LONGEST); }
    if (made.code) { made.code = String(made.code).slice(0, 120); }
    made.occurred_at = made.occurred_at || new Date().toISOString();
    return made;
  }

  function flush(leaving) {
    var body, address;
    if (timer) { window.clearTimeout(timer); timer = null; }
    if (!queue.length || !settings.key) { return; }
    body = JSON.stringify(queue.splice(0, MOST));
    address = settings.url + "?key=" + encodeURIComponent(settings.key);
    if (leaving && window.navigator && window.navigator.sendBeacon) {
      window.navigator.sendBeacon(address, body); // text/plain, so nothing is asked first
    } else if (window.fetch) {
      window.fetch(address, {
        method: "POST", body: body, keepalive: true, credentials: "omit", mode: "cors",
        headers: {"Content-Type": "text/plain"}
      }).catch(function () { /* a page never learns that a report was lost */ });
    }
    if (queue.length) { timer = window.setTimeout(flush, WAIT); }
  }

  function report(given) {
    var made, same;
    if (!given || told >= PER_PAGE) { return false; }
    made = clean(given);
    if (!made.code && !made.http_status && !made.message && !made.symptom) { return false; }
    same = [made.code, made.http_status, made.message, made.symptom].join("|");
    if (same === last) { return false; } // a loop of one error is one report
    last = same;
    told += 1;
    queue.push(made);
    if (queue.length >= MOST) { flush(false); } else if (!timer) { timer = window.setTimeout(flush, WAIT); }
    return true;
  }

  /** Reports an answer of fetch() that failed; gives the answer back, so it can stand in a chain. */
  function watch(answer) {
    if (answer && answer.status >= 500) {
      report({http_status: answer.status, code: answer.headers && answer.headers.get("x-ms-diagnostics")});
    }
    return answer;
  }

  if (script.dataset.errors !== undefined) {
    window.addEventListener("error", function (event) { report({message: event.message}); });
    window.addEventListener("unhandledrejection", function (event) {
      report({message: String(event.reason && event.reason.message || event.reason)});
    });
  }
  window.addEventListener("pagehide", function () { flush(true); });
  document.addEventListener("visibilitychange", function () {
    if (document.visibilityState === "hidden") { flush(true); }
  });
  window.sextant = {report: report, watch: watch, flush: function () { flush(false); }};
}(window, document));
